use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bq_pool_machine::Webhook;
use bq_primitives::KeyHash;
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::{
    NoticeCounts, NoticePolicy,
    call::{CallError, Caller},
    metrics::NoticeMetrics,
    queue::{Class, Queue, Waiting, part},
    tally::Tallies,
};

/// Something to tell an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whom it is about.
    pub account: KeyHash,
    /// Where it goes.
    pub webhook: Webhook,
    /// Which kind of event it tells of: one of a kind waits for an account.
    pub event: String,
    /// What it says: JSON.
    pub body: String,
}

/// Sends notices, beside everything else. Cheap to clone; what is still under way when the last one is dropped is given up.
#[derive(Clone)]
pub struct Notices(Option<Arc<Sender>>);

struct Sender {
    policy: NoticePolicy,
    caller: Arc<Caller>,
    desk: Mutex<Desk>,
    metrics: NoticeMetrics,
    /// Taken when it ends: a runtime waits for nobody then.
    runtime: Option<Runtime>,
}

/// What changes.
struct Desk {
    queue: Queue,
    tallies: Tallies,
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
        // Names are resolved on threads that may block: the caller has a bound for each class.
        let threads = part(Class::Proven, policy.at_once_max).saturating_add(part(Class::Unproven, policy.at_once_max));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(threads)
            .thread_name("pool-notices")
            .enable_all()
            .build()?;
        let queue = Queue::new(policy.queue_max, policy.at_once_max);
        Ok(Self(Some(Arc::new(Sender {
            policy,
            caller: Arc::new(caller),
            desk: Mutex::new(Desk { queue, tallies: Tallies::default() }),
            metrics: NoticeMetrics::register(),
            runtime: Some(runtime),
        }))))
    }

    /// Sends a notice, or leaves one out where there are too many. Never waits.
    pub fn send(&self, notice: Notice) {
        let Some(sender) = &self.0 else { return };
        let now = Instant::now();
        let mut desk = sender.desk.lock();
        if !desk.tallies.allow(now, notice.account, sender.policy.per_hour_max) {
            return sender.metrics.left_out();
        }
        let class = desk.tallies.class(notice.account, &notice.webhook);
        let left_out = desk.queue.add(class, Waiting::new(notice, now));
        sender.leave_out(&mut desk, now, &left_out);
        drop(desk);
        sender.begin_calls();
    }

    /// What became of an account's notices since the start.
    #[must_use]
    pub fn counts(&self, account: KeyHash) -> NoticeCounts {
        self.0.as_ref().map(|sender| sender.desk.lock().tallies.counts(account)).unwrap_or_default()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Sender {
    /// Calls whom there are callers for.
    fn begin_calls(self: &Arc<Self>) {
        let Some(runtime) = &self.runtime else { return };
        loop {
            let next = self.desk.lock().queue.take(Instant::now());
            let Some((class, waiting)) = next else { return };
            // Whoever sends must not keep the thread that it runs on.
            let (sender, caller) = (Arc::downgrade(self), Arc::clone(&self.caller));
            runtime.spawn(async move {
                let body = Bytes::from(waiting.notice.body.clone());
                let result = caller.call(class, &waiting.notice.webhook, body).await;
                let Some(sender) = sender.upgrade() else { return };
                sender.ended(class, waiting, result);
                sender.begin_calls();
            });
        }
    }

    fn ended(self: &Arc<Self>, class: Class, mut waiting: Waiting, result: Result<(), CallError>) {
        let now = Instant::now();
        let mut desk = self.desk.lock();
        desk.queue.ended(class, &waiting);
        waiting.tried = waiting.tried.saturating_add(1);
        let class = if result.is_ok() { Class::Proven } else { Class::Unproven };
        // A webhook whose last notice failed in every try gets one: it must not hold places that others need.
        let tries = if desk.tallies.is_failing(waiting.notice.account) { 1 } else { self.policy.tries_max };
        desk.tallies.tried(now, &waiting.notice, class);
        let left_out = desk.queue.reclass(&waiting.notice, class);
        self.leave_out(&mut desk, now, &left_out);
        let account = waiting.notice.account;
        let Err(error) = result else {
            self.metrics.sent();
            return desk.tallies.ended(now, account, None);
        };
        // A newer one of its kind says more.
        if waiting.tried >= tries || !error.is_passing() || desk.queue.holds(&waiting.notice) {
            tracing::info!(%account, %error, "a notice was given up");
            self.metrics.failed(error);
            return desk.tallies.ended(now, account, Some(error.to_string()));
        }
        let pause = self.pause(waiting.tried);
        waiting.from = now.checked_add(pause).unwrap_or(now);
        let left_out = desk.queue.add(class, waiting);
        self.leave_out(&mut desk, now, &left_out);
        drop(desk);
        self.begin_calls_after(pause);
    }

    fn begin_calls_after(self: &Arc<Self>, pause: Duration) {
        let Some(runtime) = &self.runtime else { return };
        let sender = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(sender) = sender.upgrade() {
                sender.begin_calls();
            }
        });
    }

    fn leave_out(&self, desk: &mut Desk, now: Instant, accounts: &[KeyHash]) {
        for account in accounts {
            desk.tallies.left_out(now, *account);
            self.metrics.left_out();
        }
    }

    fn pause(&self, tried: u32) -> Duration {
        let doublings = tried.saturating_sub(1).min(16);
        self.policy.retry_pause.saturating_mul(1 << doublings)
    }
}
