use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Learns that the process is to stop. Cheap to clone; every part holds one.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Asks the process to stop. Once all triggers are gone without a word, the process is to stop too: a part that waits
/// must never wait for ever.
#[derive(Clone, Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A fresh pair.
    #[must_use]
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// Returns once the process is to stop; at once if that was said already.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        // An error means that no trigger is left.
        let _ = receiver.wait_for(|requested| *requested).await;
    }

    /// Whether the process is to stop; for threads that look between two steps of work.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl ShutdownTrigger {
    /// Asks everybody to stop. A second call changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

/// Turns the first SIGINT or SIGTERM into a request. Later ones are swallowed, so that a nervous second Ctrl-C does not
/// cut off the writing of books; SIGKILL remains, and the books survive it.
///
/// # Errors
/// The system lets no handler be set.
pub fn on_signals(trigger: ShutdownTrigger) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            tracing::info!(signal = name, "shutdown requested");
            trigger.request();
        }
    });
    Ok(())
}

/// The SIGHUPs that come from now on. None of them ends the process: operators send it to have files read again.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Begins to listen. One that comes before [`Hangups::on_each`] is not lost.
    ///
    /// # Errors
    /// The system lets no handler be set.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Calls `action` at every one.
    pub fn on_each(mut self, action: impl Fn() + Send + 'static) {
        tokio::spawn(async move {
            while self.0.recv().await.is_some() {
                action();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_a_request_also_later() {
        let (trigger, shutdown) = Shutdown::new();
        assert!(!shutdown.is_requested());
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        trigger.request();
        trigger.request();
        waiting.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_lost_trigger_is_a_request() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_hangup_that_comes_early_is_heard_later() {
        let hangups = Hangups::listen().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        hangups.on_each(move || heard.send(()).unwrap());
        hears.recv().await.unwrap();
    }

    #[tokio::test]
    async fn a_signal_is_a_request() {
        let (trigger, shutdown) = Shutdown::new();
        on_signals(trigger).unwrap();
        let pid = rustix::process::getpid();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
