use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bq_primitives::{Algorithm, PowHash, PowValue};
use bq_stratum_v1::{Claim, ShareCandidate, Verdict};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use tokio::sync::mpsc;

use super::Judge;
use crate::{VerifyConfig, shared::Event};

/// One candidate on its way through a queue.
pub(super) struct Task {
    pub(super) candidate: Box<ShareCandidate>,
    reply: mpsc::Sender<Event>,
    received: Instant,
}

impl Task {
    pub(super) fn new(candidate: Box<ShareCandidate>, reply: mpsc::Sender<Event>) -> Self {
        Self { candidate, reply, received: Instant::now() }
    }

    /// The miner claims a result that would be a block: it must not wait behind shares.
    fn is_urgent(&self) -> bool {
        match self.candidate.claim {
            Claim::RandomX(result) => {
                PowValue::of(Algorithm::RandomX, &PowHash(result)).meets(&self.candidate.template.target)
            }
            Claim::None | Claim::EthashMix(_) => false,
        }
    }
}

/// No room.
pub(super) struct QueueFull;

/// The queue of one algorithm.
pub(super) struct Lane {
    urgent: Sender<Task>,
    normal: Sender<Task>,
    load: Arc<Load>,
}

/// What queue and threads know of each other.
struct Load {
    algorithm: Algorithm,
    threads: NonZeroUsize,
    queue_max: usize,
    /// Bound by time; zero for none.
    queue_us: u64,
    queued: AtomicUsize,
    /// Recent mean of one verification, in microseconds.
    service_us: AtomicU64,
}

/// RandomX in light mode evaluates this many proofs in the time of two or three.
const RANDOMX_BATCH_MAX: usize = 8;
/// Ethash evaluates eight proofs in the time of one, and this many in the time of one and a half: the longer the queue, the more
/// a thread gets through.
const ETHASH_BATCH_MAX: usize = 32;
/// RandomX in light mode on a slow machine: what the bound by time starts from.
const RANDOMX_SERVICE_US: u64 = 34_000;

impl Lane {
    pub(super) fn start(
        algorithm: Algorithm,
        config: &VerifyConfig,
        judge: &Arc<Judge>,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let count = config.threads[algorithm.index()];
        let queue_max = config.queue_max[algorithm.index()].max(1);
        let is_randomx = algorithm == Algorithm::RandomX;
        let load = Arc::new(Load {
            algorithm,
            threads: count,
            queue_max,
            queue_us: if is_randomx { config.randomx_queue_ms.saturating_mul(1000) } else { 0 },
            queued: AtomicUsize::new(0),
            service_us: AtomicU64::new(RANDOMX_SERVICE_US),
        });
        let (urgent, urgent_tasks) = bounded(queue_max);
        let (normal, normal_tasks) = bounded(queue_max);
        for _ in 0..count.get() {
            let worker = Worker {
                urgent: urgent_tasks.clone(),
                normal: normal_tasks.clone(),
                load: Arc::clone(&load),
                judge: Arc::clone(judge),
            };
            let thread = thread::Builder::new().name(format!("verify-{algorithm}"));
            threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(Self { urgent, normal, load })
    }

    pub(super) fn push(&self, task: Task) -> Result<(), QueueFull> {
        let urgent = task.is_urgent();
        if !urgent && self.load.queued.load(Ordering::Relaxed) >= self.load.room() {
            return Err(QueueFull);
        }
        self.load.queued.fetch_add(1, Ordering::Relaxed);
        let queue = if urgent { &self.urgent } else { &self.normal };
        queue.try_send(task).map_err(|error| {
            let (TrySendError::Full(_) | TrySendError::Disconnected(_)) = error;
            self.load.queued.fetch_sub(1, Ordering::Relaxed);
            QueueFull
        })
    }
}

impl Load {
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

    fn served(&self, count: usize, took: Duration) {
        self.queued.fetch_sub(count, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let each = took_us / u64::try_from(count.max(1)).unwrap_or(1);
        let mean = self.service_us.load(Ordering::Relaxed);
        self.service_us.store((mean * 15 + each) / 16, Ordering::Relaxed);
    }
}

/// One verification thread.
struct Worker {
    urgent: Receiver<Task>,
    normal: Receiver<Task>,
    load: Arc<Load>,
    judge: Arc<Judge>,
}

impl Worker {
    fn run(self) {
        while let Some(tasks) = self.next() {
            let began = Instant::now();
            let metrics = self.judge.metrics.of(self.load.algorithm);
            tasks.iter().for_each(|task| metrics.waited(began.saturating_duration_since(task.received)));
            let verdicts = self.judge.judge(tasks.iter().map(|task| task.candidate.as_ref()));
            self.load.served(tasks.len(), began.elapsed());
            metrics.queue_depth.set(depth(self.load.queued.load(Ordering::Relaxed)));
            for (task, verdict) in tasks.into_iter().zip(verdicts) {
                metrics.verified(task.received.elapsed());
                answer(&task, verdict);
            }
        }
    }

    /// The next tasks, urgent ones first and by themselves; nothing once the server is gone and the queues are empty.
    fn next(&self) -> Option<Vec<Task>> {
        if let Ok(task) = self.urgent.try_recv() {
            return Some(self.batch(task, &self.urgent));
        }
        let (task, queue) = select! {
            recv(self.urgent) -> task => (task.ok(), &self.urgent),
            recv(self.normal) -> task => (task.ok(), &self.normal),
        };
        match task {
            Some(task) => Some(self.batch(task, queue)),
            // One queue is gone and empty; the other may have tasks.
            None => self.urgent.recv().or_else(|_| self.normal.recv()).ok().map(|task| vec![task]),
        }
    }

    /// `first` and what can be evaluated along with it: others that wait in the same queue, but only this thread's share of them.
    fn batch(&self, first: Task, queue: &Receiver<Task>) -> Vec<Task> {
        let more = match self.load.algorithm {
            Algorithm::Sha256d => 0,
            Algorithm::RandomX => (queue.len() / self.load.threads).min(RANDOMX_BATCH_MAX - 1),
            Algorithm::Ethash => ETHASH_BATCH_MAX - 1,
        };
        std::iter::once(first).chain(queue.try_iter().take(more)).collect()
    }
}

/// The channel has room for every share its connection may have in flight, so this fails only if the connection is gone.
fn answer(task: &Task, verdict: Verdict) {
    let _gone = task.reply.try_send(Event::Verdict(task.candidate.ticket, verdict));
}

fn depth(queued: usize) -> f64 {
    f64::from(u32::try_from(queued).unwrap_or(u32::MAX))
}
