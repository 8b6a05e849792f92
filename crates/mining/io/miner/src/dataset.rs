//! The full Ethash dataset of the epoch that a pool asks for, and the next one's ahead of time: one build at a time, from
//! chunks on disk where there is a directory for them.

mod build;
mod file;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

pub(crate) use self::build::{Build, VerifierBuild};

/// Epochs out of turn that may be built at once, and how often one more. A pool names the epoch, and each costs a
/// minute or more of this machine and a GiB or more of its disk.
const FOREIGN_BUILDS_MAX: u32 = 2;
const FOREIGN_BUILD_EVERY: Duration = Duration::from_secs(600);

/// Decides what is built when.
pub(crate) struct DatasetKeeper<B> {
    build: B,
    /// Prepare the next epoch's as well.
    is_ahead: bool,
    state: Mutex<State>,
    /// Ends the build that a pool waits for.
    stop: AtomicBool,
    /// The thread that prepares the next epoch, if it was started.
    ahead: Mutex<Option<JoinHandle<()>>>,
    stop_ahead: AtomicBool,
}

struct State {
    /// What to build next; the latest wish counts.
    wanted: Option<u32>,
    /// What is being built for a pool.
    running: Option<u32>,
    /// A thread is in [`DatasetKeeper::want`] and will look at `wanted`.
    is_busy: bool,
    /// The epoch that was wished for last.
    wished: Option<u32>,
    /// The epoch that was built last.
    held: Option<u32>,
    budget: Budget,
    has_ended: bool,
}

impl<B: Build + 'static> DatasetKeeper<B> {
    pub(crate) fn new(build: B, is_ahead: bool) -> Self {
        let budget = Budget { tokens: FOREIGN_BUILDS_MAX, refilled: Instant::now() };
        let state =
            State { wanted: None, running: None, is_busy: false, wished: None, held: None, budget, has_ended: false };
        Self {
            build,
            is_ahead,
            state: Mutex::new(state),
            stop: AtomicBool::new(false),
            ahead: Mutex::new(None),
            stop_ahead: AtomicBool::new(false),
        }
    }

    /// Builds the dataset of `epoch` and then, on a thread of its own, that of the next epoch; whatever else was being built
    /// gives way. Returns at once if another thread is at it, which then does this as well. Blocks: not for an async
    /// worker thread.
    pub(crate) fn want(self: &Arc<Self>, epoch: u32) {
        if !self.wish(epoch) {
            return;
        }
        self.end_ahead();
        while let Some(epoch) = self.next() {
            let built = self.build.now(epoch, self.held(), &self.stop);
            self.note(epoch, built);
        }
        self.go_ahead();
    }

    /// Ends what is running, and starts nothing more. Waits for nothing.
    pub(crate) fn end(&self) {
        self.state.lock().has_ended = true;
        self.stop.store(true, Ordering::Relaxed);
        self.stop_ahead.store(true, Ordering::Relaxed);
    }

    /// Notes what to build. True if the caller has to do it.
    fn wish(&self, epoch: u32) -> bool {
        let mut state = self.state.lock();
        if state.running == Some(epoch) {
            // If it was told to give way to another, it is begun again.
            state.wanted = state.wanted.map(|_| epoch);
            return false;
        }
        if !state.allows(epoch, Instant::now()) {
            tracing::warn!(epoch, "too many Ethash epochs asked for; mining this one from its light cache");
            return false;
        }
        (state.wished, state.wanted) = (Some(epoch), Some(epoch));
        self.stop.store(true, Ordering::Relaxed);
        !std::mem::replace(&mut state.is_busy, true)
    }

    fn next(&self) -> Option<u32> {
        let mut state = self.state.lock();
        state.running = if state.has_ended { None } else { state.wanted.take() };
        state.is_busy = state.running.is_some();
        if state.is_busy {
            self.stop.store(false, Ordering::Relaxed);
        }
        state.running
    }

    fn held(&self) -> Option<u32> {
        self.state.lock().held
    }

    fn note(&self, epoch: u32, built: bool) {
        let mut state = self.state.lock();
        state.running = None;
        if built {
            state.held = Some(epoch);
        }
    }

    fn go_ahead(self: &Arc<Self>) {
        let mut ahead = self.ahead.lock();
        let state = self.state.lock();
        let (Some(held), true, false) = (state.held, self.is_ahead && ahead.is_none(), state.has_ended) else { return };
        if state.is_busy {
            return;
        }
        self.stop_ahead.store(false, Ordering::Relaxed);
        let keeper = Arc::clone(self);
        let thread = thread::Builder::new().name("ethash-ahead".to_owned());
        let started = thread.spawn(move || keeper.build.ahead(held.saturating_add(1), &keeper.stop_ahead));
        *ahead = started.inspect_err(|error| tracing::warn!(%error, "cannot prepare the next Ethash epoch")).ok();
    }

    /// Ends the preparation of the next epoch, whose file may be wanted now.
    fn end_ahead(&self) {
        let mut ahead = self.ahead.lock();
        self.stop_ahead.store(true, Ordering::Relaxed);
        // A thread that panicked has ended too.
        drop(ahead.take().map(JoinHandle::join));
    }
}

impl State {
    /// The first epoch, the same again and the next are in turn; others cost a token.
    fn allows(&mut self, epoch: u32, now: Instant) -> bool {
        match self.wished {
            None => true,
            Some(wished) if [wished, wished.saturating_add(1)].contains(&epoch) => true,
            Some(_) => self.budget.take(now),
        }
    }
}

