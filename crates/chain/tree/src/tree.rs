use std::collections::{BTreeMap, BTreeSet};

use bq_consensus::IndexEntry;
use bq_primitives::{BlockId, Height, Work};

use crate::{BranchView, fork_choice::Candidate};

/// Position of a block in the tree's arena: the order in which headers became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeIndex(u32);

impl NodeIndex {
    fn get(self) -> usize {
        // A u32 fits a usize on every platform that can hold the arena.
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) entry: IndexEntry,
    pub(crate) parent: Option<NodeIndex>,
    pub(crate) children: Vec<NodeIndex>,
    pub(crate) has_body: bool,
    /// This block and every ancestor have their bodies.
    pub(crate) is_complete: bool,
    pub(crate) is_invalid: bool,
}

/// How much is known about a block (headers come first, bodies follow in any order).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// The header passed steps 1-6 of SPEC 7; the body is not here.
    HeaderKnown,
    /// The body is stored and well-formed; its spends have not been checked on the best chain now.
    BodyStored,
    /// On the best chain.
    Connected,
    /// It, or an ancestor, broke a rule.
    Invalid,
}

/// Why an entry does not fit into the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// It is already there.
    #[error("block {0} is already in the tree")]
    Known(BlockId),
    /// Its parent is not there.
    #[error("parent {0} is not in the tree")]
    UnknownParent(BlockId),
    /// It builds on an invalid block.
    #[error("parent {0} is invalid")]
    InvalidParent(BlockId),
    /// The arena's index type is exhausted.
    #[error("the tree holds 2^32 blocks")]
    Full,
}

/// All known headers as a tree, the best header chain, and the connected best chain. Two chains are kept as plain
/// lists so that an ancestor by height costs one look-up on them and a short walk on side branches.
#[derive(Debug)]
pub struct BlockTree {
    nodes: Vec<Node>,
    by_id: BTreeMap<BlockId, NodeIndex>,
    /// Genesis to the valid header with the most chain work, by height.
    pub(crate) header_chain: Vec<NodeIndex>,
    /// Genesis to the tip of the best chain, by height.
    pub(crate) connected: Vec<NodeIndex>,
    /// Complete blocks with more chain work than the tip.
    pub(crate) candidates: BTreeSet<Candidate>,
    /// Valid headers with more chain work than the tip on which no other valid header builds.
    pub(crate) heads: BTreeSet<Candidate>,
}

impl BlockTree {
    /// A tree of the genesis block alone, connected.
    #[must_use]
    pub fn new(genesis: IndexEntry) -> Self {
        let root = NodeIndex(0);
        let by_id = BTreeMap::from([(genesis.id, root)]);
        let node = Node {
            entry: genesis,
            parent: None,
            children: Vec::new(),
            has_body: true,
            is_complete: true,
            is_invalid: false,
        };
        Self {
            nodes: vec![node],
            by_id,
            header_chain: vec![root],
            connected: vec![root],
            candidates: BTreeSet::new(),
            heads: BTreeSet::new(),
        }
    }

    /// Adds a header whose rules (SPEC 7.1-7.6) were checked.
    ///
    /// # Errors
    /// See [`InsertError`]; the tree is unchanged then.
    pub fn insert(&mut self, entry: IndexEntry) -> Result<(), InsertError> {
        let id = entry.id;
        if self.by_id.contains_key(&id) {
            return Err(InsertError::Known(id));
        }
        let parent = self.index(&entry.parent_id).ok_or(InsertError::UnknownParent(entry.parent_id))?;
        let index = NodeIndex(u32::try_from(self.nodes.len()).map_err(|_| InsertError::Full)?);
        match self.node_mut(parent) {
            Some(node) if node.is_invalid => return Err(InsertError::InvalidParent(entry.parent_id)),
            Some(node) => node.children.push(index),
            None => return Err(InsertError::UnknownParent(entry.parent_id)),
        }
        let is_best = entry.chain_work > self.work(self.best_header_index());
        self.nodes.push(Node {
            entry,
            parent: Some(parent),
            children: Vec::new(),
            has_body: false,
            is_complete: false,
            is_invalid: false,
        });
        self.by_id.insert(id, index);
        self.note_head(parent, index);
        if is_best {
            self.set_header_chain(index);
        }
        Ok(())
    }

