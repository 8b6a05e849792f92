use std::collections::BTreeMap;

use bq_primitives::BlockId;

use crate::{
    ChainView, Moment, PeerKey, RIVAL_BLOCKS_MAX, RIVALS_MAX, RawBlock, RequestId, WINDOW_BLOCKS_MAX, WINDOW_BYTES_MAX,
};

/// The next missing blocks, in the order the node must get them, and where each one is.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Blocks of the best header chain, lowest first.
    order: Vec<BlockId>,
    /// Blocks of branches that compete with it, lowest first. Usually none.
    rivals: Vec<Vec<BlockId>>,
    slots: BTreeMap<BlockId, Slot>,
    /// No block is handed to the node before this moment: it failed to take the last one.
    paused_until: Moment,
}

#[derive(Debug, Default)]
struct Slot {
    place: Place,
    /// Peers that did not have it, and when they may be asked again.
    lacking: BTreeMap<PeerKey, Moment>,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Wanted,
    Requested {
        peer: PeerKey,
        request: RequestId,
        since: Moment,
    },
    Held {
        peer: PeerKey,
        block: RawBlock,
    },
    Submitted,
}

impl Window {
    /// Follows the node's lists of missing blocks: blocks that left them are forgotten, wherever they are.
    pub(crate) fn follow(&mut self, chain: &ChainView) {
        self.order = chain.missing.iter().take(WINDOW_BLOCKS_MAX).copied().collect();
        let first_of = |rival: &Vec<BlockId>| rival.iter().take(RIVAL_BLOCKS_MAX).copied().collect();
        self.rivals = chain.rivals.iter().take(RIVALS_MAX).map(first_of).collect();
        let mut old = std::mem::take(&mut self.slots);
        let all = self.order.iter().chain(self.rivals.iter().flatten());
        self.slots = all.map(|id| (*id, old.remove(id).unwrap_or_default())).collect();
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.order.len()
    }

    /// Up to `max` ids to ask `peer` for, lowest first.
    pub(crate) fn wanted_from(&self, now: Moment, peer: PeerKey, max: usize) -> Vec<BlockId> {
        let reach = if self.held_bytes() >= WINDOW_BYTES_MAX { 1 } else { self.order.len() };
        let wanted = |id: &&BlockId| {
            self.slots.get(id).is_some_and(|slot| {
                matches!(slot.place, Place::Wanted) && slot.lacking.get(&peer).is_none_or(|retry| *retry <= now)
            })
        };
        let of_rivals = self.rivals.iter().flat_map(|rival| rival.iter().take(reach));
        self.order.iter().take(reach).chain(of_rivals).filter(wanted).take(max).copied().collect()
    }

    pub(crate) fn requested(&mut self, now: Moment, peer: PeerKey, request: RequestId, ids: &[BlockId]) {
        for id in ids {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.place = Place::Requested { peer, request, since: now };
            }
        }
    }

    /// A block arrived that was asked for. It is dropped if it is here already or no longer missing.
    pub(crate) fn hold(&mut self, peer: PeerKey, block: RawBlock) {
        if let Some(slot) = self.slots.get_mut(&block.id())
            && matches!(slot.place, Place::Wanted | Place::Requested { .. })
        {
            slot.place = Place::Held { peer, block };
        }
    }

    /// `peer` does not have `id`: ask it again at `retry` and not before.
    pub(crate) fn lacks(&mut self, peer: PeerKey, id: &BlockId, retry: Moment) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.lacking.insert(peer, retry);
        }
    }

    /// The request is over: what it did not bring is wanted again.
    pub(crate) fn release(&mut self, over: RequestId) {
        for slot in self.slots.values_mut() {
            if matches!(slot.place, Place::Requested { request, .. } if request == over) {
                slot.place = Place::Wanted;
            }
        }
    }

    /// The peer is gone. What it already sent stays.
    pub(crate) fn forget(&mut self, gone: PeerKey) {
        for slot in self.slots.values_mut() {
            slot.lacking.remove(&gone);
            if matches!(slot.place, Place::Requested { peer, .. } if peer == gone) {
                slot.place = Place::Wanted;
            }
        }
    }

    /// The next block for the node: the first in line of the best header chain or of a rival, when it is here and none is with the node already.
    pub(crate) fn next_to_submit(&mut self, now: Moment) -> Option<(PeerKey, RawBlock)> {
        if now < self.paused_until || self.slots.values().any(|slot| matches!(slot.place, Place::Submitted)) {
            return None;
        }
        let is_held = |id: &&BlockId| matches!(self.slots.get(*id), Some(Slot { place: Place::Held { .. }, .. }));
        let id = *self.firsts().find(is_held)?;
        let slot = self.slots.get_mut(&id)?;
        match std::mem::replace(&mut slot.place, Place::Submitted) {
            Place::Held { peer, block } => Some((peer, block)),
            Place::Wanted | Place::Requested { .. } | Place::Submitted => None,
        }
    }

    /// The node is done with a block. If it still misses it, it is asked for again, not before `retry`.
    pub(crate) fn judged(&mut self, id: &BlockId, retry: Moment) {
        if let Some(slot) = self.slots.get_mut(id)
            && matches!(slot.place, Place::Submitted)
        {
            slot.place = Place::Wanted;
            self.paused_until = retry;
        }
    }

    /// Who holds up a line: its first block was asked for longer than `patience_ms` ago while later ones, or a rival's, are
    /// wanted; four times as long ago if it is the only one.
    pub(crate) fn stalling(&self, now: Moment, patience_ms: u64) -> Option<PeerKey> {
        let is_alone = self.rivals.is_empty() && self.held_bytes() == 0;
        let patience_ms = if is_alone { patience_ms.saturating_mul(4) } else { patience_ms };
        self.firsts().find_map(|id| match self.slots.get(id)?.place {
            Place::Requested { peer, since, .. } if now.ms_since(since) >= patience_ms => Some(peer),
            _ => None,
        })
    }

    /// Gives everything that was asked from `slow` to others; `retry` says when it may be asked for these again.
    pub(crate) fn reassign(&mut self, slow: PeerKey, retry: Moment) {
        for slot in self.slots.values_mut() {
            if matches!(slot.place, Place::Requested { peer, .. } if peer == slow) {
                slot.place = Place::Wanted;
                slot.lacking.insert(slow, retry);
            }
        }
    }

    /// The first in each line.
    fn firsts(&self) -> impl Iterator<Item = &BlockId> {
        self.order.first().into_iter().chain(self.rivals.iter().filter_map(|rival| rival.first()))
    }

    fn held_bytes(&self) -> usize {
        self.slots.values().fold(0, |sum, slot| match &slot.place {
            Place::Held { block, .. } => sum.saturating_add(block.bytes().len()),
            Place::Wanted | Place::Requested { .. } | Place::Submitted => sum,
        })
    }
}
