use std::{sync::Arc, time::Duration};

use bq_primitives::{Algorithm, PowKey};
use bq_stratum_client::{
    Dialect, Disappointment, Endpoint, Event, Outlook, Progress, Sent, Stage, is_busy, name_answer, printable,
};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::sleep_until,
};
use tracing::{debug, info};

use super::{error::ConnectionError, link::Link, tables};
use crate::{
    MinerEvent,
    job::Job,
    shared::{FoundShare, Lane, Settings, Shared},
};

/// Why a connection ended.
pub(super) enum Ended {
    /// The miner stops, does not mine this algorithm any more, or has a better pool.
    NotWanted,
    /// It must be made again.
    Failed {
        error: ConnectionError,
        /// A share had been accepted by then.
        worked: bool,
    },
}

/// Where a connection leads, and when it is to end.
pub(super) struct Way<'a> {
    pub(super) shared: &'a Arc<Shared>,
    /// Index of the lane.
    pub(super) lane: usize,
    pub(super) pool: &'a Endpoint,
    /// There is another one to try.
    pub(super) has_others: bool,
    /// Another one is to be mined at.
    pub(super) better: &'a Notify,
}

/// Connects, logs in, and carries jobs and shares until something ends it.
pub(super) async fn run(way: Way<'_>, dialect: Box<dyn Dialect>, settings: &mut watch::Receiver<Settings>) -> Ended {
    let Way { shared, lane: index, pool, has_others, better } = way;
    let Some(lane) = shared.lanes.get(index) else { return Ended::NotWanted };
    let algorithm = lane.algorithm;
    let link = tokio::select! {
        () = until_unwanted(settings, algorithm) => return Ended::NotWanted,
        () = better.notified() => return Ended::NotWanted,
        link = Link::open(pool, &shared.tls, &shared.client) => match link {
            Ok(link) => link,
            Err(error) => return Ended::Failed { error, worked: false },
        },
    };
    info!(algorithm = algorithm.name(), %pool, "connected to pool");
    shared.tell(MinerEvent::Connected { algorithm, pool: pool.to_string() });
    let progress = Progress::new(shared.client.clone(), shared.now());
    let (prepared, said) = (None, shared.now());
    let mut connection = Connection { shared, index, lane, dialect, link, progress, prepared, said, has_others };
    lane.open();
    let ended = connection.serve(settings, better).await;
    let worked = connection.progress.stage() == Stage::Works;
    // In this order: what is found from now on is stale, and not for the next connection.
    shared.set_job(lane, None);
    let lost = lane.outbox.lock().lose();
    (0..lost).for_each(|_| lane.stats.lost());
    ended.map_or_else(|error| Ended::Failed { error, worked }, |()| Ended::NotWanted)
}

/// Returns once the miner stops, or does not mine `algorithm` any more.
async fn until_unwanted(settings: &mut watch::Receiver<Settings>, algorithm: Algorithm) {
    // A sender that is gone means the end too.
    let _wanted_no_more: bool = settings.wait_for(|settings| !settings.wants(algorithm)).await.is_ok();
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    index: usize,
    lane: &'a Lane,
    dialect: Box<dyn Dialect>,
    link: Link,
    progress: Progress,
    /// The tables that were asked for last.
    prepared: Option<PowKey>,
    /// When we last said something.
    said: Duration,
    has_others: bool,
}