    /// Notes that a block's body is stored. Blocks that this makes complete become candidates for the best chain.
    /// Unknown ids are ignored.
    pub fn set_body_stored(&mut self, id: &BlockId) {
        let Some(index) = self.index(id) else { return };
        if let Some(node) = self.node_mut(index) {
            node.has_body = true;
        }
        self.complete_from(index);
    }

    /// Marks a block and all its descendants invalid, and returns them, the block first. Connected blocks are never
    /// marked: a block that fails to connect is not connected. Unknown and already invalid ids give nothing.
    pub fn mark_invalid(&mut self, id: &BlockId) -> Vec<BlockId> {
        let mut marked = Vec::new();
        let mut pending: Vec<_> = self.index(id).into_iter().filter(|index| !self.is_connected(*index)).collect();
        while let Some(index) = pending.pop() {
            let Some(node) = self.node_mut(index) else { continue };
            if node.is_invalid {
                continue;
            }
            node.is_invalid = true;
            marked.push(node.entry.id);
            pending.extend(node.children.iter().copied());
            let candidate = Candidate::new(node.entry.chain_work, index);
            self.candidates.remove(&candidate);
            self.heads.remove(&candidate);
        }
        if let Some(parent) = self.index(id).and_then(|index| self.node(index)?.parent).filter(|_| !marked.is_empty()) {
            self.restore_head(parent);
        }
        if !marked.is_empty() && self.header_chain.iter().any(|index| self.is_invalid(*index)) {
            self.choose_best_header();
        }
        marked
    }

    /// How much is known about a block, if anything.
    #[must_use]
    pub fn state(&self, id: &BlockId) -> Option<BlockState> {
        let index = self.index(id)?;
        let node = self.node(index)?;
        Some(if node.is_invalid {
            BlockState::Invalid
        } else if self.is_connected(index) {
            BlockState::Connected
        } else if node.has_body {
            BlockState::BodyStored
        } else {
            BlockState::HeaderKnown
        })
    }

    /// A block's light index entry.
    #[must_use]
    pub fn entry(&self, id: &BlockId) -> Option<&IndexEntry> {
        self.node(self.index(id)?).map(|node| &node.entry)
    }

    /// Whether the block's body is stored.
    #[must_use]
    pub fn has_body(&self, id: &BlockId) -> bool {
        self.index(id).and_then(|index| self.node(index)).is_some_and(|node| node.has_body)
    }

