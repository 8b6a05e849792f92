//! Headers first: which peer to ask, and what its answers mean (SPEC 9.1).
use std::cmp::Reverse;

use bq_primitives::BlockId;

use crate::{
    Action, HEADERS_MAX, LOCATOR_IDS_MAX, Message, Misbehavior, Moment, PeerKey, SealedHeader, SyncCore, Verdict,
    peer::Ask,
};

/// How long a peer whose headers the node could not judge is left alone.
const LATER_MS: u64 = 5000;

/// The one download of headers that is under way.
#[derive(Debug)]
pub(crate) struct HeaderSync {
    pub(crate) peer: PeerKey,
    /// The run that the node is judging; nothing while the peer is to answer.
    judging: Option<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    last: BlockId,
    is_full: bool,
}

impl SyncCore {
    /// Starts a download from the peer that claims the most work, if that is more than is known.
    pub(crate) fn plan_headers(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.headers.is_some() {
            return;
        }
        let known = self.chain.best_header.work;
        let best = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.headers_not_before <= now && peer.busy_until <= now)
            .filter_map(|(key, peer)| Some((key, peer.status?.tip, peer.exhausted)))
            .filter(|(_, tip, exhausted)| tip.work > known && *exhausted != Some(tip.id))
            .max_by_key(|(key, tip, _)| (tip.work, Reverse(**key)));
        if let Some((key, ..)) = best {
            self.ask_headers(now, *key, None, out);
        }
    }

    fn ask_headers(&mut self, now: Moment, peer: PeerKey, after: Option<BlockId>, out: &mut Vec<Action>) {
        let locator = after.into_iter().chain(self.chain.locator.iter().copied()).take(LOCATOR_IDS_MAX).collect();
        self.headers = Some(HeaderSync { peer, judging: None });
        self.ask(now, peer, Ask::Headers, Message::GetHeaders { locator }, out);
    }

    pub(crate) fn on_headers(&mut self, peer: PeerKey, run: Vec<SealedHeader>, out: &mut Vec<Action>) {
        let Some(sync) = self.headers.as_mut().filter(|sync| sync.peer == peer) else { return };
        let Some(last) = run.last().map(SealedHeader::id) else {
            self.headers_end(peer, out);
            return;
        };
        if !is_chain(&run) {
            self.punish(peer, Misbehavior::BrokenHeaderRun, out);
            return;
        }
        sync.judging = Some(Run { last, is_full: run.len() >= HEADERS_MAX });
        // The next question waits for the verdict: never more than one unverified run.
        out.push(Action::AddHeaders { peer, run });
    }

    /// The verdict on a run of the download; `false` if `last` does not belong to it.
    pub(crate) fn on_run_judged(
        &mut self,
        now: Moment,
        peer: PeerKey,
        last: BlockId,
        verdict: Verdict,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(HeaderSync { peer: key, judging: Some(run) }) = &self.headers else { return false };
        if *key != peer || run.last != last {
            return false;
        }
        match verdict {
            Verdict::Accepted if run.is_full => self.ask_headers(now, peer, Some(last), out),
            // The locator reaches down to genesis, so an honest answer to it always connects.
            Verdict::Accepted | Verdict::UnknownParent => self.headers_end(peer, out),
            Verdict::Refused { points } => {
                self.headers_end(peer, out);
                self.punish(peer, Misbehavior::Refused(points), out);
            }
            Verdict::Later => {
                self.headers = None;
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.headers_not_before = now.after_ms(LATER_MS);
                }
            }
        }
        true
    }

    /// The peer has no more headers for the tip it claims. If they do not show the claimed work, that was a lie, or it
    /// changed its branch meanwhile.
    fn headers_end(&mut self, peer: PeerKey, out: &mut Vec<Action>) {
        self.headers = None;
        let known = self.chain.best_header.work;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(claimed) = state.status.map(|status| status.tip) else { return };
        state.exhausted = Some(claimed.id);
        if claimed.work > known {
            self.punish(peer, Misbehavior::FalseClaim, out);
        }
    }
}

fn is_chain(run: &[SealedHeader]) -> bool {
    run.iter().zip(run.iter().skip(1)).all(|(parent, child)| {
        child.header.parent_id == parent.id() && child.header.height.above(parent.header.height) == Some(1)
    })
}
