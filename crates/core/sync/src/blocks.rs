//! Blocks after headers: whom to ask for which, and what the answers mean (SPEC 9.1).
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
            // The least busy peer first, so that several share the work.
            let next = self
                .peers
                .iter()
                .filter(|(_, peer)| peer.takes_block_request(now) && peer.claims_more_than(have))
                .map(|(key, peer)| (peer.block_requests(), *key, self.window.wanted_from(now, *key, BLOCK_IDS_MAX)))
                .filter(|(.., ids)| !ids.is_empty())
                .min_by_key(|(requests, key, _)| (*requests, *key));
            let Some((_, peer, ids)) = next else { return };
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
        if blocks.is_empty() && not_found.is_empty() {
            // An answer that says nothing would be asked for again at once, for ever.
            asked.iter().for_each(|id| self.window.lacks(peer, id, retry));
        }
        not_found.iter().for_each(|id| self.window.lacks(peer, id, retry));
        blocks.into_iter().for_each(|block| self.window.hold(peer, block));
    }

    /// Gives the blocks of a peer that holds up the line to others, if there are any.
    pub(crate) fn replace_stalling(&mut self, now: Moment, out: &mut Vec<Action>) {
        let Some(slow) = self.window.stalling(now, self.config.stall_ms) else { return };
        let have = self.chain.tip.work;
        let others = self
            .peers
            .iter()
            .filter(|(key, peer)| **key != slow && peer.takes_block_request(now) && peer.claims_more_than(have));
        if others.count() > 0 {
            self.window.reassign(slow, now.after_ms(self.config.blocks_timeout_ms));
            self.punish(slow, Misbehavior::Stalling, out);
        }
    }
}