    /// The branch from genesis to a block.
    #[must_use]
    pub fn branch(&self, id: &BlockId) -> Option<BranchView<'_>> {
        BranchView::new(self, self.index(id)?)
    }

    /// The branch from genesis to the tip of the best chain.
    #[must_use]
    pub fn tip_branch(&self) -> BranchView<'_> {
        BranchView::of_connected(self)
    }

    /// The end of the best chain.
    #[must_use]
    pub fn tip(&self) -> &IndexEntry {
        self.entry_or_genesis(self.tip_index())
    }

    /// The valid header with the most chain work; of several, the first that became known.
    #[must_use]
    pub fn best_header(&self) -> &IndexEntry {
        self.entry_or_genesis(self.best_header_index())
    }

    /// The best chain's block at a height.
    #[must_use]
    pub fn connected_at(&self, height: Height) -> Option<&IndexEntry> {
        let index = at_height(&self.connected, height)?;
        self.node(index).map(|node| &node.entry)
    }

    /// How many headers are known, genesis included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: genesis is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn index(&self, id: &BlockId) -> Option<NodeIndex> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.get())
    }

    fn node_mut(&mut self, index: NodeIndex) -> Option<&mut Node> {
        self.nodes.get_mut(index.get())
    }

    pub(crate) fn root(&self) -> NodeIndex {
        NodeIndex(0)
    }

    pub(crate) fn tip_index(&self) -> NodeIndex {
        self.connected.last().copied().unwrap_or(self.root())
    }

    pub(crate) fn best_header_index(&self) -> NodeIndex {
        self.header_chain.last().copied().unwrap_or(self.root())
    }

    pub(crate) fn work(&self, index: NodeIndex) -> Work {
        self.node(index).map_or(Work::ZERO, |node| node.entry.chain_work)
    }

    pub(crate) fn is_invalid(&self, index: NodeIndex) -> bool {
        self.node(index).is_some_and(|node| node.is_invalid)
    }

    pub(crate) fn is_connected(&self, index: NodeIndex) -> bool {
        self.lies_on(&self.connected, index)
    }

    /// Whether `chain`, a list by height, holds the node.
    pub(crate) fn lies_on(&self, chain: &[NodeIndex], index: NodeIndex) -> bool {
        self.node(index).is_some_and(|node| at_height(chain, node.entry.height) == Some(index))
    }

    #[expect(clippy::indexing_slicing, reason = "the arena is never empty: it is made with genesis and never shrinks")]
    pub(crate) fn entry_or_genesis(&self, index: NodeIndex) -> &IndexEntry {
        self.node(index).map_or(&self.nodes[0].entry, |node| &node.entry)
    }

    /// Makes `tip` the end of the best header chain.
    fn set_header_chain(&mut self, tip: NodeIndex) {
        let path = self.path_from(&self.header_chain, tip);
        splice(&mut self.header_chain, path.fork_len, path.above);
    }

    fn choose_best_header(&mut self) {
        let best = (0_u32..)
            .map(NodeIndex)
            .zip(&self.nodes)
            .filter(|(_, node)| !node.is_invalid)
            .map(|(index, node)| Candidate::new(node.entry.chain_work, index))
            .max();
        if let Some(best) = best {
            self.set_header_chain(best.index());
        }
    }

    /// Marks `from` and its descendants complete as far as bodies go, starting only below a complete parent.
    fn complete_from(&mut self, from: NodeIndex) {
        let tip_work = self.work(self.tip_index());
        let mut pending = vec![from];
        while let Some(index) = pending.pop() {
            let parent = self.node(index).and_then(|node| node.parent);
            let below = parent.is_none_or(|parent| self.node(parent).is_some_and(|node| node.is_complete));
            let Some(node) = self.node_mut(index) else { continue };
            if !node.has_body || node.is_complete || !below {
                continue;
            }
            node.is_complete = true;
            pending.extend(node.children.iter().copied());
            if !node.is_invalid && node.entry.chain_work > tip_work {
                let candidate = Candidate::new(node.entry.chain_work, index);
                self.candidates.insert(candidate);
            }
        }
    }

    /// How to get from a chain listed by height to `tip`.
    pub(crate) fn path_from(&self, chain: &[NodeIndex], tip: NodeIndex) -> Path {
        let mut above = Vec::new();
        let mut at = Some(tip);
        while let Some(index) = at {
            if self.lies_on(chain, index) {
                break;
            }
            above.push(index);
            at = self.node(index).and_then(|node| node.parent);
        }
        above.reverse();
        let fork = at.and_then(|index| self.node(index)).map_or(0, |node| node.entry.height.0);
        Path { fork_len: usize::try_from(fork).unwrap_or(usize::MAX).saturating_add(1), above }
    }
}

/// The part of a branch that leaves a chain.
#[derive(Debug)]
pub(crate) struct Path {
    /// How many blocks, from genesis on, the two share.
    pub(crate) fork_len: usize,
    /// The blocks above the fork, lowest first.
    pub(crate) above: Vec<NodeIndex>,
}

pub(crate) fn at_height(chain: &[NodeIndex], height: Height) -> Option<NodeIndex> {
    chain.get(usize::try_from(height.0).ok()?).copied()
}

pub(crate) fn splice(chain: &mut Vec<NodeIndex>, keep: usize, above: Vec<NodeIndex>) {
    chain.truncate(keep);
    chain.extend(above);
}
