use std::{collections::BTreeMap, time::Duration};

use bq_condition::Condition;
use bq_pool_machine::{ConditionName, conditions};
use bq_segments::ShareLog;

use crate::keeper::Keeper;

/// How long an attempt to write shares counts: whoever asks for conditions, however often, costs the disk no more.
const SHARES_TRIED_EVERY: Duration = Duration::from_secs(2);

/// What keeps the driver from its work, beside the conditions of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// There is no work to hand out.
    Template,
    /// Books or shares cannot be written.
    Disk,
    /// The node does not answer.
    Node,
    /// Payouts cannot be signed.
    Signer,
    /// The books contradict themselves.
    Books,
    /// A thread of the pool panicked and was started again.
    Thread,
}

impl Trouble {
    const fn name(self) -> &'static str {
        match self {
            Self::Template => "no_template",
            Self::Disk => "books_not_written",
            Self::Node => "node_not_answering",
            Self::Signer => "payouts_not_signed",
            Self::Books => "books_stopped",
            Self::Thread => "pool_thread_restarted",
        }
    }
}

/// Since when each condition lasts.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    now: BTreeMap<Trouble, String>,
    /// When a thread panicked last, on the keeper's clock: it works again, but somebody should look.
    panicked: Option<Duration>,
    since_ms: BTreeMap<&'static str, u64>,
    shares_tried: Option<(Duration, Option<String>)>,
}

impl Troubles {
    /// Why shares cannot be written, as it was a moment ago; nothing when they can.
    fn shares_not_written(&mut self, log: &ShareLog, running: Duration) -> Option<String> {
        if let Some((when, known)) = &self.shares_tried
            && running.saturating_sub(*when) < SHARES_TRIED_EVERY
        {
            return known.clone();
        }
        let failure = log.check_writable().err().map(|error| error.to_string());
        self.shares_tried = Some((running, failure.clone()));
        failure
    }
}

impl Keeper {
    /// Notes a trouble, or its end.
    pub(crate) fn trouble(&self, trouble: Trouble, reason: Option<String>) {
        let mut troubles = self.troubles.lock();
        match reason {
            Some(reason) => {
                troubles.now.insert(trouble, reason);
            }
            None => {
                troubles.now.remove(&trouble);
            }
        }
    }

    /// Whether a trouble is told with this reason already.
    pub(crate) fn is_told(&self, trouble: Trouble, reason: &str) -> bool {
        self.troubles.lock().now.get(&trouble).is_some_and(|told| told == reason)
    }

    /// A thread of the pool panicked and is started again. That is shown for a while and then over, unless it happens again.
    pub(crate) fn thread_panicked(&self) {
        self.troubles.lock().panicked = Some(self.clock.running());
        self.trouble(
            Trouble::Thread,
            Some("a thread of the pool panicked and was started again; see the log".to_owned()),
        );
    }

    /// Everything that a person should know of the pool. May try the disk, now and then.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let outside = self.outside_now();
        let out_of_step_since = self.outside.lock().out_of_step_since;
        // A new block takes the books a moment, which is no trouble.
        let running = self.clock.running();
        let lasts = |since: Duration| running.saturating_sub(since) >= self.config.out_of_step_grace;
        let is_lasting = out_of_step_since.is_none_or(lasts);
        let of_books = conditions(&self.state.read(), &outside);
        let mut found: Vec<(&'static str, String, bool)> = of_books
            .into_iter()
            .filter(|condition| is_lasting || condition.name != ConditionName::NodeOutOfStep)
            .map(|condition| (condition.name.name(), condition.reason, condition.name == ConditionName::NodeOutOfStep))
            .collect();
        if let Some(refused) = self.submitter.refused() {
            let reason = format!("the node refused block {} of the pool: {}", refused.id, refused.reason);
            found.push(("block_refused", reason, false));
        }
        found.extend(self.withholding().map(|reason| ("withholding_suspected", reason, false)));
        let mut troubles = self.troubles.lock();
        if troubles.panicked.is_some_and(|panicked| running.saturating_sub(panicked) >= self.config.panic_shown) {
            troubles.panicked = None;
            troubles.now.remove(&Trouble::Thread);
        }
        if let Some(reason) = troubles.shares_not_written(&self.log, running) {
            found.push(("shares_not_written", reason, true));
        }
        for (trouble, reason) in &troubles.now {
            let blocks_readiness =
                matches!(trouble, Trouble::Template | Trouble::Disk | Trouble::Node | Trouble::Books);
            found.push((trouble.name(), reason.clone(), blocks_readiness));
        }
        let now = self.now_ms();
        troubles.since_ms.retain(|name, _| found.iter().any(|(other, _, _)| other == name));
        found
            .into_iter()
            .map(|(name, reason, blocks_readiness)| {
                let since_ms = *troubles.since_ms.entry(name).or_insert(now);
                Condition { name, reason, since_ms, blocks_readiness }
            })
            .collect()
    }
}
