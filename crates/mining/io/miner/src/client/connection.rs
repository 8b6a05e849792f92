use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use bq_primitives::{Algorithm, PowKey};
use bq_stratum_client::{Dialect, DialectError, Event, FIRST_SUBMIT_ID};
use serde_json::Value;
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tracing::{debug, info};

use super::{lines::Lines, pace::Pace};
use crate::{
    Endpoint, MinerEvent,
    huge_pages::log_huge_pages,
    job::Job,
    shared::{FoundShare, Lane, Settings, Shared},
    stats::LaneStats,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pools send a job at least every minute; one that is silent for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(180);
/// After this long without a word of ours a keepalive goes out, where the dialect has one.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// Tables that took at least this long are worth telling of.
const LONG_BUILD: Duration = Duration::from_secs(1);
/// Submits without an answer; one more means that the pool does not answer at all.
const UNANSWERED_MAX: usize = 1024;

/// Why a connection ended.
pub(super) enum Ended {
    /// The miner stops, or does not mine this algorithm any more.
    NotWanted,
    /// It must be made again.
    Failed {
        error: ConnectionError,
        /// It had given us a job by then.
        had_work: bool,
    },
}

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("a line of the pool is not JSON")]
    NotJson,
    #[error(transparent)]
    Dialect(#[from] DialectError),
    #[error("{0} submits are unanswered")]
    Unanswered(usize),
}

/// Connects, logs in, and carries jobs and shares until something ends it.
pub(super) async fn run(
    shared: &Arc<Shared>,
    lane: usize,
    pool: &Endpoint,
    dialect: Box<dyn Dialect>,
    shares: &mut mpsc::Receiver<FoundShare>,
    settings: &mut watch::Receiver<Settings>,
) -> Ended {
    let Some(algorithm) = shared.lanes.get(lane).map(|lane| lane.algorithm) else { return Ended::NotWanted };
    let connect = timeout(CONNECT_TIMEOUT, TcpStream::connect((pool.host(), pool.port())));
    let stream = tokio::select! {
        () = until_unwanted(settings, algorithm) => return Ended::NotWanted,
        connected = connect => match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Ended::Failed { error: error.into(), had_work: false },
            Err(_) => return Ended::Failed { error: ConnectionError::Timeout(CONNECT_TIMEOUT), had_work: false },
        },
    };
    // Shares are single small writes: waiting to fill a packet would only delay them. A refusal costs speed alone.
    drop(stream.set_nodelay(true));
    info!(algorithm = algorithm.name(), %pool, "connected to pool");
    shared.tell(MinerEvent::Connected { algorithm, pool: pool.to_string() });
    let (reader, writer) = tokio::io::split(stream);
    let mut connection = Connection {
        shared: Arc::clone(shared),
        lane,
        algorithm,
        dialect,
        writer,
        pending: BTreeMap::new(),
        next_id: FIRST_SUBMIT_ID,
        had_work: false,
        prepared: None,
        written: Instant::now(),
        pace: Pace::new(),
    };
    let ended = connection.serve(&mut Lines::new(reader), shares, settings).await;
    connection.lose_pending();
    match ended {
        Ok(()) => Ended::NotWanted,
        Err(error) => Ended::Failed { error, had_work: connection.had_work },
    }
}

/// Returns once the miner stops, or does not mine `algorithm` any more.
async fn until_unwanted(settings: &mut watch::Receiver<Settings>, algorithm: Algorithm) {
    // A sender that is gone means the end too.
    let _wanted_no_more: bool = settings.wait_for(|settings| !settings.wants(algorithm)).await.is_ok();
}

struct Connection {
    shared: Arc<Shared>,
    /// Index of the lane.
    lane: usize,
    algorithm: Algorithm,
    dialect: Box<dyn Dialect>,
    writer: WriteHalf<TcpStream>,
    /// Submits without an answer.
    pending: BTreeMap<u64, Pending>,
    next_id: u64,
    had_work: bool,
    /// The tables that were asked for last.
    prepared: Option<PowKey>,
    /// When we last said something.
    written: Instant,
    pace: Pace,
}

/// A submit without an answer.
struct Pending {
    is_block: bool,
    /// Expected hashes of such a share.
    hashes: f64,
    sent: Instant,
}

impl Connection {
    async fn serve(
        &mut self,
        lines: &mut Lines<tokio::io::ReadHalf<TcpStream>>,
        shares: &mut mpsc::Receiver<FoundShare>,
        settings: &mut watch::Receiver<Settings>,
    ) -> Result<(), ConnectionError> {
        let hello = self.dialect.hello();
        self.write(hello).await?;
        let mut patience = self.dialect.first_answer_within().unwrap_or(SILENCE_MAX);
        let mut silent_until = Instant::now() + patience;
        loop {
            tokio::select! {
                () = until_unwanted(settings, self.algorithm) => return Ok(()),
                line = timeout_at(silent_until, lines.next()) => {
                    match line {
                        Ok(line) => self.read(&line?).await?,
                        // Outside its era a pool has nothing to say.
                        Err(_) if !self.shared.is_active(self.algorithm) => {}
                        Err(_) => return Err(ConnectionError::Timeout(patience)),
                    }
                    patience = SILENCE_MAX;
                    silent_until = Instant::now() + patience;
                }
                Some(share) = shares.recv() => self.submit(share).await?,
                () = sleep_until(self.written + QUIET_MAX) => self.keep_alive().await?,
            }
        }
    }

