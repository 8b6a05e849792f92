//! A block tree without rules: every block weighs one, blocks on a list are forbidden.
use std::collections::{BTreeMap, BTreeSet};

use bq_primitives::{
    Algorithm, Block, BlockId, CompactTarget, ExtraNonce, Header, Height, MerkleRoot, Seal, Timestamp, U256, Work,
};
use bq_sync::{ChainTip, ChainView, RIVALS_MAX, RawBlock, SealedHeader, Verdict, WINDOW_BLOCKS_MAX};

#[derive(Clone)]
pub(crate) struct ModelChain {
    headers: BTreeMap<BlockId, SealedHeader>,
    bodies: BTreeSet<BlockId>,
    forbidden: BTreeSet<BlockId>,
    forbidden_bodies: BTreeSet<BlockId>,
    best_header: BlockId,
    tip: BlockId,
}

pub(crate) fn genesis() -> SealedHeader {
    header(BlockId::ZERO, 0, 0)
}

pub(crate) fn extend(parent: &SealedHeader, salt: u32) -> SealedHeader {
    header(parent.id(), parent.header.height.0 + 1, salt)
}

pub(crate) fn body(header: &SealedHeader) -> RawBlock {
    RawBlock::from(&Block { header: header.header, seal: header.seal, transactions: Vec::new() })
}

fn header(parent_id: BlockId, height: u32, salt: u32) -> SealedHeader {
    let header = Header {
        version: 1,
        parent_id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(u64::from(height)),
        height: Height(height),
        bits: CompactTarget(0x207f_ffff),
        algorithm: Algorithm::RandomX,
    };
    SealedHeader { header, seal: Seal::RandomX { extranonce: ExtraNonce::default(), nonce: salt } }
}

impl ModelChain {
    pub(crate) fn new() -> Self {
        let genesis = genesis();
        let id = genesis.id();
        Self {
            headers: BTreeMap::from([(id, genesis)]),
            bodies: BTreeSet::from([id]),
            forbidden: BTreeSet::new(),
            forbidden_bodies: BTreeSet::new(),
            best_header: id,
            tip: id,
        }
    }

    pub(crate) fn tip(&self) -> BlockId {
        self.tip
    }

    pub(crate) fn forbid(&mut self, id: BlockId) {
        self.forbidden.insert(id);
    }

    pub(crate) fn forbid_body(&mut self, id: BlockId) {
        self.forbidden_bodies.insert(id);
    }

    pub(crate) fn header(&self, id: &BlockId) -> Option<&SealedHeader> {
        self.headers.get(id)
    }

    pub(crate) fn has_body(&self, id: &BlockId) -> bool {
        self.bodies.contains(id)
    }

    /// Adds `count` complete blocks above `from`.
    pub(crate) fn grow(&mut self, from: BlockId, count: usize, salt: u32) -> BlockId {
        let mut parent = self.headers[&from];
        for _ in 0..count {
            let child = extend(&parent, salt);
            self.add_header(&child);
            assert_eq!(self.add_body(&body(&child)), Verdict::Accepted);
            parent = child;
        }
        parent.id()
    }

    pub(crate) fn add_headers(&mut self, run: &[SealedHeader]) -> Verdict {
        run.iter()
            .map(|header| self.add_header(header))
            .find(|verdict| *verdict != Verdict::Accepted)
            .unwrap_or(Verdict::Accepted)
    }

    fn add_header(&mut self, header: &SealedHeader) -> Verdict {
        let id = header.id();
        if self.forbidden.contains(&id) {
            return Verdict::Refused { points: 100 };
        }
        if !self.headers.contains_key(&header.header.parent_id) {
            return Verdict::UnknownParent;
        }
        self.headers.insert(id, *header);
        if header.header.height > self.headers[&self.best_header].header.height {
            self.best_header = id;
        }
        Verdict::Accepted
    }

    pub(crate) fn add_body(&mut self, block: &RawBlock) -> Verdict {
        let Some(header) = self.headers.get(&block.id()) else { return Verdict::UnknownParent };
        if self.forbidden_bodies.contains(&block.id()) {
            return Verdict::Refused { points: 100 };
        }
        assert!(self.bodies.contains(&header.header.parent_id), "bodies must come in order");
        let height = header.header.height;
        self.bodies.insert(block.id());
        if height > self.headers[&self.tip].header.height {
            self.tip = block.id();
        }
        Verdict::Accepted
    }

    fn branch(&self, from: BlockId) -> impl Iterator<Item = (BlockId, &SealedHeader)> {
        let mut next = from;
        std::iter::from_fn(move || {
            let id = next;
            let header = self.headers.get(&id)?;
            next = header.header.parent_id;
            Some((id, header))
        })
    }

    pub(crate) fn headers_after(&self, locator: &[BlockId], max: usize) -> Vec<SealedHeader> {
        let known: BTreeSet<_> = locator.iter().collect();
        let above = self.branch(self.best_header).take_while(|(id, _)| !known.contains(id));
        let mut run: Vec<_> = above.map(|(_, header)| *header).collect();
        run.reverse();
        run.truncate(max);
        run
    }

    fn chain_tip(&self, id: BlockId) -> ChainTip {
        let height = self.headers[&id].header.height;
        ChainTip { id, height, work: Work(U256::from(height.0 + 1)) }
    }

    pub(crate) fn view(&self) -> ChainView {
        let branch: Vec<_> = self.branch(self.best_header).map(|(id, _)| id).collect();
        let mut locator: Vec<_> = branch.iter().take(10).copied().collect();
        let mut step = 2;
        let mut at = 10;
        while at < branch.len() {
            locator.push(branch[at]);
            at += step;
            step *= 2;
        }
        locator.push(genesis().id());
        let mut missing: Vec<_> = branch.iter().take_while(|id| !self.bodies.contains(id)).copied().collect();
        missing.reverse();
        missing.truncate(WINDOW_BLOCKS_MAX + 30);
        let (tip, best_header) = (self.chain_tip(self.tip), self.chain_tip(self.best_header));
        if best_header.work <= tip.work {
            missing.clear();
        }
        ChainView { tip, best_header, locator, missing, rivals: self.rivals(&branch) }
    }

    /// Heads of other branches with more work than the tip, where they leave the best one at a block with a body.
    fn rivals(&self, best: &[BlockId]) -> Vec<Vec<BlockId>> {
        let parents: BTreeSet<_> = self.headers.values().map(|header| header.header.parent_id).collect();
        let height = |id: &BlockId| self.headers[id].header.height;
        let is_rival = |id: &&BlockId| !parents.contains(id) && height(id) > height(&self.tip) && !best.contains(id);
        let missing_of = |id: &BlockId| {
            let mut above: Vec<_> = self.branch(*id).map(|(id, _)| id).take_while(|id| !best.contains(id)).collect();
            above.reverse();
            let fork = self.headers[above.first()?].header.parent_id;
            above.retain(|id| !self.bodies.contains(id));
            self.bodies.contains(&fork).then_some(above)
        };
        self.headers.keys().filter(is_rival).filter_map(missing_of).take(RIVALS_MAX).collect()
    }
}
