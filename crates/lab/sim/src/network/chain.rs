use std::{collections::BTreeMap, sync::Arc};

use bq_consensus::{
    BlockError, Coin, CoinView, Consequence, IndexEntry, Params, ProvenHeader, SealedHeader, check_body, check_header,
    check_proof, check_spends,
};
use bq_primitives::{Block, BlockId, OutPoint, Timestamp};
use bq_sync::{ChainTip, ChainView, RIVAL_BLOCKS_MAX, RIVALS_MAX, RawBlock, Verdict, WINDOW_BLOCKS_MAX};
use bq_tree::{BlockState, BlockTree, BlockUndo, ChainChange, CoinOverlay};

use super::stand_in::{Tickets, signed};

/// One node's chain, in memory: every rule of SPEC 7 from header to coins, fork choice, reorganisation and undo.
pub(super) struct NodeChain {
    params: Arc<Params>,
    tree: BlockTree,
    headers: BTreeMap<BlockId, SealedHeader>,
    bodies: BTreeMap<BlockId, Arc<Block>>,
    undo: BTreeMap<BlockId, BlockUndo>,
    coins: Coins,
}

/// The coins after the tip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coins(pub(super) BTreeMap<OutPoint, Coin>);

impl CoinView for Coins {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.0.get(outpoint).copied()
    }
}

