use std::collections::BTreeMap;

use bq_primitives::Timestamp;

use super::{AddressBook, Endpoint, NetGroup};
use crate::Moment;

/// Between two dials, so that a start does not open everything at once.
const DIAL_EVERY_MS: u64 = 250;
/// Before the book is asked again when it had nobody.
const LOOK_EVERY_MS: u64 = 5_000;

/// How many connections are opened to addresses from the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundLimits {
    /// Connections to keep.
    pub automatic: usize,
    /// Between two probes of an address that is not known well.
    pub probe_every_ms: u64,
    /// Several peers on this machine are fine: whole networks run on it in tests.
    pub exempt_loopback: bool,
}

impl Default for OutboundLimits {
    /// Those of SPEC 9.2: eight, and a probe every two minutes.
    fn default() -> Self {
        Self { automatic: 8, probe_every_ms: 120_000, exempt_loopback: true }
    }
}

/// Why an address is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialRole {
    /// To stay connected.
    Keep,
    /// To learn whether a node is there; closed as soon as that is known.
    Probe,
}

/// An address to dial now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Where.
    pub endpoint: Endpoint,
    /// What for.
    pub role: DialRole,
}

/// The connections that this node opens by itself, at most one per network group, and whom to dial next: first the
/// anchors of the last run, then addresses from the book. Nobody who connects to us, however often, takes one of these
/// places or displaces who holds it.
#[derive(Clone, Debug)]
pub struct Outbound {
    limits: OutboundLimits,
    anchors: Vec<Endpoint>,
    links: BTreeMap<Endpoint, Dialed>,
    next_dial: Moment,
    next_probe: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Dialed {
    role: DialRole,
    /// Nothing while it is being dialled.
    connected: Option<Moment>,
}

impl Outbound {
    /// Nothing dialled yet.
    #[must_use]
    pub const fn new(now: Moment, limits: OutboundLimits, anchors: Vec<Endpoint>) -> Self {
        let next_probe = now.after_ms(limits.probe_every_ms);
        Self { limits, anchors, links: BTreeMap::new(), next_dial: now, next_probe }
    }

    /// Whom to dial, if anybody; it counts as being dialled from now on, and so does the attempt in the book. `is_usable`
    /// says no to who is shut out, connected otherwise, or in a group that is.
    pub fn next(
        &mut self,
        now: Moment,
        wall: Timestamp,
        draw: u64,
        book: &mut AddressBook,
        is_usable: impl Fn(&Endpoint) -> bool,
    ) -> Option<Dial> {
        let Some(role) = self.wanted(now) else {
            // The last probe is still under way.
            if self.next_probe <= now {
                self.next_probe = now.after_ms(LOOK_EVERY_MS);
            }
            return None;
        };
        let accept = |endpoint: &Endpoint| is_usable(endpoint) && self.is_free(endpoint);
        let found = match role {
            DialRole::Keep => {
                let anchor = self.anchors.iter().copied().find(accept);
                anchor.or_else(|| book.pick(wall, draw, accept))
            }
            DialRole::Probe => book.pick_unsure(wall, draw, accept),
        };
        let wait = if found.is_some() { DIAL_EVERY_MS } else { LOOK_EVERY_MS };
        match role {
            DialRole::Keep => self.next_dial = now.after_ms(wait),
            DialRole::Probe => self.next_probe = now.after_ms(self.limits.probe_every_ms.max(wait)),
        }
        let endpoint = found?;
        self.anchors.retain(|anchor| *anchor != endpoint);
        book.attempted(wall, &endpoint);
        self.links.insert(endpoint, Dialed { role, connected: None });
        Some(Dial { endpoint, role })
    }

    /// When to ask [`Outbound::next`] again.
    #[must_use]
    pub fn next_due(&self) -> Moment {
        if self.is_short() { self.next_dial.min(self.next_probe) } else { self.next_probe }
    }

    /// The dial succeeded; what it was for. Nothing for an address that was not dialled here.
    pub fn connected(&mut self, now: Moment, endpoint: &Endpoint) -> Option<DialRole> {
        let link = self.links.get_mut(endpoint)?;
        link.connected = Some(now);
        Some(link.role)
    }

    /// The book has new addresses: no need to wait until it is asked again.
    pub fn addresses_came(&mut self, now: Moment) {
        self.next_dial = self.next_dial.min(now);
    }

    /// What an address is connected, or being dialled, for.
    #[must_use]
    pub fn role(&self, endpoint: &Endpoint) -> Option<DialRole> {
        self.links.get(endpoint).map(|link| link.role)
    }

    /// The connection is closed, or the dial failed.
    pub fn closed(&mut self, endpoint: &Endpoint) {
        self.links.remove(endpoint);
    }

