use std::{collections::BTreeMap, sync::Arc};

use bq_share::{Peer, UnixMs};
use parking_lot::Mutex;

/// Counts open connections, in all and by peer.
#[derive(Debug)]
pub(crate) struct Limits {
    connections_max: usize,
    per_peer_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_peer: BTreeMap<Peer, usize>,
}

/// A place among the open connections; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limits: Arc<Limits>,
    peer: Option<Peer>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Server,
    Peer,
}

impl Limits {
    pub(crate) fn new(connections_max: usize, per_peer_max: usize) -> Self {
        Self { connections_max, per_peer_max, counts: Mutex::new(Counts::default()) }
    }

    /// Takes a place for `peer`; a trusted one has no peer to be counted for.
    pub(crate) fn take(self: &Arc<Self>, peer: Option<Peer>) -> Result<Place, Full> {
        let mut counts = self.counts.lock();
        if counts.total >= self.connections_max {
            return Err(Full::Server);
        }
        if let Some(peer) = peer {
            let count = counts.by_peer.entry(peer).or_default();
            if *count >= self.per_peer_max {
                return Err(Full::Peer);
            }
            *count += 1;
        }
        counts.total += 1;
        Ok(Place { limits: Arc::clone(self), peer })
    }

    pub(crate) fn total(&self) -> usize {
        self.counts.lock().total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limits.counts.lock();
        counts.total -= 1;
        if let Some(peer) = self.peer
            && let Some(count) = counts.by_peer.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_peer.remove(&peer);
            }
        }
    }
}

/// How fast peers may open connections: a token bucket for each peer that has used some.
#[derive(Debug)]
pub(crate) struct AcceptRate {
    per_second: u64,
    /// Thousandths of a connection spent, and when that was counted.
    spent: BTreeMap<Peer, (u64, UnixMs)>,
}

/// Seconds' worth of connections that may come at once: part of what the setting of the rate means.
const BURST_SECONDS: u64 = 10;
/// Peers kept track of; those whose bucket is full again are dropped first. More than can be open at once by default, some MiB; a peer
/// that is forgotten early only gets its burst again.
const ACCEPT_PEERS_MAX: usize = 65_536;

impl AcceptRate {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: u64::from(per_second), spent: BTreeMap::new() }
    }

    /// Counts a new connection; false if it is one too many.
    pub(crate) fn allow(&mut self, now: UnixMs, peer: Peer) -> bool {
        if self.spent.len() >= ACCEPT_PEERS_MAX {
            let per_second = self.per_second;
            self.spent.retain(|_, (spent, at)| *spent > now.ms_since(*at).saturating_mul(per_second));
            if self.spent.len() >= ACCEPT_PEERS_MAX {
                self.spent.pop_first();
            }
        }
        let (spent, at) = self.spent.entry(peer).or_insert((0, now));
        let after = spent.saturating_sub(now.ms_since(*at).saturating_mul(self.per_second)) + 1000;
        if after > self.per_second * BURST_SECONDS * 1000 {
            return false;
        }
        (*spent, *at) = (after, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut rate = AcceptRate::new(2);
        let peer = |n: u8| Peer::of([192, 0, 2, n].into());
        let opened = |rate: &mut AcceptRate, at| (0..100).filter(|_| rate.allow(UnixMs(at), peer(1))).count();
        assert_eq!(opened(&mut rate, 0), 20);
        assert_eq!(opened(&mut rate, 999), 1);
        assert_eq!(opened(&mut rate, 2_000), 3, "two a second: four in all since the burst");
        assert!(rate.allow(UnixMs(2_000), peer(2)));
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let limits = Arc::new(Limits::new(3, 2));
        let peer = |n: u8| Some(Peer::of([192, 0, 2, n].into()));
        let first = limits.take(peer(1)).unwrap();
        let _second = limits.take(peer(1)).unwrap();
        assert_eq!(limits.take(peer(1)).unwrap_err(), Full::Peer);
        let _third = limits.take(None).unwrap();
        assert_eq!(limits.take(peer(2)).unwrap_err(), Full::Server);
        drop(first);
        assert_eq!(limits.total(), 2);
        assert!(limits.take(peer(1)).is_ok());
        assert_eq!(limits.counts.lock().by_peer.len(), 1);
    }
}