struct Budget {
    tokens: u32,
    refilled: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        while self.tokens < FOREIGN_BUILDS_MAX && now >= self.refilled + FOREIGN_BUILD_EVERY {
            self.tokens += 1;
            self.refilled += FOREIGN_BUILD_EVERY;
        }
        if self.tokens == FOREIGN_BUILDS_MAX {
            self.refilled = now;
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Writes down what it is asked to do, and takes until it is told to stop or to go on.
    struct Script {
        calls: Mutex<Vec<String>>,
        began: Sender<()>,
        go_on: Mutex<Receiver<()>>,
    }

    fn script() -> (Script, Receiver<()>, Sender<()>) {
        let ((began, begun), (go, go_on)) = (channel(), channel());
        (Script { calls: Mutex::default(), began, go_on: Mutex::new(go_on) }, begun, go)
    }

    impl Script {
        fn run(&self, call: String, stop: &AtomicBool) -> bool {
            self.calls.lock().push(call);
            self.began.send(()).unwrap();
            let go_on = self.go_on.lock();
            loop {
                match go_on.recv_timeout(Duration::from_millis(1)) {
                    Ok(()) => return true,
                    Err(_) if stop.load(Ordering::Relaxed) => return false,
                    Err(_) => {}
                }
            }
        }
    }

    impl Build for Script {
        fn now(&self, epoch: u32, _: Option<u32>, stop: &AtomicBool) -> bool {
            self.run(format!("now {epoch}"), stop)
        }

        fn ahead(&self, epoch: u32, stop: &AtomicBool) {
            self.run(format!("ahead {epoch}"), stop);
        }
    }

    fn keeper(is_ahead: bool) -> (Arc<DatasetKeeper<Script>>, Receiver<()>, Sender<()>) {
        let (script, begun, go) = script();
        (Arc::new(DatasetKeeper::new(script, is_ahead)), begun, go)
    }

    fn calls(keeper: &DatasetKeeper<Script>) -> Vec<String> {
        keeper.build.calls.lock().clone()
    }

    #[test]
    fn the_next_epoch_follows_and_a_repeated_wish_changes_nothing() {
        let (keeper, begun, go) = keeper(true);
        thread::scope(|scope| {
            scope.spawn(|| keeper.want(7));
            begun.recv().unwrap();
            // Both return at once: this very build is running.
            keeper.want(7);
            keeper.want(7);
            go.send(()).unwrap();
        });
        begun.recv().unwrap();
        assert_eq!(calls(&keeper), ["now 7", "ahead 8"]);
        // Its time has come: the preparation gives way, and the epoch after it is prepared.
        thread::scope(|scope| {
            scope.spawn(|| keeper.want(8));
            begun.recv().unwrap();
            go.send(()).unwrap();
        });
        begun.recv().unwrap();
        assert_eq!(calls(&keeper), ["now 7", "ahead 8", "now 8", "ahead 9"]);
        keeper.end();
        keeper.end_ahead();
    }

    #[test]
    fn a_new_wish_ends_the_build_before_it() {
        let (keeper, begun, go) = keeper(true);
        thread::scope(|scope| {
            scope.spawn(|| keeper.want(7));
            begun.recv().unwrap();
            keeper.want(8);
            begun.recv().unwrap();
            go.send(()).unwrap();
        });
        begun.recv().unwrap();
        assert_eq!(calls(&keeper), ["now 7", "now 8", "ahead 9"]);
        keeper.end();
        keeper.want(8);
        assert_eq!(calls(&keeper).len(), 3);
    }

    #[test]
    fn a_build_that_was_given_up_and_is_wanted_after_all_is_begun_again() {
        let (keeper, _begun, _go) = keeper(false);
        assert!(keeper.wish(7));
        assert_eq!(keeper.next(), Some(7));
        assert!(!keeper.wish(8) && keeper.stop.load(Ordering::Relaxed));
        assert!(!keeper.wish(7));
        assert_eq!(keeper.next(), Some(7));
        assert!(!keeper.stop.load(Ordering::Relaxed));
        assert_eq!(keeper.next(), None);
    }

    #[test]
    fn without_leave_the_next_epoch_is_left_alone() {
        let (keeper, _begun, go) = keeper(false);
        go.send(()).unwrap();
        keeper.want(7);
        assert!(keeper.ahead.lock().is_none());
        assert_eq!(calls(&keeper), ["now 7"]);
    }

    #[test]
    fn a_pool_that_jumps_between_epochs_is_not_followed() {
        let (keeper, _begun, go) = keeper(false);
        for epoch in [7, 100, 200, 300, 400] {
            // What a refused build leaves is for the last one.
            go.send(()).unwrap();
            keeper.want(epoch);
        }
        assert_eq!(calls(&keeper), ["now 7", "now 100", "now 200"]);
        keeper.want(201);
        assert_eq!(calls(&keeper), ["now 7", "now 100", "now 200", "now 201"]);
    }

    #[test]
    fn the_budget_refills_slowly_and_not_beyond_its_size() {
        let start = Instant::now();
        let mut budget = Budget { tokens: FOREIGN_BUILDS_MAX, refilled: start };
        let mut takes = |after: u32| budget.take(start + FOREIGN_BUILD_EVERY * after);
        assert_eq!([0, 0, 0, 1, 1, 9, 9, 9].map(&mut takes), [true, true, false, true, false, true, true, false]);
    }
}
