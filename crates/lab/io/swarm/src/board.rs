use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

/// Where the crowd writes down when it heard of a tip.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Inner>);

#[derive(Default)]
struct Inner {
    round: Mutex<Round>,
    all_heard: Notify,
}

#[derive(Default)]
struct Round {
    expected: usize,
    heard: Vec<Hearing>,
}

/// One miner's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hearing {
    pub(crate) at: Instant,
    /// It had a share accepted before.
    pub(crate) is_proven: bool,
}

impl Board {
    /// Forgets what was heard before; `expected` miners will hear.
    pub(crate) fn begin(&self, expected: usize) {
        *self.round() = Round { expected, heard: Vec::with_capacity(expected) };
    }

    /// A miner heard of a tip.
    pub(crate) fn note_tip(&self, at: Instant, is_proven: bool) {
        let mut round = self.round();
        round.heard.push(Hearing { at, is_proven });
        if round.heard.len() == round.expected {
            self.0.all_heard.notify_one();
        }
    }

    /// When each of the miners heard, in order; of those that did within `patience`.
    pub(crate) async fn heard(&self, patience: Duration) -> Vec<Hearing> {
        let _late = timeout(patience, self.0.all_heard.notified()).await;
        let mut heard = std::mem::take(&mut self.round().heard);
        heard.sort_unstable_by_key(|hearing| hearing.at);
        heard
    }

    fn round(&self) -> std::sync::MutexGuard<'_, Round> {
        self.0.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
