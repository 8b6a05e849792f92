use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::bans::Peer;

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

#[cfg(test)]
mod tests {
    use super::*;

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
