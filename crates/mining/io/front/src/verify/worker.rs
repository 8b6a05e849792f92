use std::{cell::Cell, sync::Arc, time::Instant};

use bq_primitives::Algorithm;
use bq_share::{Proven, QUEUE_CLASSES, QueueTurns, Reject, TRUSTED_CLASSES, Verdict};
use crossbeam_channel::{Receiver, Select, Sender};

use crate::mailbox::Mailbox;

use super::{
    Prover, Queue,
    lane::Lane,
    queue::{Load, Task},
};

/// One verification thread.
pub(super) struct Worker {
    /// Among those of its algorithm, from zero.
    number: u32,
    tasks: [Lane<Task>; QUEUE_CLASSES],
    load: Arc<Load>,
    prover: Arc<Prover>,
    blocks: Sender<BlockTask>,
    turns: Cell<QueueTurns>,
}

/// A block that was found, on its way to the books and the node.
pub(super) struct BlockTask {
    task: Task,
    proven: Proven,
}

/// Connections that have answers, woken when this is dropped: also if a panic comes between.
#[derive(Default)]
struct Bells(Vec<Arc<Mailbox>>);

impl Drop for Bells {
    fn drop(&mut self) {
        self.0.iter().for_each(|mailbox| mailbox.ring());
    }
}

/// A hash takes less time than to look for the next one. How the verifier works decides this and the next two, not an operator:
/// more gains nothing, less loses speed under load.
const SHA256D_BATCH_MAX: usize = 32;
/// RandomX in light mode evaluates this many proofs in the time of two or three.
const RANDOMX_BATCH_MAX: usize = 8;
/// Ethash evaluates eight proofs in the time of one, and this many in the time of one and a half: the longer the queue, the more
/// a thread gets through.
const ETHASH_BATCH_MAX: usize = 32;

impl Worker {
    pub(super) fn new(number: u32, queue: &Queue, prover: Arc<Prover>, blocks: Sender<BlockTask>) -> Self {
        let (tasks, load) = queue.other_end();
        Self { number, tasks, load, prover, blocks, turns: Cell::default() }
    }

    pub(super) fn thread_name(&self) -> String {
        format!("verify-{}", self.load.algorithm)
    }

    /// Until the server is gone and the queues are empty, or what is left in them is of strangers and comes too late.
    pub(super) fn run(&self) {
        while let Some(mut tasks) = self.next() {
            tasks.iter_mut().for_each(|task| self.load.leave(task));
            let began = Instant::now();
            let metrics = self.prover.metrics().of(self.load.algorithm);
            tasks.iter().for_each(|task| metrics.waited(began.saturating_duration_since(task.queued)));
            let proofs = self.prover.prove_all(tasks.iter().map(|task| task.candidate.as_ref()));
            self.load.served(&tasks, began.elapsed());
            metrics.queue_depth.set(depth(self.tasks.iter().map(Lane::len).sum()));
            self.answer_all(tasks, proofs);
        }
        let left: usize = self.tasks.iter().map(Lane::len).sum();
        if left > 0 {
            tracing::warn!(algorithm = %self.load.algorithm, left, "shares of strangers, which may be blocks, came too late to be hashed");
        }
    }

    /// Books what was proved, and answers. Blocks go to threads of their own; the others are written together.
    fn answer_all(&self, tasks: Vec<Task>, proofs: Vec<Result<Proven, Reject>>) {
        let metrics = self.prover.metrics();
        let (mut shares, mut bells) = (Vec::with_capacity(tasks.len()), Bells::default());
        for (task, proof) in tasks.into_iter().zip(proofs) {
            match proof {
                // If those threads were gone, the dropped task would answer.
                Ok(proven) if proven.is_block => drop(self.blocks.send(BlockTask { task, proven })),
                Ok(proven) => shares.push((task, proven)),
                Err(reason) => bells.0.extend(task.answer(Verdict::Rejected(reason), metrics)),
            }
        }
        let verdicts = self.prover.book_all(shares.iter().map(|(task, proven)| (task.candidate.as_ref(), proven)));
        for ((task, _), verdict) in shares.into_iter().zip(verdicts) {
            bells.0.extend(task.answer(verdict, metrics));
        }
    }

    /// The next tasks, of one class; nothing once the server is gone and the queues are empty, or what is left in them comes too late.
    fn next(&self) -> Option<Vec<Task>> {
        loop {
            let turn = self.turns.get().order();
            if let Some(hashes_strangers) = self.load.ends() {
                return self.first_of(if hashes_strangers { &turn[..] } else { &turn[..TRUSTED_CLASSES] });
            }
            let strangers_at = self.load.opens_to_strangers_at(self.number);
            let classes = if strangers_at.is_some() { &turn[..TRUSTED_CLASSES] } else { &turn[..] };
            if let Some(tasks) = self.first_of(classes) {
                return Some(tasks);
            }
            // Ready is what has ended, too.
            if let Some(queue) = self.ready(classes, strangers_at)
                && let Some(task) = queue.take()
            {
                return Some(self.batch(task, queue));
            }
        }
    }

    fn first_of(&self, classes: &[usize]) -> Option<Vec<Task>> {
        let queues = classes.iter().map(|class| &self.tasks[*class]);
        queues.into_iter().find_map(|queue| Some(self.batch(queue.take()?, queue)))
    }

    /// Waits until one of these has something, or has ended; nothing if none does in time.
    fn ready(&self, classes: &[usize], until: Option<Instant>) -> Option<&Lane<Task>> {
        let mut any = Select::new();
        for class in classes {
            self.tasks[*class].watch(&mut any);
        }
        let index = match until {
            Some(until) => any.ready_deadline(until).ok()?,
            None => any.ready(),
        };
        Some(&self.tasks[classes[index]])
    }

    /// `first` and what can be evaluated along with it: others that wait in the same queue, but only this thread's share of them.
    fn batch(&self, first: Task, queue: &Lane<Task>) -> Vec<Task> {
        self.turns.set(self.turns.get().after(first.candidate.class()));
        let more = match self.load.algorithm {
            Algorithm::Sha256d => (queue.len() / self.load.threads).min(SHA256D_BATCH_MAX - 1),
            Algorithm::RandomX => (queue.len() / self.load.threads).min(RANDOMX_BATCH_MAX - 1),
            Algorithm::Ethash => ETHASH_BATCH_MAX - 1,
        };
        std::iter::once(first).chain(std::iter::from_fn(|| queue.take()).take(more)).collect()
    }
}

/// Books blocks until no verification thread is left to find one.
pub(super) fn book_blocks(prover: &Prover, found: &Receiver<BlockTask>) {
    for BlockTask { task, proven } in found {
        let verdict = prover.book(&task.candidate, &proven);
        if let Some(mailbox) = task.answer(verdict, prover.metrics()) {
            mailbox.ring();
        }
    }
}

fn depth(queued: usize) -> f64 {
    f64::from(u32::try_from(queued).unwrap_or(u32::MAX))
}
