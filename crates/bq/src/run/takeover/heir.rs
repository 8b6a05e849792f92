use std::time::{Duration, Instant};

use bq_runtime::{Shutdown, SuccessorLink};

use super::{Message, TOLD_TO_STOP, Taken, hear, tell};

/// The process that takes over, and what was left to it.
pub(crate) struct Heir {
    link: SuccessorLink,
    left: Taken,
}

/// What became of an heir.
pub(crate) enum Fate {
    /// It goes on, or nobody shall.
    Settled,
    /// It ended before it served: what was left to it is there to go on with.
    Gone(Taken),
}

/// How often it is looked whether this process is to stop.
const LOOK: Duration = Duration::from_millis(50);

impl Heir {
    /// Leaves everything to the process at the other end of `link`. Blocks.
    pub(crate) fn new(mut link: SuccessorLink, left: Taken) -> Self {
        if let Err(error) = left.send(&mut link) {
            tracing::error!(%error, "the process that was to take over does not listen");
        }
        Self { link, left }
    }

    /// Call once the data directory is free: tells the heir so, and waits until it asks whether it may go on, and is told. One that does not
    /// ask within `patience` is killed: it may hold the books, and nobody serves meanwhile. If this process is told to stop before, the heir
    /// is too. Blocks.
    pub(crate) fn fate(mut self, patience: Duration, stop: &Shutdown) -> Fate {
        if let Err(error) = tell(&mut self.link, &Message::Free, None) {
            tracing::warn!(%error, "the process that was to take over is gone");
        }
        let begun = Instant::now();
        let mut was_told = false;
        loop {
            // Before the look: however long this process itself was stopped, what the other said meanwhile counts first.
            let is_late = begun.elapsed() >= patience;
            match self.look() {
                Look::Nothing => {}
                Look::Asks if stop.is_requested() => {}
                Look::Asks => {
                    if tell(&mut self.link, &Message::May, None).is_ok() {
                        return Fate::Settled;
                    }
                }
                Look::Gone if stop.is_requested() => return Fate::Settled,
                Look::Gone => return Fate::Gone(self.left),
            }
            if stop.is_requested() && !was_told {
                was_told = true;
                self.deny();
            } else if is_late {
                self.kill(patience);
                return if stop.is_requested() { Fate::Settled } else { Fate::Gone(self.left) };
            }
        }
    }

    fn look(&mut self) -> Look {
        match self.link.is_ready(LOOK) {
            Ok(false) => return Look::Nothing,
            Ok(true) => {}
            Err(error) => tracing::warn!(%error, "the process that was to take over"),
        }
        match hear(&mut self.link) {
            Ok(Some((Message::Asks, _))) => Look::Asks,
            Ok(Some(_)) => Look::Nothing,
            Ok(None) => Look::Gone,
            Err(error) => {
                tracing::warn!(%error, "what the process says that was to take over");
                self.kill(Duration::ZERO);
                Look::Gone
            }
        }
    }

    /// The pool is to stop: whoever has not the last word does not serve any more.
    fn deny(&mut self) {
        tracing::info!("the process that was to take over is told to stop too");
        let _gone = tell(&mut self.link, &Message::Denied { why: TOLD_TO_STOP.to_owned() }, None);
        if let Some(Err(error)) = self.link.other().map(bq_runtime::OtherProcess::terminate) {
            tracing::debug!(%error, "it has ended");
        }
    }

    /// And waits until it is gone: only then the directory is free.
    fn kill(&mut self, after: Duration) {
        tracing::error!(secs = after.as_secs(), "the process that was to take over does not serve: it is killed");
        if let Some(Err(error)) = self.link.other().map(bq_runtime::OtherProcess::kill) {
            tracing::warn!(%error, "it cannot be killed");
        }
        while let Ok(Some(_)) = hear(&mut self.link) {}
    }
}

enum Look {
    Nothing,
    /// Whether it may go on.
    Asks,
    Gone,
}
