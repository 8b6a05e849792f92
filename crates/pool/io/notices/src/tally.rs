use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bq_pool_machine::Webhook;
use bq_primitives::KeyHash;

use crate::{Notice, queue::Class};

/// What became of an account's notices since the pool started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeCounts {
    /// Answered with 2xx.
    pub sent: u64,
    /// Given up after the last try.
    pub failed: u64,
    /// Never tried: too many in an hour, or in all.
    pub left_out: u64,
    /// Why the last one failed; nothing if it did not.
    pub last_failure: Option<String>,
}

/// Accounts that are counted at most: an older one is forgotten for a newer one.
const ACCOUNTS_MAX: usize = 100_000;
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(crate) struct Tallies(BTreeMap<KeyHash, Tally>);

#[derive(Debug)]
struct Tally {
    counts: NoticeCounts,
    hour_from: Instant,
    in_hour: u32,
    /// The webhook that answered the account's last call.
    proven: Option<Webhook>,
}

impl Tallies {
    /// Whether one more notice of an account may be sent now; it counts if so.
    pub(crate) fn allow(&mut self, now: Instant, account: KeyHash, per_hour_max: u32) -> bool {
        let tally = self.of(now, account);
        if now.saturating_duration_since(tally.hour_from) >= HOUR {
            (tally.hour_from, tally.in_hour) = (now, 0);
        }
        if tally.in_hour >= per_hour_max {
            tally.counts.left_out = tally.counts.left_out.saturating_add(1);
            return false;
        }
        tally.in_hour = tally.in_hour.saturating_add(1);
        true
    }

    /// Whether the webhook answered the account's last call.
    pub(crate) fn class(&self, account: KeyHash, webhook: &Webhook) -> Class {
        let proven = self.0.get(&account).and_then(|tally| tally.proven.as_ref());
        if proven == Some(webhook) { Class::Proven } else { Class::Unproven }
    }

    /// What a call showed of a notice's webhook.
    pub(crate) fn tried(&mut self, now: Instant, notice: &Notice, class: Class) {
        let proven = &mut self.of(now, notice.account).proven;
        match class {
            Class::Proven => *proven = Some(notice.webhook.clone()),
            Class::Unproven if proven.as_ref() == Some(&notice.webhook) => *proven = None,
            Class::Unproven => {}
        }
    }

    pub(crate) fn left_out(&mut self, now: Instant, account: KeyHash) {
        let counts = &mut self.of(now, account).counts;
        counts.left_out = counts.left_out.saturating_add(1);
    }

    pub(crate) fn ended(&mut self, now: Instant, account: KeyHash, failure: Option<String>) {
        let counts = &mut self.of(now, account).counts;
        let count = if failure.is_some() { &mut counts.failed } else { &mut counts.sent };
        *count = count.saturating_add(1);
        counts.last_failure = failure;
    }

    /// The last of an account's notices failed in every try.
    pub(crate) fn is_failing(&self, account: KeyHash) -> bool {
        self.0.get(&account).is_some_and(|tally| tally.counts.last_failure.is_some())
    }

    pub(crate) fn counts(&self, account: KeyHash) -> NoticeCounts {
        self.0.get(&account).map(|tally| tally.counts.clone()).unwrap_or_default()
    }

    fn of(&mut self, now: Instant, account: KeyHash) -> &mut Tally {
        if !self.0.contains_key(&account) && self.0.len() >= ACCOUNTS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, tally)| tally.hour_from).map(|(account, _)| *account);
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        let new = || Tally { counts: NoticeCounts::default(), hour_from: now, in_hour: 0, proven: None };
        self.0.entry(account).or_insert_with(new)
    }
}
