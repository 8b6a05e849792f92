use std::sync::Arc;

use bq_chain_api::{NodeError, SubmitBlockError};
use bq_consensus::{
    BlockError, IndexEntry, ProvenHeader, SealedHeader, ValidBlock, WellFormedBlock, check_body, check_spends,
};
use bq_primitives::{BlockId, Work};
use bq_store::{ChainStep, ChainUpdate, NewHeader, StoreChange};
use bq_tree::{BlockUndo, ChainChange, CoinOverlay};

use crate::{
    Node,
    blocks::refused,
    coins::StoreCoins,
    node::{Writer, broken},
};

/// Most blocks connected in one transaction of the store while bodies are plenty: bounds its memory.
const CONNECT_MAX: usize = 64;

/// Why a planned change was not carried out. Nothing was written.
enum ChangeFailure {
    /// A block to connect breaks a rule.
    Block(Box<BadBlock>),
    Node(NodeError),
}

/// A block that breaks a rule, and the rule.
struct BadBlock {
    sealed: SealedHeader,
    entry: IndexEntry,
    error: BlockError,
}

impl From<BadBlock> for ChangeFailure {
    fn from(bad: BadBlock) -> Self {
        Self::Block(Box::new(bad))
    }
}

impl From<NodeError> for ChangeFailure {
    fn from(error: NodeError) -> Self {
        Self::Node(error)
    }
}

impl Node {
    /// The common case, in one transaction: a new block on the tip.
    pub(crate) fn extend_tip(
        &self,
        writer: &mut Writer,
        headers: Vec<NewHeader>,
        block: WellFormedBlock,
    ) -> Result<(), SubmitBlockError> {
        let (entry, sealed) = (*block.entry(), *block.sealed());
        let coins = StoreCoins::new(self.store.as_ref());
        let mut overlay = CoinOverlay::new(&coins);
        let step = match self.connect_block(block, &coins, &mut overlay) {
            Ok(step) => step,
            Err(ChangeFailure::Node(error)) => return Err(error.into()),
            Err(ChangeFailure::Block(bad)) => {
                self.condemn(writer, bad.sealed, bad.entry)?;
                return Err(refused(bad.error));
            }
        };
        let bodies = vec![(entry.id, Arc::clone(&step.transactions))];
        let chain = ChainUpdate { disconnect: Vec::new(), connect: vec![step], coins: overlay.into_changes() };
        let change = StoreChange { headers, bodies, invalid: Vec::new(), chain: Some(chain) };
        if let Err(error) = self.commit(writer, change) {
            // Peers need not suffer from our disk: it is valid, and they can have it from memory.
            self.announce(sealed);
            return Err(error.into());
        }
        Ok(())
    }

    /// Switches to better branches until there is none. A branch that turns out invalid is marked and left; the best
    /// chain stays what it was.
    ///
    /// `fresh` is a block that was just stored: it is not read back.
    pub(crate) fn follow_best_chain(
        &self,
        writer: &mut Writer,
        fresh: Option<&WellFormedBlock>,
    ) -> Result<(), NodeError> {
        loop {
            let Some(plan) = self.next_plan() else { return Ok(()) };
            match self.carry_out(writer, &plan, fresh) {
                Ok(()) => {}
                Err(ChangeFailure::Node(error)) => return Err(error),
                Err(ChangeFailure::Block(bad)) => {
                    let BadBlock { sealed, entry, error } = *bad;
                    tracing::warn!(id = %entry.id, height = %entry.height, %error, "block on a better branch is invalid");
                    self.condemn(writer, sealed, entry)?;
                }
            }
        }
    }

    /// The next change, cut to the least that is better than the tip and at most [`CONNECT_MAX`] blocks beyond that.
    fn next_plan(&self) -> Option<ChainChange> {
        let tree = self.tree.read();
        let mut plan = tree.next_change()?;
        let tip_work = tree.tip().chain_work;
        let work = |id: &BlockId| tree.entry(id).map_or(Work::ZERO, |entry| entry.chain_work);
        let better = plan.connect.iter().position(|id| work(id) > tip_work)?;
        plan.connect.truncate(CONNECT_MAX.max(better + 1));
        Some(plan)
    }

    fn carry_out(
        &self,
        writer: &mut Writer,
        plan: &ChainChange,
        fresh: Option<&WellFormedBlock>,
    ) -> Result<(), ChangeFailure> {
        let coins = StoreCoins::new(self.store.as_ref());
        let mut overlay = CoinOverlay::new(&coins);
        let mut update = ChainUpdate::default();
        for id in &plan.disconnect {
            let step = self.load_step(id)?;
            overlay.disconnect(&step.transactions, &step.undo).map_err(broken)?;
            coins.finish().map_err(|error| self.store_failed(&error))?;
            update.disconnect.push(step);
        }
        for id in &plan.connect {
            let block = match fresh {
                Some(fresh) if fresh.entry().id == *id => fresh.clone(),
                _ => self.load_well_formed(id)?,
            };
            update.connect.push(self.connect_block(block, &coins, &mut overlay)?);
        }
        update.coins = overlay.into_changes();
        Ok(self.commit(writer, StoreChange { chain: Some(update), ..StoreChange::default() })?)
    }

    /// SPEC 7.9 for one block on top of what the overlay holds.
    fn connect_block(
        &self,
        block: WellFormedBlock,
        coins: &StoreCoins<'_>,
        overlay: &mut CoinOverlay<'_>,
    ) -> Result<ChainStep, ChangeFailure> {
        let entry = *block.entry();
        let sealed = *block.sealed();
        let verdict = check_spends(&self.params, block, overlay, &self.signatures);
        // A coin that could not be read looks like one that is spent: the disk's failure is not the block's.
        coins.finish().map_err(|error| self.store_failed(&error))?;
        let ValidBlock { transactions, spent, .. } = verdict.map_err(|error| BadBlock { sealed, entry, error })?;
        let undo = overlay.connect(entry.height, &transactions).map_err(broken)?;
        debug_assert_eq!(undo, BlockUndo { spent }, "both walk the inputs in order");
        Ok(ChainStep { id: entry.id, sealed, transactions, undo })
    }

    fn load_step(&self, id: &BlockId) -> Result<ChainStep, NodeError> {
        let block = self.store.block(id).map_err(|error| self.store_failed(&error))?;
        let undo = self.store.undo(id).map_err(|error| self.store_failed(&error))?;
        let (block, undo) = block.zip(undo).ok_or_else(|| broken(format!("block {id} has no undo record")))?;
        let sealed = SealedHeader { header: block.header, seal: block.seal };
        Ok(ChainStep { id: *id, sealed, transactions: Arc::new(block.transactions), undo })
    }

    /// A stored block: it was examined before it was stored. If its body is another one now, the disk is at fault and not the
    /// block, which must not be condemned for it.
    fn load_well_formed(&self, id: &BlockId) -> Result<WellFormedBlock, NodeError> {
        let block = self.store.block(id).map_err(|error| self.store_failed(&error))?;
        let entry = self.tree.read().entry(id).copied();
        let (block, entry) = block.zip(entry).ok_or_else(|| broken(format!("block {id} has no body")))?;
        let sealed = SealedHeader { header: block.header, seal: block.seal };
        let checked = check_body(ProvenHeader::assume(sealed, entry), block.transactions);
        checked.map_err(|error| self.store_failed(&self.store.damaged(format!("body of block {id}: {error}"))))
    }
}
