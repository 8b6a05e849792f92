use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bq_pool_machine::Webhook;
use bq_primitives::KeyHash;
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::{
    runtime::Runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    NoticeCounts, NoticePolicy,
    call::{CallError, Caller},
    metrics::NoticeMetrics,
    tally::Tallies,
};

/// Something to tell an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whom it is about.
    pub account: KeyHash,
    /// Where it goes.
    pub webhook: Webhook,
    /// What it says: JSON.
    pub body: String,
}

/// Sends notices, beside everything else. Cheap to clone; what is still under way when the last one is dropped is given up.
#[derive(Clone)]
pub struct Notices(Option<Arc<Sender>>);

struct Sender {
    policy: NoticePolicy,
    caller: Caller,
    /// Who may wait.
    queue: Arc<Semaphore>,
    /// Who may call.
    calls: Semaphore,
    tallies: Mutex<Tallies>,
    metrics: NoticeMetrics,
    /// Taken when it ends: a runtime waits for nobody then.
    runtime: Option<Runtime>,
}

impl Notices {
    /// Sends nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Starts the thread that sends; none if notices are off.
    ///
    /// # Errors
    /// There is no thread, or no TLS.
    pub fn start(policy: NoticePolicy) -> io::Result<Self> {
        if !policy.is_on {
            return Ok(Self::none());
        }
        let caller = Caller::new(policy, Caller::web_roots()).map_err(io::Error::other)?;
        Self::with(policy, caller)
    }

    pub(crate) fn with(policy: NoticePolicy, caller: Caller) -> io::Result<Self> {
        // Names are resolved on threads that may block: no more of them than calls.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(policy.at_once_max)
            .thread_name("pool-notices")
            .enable_all()
            .build()?;
        Ok(Self(Some(Arc::new(Sender {
            policy,
            caller,
            queue: Arc::new(Semaphore::new(policy.queue_max)),
            calls: Semaphore::new(policy.at_once_max),
            tallies: Mutex::default(),
            metrics: NoticeMetrics::register(),
            runtime: Some(runtime),
        }))))
    }

    /// Sends a notice, or leaves it out where there are too many. Never waits.
    pub fn send(&self, notice: Notice) {
        let Some(sender) = &self.0 else { return };
        let now = Instant::now();
        if !sender.tallies.lock().allow(now, notice.account, sender.policy.per_hour_max) {
            return sender.metrics.left_out();
        }
        let Ok(place) = Arc::clone(&sender.queue).try_acquire_owned() else {
            sender.tallies.lock().left_out(now, notice.account);
            return sender.metrics.left_out();
        };
        if let Some(runtime) = &sender.runtime {
            // Whoever sends must not keep the thread that it runs on.
            runtime.spawn(deliver(Arc::downgrade(sender), notice, place));
        }
    }

    /// What became of an account's notices since the start.
    #[must_use]
    pub fn counts(&self, account: KeyHash) -> NoticeCounts {
        self.0.as_ref().map(|sender| sender.tallies.lock().counts(account)).unwrap_or_default()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn deliver(sender: std::sync::Weak<Sender>, notice: Notice, _place: OwnedSemaphorePermit) {
    let Notice { account, webhook, body } = notice;
    let body = Bytes::from(body);
    let mut tried = 0_u32;
    loop {
        let Some(sender) = sender.upgrade() else { return };
        let result = sender.try_once(&webhook, body.clone()).await;
        tried = tried.saturating_add(1);
        let Err(error) = result else {
            sender.metrics.sent();
            return sender.tallies.lock().ended(Instant::now(), account, None);
        };
        if tried >= sender.tries(account) || !error.is_passing() {
            tracing::info!(%account, %error, "a notice was given up");
            sender.metrics.failed(error);
            return sender.tallies.lock().ended(Instant::now(), account, Some(error.to_string()));
        }
        let pause = sender.pause(tried);
        drop(sender);
        tokio::time::sleep(pause).await;
    }
}

impl Sender {
    async fn try_once(&self, webhook: &Webhook, body: Bytes) -> Result<(), CallError> {
        let Ok(_call) = self.calls.acquire().await else { return Err(CallError::Connect) };
        self.caller.call(webhook, body).await
    }

    /// A webhook whose last notice failed in every try gets one: it must not hold places that others need.
    fn tries(&self, account: KeyHash) -> u32 {
        if self.tallies.lock().is_failing(account) { 1 } else { self.policy.tries_max }
    }

    fn pause(&self, tried: u32) -> Duration {
        let doublings = tried.saturating_sub(1).min(16);
        self.policy.retry_pause.saturating_mul(1 << doublings)
    }
}
