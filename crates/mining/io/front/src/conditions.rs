use std::collections::BTreeMap;

use bq_condition::Condition;
use bq_share::TimeMs;
use parking_lot::Mutex;

/// What is not as it should be now.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// How long a restarted thread is worth looking at.
    panic_shown_ms: u64,
    active: Mutex<BTreeMap<&'static str, Active>>,
}

#[derive(Debug)]
struct Active {
    reason: String,
    since: TimeMs,
    /// When it is over unless it happens again; nothing if something else has to end it.
    until: Option<TimeMs>,
}

pub(crate) const SHARES_NOT_BOOKED: &str = "shares_not_booked";
const VERIFY_THREAD_PANICKED: &str = "verify_thread_panicked";

impl Conditions {
    pub(crate) const fn new(panic_shown_ms: u64) -> Self {
        Self { panic_shown_ms, active: Mutex::new(BTreeMap::new()) }
    }

    /// `name` is so, from now on if it was not before.
    pub(crate) fn raise(&self, now: TimeMs, name: &'static str, reason: String) {
        self.set(now, name, reason, None);
    }

    /// `name` is so no more.
    pub(crate) fn clear(&self, name: &'static str) {
        self.active.lock().remove(name);
    }

    /// A thread panicked and goes on.
    pub(crate) fn panicked(&self, now: TimeMs, thread: &str, what: &str) {
        let reason = format!("{thread} panicked and was restarted: {what}");
        self.set(now, VERIFY_THREAD_PANICKED, reason, Some(now.after(self.panic_shown_ms)));
    }

    /// What is so at `now`.
    pub(crate) fn active(&self, now: TimeMs) -> Vec<Condition> {
        let mut active = self.active.lock();
        active.retain(|_, condition| condition.until.is_none_or(|until| now < until));
        let told = active.iter().map(|(&name, active)| Condition {
            name,
            reason: active.reason.clone(),
            since_ms: active.since.0,
            // A restarted thread goes on; shares that cannot be booked earn nobody anything.
            blocks_readiness: name == SHARES_NOT_BOOKED,
        });
        told.collect()
    }

    fn set(&self, now: TimeMs, name: &'static str, reason: String, until: Option<TimeMs>) {
        let mut active = self.active.lock();
        let since = active.get(name).map_or(now, |active| active.since);
        active.insert(name, Active { reason, since, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_beginning_and_ends() {
        let conditions = Conditions::new(600_000);
        conditions.raise(TimeMs(5), SHARES_NOT_BOOKED, "disk full".to_owned());
        conditions.raise(TimeMs(9), SHARES_NOT_BOOKED, "still full".to_owned());
        conditions.panicked(TimeMs(9), "verify-randomx", "index out of range");
        let named = |now| conditions.active(TimeMs(now)).into_iter().map(|c| (c.name, c.since_ms)).collect::<Vec<_>>();
        assert_eq!(named(10), [(SHARES_NOT_BOOKED, 5), (VERIFY_THREAD_PANICKED, 9)]);
        conditions.clear(SHARES_NOT_BOOKED);
        assert_eq!(named(600_008), [(VERIFY_THREAD_PANICKED, 9)]);
        assert!(named(600_009).is_empty());
    }
}
