mod lane;
mod prover;
mod queue;
mod supervised;
mod worker;

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bq_primitives::Algorithm;
use bq_share::{CpuTime, ShareCandidate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use self::prover::Prover;
pub(crate) use self::queue::Full;
use self::{
    queue::{Queue, Task},
    worker::{BlockTask, Worker, book_blocks},
};
use crate::{VerifyConfig, mailbox::Mailbox, strangers::Deposit};

/// A share on its way to its verdict.
pub(crate) struct Submitted {
    pub(crate) candidate: Box<ShareCandidate>,
    /// When its line was read.
    pub(crate) received: Instant,
    /// Until then; nothing if it can cost its sender nothing.
    pub(crate) deposit: Option<Deposit>,
}

/// Verification threads behind one bounded queue per algorithm. Threads end when this is dropped and the queues are empty.
pub(crate) struct VerifyPool {
    queues: [Queue; Algorithm::COUNT],
}

impl VerifyPool {
    /// Starts the threads, those for blocks first: none is started when a block is found.
    pub(crate) fn start(config: &VerifyConfig, prover: &Arc<Prover>) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let mut threads = Vec::new();
        let (blocks, found) = crossbeam_channel::unbounded::<BlockTask>();
        for _ in 0..config.block_threads.get() {
            let (prover, found) = (Arc::clone(prover), found.clone());
            threads.push(supervised::spawn("block", prover.watch(), move || book_blocks(&prover, &found))?);
        }
        let mut start = |algorithm: Algorithm| -> io::Result<Queue> {
            let queue = Queue::new(algorithm, config, prover.clock());
            for number in (0..).take(config.threads[algorithm.index()].get()) {
                let worker = Worker::new(number, &queue, Arc::clone(prover), blocks.clone());
                let watch = prover.watch();
                threads.push(supervised::spawn(worker.thread_name(), watch, move || worker.run())?);
            }
            Ok(queue)
        };
        let queues = [start(Algorithm::Sha256d)?, start(Algorithm::RandomX)?, start(Algorithm::Ethash)?];
        Ok((Self { queues }, threads))
    }

    /// Queues a candidate; the verdict comes back as an answer.
    pub(crate) fn submit(&self, share: Submitted, reply: &Arc<Mailbox>) -> Result<(), Full> {
        self.of(&share).push(share, reply)
    }

    /// Queues a candidate that waited for room.
    pub(crate) fn submit_with(&self, share: Submitted, reply: &Arc<Mailbox>, room: OwnedSemaphorePermit) {
        self.of(&share).send(Task::new(share, Arc::clone(reply), Some(room)));
    }

    /// Queues a candidate whose connection ends, room or not: there is at most one per connection.
    pub(crate) fn submit_at_once(&self, share: Submitted, reply: &Arc<Mailbox>) {
        self.of(&share).send(Task::new(share, Arc::clone(reply), None));
    }

    /// No share comes any more. Those of strangers are hashed for `span` still, or as long as is configured if that is less.
    pub(crate) fn end_within(&self, span: Duration) {
        self.queues.iter().for_each(|queue| queue.end_within(span));
    }

    /// What verifying one candidate of an algorithm costs at present.
    pub(crate) fn cost(&self, algorithm: Algorithm) -> CpuTime {
        self.queues[algorithm.index()].cost()
    }

    /// Room for one more candidate of this kind, in turn with everybody else who waits.
    pub(crate) fn room(&self, share: &Submitted) -> Arc<Semaphore> {
        self.of(share).room(share)
    }

    fn of(&self, share: &Submitted) -> &Queue {
        &self.queues[share.candidate.template.algorithm().index()]
    }
}
