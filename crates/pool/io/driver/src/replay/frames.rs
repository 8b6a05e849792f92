//! The digests of frames, computed beside the log on threads of their own: hashing shares is most of a replay's work.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{Scope, ScopedJoinHandle},
};

use bq_mining_message::{FrameHeader, FrontEndId};
use bq_segments::ShareLog;
use crossbeam_channel::{Receiver, Sender, bounded};

/// Frames of one piece of work: a run, so that each segment is read by one thread, mostly.
const FRAMES_TOGETHER: usize = 4096;

/// What became of the frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FramesRead {
    pub(super) frames: u64,
    pub(super) shares: u64,
    /// Given up, or of another front end.
    pub(super) without_shares: u64,
    /// The first that is not borne out, by its first share.
    pub(super) fault: Option<(u64, String)>,
}

/// Hands frames to threads.
pub(super) struct Frames<'scope> {
    work: Option<Sender<Vec<FrameHeader>>>,
    waiting: Mutex<Vec<FrameHeader>>,
    threads: Vec<ScopedJoinHandle<'scope, FramesRead>>,
}

impl<'scope> Frames<'scope> {
    pub(super) fn start<'env>(scope: &'scope Scope<'scope, 'env>, log: &Arc<ShareLog>, front_end: FrontEndId) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (work, taken) = bounded(threads.saturating_mul(2));
        let start = |_| {
            let (log, taken) = (Arc::clone(log), taken.clone());
            scope.spawn(move || verify(&log, front_end, &taken))
        };
        Self { work: Some(work), waiting: Mutex::default(), threads: (0..threads).map(start).collect() }
    }

    pub(super) fn add(&self, frame: FrameHeader) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(frame);
        if waiting.len() >= FRAMES_TOGETHER {
            self.hand_on(std::mem::take(&mut waiting));
        }
    }

    fn hand_on(&self, frames: Vec<FrameHeader>) {
        // Threads end with the channel only.
        if let Some(work) = &self.work {
            drop(work.send(frames));
        }
    }

    /// Waits for all of them.
    pub(super) fn finish(mut self) -> FramesRead {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.hand_on(waiting);
        self.work = None;
        let mut all = FramesRead::default();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(read) => all.add(read),
                Err(_) => {
                    all.add(FramesRead { fault: Some((0, "a thread panicked".to_owned())), ..FramesRead::default() });
                }
            }
        }
        all
    }
}

impl FramesRead {
    fn add(&mut self, other: Self) {
        self.frames = self.frames.saturating_add(other.frames);
        self.shares = self.shares.saturating_add(other.shares);
        self.without_shares = self.without_shares.saturating_add(other.without_shares);
        self.fault = [self.fault.take(), other.fault].into_iter().flatten().min();
    }
}

fn verify(log: &ShareLog, front_end: FrontEndId, work: &Receiver<Vec<FrameHeader>>) -> FramesRead {
    let mut read = FramesRead::default();
    let holes = log.status().holes;
    for frames in work {
        let is_there = |frame: &FrameHeader| {
            frame.front_end == front_end && !holes.iter().any(|hole| hole.start < frame.end() && frame.first < hole.end)
        };
        let (there, gone): (Vec<_>, Vec<_>) = frames.into_iter().partition(is_there);
        let count = |frames: &[FrameHeader]| u64::try_from(frames.len()).unwrap_or(u64::MAX);
        read.frames = read.frames.saturating_add(count(&there));
        read.without_shares = read.without_shares.saturating_add(count(&gone));
        let shares = there.iter().fold(0_u64, |sum, frame| sum.saturating_add(frame.count.into()));
        read.shares = read.shares.saturating_add(shares);
        if let Err(unproven) = log.verify(there) {
            let fault = (unproven.frame.first.0, unproven.to_string());
            read.fault = [read.fault.take(), Some(fault)].into_iter().flatten().min();
        }
    }
    read
}
