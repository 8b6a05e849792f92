use std::time::{Duration, Instant};

use bq_chain_api::{NodeError, SubmitBlockError};
use bq_condition::Condition;
use bq_consensus::WellFormedBlock;
use bq_primitives::{BlockId, Timestamp};
use bq_store::{Recovery, StoreChange, StoreError};
use parking_lot::Mutex;

use crate::{
    Node,
    node::{Writer, broken},
};

/// The name of the condition that a stopped store is told under.
pub(crate) const STORE_STOPPED: &str = "chain_store_stopped";

/// The name of the condition that a store is told under whose content is not what was written.
const STORE_DAMAGED: &str = "chain_store_damaged";

/// Whether the store is stopped by its disk, since when, and when it is tried next; and what of it turned out to be damaged.
#[derive(Debug, Default)]
pub(crate) struct StoreTrouble {
    stop: Mutex<Option<Stop>>,
    /// Since when, and what. Only a new store heals it.
    damage: Mutex<Option<(Timestamp, String)>>,
}

#[derive(Debug)]
struct Stop {
    since: Timestamp,
    reason: String,
    wait: Duration,
    next_try: Instant,
}

impl StoreTrouble {
    /// Notes a failure. The first one counts as the reason: those after it only say that the store is stopped.
    fn note(&self, error: &StoreError, now: Timestamp) {
        let wait = Duration::from_secs(1);
        let stop = || Stop { since: now, reason: error.to_string(), wait, next_try: Instant::now() + wait };
        self.stop.lock().get_or_insert_with(stop);
    }

    fn is_due(&self) -> bool {
        self.stop.lock().as_ref().is_some_and(|stop| stop.next_try <= Instant::now())
    }

    /// Opening reads the whole file: the pauses between attempts double.
    fn postpone(&self, most: Duration) {
        if let Some(stop) = self.stop.lock().as_mut() {
            stop.wait = stop.wait.saturating_mul(2).min(most);
            stop.next_try = Instant::now() + stop.wait;
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.lock().is_some()
    }
}

impl Node {
    /// What the node cannot do at present.
    pub(crate) fn store_conditions(&self) -> Vec<Condition> {
        let stop = self.trouble.stop.lock();
        let kept = self.kept.lock().len();
        let condition = |stop: &Stop| Condition {
            name: STORE_STOPPED,
            reason: format!(
                "{}. {kept} blocks wait in memory to be stored; the file is opened again by itself once the disk works",
                stop.reason
            ),
            since_ms: stop.since.0.saturating_mul(1000),
            blocks_readiness: true,
        };
        let damage = self.trouble.damage.lock();
        let damaged = |(since, reason): &(Timestamp, String)| Condition {
            name: STORE_DAMAGED,
            reason: reason.clone(),
            since_ms: since.0.saturating_mul(1000),
            blocks_readiness: true,
        };
        stop.as_ref().map(condition).into_iter().chain(damage.as_ref().map(damaged)).collect()
    }

    /// What the caller of the node gets to hear about a failure of the store; and notes that it is stopped, if it is.
    pub(crate) fn store_failed(&self, error: &StoreError) -> NodeError {
        if error.may_pass() {
            if !self.trouble.is_stopped() {
                tracing::error!(%error, "chain store stopped; it is opened again once the disk works");
            }
            self.trouble.note(error, self.now());
            self.metrics.store_stopped(true);
        } else {
            tracing::error!(%error, "chain store failed");
        }
        if matches!(error, StoreError::Corrupt { .. }) {
            let now = self.now();
            self.trouble.damage.lock().get_or_insert_with(|| (now, error.to_string()));
        }
        NodeError::Store(error.to_string())
    }

    /// Adds a block, or keeps it while the store is stopped.
    pub(crate) fn add_or_keep(&self, block: WellFormedBlock) -> Result<BlockId, SubmitBlockError> {
        let outcome = self.add(&mut self.writer.lock(), block.clone());
        let Err(SubmitBlockError::Node(NodeError::Store(reason))) = &outcome else { return outcome };
        let id = block.entry().id;
        if !self.trouble.is_stopped() || !self.kept.lock().keep(block, &self.settings) {
            return outcome;
        }
        self.metrics.kept_blocks(self.kept.lock().len());
        tracing::warn!(%id, reason, "block kept in memory until it can be stored");
        Err(SubmitBlockError::Kept { id, reason: reason.clone() })
    }

    /// Opens the stopped store again if it is time to try.
    pub(crate) fn retry_store(&self) {
        if self.trouble.is_due()
            && let Err(error) = self.recover_store()
        {
            self.trouble.postpone(Duration::from_secs(self.settings.retry_secs_max));
            tracing::debug!(%error, "chain store does not work yet");
        }
    }

    /// Tries a last time to store what is kept in memory. Returns the blocks that end with the process: peers may have them.
    pub fn store_kept(&self) -> Vec<BlockId> {
        if self.trouble.is_stopped()
            && let Err(error) = self.recover_store()
        {
            tracing::error!(%error, "chain store does not work yet");
        }
        self.kept.lock().ids().collect()
    }

    /// Opens the store again, finishes the change that failed if it arrived after all, and hands in what was kept.
    pub(crate) fn recover_store(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let recovery = self.store.recover()?;
        // Opening may succeed on a disk that is still full: only a commit shows that there is room.
        let room = self.store.commit(&StoreChange::default());
        if let Some(change) = writer.in_doubt.take()
            && recovery == Recovery::WithFailed
            && let Err(error) = self.apply(self.tree.write(), change)
        {
            // The tree took less than the store has: told by the error, cured by a restart.
            tracing::error!(%error, "a change is stored that the node cannot follow");
        }
        room?;
        self.trouble.stop.lock().take();
        self.metrics.store_stopped(false);
        let kept = self.kept.lock().take();
        self.metrics.kept_blocks(0);
        tracing::info!(blocks = kept.len(), "chain store works again; kept blocks are added");
        let followed = self.follow_best_chain(&mut writer, None);
        drop(writer);
        if let Err(error) = followed {
            tracing::warn!(%error, "better branch not followed yet");
        }
        for block in kept {
            let id = block.entry().id;
            match self.add_or_keep(block) {
                Ok(_) | Err(SubmitBlockError::Duplicate) => tracing::info!(%id, "kept block stored"),
                Err(error) => tracing::warn!(%id, %error, "kept block not stored"),
            }
        }
        Ok(())
    }

    /// Remembers a change that may or may not have arrived. Only the first one after a stop can have.
    pub(crate) fn doubt(&self, writer: &mut Writer, change: StoreChange, error: &StoreError) -> NodeError {
        if error.may_pass() && !matches!(error, StoreError::Stopped { .. }) && writer.in_doubt.is_none() {
            writer.in_doubt = Some(change);
        }
        self.store_failed(error)
    }
}

/// A tree that refuses what the store took.
pub(crate) fn out_of_step(what: impl std::fmt::Display) -> NodeError {
    broken(format!("tree and store are out of step: {what}"))
}
