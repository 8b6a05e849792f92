use std::collections::BTreeMap;

use bq_condition::Condition;
use bq_pool_machine::{ConditionName, conditions};

use crate::{clock::Clock, keeper::Keeper};

/// What keeps the driver from its work, beside the conditions of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
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
    since_ms: BTreeMap<&'static str, u64>,
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

    /// Everything that a person should know of the pool: one list for health, metrics, API, status and page.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let outside = self.outside_now();
        let of_books = conditions(&self.state.read(), &outside);
        let mut found: Vec<(&'static str, String, bool)> = of_books
            .into_iter()
            // Between two blocks the log is always a moment behind the node.
            .map(|condition| (condition.name.name(), condition.reason, condition.name == ConditionName::NodeOutOfStep))
            .collect();
        if let Some(refused) = self.submitter.refused() {
            let reason = format!("the node refused block {} of the pool: {}", refused.id, refused.reason);
            found.push(("block_refused", reason, false));
        }
        let mut troubles = self.troubles.lock();
        for (trouble, reason) in &troubles.now {
            let blocks_readiness = matches!(trouble, Trouble::Disk | Trouble::Node | Trouble::Books);
            found.push((trouble.name(), reason.clone(), blocks_readiness));
        }
        let now = Clock::unix_ms();
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
