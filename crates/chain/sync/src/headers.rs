//! Headers first: which peers to ask, how fast their answers are verified, and what they mean (SPEC 9.1).
use std::{cmp::Reverse, collections::VecDeque};

use bq_primitives::{BlockId, Work};

use crate::{
    Action, HEADERS_MAX, LOCATOR_IDS_MAX, Message, Misbehavior, Moment, PORTION_HEADERS_MAX, PeerKey, SealedHeader,
    SyncCore, Verdict,
    limits::PORTION_US_MAX,
    peer::{Ask, Link, Peer},
    proof_budget::Charge,
};

/// How long a peer whose headers the node could not judge is left alone.
const LATER_MS: u64 = 5000;

/// One download of headers. At most one from those we connected to and one from those who connected to us: however many
/// of the latter claim whatever they like, they hold up nobody but each other.
#[derive(Debug)]
pub(crate) struct HeaderSync {
    pub(crate) link: Link,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The peer is to answer.
    Asked { since: Moment },
    /// The rest of its answer waits until its budget covers the next proof.
    Waiting(Run),
    /// The node is judging a portion.
    Judging { last: BlockId, charge: Charge, rest: Run },
}

/// What is left of an answer.
#[derive(Debug)]
struct Run {
    headers: VecDeque<SealedHeader>,
    /// There may be more where it came from.
    is_full: bool,
}

impl HeaderSync {
    /// When the peer was asked, while it has not answered.
    pub(crate) const fn asked(&self) -> Option<Moment> {
        match self.stage {
            Stage::Asked { since } => Some(since),
            Stage::Waiting(_) | Stage::Judging { .. } => None,
        }
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }
}

impl SyncCore {
    /// Goes on with what waited for its budget, and starts downloads from the peers that claim the most work, if that is
    /// more than is known. Someone who connected to us is asked only for more than what is being downloaded already.
    pub(crate) fn plan_headers(&mut self, now: Moment, out: &mut Vec<Action>) {
        let waiting: Vec<_> =
            self.headers.iter().filter(|(_, sync)| sync.is_waiting()).map(|(peer, _)| *peer).collect();
        for peer in waiting {
            if let Some(HeaderSync { stage: Stage::Waiting(run), .. }) = self.headers.remove(&peer) {
                self.submit_portion(now, peer, run, out);
            }
        }
        for link in [Link::Outbound, Link::Inbound] {
            if self.headers.values().all(|sync| sync.link != link)
                && let Some(peer) = self.best_source(now, link)
            {
                self.ask_headers(now, peer, None, out);
            }
        }
    }

    /// Whom to ask next among the peers of one kind.
    fn best_source(&self, now: Moment, link: Link) -> Option<PeerKey> {
        let claim = |key: &PeerKey| Some(self.peers.get(key)?.status?.tip.work);
        let in_hand = self.headers.keys().filter_map(claim).max().filter(|_| link == Link::Inbound);
        let known = in_hand.unwrap_or_default().max(self.chain.best_header.work);
        self.sources(now, link, known).max_by_key(|(key, work)| (*work, Reverse(*key))).map(|(key, _)| key)
    }

    /// The peers of one kind that may be asked for more work than `known`, and what they claim.
    fn sources(&self, now: Moment, link: Link, known: Work) -> impl Iterator<Item = (PeerKey, Work)> {
        self.peers
            .iter()
            .filter(move |(_, peer)| peer.link == link && peer.headers_not_before <= now && peer.busy_until <= now)
            .filter_map(|(key, peer)| Some((*key, peer.status?.tip, peer.exhausted)))
            .filter(move |(_, tip, exhausted)| tip.work > known && *exhausted != Some(tip.id))
            .map(|(key, tip, _)| (key, tip.work))
    }

    fn has_other_source(&self, now: Moment, slow: PeerKey, link: Link) -> bool {
        self.sources(now, link, self.chain.best_header.work).any(|(key, _)| key != slow)
    }

    fn ask_headers(&mut self, now: Moment, peer: PeerKey, after: Option<BlockId>, out: &mut Vec<Action>) {
        let Some(link) = self.peers.get(&peer).map(|state| state.link) else { return };
        let locator = after.into_iter().chain(self.chain.locator.iter().copied()).take(LOCATOR_IDS_MAX).collect();
        self.headers.insert(peer, HeaderSync { link, stage: Stage::Asked { since: now } });
        self.ask(now, peer, Ask::Headers, Message::GetHeaders { locator }, out);
    }

    pub(crate) fn on_headers(&mut self, now: Moment, peer: PeerKey, run: Vec<SealedHeader>, out: &mut Vec<Action>) {
        // An answer for which somebody else was asked meanwhile is dropped.
        if self.headers.get(&peer).and_then(HeaderSync::asked).is_none() {
            return;
        }
        if run.is_empty() {
            self.headers_end(peer, out);
        } else if is_chain(&run) {
            let is_full = run.len() >= HEADERS_MAX;
            self.submit_portion(now, peer, Run { headers: run.into(), is_full }, out);
        } else {
            self.punish(peer, Misbehavior::BrokenHeaderRun, out);
        }
    }