impl NodeChain {
    pub(super) fn new(params: &Arc<Params>) -> Self {
        Self {
            params: Arc::clone(params),
            tree: BlockTree::new(params.genesis_entry()),
            headers: BTreeMap::new(),
            bodies: BTreeMap::new(),
            undo: BTreeMap::new(),
            coins: Coins::default(),
        }
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    pub(super) const fn tree(&self) -> &BlockTree {
        &self.tree
    }

    pub(super) const fn coins(&self) -> &Coins {
        &self.coins
    }

    pub(super) fn header(&self, id: &BlockId) -> Option<&SealedHeader> {
        self.headers.get(id)
    }

    pub(super) fn body(&self, id: &BlockId) -> Option<&Arc<Block>> {
        self.bodies.get(id)
    }

    /// The ids of the best chain, genesis first.
    pub(super) fn best_chain(&self) -> Vec<BlockId> {
        self.tree.ids_after(&[self.params.genesis_id()], usize::MAX)
    }

    /// What the state machine wants to know.
    pub(super) fn view(&self) -> ChainView {
        let tip = |entry: &IndexEntry| ChainTip { id: entry.id, height: entry.height, work: entry.chain_work };
        ChainView {
            tip: tip(self.tree.tip()),
            best_header: tip(self.tree.best_header()),
            locator: self.tree.locator(),
            missing: self.tree.missing_bodies(WINDOW_BLOCKS_MAX),
            rivals: self.tree.rival_bodies(RIVALS_MAX, RIVAL_BLOCKS_MAX),
        }
    }

    /// Adds headers up to the first that cannot be added.
    pub(super) fn add_headers(&mut self, run: &[SealedHeader], now: Timestamp) -> Verdict {
        let known = self.headers.len();
        for sealed in run {
            if let Err(verdict) = self.add_header(*sealed, now) {
                return verdict;
            }
        }
        if self.headers.len() > known { Verdict::Accepted } else { Verdict::Known }
    }

    fn add_header(&mut self, sealed: SealedHeader, now: Timestamp) -> Result<IndexEntry, Verdict> {
        let (id, parent_id) = (sealed.id(), sealed.header.parent_id);
        for known in [id, parent_id] {
            if self.tree.state(&known) == Some(BlockState::Invalid) {
                return Err(Verdict::Refused { points: 100 });
            }
        }
        if let Some(entry) = self.tree.entry(&id) {
            return Ok(*entry);
        }
        let branch = self.tree.branch(&parent_id).ok_or(Verdict::UnknownParent)?;
        let header = check_header(&self.params, &branch, sealed, now).map_err(|error| judged(&error))?;
        let proven = check_proof(header, &Tickets).map_err(|error| judged(&error))?;
        let entry = *proven.entry();
        self.tree.insert(entry).map_err(|_| Verdict::Refused { points: 100 })?;
        self.headers.insert(id, sealed);
        Ok(entry)
    }

    /// Adds a block, and follows the best chain. Says what that disconnected and connected.
    pub(super) fn add_block(&mut self, block: &RawBlock, now: Timestamp) -> (Verdict, Vec<ChainChange>) {
        let Ok(block) = Block::from_bytes(block.bytes()) else {
            return (Verdict::Refused { points: 100 }, Vec::new());
        };
        match self.store(block, now) {
            Ok(()) => (Verdict::Accepted, self.follow_best_chain()),
            Err(verdict) => (verdict, Vec::new()),
        }
    }

    fn store(&mut self, block: Block, now: Timestamp) -> Result<(), Verdict> {
        let sealed = SealedHeader { header: block.header, seal: block.seal };
        let entry = self.add_header(sealed, now)?;
        if self.tree.has_body(&entry.id) {
            return Ok(());
        }
        let header = ProvenHeader::assume(sealed, entry);
        let block = check_body(header, block.transactions).map_err(|error| self.condemned(&entry.id, &error))?;
        let transactions = block.transactions().as_ref().clone();
        self.bodies.insert(entry.id, Arc::new(Block { header: sealed.header, seal: sealed.seal, transactions }));
        self.tree.set_body_stored(&entry.id);
        Ok(())
    }

    fn condemned(&mut self, id: &BlockId, error: &BlockError) -> Verdict {
        if error.consequence() == Consequence::Invalid {
            self.tree.mark_invalid(id);
        }
        judged(error)
    }

    fn follow_best_chain(&mut self) -> Vec<ChainChange> {
        let mut changes = Vec::new();
        while let Some(plan) = self.tree.next_change() {
            match self.carry_out(&plan) {
                Ok(()) => changes.push(plan),
                Err(bad) => {
                    self.tree.mark_invalid(&bad);
                }
            }
        }
        changes
    }

    /// Carries out a change, or names the block that breaks a rule and changes nothing.
    fn carry_out(&mut self, plan: &ChainChange) -> Result<(), BlockId> {
        let mut overlay = CoinOverlay::new(&self.coins);
        for id in &plan.disconnect {
            let (Some(block), Some(undo)) = (self.bodies.get(id), self.undo.get(id)) else { return Err(*id) };
            overlay.disconnect(&block.transactions, undo).map_err(|_| *id)?;
        }
        let mut undone = Vec::new();
        for id in &plan.connect {
            let (Some(block), Some(entry)) = (self.bodies.get(id), self.tree.entry(id)) else { return Err(*id) };
            let sealed = SealedHeader { header: block.header, seal: block.seal };
            let block = check_body(ProvenHeader::assume(sealed, *entry), block.transactions.clone());
            let valid =
                block.and_then(|block| check_spends(&self.params, block, &overlay, &signed)).map_err(|_| *id)?;
            let undo = overlay.connect(entry.height, &valid.transactions).map_err(|_| *id)?;
            undone.push((*id, undo));
        }
        for (outpoint, coin) in overlay.into_changes() {
            match coin {
                Some(coin) => self.coins.0.insert(outpoint, coin),
                None => self.coins.0.remove(&outpoint),
            };
        }
        self.undo.extend(undone);
        self.tree.apply(plan).map_err(|_| plan.connect.first().copied().unwrap_or_default())
    }
}

fn judged(error: &BlockError) -> Verdict {
    match error.consequence() {
        Consequence::UnknownParent => Verdict::UnknownParent,
        Consequence::Hold | Consequence::Local => Verdict::Later,
        Consequence::Invalid | Consequence::BodyMismatch => Verdict::Refused { points: 100 },
    }
}
