use std::sync::Arc;

use bq_books::BookStore;
use bq_chain_api::{NodeApi, Template};
use bq_condition::Condition;
use bq_mining_message::{AuthorizeError, RecordShareError, Share, ShareSequence};
use bq_pool_machine::State;
use bq_primitives::{Block, KeyHash};
use bq_segments::Disk;
use parking_lot::Mutex;
use std::time::Duration;

use crate::{
    Clock, Decision, PayoutSigner, PoolConfig, PoolError, Reason, Refusal, Rules, history::History, keeper::Keeper,
    rounds::Rounds, submitter::Submitter,
};

/// What a pool stands on.
pub struct Surroundings {
    /// The chain.
    pub node: Arc<dyn NodeApi>,
    /// The key.
    pub signer: Arc<dyn PayoutSigner>,
    /// Keeps the log of events.
    pub store: Box<dyn BookStore>,
    /// Keeps the share log.
    pub disk: Arc<dyn Disk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What events do and what is to be done: [`Rules::MACHINE`].
    pub rules: Rules,
}

/// A pool without threads: it moves only when it is told to, on a clock that its owner moves. It is the pool that
/// [`crate::Pool`] runs, and nothing else.
pub struct DrivenPool {
    keeper: Keeper,
    rounds: Mutex<Rounds>,
}

impl DrivenPool {
    /// Opens the books and finishes what a crash left half-done.
    ///
    /// # Errors
    /// See [`PoolError`]: the pool must not start.
    pub fn open(config: PoolConfig, surroundings: Surroundings) -> Result<Self, PoolError> {
        let submitter = Submitter::inline(Arc::clone(&surroundings.node));
        // What it would remember from one run to the next, nobody asks it.
        let keeper =
            Keeper::open_with(config, surroundings, submitter, (History::none(), bq_notices::Notices::none()))?;
        Ok(Self { keeper, rounds: Mutex::default() })
    }

    /// One round of the books: shares, chain, commands. Returns how long to wait for the next.
    pub fn round(&self) -> Duration {
        self.rounds.lock().round(&self.keeper)
    }

    /// Who a miner that logs in with this address is.
    ///
    /// # Errors
    /// [`AuthorizeError`]; the miner is told.
    pub fn authorize(&self, address: &str) -> Result<KeyHash, AuthorizeError> {
        self.keeper.authorize(address)
    }

    /// A new template, as sessions would be handed it.
    ///
    /// # Errors
    /// The node has none now.
    pub fn template(&self) -> Result<Option<Arc<Template>>, PoolError> {
        self.keeper.refresh_template()?;
        Ok(self.keeper.template.borrow().clone())
    }

    /// Takes an accepted share, and hands its block to the node first.
    ///
    /// # Errors
    /// The share is not written and must not be acknowledged.
    pub fn record(&self, share: &Share, block: Option<Block>) -> Result<(), RecordShareError> {
        self.keeper.record(share, block)
    }

    /// As [`PoolOperator::decide`](bq_pool_machine::PoolOperator::decide).
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed.
    pub fn decide(&self, decision: &Decision, reason: &Reason, dry_run: bool) -> Result<String, Refusal> {
        self.keeper.decide(decision, reason, dry_run)
    }

    /// As [`crate::Pool::conditions`].
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition> {
        self.keeper.conditions()
    }

    /// Looks at the state of now.
    pub fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&self.keeper.state.read())
    }

    /// Every share in the log, oldest first, with its number.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn shares(&self) -> Result<Vec<(ShareSequence, Share)>, PoolError> {
        let log = &self.keeper.log;
        log.read(log.status().pruned_before.max(ShareSequence::FIRST)..log.next())
            .map(|share| share.map_err(PoolError::from))
            .collect()
    }

    /// Copies the books, as they are now, to a new file.
    ///
    /// # Errors
    /// The copy is not complete.
    pub fn back_up(&self, into: &std::path::Path) -> Result<(), PoolError> {
        Ok(self.keeper.store.back_up(into)?)
    }

    /// Writes the state as a starting point, as a clean end does.
    ///
    /// # Errors
    /// The disk is full, or the books contradict themselves.
    pub fn checkpoint(&self) -> Result<(), PoolError> {
        self.keeper.checkpoint(true)
    }
}
