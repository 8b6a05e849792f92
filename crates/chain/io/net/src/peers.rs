use std::{collections::HashMap, time::Instant};

use bq_chain_api::{PeerInfo, PeerKind};
use bq_sync::{Endpoint, PeerKey, PeerReport};
use libp2p::{Multiaddr, PeerId};

/// Who is connected. The state machine knows peers by number, libp2p by public key.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    by_id: HashMap<PeerId, Connected>,
    by_key: HashMap<PeerKey, PeerId>,
    next_key: u64,
}

/// One connected peer.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    pub(crate) key: PeerKey,
    pub(crate) address: Multiaddr,
    pub(crate) is_inbound: bool,
    pub(crate) kind: PeerKind,
    /// When it was asked for addresses last: not before its status showed that it follows our chain.
    pub(crate) asked_addresses: Option<Instant>,
    /// Where it says it takes connections itself, if it connected to us.
    pub(crate) told: Option<Endpoint>,
    pub(crate) agent: String,
    pub(crate) since: Instant,
    /// We closed the connection because of what it did.
    pub(crate) is_cut_off: bool,
}

/// A peer as the handle shows it: all but the time, which passes.
#[derive(Clone, Debug)]
pub(crate) struct PeerSnapshot {
    pub(crate) info: PeerInfo,
    pub(crate) since: Instant,
}

impl Peers {
    pub(crate) fn connect(&mut self, id: PeerId, address: Multiaddr, kind: PeerKind, since: Instant) -> PeerKey {
        let key = PeerKey(self.next_key);
        self.next_key = self.next_key.saturating_add(1);
        let peer = Connected {
            key,
            address,
            is_inbound: kind == PeerKind::Inbound,
            kind,
            asked_addresses: None,
            told: None,
            agent: String::new(),
            since,
            is_cut_off: false,
        };
        self.by_id.insert(id, peer);
        self.by_key.insert(key, id);
        key
    }

    pub(crate) fn disconnect(&mut self, id: &PeerId) -> Option<Connected> {
        let peer = self.by_id.remove(id)?;
        self.by_key.remove(&peer.key);
        Some(peer)
    }

    pub(crate) fn id(&self, key: PeerKey) -> Option<PeerId> {
        self.by_key.get(&key).copied()
    }

    pub(crate) fn key(&self, id: &PeerId) -> Option<PeerKey> {
        self.by_id.get(id).map(|peer| peer.key)
    }

    pub(crate) fn get_mut(&mut self, id: &PeerId) -> Option<&mut Connected> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Everybody.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connected> {
        self.by_id.values()
    }

    /// One peer.
    pub(crate) fn get(&self, key: PeerKey) -> Option<&Connected> {
        self.by_id.get(self.by_key.get(&key)?)
    }

    /// How many connected to us, and how many we connected to.
    pub(crate) fn counts(&self) -> (u32, u32) {
        let count = |inbound| self.by_id.values().filter(|peer| peer.is_inbound == inbound).count();
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (small(count(true)), small(count(false)))
    }

    /// The public picture, longest connected first.
    pub(crate) fn snapshot(&self, reports: &[PeerReport]) -> Vec<PeerSnapshot> {
        let of = |report: &PeerReport| {
            let id = self.by_key.get(&report.key)?;
            let peer = self.by_id.get(id)?;
            let info = PeerInfo {
                id: id.to_string(),
                address: peer.address.to_string(),
                is_inbound: peer.is_inbound,
                kind: peer.kind,
                agent: peer.agent.clone(),
                connected_secs: 0,
                height: report.tip.map(|tip| tip.height),
                misbehavior: report.points,
            };
            Some(PeerSnapshot { info, since: peer.since })
        };
        reports.iter().filter_map(of).collect()
    }
}