    /// Hands the node as many headers as the peer's budget covers. The next portion waits for the verdict: never more
    /// than one answer of a peer is unverified.
    fn submit_portion(&mut self, now: Moment, peer: PeerKey, mut run: Run, out: &mut Vec<Action>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let link = state.link;
        let proofs = run.headers.iter().take(PORTION_HEADERS_MAX).map(|sealed| sealed.header.algorithm);
        let (count, charge) = state.proofs.charge(now, self.strangers.of(link), PORTION_US_MAX, proofs);
        let portion: Vec<_> = run.headers.drain(..count.min(run.headers.len())).collect();
        let stage = match portion.last().map(SealedHeader::id) {
            Some(last) => {
                out.push(Action::AddHeaders { peer, run: portion });
                Stage::Judging { last, charge, rest: run }
            }
            None => {
                self.proofs_put_off = self.proofs_put_off.saturating_add(1);
                Stage::Waiting(run)
            }
        };
        self.headers.insert(peer, HeaderSync { link, stage });
    }

    /// The verdict on a portion of a download; `false` if `last` does not belong to one.
    pub(crate) fn on_run_judged(
        &mut self,
        now: Moment,
        peer: PeerKey,
        last: BlockId,
        verdict: Verdict,
        out: &mut Vec<Action>,
    ) -> bool {
        if !matches!(&self.headers.get(&peer), Some(HeaderSync { stage: Stage::Judging { last: of, .. }, .. }) if *of == last)
        {
            return false;
        }
        let Some(HeaderSync { stage: Stage::Judging { charge, rest, .. }, .. }) = self.headers.remove(&peer) else {
            return false;
        };
        self.settle(peer, charge, verdict);
        match verdict {
            Verdict::Accepted | Verdict::Known if !rest.headers.is_empty() => {
                self.submit_portion(now, peer, rest, out);
            }
            Verdict::Accepted | Verdict::Known if rest.is_full => self.ask_headers(now, peer, Some(last), out),
            // The locator reaches down to genesis, so an honest answer to it always connects.
            Verdict::Accepted | Verdict::Known | Verdict::UnknownParent => self.headers_end(peer, out),
            Verdict::Refused { points } => {
                self.headers_end(peer, out);
                self.punish(peer, Misbehavior::Refused(points), out);
            }
            Verdict::Later => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.headers_not_before = now.after_ms(LATER_MS);
                }
            }
        }
        true
    }

    /// Books what the verdict says about proofs that were paid for in advance.
    pub(crate) fn settle(&mut self, peer: PeerKey, charge: Charge, verdict: Verdict) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let strangers = self.strangers.of(state.link);
        match verdict {
            Verdict::Accepted => state.proofs.earn(strangers, charge),
            Verdict::Known | Verdict::UnknownParent | Verdict::Later => state.proofs.give_back(strangers, charge),
            Verdict::Refused { .. } => {}
        }
    }

    /// Asks someone else when a peer takes its time with headers and there is someone of its kind. That costs it no
    /// points: its line may be slow. Never answering does.
    pub(crate) fn replace_slow_headers(&mut self, now: Moment) {
        let is_slow =
            |sync: &HeaderSync| sync.asked().is_some_and(|since| now.ms_since(since) >= self.config.headers_stall_ms);
        let slow: Vec<_> =
            self.headers.iter().filter(|(_, sync)| is_slow(sync)).map(|(peer, sync)| (*peer, sync.link)).collect();
        for (peer, link) in slow {
            if self.has_other_source(now, peer, link) {
                self.headers.remove(&peer);
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.headers_not_before = now.after_ms(self.config.status_interval_ms);
                }
            }
        }
    }

    /// When a download would be given to someone else.
    pub(crate) fn headers_deadlines(&self) -> impl Iterator<Item = Moment> {
        self.headers.values().filter_map(|sync| Some(sync.asked()?.after_ms(self.config.headers_stall_ms)))
    }

    /// The peer has no more headers for the tip it claims. If they do not show the claimed work, that was a lie, or it
    /// changed its branch meanwhile.
    fn headers_end(&mut self, peer: PeerKey, out: &mut Vec<Action>) {
        self.headers.remove(&peer);
        let known = self.chain.best_header.work;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(claimed) = state.status.map(|status| status.tip) else { return };
        state.exhausted = Some(claimed.id);
        if claimed.work > known {
            self.punish(peer, Misbehavior::FalseClaim, out);
        }
    }
}

impl Peer {
    /// Takes the cost of one announced header; nothing when the budget does not cover it.
    pub(crate) fn pays_for_header(
        &mut self,
        now: Moment,
        strangers: &mut crate::proof_budget::StrangerBudget,
        header: &SealedHeader,
    ) -> Option<Charge> {
        let proof = std::iter::once(header.header.algorithm);
        let (count, charge) = self.proofs.charge(now, strangers, PORTION_US_MAX, proof);
        (count == 1).then_some(charge)
    }
}

fn is_chain(run: &[SealedHeader]) -> bool {
    run.iter().zip(run.iter().skip(1)).all(|(parent, child)| {
        child.header.parent_id == parent.id() && child.header.height.above(parent.header.height) == Some(1)
    })
}