    async fn read(&mut self, line: &[u8]) -> Result<(), ConnectionError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let message: Value = serde_json::from_slice(line).map_err(|_| ConnectionError::NotJson)?;
        for event in self.dialect.handle(&message)? {
            match event {
                Event::Send(line) => self.write(line).await?,
                Event::Job(job) => self.take_job(job.into()),
                Event::Message(text) => {
                    info!(algorithm = self.algorithm.name(), text, "the pool says");
                    self.shared.tell(MinerEvent::Message { algorithm: self.algorithm, text });
                }
                Event::Answer { id, refused } => self.answered(id, refused),
            }
        }
        Ok(())
    }

    fn take_job(&mut self, job: Job) {
        let (algorithm, key) = (self.algorithm, job.work.key());
        let (id, share_hashes, height) = (job.id.clone(), job.share_hashes(), job.height);
        debug!(algorithm = algorithm.name(), job = id, share_hashes, job.is_clean, "new job");
        self.had_work = true;
        if let Some(lane) = self.shared.lanes.get(self.lane) {
            self.shared.set_job(lane, Some(job));
        }
        self.prepare(key);
        self.shared.tell(MinerEvent::Job { algorithm, id, share_hashes, height });
    }

    /// Builds tables for a new key off the worker threads, the fast ones where the verifier has memory for them.
    fn prepare(&mut self, key: PowKey) {
        if self.prepared.replace(key) == Some(key) {
            return;
        }
        let (shared, lane) = (Arc::clone(&self.shared), self.lane);
        tokio::task::spawn_blocking(move || {
            if let Some(lane) = shared.lanes.get(lane) {
                build_tables(&shared, lane, &key);
            }
        });
    }

    async fn submit(&mut self, share: FoundShare) -> Result<(), ConnectionError> {
        // New work may have come while the share waited here.
        if !self.lane_is_at(&share.job) {
            self.with_stats(LaneStats::stale);
            return Ok(());
        }
        if !share.is_block && !self.pace.take(self.shared.now()) {
            self.with_stats(LaneStats::lost);
            return Ok(());
        }
        if self.pending.len() >= UNANSWERED_MAX {
            return Err(ConnectionError::Unanswered(self.pending.len()));
        }
        let id = self.next_id;
        self.next_id += 1;
        let (is_block, hashes) = (share.is_block, share.job.share_hashes());
        self.pending.insert(id, Pending { is_block, hashes, sent: Instant::now() });
        let found = bq_stratum_client::FoundShare { job_id: &share.job.id, work: &share.job.work, found: &share.found };
        let line = self.dialect.submit(&found, id);
        self.write(line).await
    }

    fn answered(&mut self, id: u64, refused: Option<String>) {
        let Some(Pending { is_block, hashes, sent }) = self.pending.remove(&id) else { return };
        let (algorithm, latency) = (self.algorithm, sent.elapsed());
        match &refused {
            None => self.with_stats(|stats| stats.accepted(is_block)),
            Some(reason) => {
                debug!(algorithm = algorithm.name(), reason, "share refused");
                self.with_stats(|stats| stats.refused(reason.clone()));
            }
        }
        self.shared.tell(MinerEvent::Share { algorithm, refused, hashes, latency, is_block });
    }

    fn lose_pending(&mut self) {
        std::mem::take(&mut self.pending).keys().for_each(|_| self.with_stats(LaneStats::lost));
    }

    fn lane_is_at(&self, job: &Job) -> bool {
        self.shared.lanes.get(self.lane).is_some_and(|lane| lane.is_current(job))
    }

    fn with_stats(&self, tell: impl FnOnce(&LaneStats)) {
        if let Some(lane) = self.shared.lanes.get(self.lane) {
            tell(&lane.stats);
        }
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectionError> {
        self.written = Instant::now();
        match self.dialect.keepalive() {
            Some(line) => self.write(line).await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, line: String) -> Result<(), ConnectionError> {
        timeout(WRITE_TIMEOUT, self.writer.write_all(line.as_bytes()))
            .await
            .map_err(|_| ConnectionError::Timeout(WRITE_TIMEOUT))??;
        self.written = Instant::now();
        Ok(())
    }
}

/// Builds what hashing under `key` takes, and tells when each part is there. What cannot be built the threads try to build
/// themselves, and report.
fn build_tables(shared: &Shared, lane: &Lane, key: &PowKey) {
    let (pow, began, algorithm) = (&shared.pow, Instant::now(), lane.algorithm);
    let mut built = pow.prepare(key);
    if built.is_ok() {
        lane.set_tables(*key, false);
        shared.announce_news();
        built = pow.prepare_fast(key).map(|is_new| {
            if let (PowKey::RandomX(_), true) = (key, is_new) {
                log_huge_pages(pow, key);
            }
        });
        if let (PowKey::Ethash(epoch), Some(datasets)) = (key, &shared.ethash_datasets) {
            datasets.want(*epoch);
        }
    }
    lane.set_tables(*key, true);
    shared.announce_news();
    match built {
        Err(error) => {
            tracing::warn!(algorithm = algorithm.name(), %error, "cannot build mining tables");
            lane.stats.failed(error.to_string());
        }
        Ok(()) if began.elapsed() >= LONG_BUILD => {
            shared.tell(MinerEvent::TablesReady { algorithm, took: began.elapsed() });
        }
        Ok(()) => {}
    }
}
