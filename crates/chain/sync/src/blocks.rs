//! Blocks after headers: whom to ask for which, and what the answers mean (SPEC 9.1).
use std::cmp::Reverse;

use bq_primitives::BlockId;

use crate::{
    Action, BLOCK_IDS_MAX, Message, Misbehavior, Moment, PeerKey, RawBlock, SyncCore,
    limits::BLOCK_REQUESTS_MAX,
    peer::{Ask, Peer},
};

impl SyncCore {
    /// Asks for what is wanted, as far ahead as the window reaches.
    pub(crate) fn plan_blocks(&mut self, now: Moment, out: &mut Vec<Action>) {
        let have = self.chain.tip.work;
        loop {
            if self.peers.values().map(Peer::block_requests).sum::<usize>() >= BLOCK_REQUESTS_MAX {
                return;
            }
            // The least busy peer first, so that several share the work; of these, who had what it was asked for, so that a
            // crowd that has nothing is not asked over and over; of these, those that we chose.
            let next = self
                .peers
                .iter()
                .filter(|(_, peer)| peer.takes_block_request(now) && peer.claims_more_than(have))
                .map(|(key, peer)| {
                    let rank = (peer.block_requests(), peer.lacked, Reverse(peer.link), *key);
                    (rank, self.window.wanted_from(now, *key, BLOCK_IDS_MAX))
                })
                .filter(|(_, ids)| !ids.is_empty())
                .min_by_key(|(rank, _)| *rank);
            let Some(((.., peer), ids)) = next else { return };
            let id = self.ask(now, peer, Ask::Blocks(ids.clone()), Message::GetBlocks(ids.clone()), out);
            self.window.requested(now, peer, id, &ids);
        }
    }

    pub(crate) fn on_blocks(
        &mut self,
        now: Moment,
        peer: PeerKey,
        asked: &[BlockId],
        blocks: Vec<RawBlock>,
        not_found: &[BlockId],
        out: &mut Vec<Action>,
    ) {
        if blocks.iter().any(|block| !asked.contains(&block.id())) || not_found.iter().any(|id| !asked.contains(id)) {
            self.punish(peer, Misbehavior::UnrequestedBlock, out);
            return;
        }
        let retry = now.after_ms(self.config.retry_ms);
        if let Some(state) = self.peers.get_mut(&peer) {
            let lacked = u32::try_from(not_found.len()).unwrap_or(u32::MAX);
            state.lacked = if blocks.is_empty() { state.lacked.saturating_add(lacked) } else { 0 };
        }
        if blocks.is_empty() && not_found.is_empty() {
            // An answer that says nothing would be asked for again at once, for ever.
            asked.iter().for_each(|id| self.window.lacks(peer, id, retry));
        }
        not_found.iter().for_each(|id| self.window.lacks(peer, id, retry));
        let claimed = self.peers.get(&peer).and_then(|state| state.status).map(|status| status.tip.id);
        if not_found.iter().any(|id| claimed == Some(*id)) {
            // A tip is the end of a chain whose blocks its owner holds.
            self.punish(peer, Misbehavior::FalseClaim, out);
        }
        blocks.into_iter().for_each(|block| self.window.hold(peer, block));
    }

    /// Gives the blocks of a peer that holds up the line to others, if there are any.
    pub(crate) fn replace_stalling(&mut self, now: Moment, out: &mut Vec<Action>) {
        let Some(slow) = self.window.stalling(now, self.patience.ms()) else { return };
        let have = self.chain.tip.work;
        let others = self
            .peers
            .iter()
            .filter(|(key, peer)| **key != slow && peer.takes_block_request(now) && peer.claims_more_than(have));
        if others.count() > 0 {
            self.window.reassign(slow, now.after_ms(self.config.blocks_timeout_ms));
            self.patience.was_too_short();
            self.punish(slow, Misbehavior::Stalling, out);
        }
    }
}
