use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::state::Shared;

/// The thread that syncs what was appended. Stops, after a last sync, when it is dropped.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(crate) fn start(shared: Arc<Shared>, interval: Duration) -> io::Result<Self> {
        let of_thread = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("share-log-sync".to_owned());
        let thread = builder.spawn(move || run(&of_thread, interval))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the share log's sync thread panicked");
        }
    }
}

fn run(shared: &Shared, interval: Duration) {
    loop {
        let closing = wait_for_work(shared, interval);
        // Somebody else may have synced meanwhile. A failure is kept in the state and refuses every later append.
        if (shared.has_unsynced() && shared.sync_now().is_err()) || closing {
            return;
        }
    }
}

/// Waits until a share is unsynced and then for the interval, so that a sync covers a group. Says whether the log closes.
fn wait_for_work(shared: &Shared, interval: Duration) -> bool {
    let mut state = shared.state.lock();
    while state.synced_before >= state.next && !state.closing {
        shared.wake.wait(&mut state);
    }
    let deadline = Instant::now() + interval;
    while !state.closing && !shared.wake.wait_until(&mut state, deadline).timed_out() {}
    state.closing
}