impl Connection<'_> {
    async fn serve(
        &mut self,
        settings: &mut watch::Receiver<Settings>,
        better: &Notify,
    ) -> Result<(), ConnectionError> {
        let (shared, lane) = (self.shared, self.lane);
        let hello = self.dialect.hello();
        self.link.say(&hello);
        // Once nothing more is to be found for this pool, until when its answers are waited for.
        let mut leaves: Option<Duration> = None;
        loop {
            self.send_shares();
            if leaves.is_some_and(|until| lane.is_settled() || shared.now() >= until) {
                return Ok(());
            }
            let wakes = self.wakes().min(leaves.unwrap_or(Duration::MAX));
            tokio::select! {
                () = until_unwanted(settings, lane.algorithm), if leaves.is_none() => leaves = Some(self.leave()),
                () = better.notified(), if leaves.is_none() => leaves = Some(self.leave()),
                line = self.link.next() => self.read(&line?)?,
                () = lane.to_send.notified() => {}
                () = sleep_until(shared.instant(wakes)) => self.look_at_clock(settings)?,
            }
        }
    }

    /// Ends the search; returns when patience with what is under way ends.
    fn leave(&self) -> Duration {
        self.lane.close();
        self.shared.announce_news();
        self.shared.now().saturating_add(self.shared.client.drain)
    }

    fn outlook(&self) -> Outlook {
        let oldest_sent = self.lane.outbox.lock().oldest().map(|(_, sent)| sent);
        Outlook { has_others: self.has_others, oldest_sent }
    }

    /// When to look at the clock next.
    fn wakes(&self) -> Duration {
        let now = self.shared.now();
        let keepalive = self.said.saturating_add(self.shared.client.keepalive);
        let resumes = self.lane.outbox.lock().resumes(now);
        self.progress.deadline(self.outlook()).0.min(keepalive).min(resumes.unwrap_or(Duration::MAX))
    }

    fn look_at_clock(&mut self, settings: &watch::Receiver<Settings>) -> Result<(), ConnectionError> {
        let now = self.shared.now();
        if now >= self.said.saturating_add(self.shared.client.keepalive) {
            self.said = now;
            if let Some(line) = self.dialect.keepalive() {
                self.link.say(&line);
            }
        }
        let (deadline, disappointment) = self.progress.deadline(self.outlook());
        if now < deadline {
            return Ok(());
        }
        // Outside its era a pool has nothing to say, and where nobody mines no share is found.
        let is_excused = match disappointment {
            Disappointment::NoVerdict(_) => false,
            Disappointment::NoShare(_) => !settings.borrow().mines_now(self.lane.algorithm),
            _ => !self.shared.is_active(self.lane.algorithm),
        };
        if !is_excused {
            return Err(disappointment.into());
        }
        self.progress.excused(now);
        Ok(())
    }

    fn read(&mut self, line: &[u8]) -> Result<(), ConnectionError> {
        let now = self.shared.now();
        self.progress.heard(now);
        let message = serde_json::from_slice::<Value>(line).ok().filter(Value::is_object);
        let Some(mut message) = message else { return self.passes_over("a line of the pool is not JSON") };
        let oldest = self.lane.outbox.lock().oldest().map(|(id, _)| id);
        name_answer(self.dialect.as_ref(), &mut message, oldest);
        let events = match self.dialect.handle(&message) {
            Ok(events) => events,
            Err(error) if error.ends_connection() => return Err(error.into()),
            Err(error) => return self.passes_over(&error.to_string()),
        };
        if self.dialect.is_logged_in() {
            self.progress.logged_in(now);
        }
        events.into_iter().try_for_each(|event| self.take(event))
    }

    fn passes_over(&mut self, what: &str) -> Result<(), ConnectionError> {
        debug!(algorithm = self.lane.algorithm.name(), what, "passed over");
        self.lane.stats.nonsense(what);
        Ok(self.progress.nonsense()?)
    }

    fn take(&mut self, event: Event) -> Result<(), ConnectionError> {
        let algorithm = self.lane.algorithm;
        match event {
            Event::Send(line) => self.link.say(&line),
            Event::Job(job) => return self.take_job(job.into()),
            Event::Message(text) => {
                info!(algorithm = algorithm.name(), text, "the pool says");
                self.shared.tell(MinerEvent::Message { algorithm, text });
            }
            Event::Answer { id, refused } => return self.answered(id, refused),
        }
        Ok(())
    }

    fn take_job(&mut self, job: Job) -> Result<(), ConnectionError> {
        let (algorithm, key) = (self.lane.algorithm, job.work.key());
        let (id, share_hashes, height) = (printable(&job.id), job.share_hashes(), job.height);
        debug!(algorithm = algorithm.name(), job = id, share_hashes, job.is_clean, "new job");
        self.progress.job(self.shared.now(), key)?;
        self.shared.set_job(self.lane, Some(job));
        if self.prepared.replace(key) != Some(key) {
            tables::prepare(self.shared, self.index, key);
        }
        self.shared.tell(MinerEvent::Job { algorithm, id, share_hashes, height });
        Ok(())
    }

    /// Hands what waits to the link, as far as the pool can take it.
    fn send_shares(&mut self) {
        let (lane, now) = (self.lane, self.shared.now());
        let mut outbox = lane.outbox.lock();
        // New work may have come while they waited.
        let was_full = outbox.is_full();
        let stale = outbox.retain(|share| lane.is_current(&share.job));
        (0..stale).for_each(|_| lane.stats.stale());
        while self.dialect.is_logged_in()
            && let Some((id, FoundShare { job, found, .. })) = outbox.send(now)
        {
            let share = bq_stratum_client::FoundShare { job_id: &job.id, work: &job.work, found };
            let line = self.dialect.submit(&share, id);
            self.link.say(&line);
            self.progress.sent(now);
            self.said = now;
        }
        let has_room = was_full && !outbox.is_full();
        drop(outbox);
        if has_room {
            self.shared.announce_news();
        }
    }

    fn answered(&mut self, id: u64, refused: Option<String>) -> Result<(), ConnectionError> {
        let (lane, now) = (self.lane, self.shared.now());
        let mut outbox = lane.outbox.lock();
        if refused.as_deref().is_some_and(is_busy) {
            let is_block = outbox.sent(id).is_some_and(|share| share.is_block);
            if outbox.busy(id, is_block, now) {
                lane.stats.resent();
            }
            return Ok(());
        }
        let answered = if refused.is_none() { outbox.accepted(id) } else { outbox.refused(id) };
        drop(outbox);
        let Some(Sent { share: FoundShare { job, is_block, .. }, at }) = answered else { return Ok(()) };
        let (algorithm, latency, hashes) = (lane.algorithm, now.saturating_sub(at), job.share_hashes());
        let mut patience = Ok(());
        match &refused {
            None => {
                self.progress.accepted(now);
                lane.stats.accepted(is_block);
            }
            Some(reason) => {
                debug!(algorithm = algorithm.name(), reason, "share refused");
                lane.stats.refused(reason.clone());
                // Of work that was replaced meanwhile it was to be expected.
                if lane.is_current(&job) {
                    patience = self.progress.refused(now, at);
                }
            }
        }
        self.shared.tell(MinerEvent::Share { algorithm, refused, hashes, latency, is_block });
        Ok(patience?)
    }
}
