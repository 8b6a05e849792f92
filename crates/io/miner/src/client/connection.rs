use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use bq_primitives::{Algorithm, PowKey};
use serde_json::Value;
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, info};

use super::{
    dialect::{Dialect, DialectError, Event, FIRST_SUBMIT_ID},
    lines::Lines,
};
use crate::{
    Endpoint,
    shared::{FoundShare, Lane, Settings, Shared},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pools send a job at least every minute; one that is silent for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(180);
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
    shared: &Shared,
    lane: &Lane,
    endpoint: &Endpoint,
    dialect: Box<dyn Dialect>,
    shares: &mut mpsc::Receiver<FoundShare>,
    settings: &mut watch::Receiver<Settings>,
) -> Ended {
    let connect = timeout(CONNECT_TIMEOUT, TcpStream::connect((endpoint.host(), endpoint.port())));
    let stream = tokio::select! {
        () = until_unwanted(settings, lane.algorithm) => return Ended::NotWanted,
        connected = connect => match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Ended::Failed { error: error.into(), had_work: false },
            Err(_) => return Ended::Failed { error: ConnectionError::Timeout(CONNECT_TIMEOUT), had_work: false },
        },
    };
    // Shares are single small writes: waiting to fill a packet would only delay them. A refusal costs speed alone.
    drop(stream.set_nodelay(true));
    info!(algorithm = lane.algorithm.name(), %endpoint, "connected to pool");
    let (reader, writer) = tokio::io::split(stream);
    let mut connection = Connection {
        shared,
        lane,
        dialect,
        writer,
        pending: BTreeMap::new(),
        next_id: FIRST_SUBMIT_ID,
        had_work: false,
        prepared: None,
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

struct Connection<'a> {
    shared: &'a Shared,
    lane: &'a Lane,
    dialect: Box<dyn Dialect>,
    writer: WriteHalf<TcpStream>,
    /// Submits without an answer: whether each is a block.
    pending: BTreeMap<u64, bool>,
    next_id: u64,
    had_work: bool,
    /// The tables that were asked for last.
    prepared: Option<PowKey>,
}

impl Connection<'_> {
    async fn serve(
        &mut self,
        lines: &mut Lines<tokio::io::ReadHalf<TcpStream>>,
        shares: &mut mpsc::Receiver<FoundShare>,
        settings: &mut watch::Receiver<Settings>,
    ) -> Result<(), ConnectionError> {
        let hello = self.dialect.hello();
        self.write(hello).await?;
        let mut silent_until = Instant::now() + SILENCE_MAX;
        loop {
            tokio::select! {
                () = until_unwanted(settings, self.lane.algorithm) => return Ok(()),
                line = timeout_at(silent_until, lines.next()) => {
                    let line = line.map_err(|_| ConnectionError::Timeout(SILENCE_MAX))??;
                    silent_until = Instant::now() + SILENCE_MAX;
                    self.read(&line).await?;
                }
                Some(share) = shares.recv() => self.submit(share).await?,
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
                Event::Job(job) => {
                    self.prepare(job.work.key());
                    self.had_work = true;
                    debug!(algorithm = self.lane.algorithm.name(), job = job.id, "new job");
                    self.shared.set_job(self.lane, Some(Arc::new(job)));
                }
                Event::Answer { id, refused } => self.answered(id, refused),
            }
        }
        Ok(())
    }

    /// Builds tables for a new key off the worker threads, the fast ones where the verifier has memory for them.
    fn prepare(&mut self, key: PowKey) {
        if self.prepared.replace(key) == Some(key) {
            return;
        }
        let pow = Arc::clone(&self.shared.pow);
        let algorithm = self.lane.algorithm;
        let full_ethash = self.shared.ethash_dataset;
        tokio::task::spawn_blocking(move || {
            let built = pow.prepare_fast(&key).and_then(|()| match key {
                PowKey::Ethash(epoch) if full_ethash => pow.prepare_ethash_dataset(epoch),
                PowKey::Sha256d | PowKey::RandomX(_) | PowKey::Ethash(_) => Ok(()),
            });
            if let Err(error) = built {
                tracing::warn!(algorithm = algorithm.name(), %error, "cannot build mining tables");
            }
        });
    }

    async fn submit(&mut self, share: FoundShare) -> Result<(), ConnectionError> {
        // The pool forgot the jobs of older connections.
        let current = self.lane.job().is_some_and(|job| job.connection == share.job.connection);
        if !current {
            self.lane.stats.lost();
            return Ok(());
        }
        if self.pending.len() >= UNANSWERED_MAX {
            return Err(ConnectionError::Unanswered(self.pending.len()));
        }
        let id = self.next_id;
        self.next_id += 1;
        self.pending.insert(id, share.is_block);
        let line = self.dialect.submit(&share, id);
        self.write(line).await
    }

    fn answered(&mut self, id: u64, refused: Option<String>) {
        let Some(is_block) = self.pending.remove(&id) else { return };
        match refused {
            None => self.lane.stats.accepted(is_block),
            Some(reason) => {
                debug!(algorithm = self.lane.algorithm.name(), reason, "share refused");
                self.lane.stats.rejected(reason);
            }
        }
    }

    fn lose_pending(&mut self) {
        std::mem::take(&mut self.pending).keys().for_each(|_| self.lane.stats.lost());
    }

    async fn write(&mut self, line: String) -> Result<(), ConnectionError> {
        timeout(WRITE_TIMEOUT, self.writer.write_all(line.as_bytes()))
            .await
            .map_err(|_| ConnectionError::Timeout(WRITE_TIMEOUT))??;
        Ok(())
    }
}
