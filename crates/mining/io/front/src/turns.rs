use tokio::sync::Semaphore;

/// Keeps expensive steps of handshakes from keeping everybody else waiting. Each costs up to a millisecond of an async worker, so a thousand at
/// once would keep every miner waiting for a second: only so many are done between two turns of everybody else. Nobody holds a turn
/// while he waits for his client.
pub(crate) struct Turns(Semaphore);

impl Turns {
    pub(crate) const fn new(at_once: usize) -> Self {
        Self(Semaphore::const_new(at_once))
    }

    /// Does `step` once it is its turn.
    pub(crate) async fn take<T>(&self, step: impl FnOnce() -> T) -> T {
        let turn = self.0.acquire().await;
        let done = step();
        tokio::task::yield_now().await;
        drop(turn);
        done
    }
}