    /// The connections worth remembering over a restart: the oldest first, at most `max`.
    #[must_use]
    pub fn anchors(&self, max: usize) -> Vec<Endpoint> {
        let kept = |(endpoint, link): (&Endpoint, &Dialed)| {
            (link.role == DialRole::Keep).then_some(())?;
            Some((link.connected?, *endpoint))
        };
        let mut kept: Vec<_> = self.links.iter().filter_map(kept).collect();
        kept.sort_unstable();
        kept.into_iter().take(max).map(|(_, endpoint)| endpoint).collect()
    }

    fn wanted(&self, now: Moment) -> Option<DialRole> {
        if self.is_short() && self.next_dial <= now {
            return Some(DialRole::Keep);
        }
        let is_probing = self.links.values().any(|link| link.role == DialRole::Probe);
        (self.next_probe <= now && !is_probing).then_some(DialRole::Probe)
    }

    /// Whether there are fewer connections to keep than wanted.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.links.values().filter(|link| link.role == DialRole::Keep).count() < self.limits.automatic
    }

    fn is_free(&self, endpoint: &Endpoint) -> bool {
        let group = endpoint.group();
        let is_exempt = self.limits.exempt_loopback && group == NetGroup::Loopback;
        !self.links.contains_key(endpoint) && (is_exempt || self.links.keys().all(|link| link.group() != group))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::Scope;

    const WALL: Timestamp = Timestamp(1_800_000_000);

    fn at(a: u8, b: u8, d: u8) -> Endpoint {
        Endpoint::new(IpAddr::from([a, b, 0, d]), 8333).unwrap()
    }

    fn book_of(endpoints: impl IntoIterator<Item = Endpoint>) -> AddressBook {
        let mut book = AddressBook::new([1; 32], Scope::Routable);
        endpoints.into_iter().for_each(|endpoint| {
            book.learn(endpoint.group(), endpoint);
        });
        book
    }

    /// Dials whatever comes in the first minute.
    fn dials(outbound: &mut Outbound, book: &mut AddressBook, is_usable: impl Fn(&Endpoint) -> bool) -> Vec<Dial> {
        (0..240_u64).filter_map(|turn| outbound.next(Moment(turn * 250), WALL, turn * 77, book, &is_usable)).collect()
    }

    #[test]
    fn one_peer_per_group_and_no_more_than_wanted() {
        let mut book = book_of((1..=200).map(|d| at(66, 6, d)).chain((0..5).map(|b| at(20, b, 1))));
        let mut outbound = Outbound::new(Moment(0), OutboundLimits::default(), Vec::new());
        let dialled = dials(&mut outbound, &mut book, |_| true);
        let crowd = dialled.iter().filter(|dial| dial.endpoint.group() == NetGroup::V4([66, 6])).count();
        assert_eq!((crowd, dialled.len()), (1, 6));
        let mut book = book_of((0..100).map(|b| at(20, b, 1)));
        let mut outbound = Outbound::new(Moment(0), OutboundLimits::default(), Vec::new());
        assert_eq!(dials(&mut outbound, &mut book, |_| true).len(), 8);
    }

    #[test]
    fn anchors_come_first_and_the_oldest_links_become_the_next_ones() {
        let anchors = vec![at(90, 1, 1), at(91, 1, 1), at(92, 1, 1)];
        let mut book = book_of((0..100).map(|b| at(20, b, 1)));
        let mut outbound = Outbound::new(Moment(0), OutboundLimits::default(), anchors.clone());
        let shut_out = anchors[1];
        let dialled = dials(&mut outbound, &mut book, |endpoint| *endpoint != shut_out);
        assert_eq!([dialled[0].endpoint, dialled[1].endpoint], [anchors[0], anchors[2]]);
        assert_eq!(outbound.connected(Moment(9), &anchors[2]), Some(DialRole::Keep));
        assert_eq!(outbound.connected(Moment(8), &dialled[5].endpoint), Some(DialRole::Keep));
        assert_eq!(outbound.connected(Moment(8), &at(1, 1, 1)), None);
        assert_eq!(outbound.anchors(2), [dialled[5].endpoint, anchors[2]]);
        outbound.closed(&dialled[5].endpoint);
        assert_eq!(outbound.anchors(2), [anchors[2]]);
    }

    #[test]
    fn probes_go_on_when_all_places_are_taken_one_at_a_time() {
        let mut book = book_of((0..100).map(|b| at(20, b, 1)));
        let mut outbound = Outbound::new(Moment(0), OutboundLimits::default(), Vec::new());
        assert_eq!(dials(&mut outbound, &mut book, |_| true).len(), 8);
        let later = Moment(120_000);
        assert_eq!(outbound.next_due(), later);
        let probe = outbound.next(later, WALL, 5, &mut book, |_| true).unwrap();
        assert_eq!(probe.role, DialRole::Probe);
        assert_eq!(outbound.next(later.after_ms(500_000), WALL, 6, &mut book, |_| true), None, "one at a time");
        outbound.closed(&probe.endpoint);
        assert!(outbound.next(later.after_ms(600_000), WALL, 6, &mut book, |_| true).is_some());
    }
}
