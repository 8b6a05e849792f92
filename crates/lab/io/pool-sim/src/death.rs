use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Counts the effects of one life of the pool, and ends it at one of them: before the effect, or after it and before the pool
/// hears of it.
#[derive(Debug, Default)]
pub(crate) struct Death {
    left: AtomicU32,
    is_armed: AtomicBool,
    is_after: AtomicBool,
    is_dead: AtomicBool,
    is_full: AtomicBool,
}

/// What becomes of one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) happens: bool,
    /// Whoever caused it lives to hear of it.
    pub(crate) is_heard: bool,
    /// It is the one at which the pool dies.
    pub(crate) is_last: bool,
}

impl Death {
    pub(crate) fn arm(&self, effects: u32, is_after: bool) {
        self.left.store(effects, Ordering::Relaxed);
        self.is_after.store(is_after, Ordering::Relaxed);
        self.is_armed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn disarm(&self) {
        self.is_armed.store(false, Ordering::Relaxed);
    }

    pub(crate) fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(crate) fn effect(&self) -> Effect {
        if self.is_dead() {
            return Effect { happens: false, is_heard: false, is_last: false };
        }
        let is_last = self.is_armed.load(Ordering::Relaxed) && self.left.fetch_sub(1, Ordering::Relaxed) == 0;
        if is_last {
            self.kill();
        }
        Effect { happens: !is_last || self.is_after.load(Ordering::Relaxed), is_heard: !is_last, is_last }
    }
}
