use std::{
    num::NonZeroUsize,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bq_primitives::Algorithm;
use bq_share::{
    CpuTime, QUEUE_CLASSES, Reject, STRANGERS_CLAIMS, ShareCandidate, StrangerTime, StrangerTimePolicy, Verdict,
    WithoutRoom, strangers_room,
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Submitted,
    lane::{Lane, LaneEntry, Order, lane},
};
use crate::{
    VerifyConfig, clock::SteadyClock, mailbox::Mailbox, metrics::StratumMetrics, shared::Answer, strangers::Deposit,
};

/// One candidate on its way through a queue. Whatever becomes of it, its sender gets an answer.
pub(super) struct Task {
    pub(super) candidate: Box<ShareCandidate>,
    reply: Option<Arc<Mailbox>>,
    /// When its line was read.
    received: Instant,
    /// When it came into the queue.
    pub(super) queued: Instant,
    deposit: Option<Deposit>,
    /// Its place in the queue; a claimed block needs none.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// The queue took no more.
pub(crate) enum Full {
    /// It says itself that it is no block.
    Refused,
    /// It may be a block: try again when there is room.
    Wait(Submitted),
}

/// The queue of one algorithm: four in truth, of claimed blocks and of all else, of those who have proved work before and of
/// strangers (SPEC 11.6).
pub(super) struct Queue {
    entries: [LaneEntry<Task>; QUEUE_CLASSES],
    lanes: [Lane<Task>; QUEUE_CLASSES],
    /// Places of strangers, and of the trusted: neither can take the other's.
    room: [Arc<Semaphore>; 2],
    load: Arc<Load>,
}

/// What one verification takes on a slow machine (of RandomX and Ethash in light mode): what bounds by time start from, before the first
/// measurement.
const SERVICE_US: [u64; Algorithm::COUNT] = [10, 34_000, 3_000];
/// One measurement counts for this many times the mean at most: building a table, which takes a second or more, is no verification.
const OUTLIER: u64 = 4;

/// What queue and threads know of each other.
pub(super) struct Load {
    pub(super) algorithm: Algorithm,
    pub(super) threads: NonZeroUsize,
    clock: SteadyClock,
    queue_max: usize,
    /// Bound by time; zero for none.
    queue_us: u64,
    /// Nothing where hashing costs no more than reading.
    strangers: Option<Mutex<StrangerTime>>,
    /// Tasks that take up room, of strangers and of the trusted. Claimed blocks do not: however many come, they keep no other share out.
    in_room: [AtomicUsize; 2],
    /// Recent mean of one verification, in microseconds.
    service_us: AtomicU64,
    /// Until when strangers' shares are hashed, since the server is gone.
    ends: OnceLock<Instant>,
    drain: Duration,
}

impl Task {
    pub(super) fn new(share: Submitted, reply: Arc<Mailbox>, room: Option<OwnedSemaphorePermit>) -> Self {
        let Submitted { candidate, received, deposit } = share;
        Self { candidate, reply: Some(reply), received, queued: Instant::now(), deposit, room }
    }

    /// Answers what was hashed, and says whom to wake once all that come together are answered; nobody if somebody else says so.
    pub(super) fn answer(mut self, verdict: Verdict, metrics: &StratumMetrics) -> Option<Arc<Mailbox>> {
        metrics.of(self.candidate.template.algorithm()).decided(&self.candidate, self.received.elapsed());
        self.put(verdict)
    }

    fn put(&mut self, verdict: Verdict) -> Option<Arc<Mailbox>> {
        let mailbox = self.reply.take()?;
        let is_first = mailbox.put(Answer { ticket: self.candidate.ticket, verdict });
        // Also if its sender is gone; and after the answer, for he may be banned with it.
        if let Some(deposit) = self.deposit.take() {
            deposit.decide(self.candidate.strike_of(verdict));
        }
        is_first.then_some(mailbox)
    }
}

impl Drop for Task {
    /// Lost on the way, which only a panic does: it was not booked, and its sender may try again.
    fn drop(&mut self) {
        if let Some(mailbox) = self.put(Verdict::Rejected(Reject::Busy)) {
            mailbox.ring();
        }
    }
}

impl Queue {
    pub(super) fn new(algorithm: Algorithm, config: &VerifyConfig, clock: SteadyClock) -> Self {
        let queue_max = config.queue_max[algorithm.index()].max(1);
        let order = |class| if class == STRANGERS_CLAIMS { Order::BySubnets } else { Order::AsTheyCome };
        let lanes: [_; QUEUE_CLASSES] = std::array::from_fn(|class| lane(order(class)));
        Self {
            lanes: lanes.each_ref().map(|(_, lane)| lane.clone()),
            entries: lanes.map(|(entry, _)| entry),
            room: [strangers_room(queue_max), queue_max].map(|places| Arc::new(Semaphore::new(places))),
            load: Arc::new(Load {
                algorithm,
                threads: config.threads[algorithm.index()],
                clock,
                queue_max,
                queue_us: config.queue_ms[algorithm.index()].saturating_mul(1000),
                strangers: stranger_time(algorithm, config).map(Mutex::new),
                in_room: [AtomicUsize::new(0), AtomicUsize::new(0)],
                service_us: AtomicU64::new(SERVICE_US[algorithm.index()]),
                ends: OnceLock::new(),
                drain: Duration::from_millis(config.drain_ms),
            }),
        }
    }

    /// What a thread of this queue needs.
    pub(super) fn other_end(&self) -> ([Lane<Task>; QUEUE_CLASSES], Arc<Load>) {
        (self.lanes.clone(), Arc::clone(&self.load))
    }

    /// What one verification costs at present.
    pub(super) fn cost(&self) -> CpuTime {
        CpuTime(self.load.service_us.load(Ordering::Relaxed))
    }

    pub(super) fn room(&self, share: &Submitted) -> Arc<Semaphore> {
        Arc::clone(&self.room[kind_of(&share.candidate)])
    }

    /// Takes a candidate, as far as there is room for its kind.
    pub(super) fn push(&self, share: Submitted, reply: &Arc<Mailbox>) -> Result<(), Full> {
        let candidate = &share.candidate;
        if candidate.is_trusted {
            self.load.note_trusted();
        }
        let room = match candidate.without_room() {
            WithoutRoom::Enters => None,
            WithoutRoom::Refused => {
                let has_room = self.load.has_room_for(candidate);
                let permit = if has_room { self.room(&share).try_acquire_owned().ok() } else { None };
                Some(permit.ok_or(Full::Refused)?)
            }
            WithoutRoom::Waits => match self.room(&share).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return Err(Full::Wait(share)),
            },
        };
        self.send(Task::new(share, Arc::clone(reply), room));
        Ok(())
    }

    pub(super) fn send(&self, task: Task) {
        if task.room.is_some() {
            self.load.in_room[kind_of(&task.candidate)].fetch_add(1, Ordering::Relaxed);
        }
        // Threads are there as long as this is.
        let subnet = task.deposit.as_ref().map(Deposit::subnet);
        self.entries[task.candidate.class()].send(subnet, task);
    }

    /// Nothing more comes. The threads finish what is there, but of strangers no more than they get to within `span`.
    pub(super) fn end_within(&self, span: Duration) {
        let _only_once = self.load.ends.set(Instant::now() + span.min(self.load.drain));
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.end_within(self.load.drain);
    }
}

impl Load {
    /// Nothing more comes; and whether what is left of strangers is hashed still.
    pub(super) fn ends(&self) -> Option<bool> {
        self.ends.get().map(|ends| Instant::now() < *ends)
    }

    /// A trusted miner is there.
    fn note_trusted(&self) {
        if let Some(strangers) = &self.strangers {
            strangers.lock().note_trusted(self.clock.now());
        }
    }

    /// When the thread of this number may hash shares of strangers; nothing: at once.
    pub(super) fn opens_to_strangers_at(&self, thread: u32) -> Option<Instant> {
        let strangers = self.strangers.as_ref()?;
        let at = strangers.lock().opens_at(self.clock.now(), thread)?;
        Some(self.clock.instant(at))
    }

    /// Whether one more of this kind may wait. How many of the other kind do is of no matter: the trusted do not wait for strangers, and these
    /// have a part of the room as of the time.
    fn has_room_for(&self, candidate: &ShareCandidate) -> bool {
        let room = match &self.strangers {
            _ if candidate.is_trusted => self.room(),
            Some(strangers) => strangers.lock().room_of(self.clock.now(), self.room()),
            None => strangers_room(self.room()),
        };
        self.in_room[kind_of(candidate)].load(Ordering::Relaxed) < room
    }

    /// Shares that may wait now: as many as the threads get through in the time allowed.
    fn room(&self) -> usize {
        if self.queue_us == 0 {
            return self.queue_max;
        }
        let service_us = self.service_us.load(Ordering::Relaxed).max(1);
        let threads = u64::try_from(self.threads.get()).unwrap_or(u64::MAX);
        let by_time = threads.saturating_mul(self.queue_us) / service_us;
        usize::try_from(by_time.max(threads)).unwrap_or(usize::MAX).min(self.queue_max)
    }

    /// A task leaves the room, if it took up any.
    pub(super) fn leave(&self, task: &mut Task) {
        if task.room.take().is_some() {
            self.in_room[kind_of(&task.candidate)].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// One thread hashed a batch, of one class.
    pub(super) fn served(&self, tasks: &[Task], took: Duration) {
        let count = u64::try_from(tasks.len().max(1)).unwrap_or(1);
        let mean = self.service_us.load(Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let each = (took_us / count).min(mean.saturating_mul(OUTLIER));
        self.service_us.store((mean * 15 + each) / 16, Ordering::Relaxed);
        if let Some(strangers) = &self.strangers
            && tasks.iter().any(|task| !task.candidate.is_trusted)
        {
            strangers.lock().spend(self.clock.now(), CpuTime(each.saturating_mul(count)));
        }
    }
}

/// Strangers are zero, the trusted one.
fn kind_of(candidate: &ShareCandidate) -> usize {
    usize::from(candidate.is_trusted)
}

/// What bounds strangers, where hashing costs more than reading.
fn stranger_time(algorithm: Algorithm, config: &VerifyConfig) -> Option<StrangerTime> {
    let policy = StrangerTimePolicy {
        percent: config.strangers_percent,
        threads: u32::try_from(config.threads[algorithm.index()].get()).unwrap_or(u32::MAX),
        present_ms: config.trusted_present_ms,
    };
    (algorithm != Algorithm::Sha256d).then(|| StrangerTime::new(policy))
}
