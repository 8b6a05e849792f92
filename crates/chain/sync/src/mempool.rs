//! What a new peer has waiting in its mempool, asked for once, in pages. Everything later comes by gossip (SPEC 9.1).
use bq_primitives::Transaction;

use crate::{
    Action, Message, Misbehavior, Moment, PeerKey, SyncCore,
    peer::{Ask, Peer},
};

impl SyncCore {
    /// Asks for the next page of every peer whose mempool is not known yet. A node that lacks blocks does not ask: it
    /// could not tell which of these transactions are valid.
    pub(crate) fn plan_mempool(&mut self, now: Moment, out: &mut Vec<Action>) {
        if !self.headers.is_empty() || !self.window.is_empty() {
            return;
        }
        let have = self.chain.tip.work;
        let is_next = |peer: &Peer| {
            peer.status.is_some()
                && !peer.claims_more_than(have)
                && peer.mempool_pages > 0
                && peer.busy_until <= now
                && peer.mempool_not_before <= now
                && !peer.waits_for_mempool()
        };
        let next: Vec<_> = self.peers.iter_mut().filter(|(_, peer)| is_next(peer)).collect();
        let mut asked = Vec::new();
        for (key, peer) in next {
            peer.mempool_pages = peer.mempool_pages.saturating_sub(1);
            asked.push((*key, peer.mempool_after));
        }
        for (key, after) in asked {
            self.ask(now, key, Ask::Mempool, Message::GetMempool { after }, out);
        }
    }

    pub(crate) fn on_mempool(&mut self, peer: PeerKey, page: Vec<Transaction>, out: &mut Vec<Action>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(last) = page.last().map(Transaction::txid) else {
            state.mempool_pages = 0;
            return;
        };
        if last <= state.mempool_after {
            // It would send the same page for ever.
            self.punish(peer, Misbehavior::UnexpectedAnswer(crate::Kind::Mempool), out);
            return;
        }
        state.mempool_after = last;
        out.push(Action::SubmitTransactions { peer, transactions: page });
    }
}
