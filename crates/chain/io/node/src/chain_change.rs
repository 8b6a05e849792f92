use std::sync::Arc;

use bq_chain_api::{Announcement, NodeError, SubmitBlockError};
use bq_consensus::{
    BlockError, IndexEntry, ProvenHeader, SealedHeader, ValidBlock, WellFormedBlock, check_body, check_spends,
};
use bq_primitives::{Algorithm, BlockId, Work};
use bq_store::{ChainStep, ChainUpdate, NewHeader, StoreChange};
use bq_tree::{BlockUndo, ChainChange, CoinOverlay};

use crate::{
    Node,
    blocks::refused,
    coins::StoreCoins,
    node::{Writer, broken, store_failed},
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
        let entry = *block.entry();
        let coins = StoreCoins::new(self.store.as_ref());
        let mut overlay = CoinOverlay::new(&coins);
        let step = match self.connect_block(block, &coins, &mut overlay) {
            Ok(step) => step,
            Err(ChangeFailure::Node(error)) => return Err(error.into()),
            Err(ChangeFailure::Block(bad)) => {
                self.condemn(writer, bad.sealed, bad.entry)?;
                return Err(refused(&bad.error));
            }
        };
        let bodies = vec![(entry.id, Arc::clone(&step.transactions))];
        let chain = ChainUpdate { disconnect: Vec::new(), connect: vec![step], coins: overlay.into_changes() };
        self.commit(StoreChange { headers, bodies, invalid: Vec::new(), chain: Some(chain) })?;
        Ok(())
    }

    /// Switches to better branches until there is none. A branch that turns out invalid is marked and left; the best
    /// chain stays what it was.
    pub(crate) fn follow_best_chain(&self, writer: &mut Writer) -> Result<(), NodeError> {
        loop {
            let Some(plan) = self.next_plan() else { return Ok(()) };
            match self.carry_out(&plan) {
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

    fn carry_out(&self, plan: &ChainChange) -> Result<(), ChangeFailure> {
        let coins = StoreCoins::new(self.store.as_ref());
        let mut overlay = CoinOverlay::new(&coins);
        let mut update = ChainUpdate::default();
        for id in &plan.disconnect {
            let step = self.load_step(id)?;
            overlay.disconnect(&step.transactions, &step.undo).map_err(broken)?;
            coins.finish().map_err(|error| store_failed(&error))?;
            update.disconnect.push(step);
        }
        for id in &plan.connect {
            let block = self.load_well_formed(id)?;
            update.connect.push(self.connect_block(block, &coins, &mut overlay)?);
        }
        update.coins = overlay.into_changes();
        Ok(self.commit(StoreChange { chain: Some(update), ..StoreChange::default() })?)
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
        coins.finish().map_err(|error| store_failed(&error))?;
        let ValidBlock { transactions, spent, .. } = verdict.map_err(|error| BadBlock { sealed, entry, error })?;
        let undo = overlay.connect(entry.height, &transactions).map_err(broken)?;
        debug_assert_eq!(undo, BlockUndo { spent }, "both walk the inputs in order");
        Ok(ChainStep { id: entry.id, transactions, undo })
    }

    fn load_step(&self, id: &BlockId) -> Result<ChainStep, NodeError> {
        let block = self.store.block(id).map_err(|error| store_failed(&error))?;
        let undo = self.store.undo(id).map_err(|error| store_failed(&error))?;
        let (block, undo) = block.zip(undo).ok_or_else(|| broken(format!("block {id} has no undo record")))?;
        Ok(ChainStep { id: *id, transactions: Arc::new(block.transactions), undo })
    }

    /// A stored block: its proof was verified before it was stored.
    fn load_well_formed(&self, id: &BlockId) -> Result<WellFormedBlock, ChangeFailure> {
        let block = self.store.block(id).map_err(|error| store_failed(&error))?;
        let entry = self.tree.read().entry(id).copied();
        let (block, entry) = block.zip(entry).ok_or_else(|| broken(format!("block {id} has no body")))?;
        let sealed = SealedHeader { header: block.header, seal: block.seal };
        Ok(check_body(ProvenHeader::assume(sealed, entry), block.transactions).map_err(|error| BadBlock {
            sealed,
            entry,
            error,
        })?)
    }

    /// Writes a change of the best chain to the store, then to memory, and tells everyone.
    fn commit(&self, change: StoreChange) -> Result<(), NodeError> {
        let mut tree = self.tree.write();
        self.store.commit(&change).map_err(|error| store_failed(&error))?;
        for header in &change.headers {
            tree.insert(header.entry).map_err(broken)?;
        }
        for (id, _) in &change.bodies {
            tree.set_body_stored(id);
        }
        let Some(update) = change.chain else { return Ok(()) };
        let ids = |steps: &[ChainStep]| steps.iter().map(|step| step.id).collect::<Vec<_>>();
        let plan = ChainChange { disconnect: ids(&update.disconnect), connect: ids(&update.connect) };
        let height_before = tree.tip().height;
        tree.apply(&plan).map_err(broken)?;
        let next = tree.tip().height.next().unwrap_or(tree.tip().height);
        let algorithms: Vec<Option<Algorithm>> =
            plan.connect.iter().map(|id| tree.entry(id).and_then(|entry| entry.algorithm)).collect();
        self.update_mempool(&update, height_before, next);
        drop(tree);
        self.announce(&plan, &algorithms);
        Ok(())
    }

    fn announce(&self, plan: &ChainChange, algorithms: &[Option<Algorithm>]) {
        for algorithm in algorithms.iter().copied().flatten() {
            self.metrics.block_connected(algorithm);
        }
        if !plan.disconnect.is_empty() {
            self.metrics.reorg(plan.disconnect.len());
            tracing::info!(disconnected = plan.disconnect.len(), connected = plan.connect.len(), "reorganised");
        }
        self.publish_tip();
        let tip = plan.connect.last().map(|id| self.store.headers(std::slice::from_ref(id)));
        if let Some(Ok(headers)) = tip
            && let Some(header) = headers.first()
        {
            // No receiver is no error: nobody wants to know yet.
            let _ = self.announcements.send(Announcement::Block(Box::new(*header)));
        }
    }
}
