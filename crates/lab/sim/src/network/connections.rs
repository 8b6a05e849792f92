use bq_sync::{DisconnectReason, PeerKey};

use super::{
    links::BACKOFF_MS,
    measure::CutOff,
    world::{Event, Packet, World},
};

/// How long a node that was cut off for a lie is refused (as `bq-net` does it).
const REFUSAL_MS: u64 = 3_600_000;

impl World<'_> {
    pub(super) fn cut_off(&mut self, by: usize, peer: PeerKey, reason: DisconnectReason) {
        let Some((whom, their)) = self.nodes[by].wires.remove(&peer) else { return };
        let is_refused = is_lie(reason);
        let refusal_ms = if is_refused { REFUSAL_MS } else { self.plan.pause_ms };
        self.nodes[by].refused.insert(whom, self.now.after_ms(refusal_ms));
        self.run.cut_offs.push(CutOff { by, whom, at_ms: self.now.0, reason, is_refused });
        self.send(by, peer, (whom, their), Packet::Reset);
        self.redial(by, whom);
    }

    /// One end notices that a connection is gone.
    pub(super) fn lose(&mut self, at: usize, on: PeerKey) {
        let Some((other, _)) = self.nodes[at].wires.remove(&on) else { return };
        let actions = self.nodes[at].core.peer_disconnected(self.now, on);
        self.act(at, actions);
        self.redial(at, other);
    }

    pub(super) fn redial(&mut self, a: usize, b: usize) {
        let nodes = [a.min(b), a.max(b)];
        if let Some(pair) = self.links.pairs.iter().position(|pair| pair.nodes == nodes) {
            self.dial_later(pair);
        }
    }

    pub(super) fn dial_later(&mut self, pair: usize) {
        let state = &mut self.links.pairs[pair];
        if state.is_dialing {
            return;
        }
        state.is_dialing = true;
        let pause_ms = state.backoff_ms;
        state.backoff_ms = (2 * pause_ms).min(BACKOFF_MS.1);
        let jitter_ms = self.faults.between(0, pause_ms / 4);
        self.later(pause_ms + jitter_ms, Event::Dial { pair });
    }

    pub(super) fn dial(&mut self, pair: usize) {
        self.links.pairs[pair].is_dialing = false;
        let [a, b] = self.links.pairs[pair].nodes;
        let refuses = |by: usize, whom: usize| self.nodes[by].refused.get(&whom).is_some_and(|end| *end > self.now);
        if self.links.is_cut(a, b, self.now.0) || refuses(a, b) || refuses(b, a) {
            self.dial_later(pair);
            return;
        }
        // What is left of an older connection is gone for good.
        for (at, other) in [(a, b), (b, a)] {
            let old = self.nodes[at].wires.iter().find(|(_, (to, _))| *to == other).map(|(on, _)| *on);
            if let Some(on) = old {
                self.nodes[at].wires.remove(&on);
                let actions = self.nodes[at].core.peer_disconnected(self.now, on);
                self.act(at, actions);
            }
        }
        self.links.pairs[pair].backoff_ms = BACKOFF_MS.0;
        let keys = [PeerKey(self.serial), PeerKey(self.serial + 1)];
        self.serial += 2;
        for (at, on, to) in [(a, keys[0], (b, keys[1])), (b, keys[1], (a, keys[0]))] {
            self.nodes[at].wires.insert(on, to);
        }
        let actions = self.nodes[a].core.peer_dialed(self.now, keys[0]);
        self.act(a, actions);
        let actions = self.nodes[b].core.peer_connected(self.now, keys[1]);
        self.act(b, actions);
    }

    pub(super) fn break_later(&mut self, pair: usize) {
        let after_ms = self.faults.exponential(1.0 / self.plan.link_life_ms as f64) as u64;
        self.later(after_ms, Event::Break { pair });
    }

    /// Both ends notice that a connection broke.
    pub(super) fn break_link(&mut self, pair: usize) {
        let [a, b] = self.links.pairs[pair].nodes;
        for (at, other) in [(a, b), (b, a)] {
            let on = self.nodes[at].wires.iter().find(|(_, (to, _))| *to == other).map(|(on, _)| *on);
            if let Some(on) = on {
                self.lose(at, on);
            }
        }
        self.break_later(pair);
    }
}

/// Whether only a liar does this. Silence is also what a broken line sounds like.
const fn is_lie(reason: DisconnectReason) -> bool {
    !matches!(reason, DisconnectReason::Misbehaved(misbehavior) if misbehavior.is_silence())
}
