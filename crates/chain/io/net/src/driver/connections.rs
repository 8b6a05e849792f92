//! Who is connected, who is refused, and whom to dial.
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use bq_chain_api::PeerKind;
use bq_primitives::Timestamp;
use bq_sync::{DisconnectReason, PeerKey};
use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};

use super::Driver;
use crate::{address::ip_of, clock::wall, dialer::Resolved, metrics::Metrics};

/// How long an address is refused whose peer went silent, unless liars are refused for less.
const SILENCE_PAUSE: Duration = Duration::from_secs(60);
/// A connection that held this long was worth having.
const USEFUL_AFTER: Duration = Duration::from_secs(30);

impl Driver {
    pub(super) fn on_connected(&mut self, peer: PeerId, address: Multiaddr, kind: PeerKind) {
        let now = Instant::now();
        let is_inbound = kind == PeerKind::Inbound;
        // The gate has seen those who connect to us.
        if !is_inbound && ip_of(&address).is_some_and(|ip| self.is_banned(ip)) {
            tracing::debug!(%peer, %address, "refused: it misbehaved before");
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        tracing::info!(%peer, %address, kind = kind.name(), "peer connected");
        let key = self.peers.connect(peer, address, kind, now);
        let now = self.now();
        let actions = if is_inbound { self.core.peer_connected(now, key) } else { self.core.peer_dialed(now, key) };
        self.act(actions);
        self.count_peers();
    }

    pub(super) fn on_disconnected(&mut self, peer: PeerId) {
        let now = Instant::now();
        let Some(gone) = self.peers.disconnect(&peer) else {
            self.dialer.disconnected(now, peer, false);
            return;
        };
        tracing::info!(%peer, "peer disconnected");
        let was_useful = !gone.is_cut_off && now.saturating_duration_since(gone.since) >= USEFUL_AFTER;
        self.dialer.disconnected(now, peer, was_useful);
        self.requests.retain(|_, (key, _)| *key != gone.key);
        let actions = self.core.peer_disconnected(self.now(), gone.key);
        self.act(actions);
        self.count_peers();
    }

    pub(super) fn count_peers(&self) {
        let (inbound, outbound) = self.peers.counts();
        Metrics::peers(inbound, outbound);
        self.api.set_peers(self.peers.len());
        self.publish_snapshot();
        self.published.count.send_replace(self.peers.len());
    }

    pub(super) fn publish_snapshot(&self) {
        self.published.peers.send_replace(self.peers.snapshot(&self.core.peers()));
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        tracing::debug!(%error, "dial failed");
        // An address that we listen on ourselves is not even dialled.
        let is_self = matches!(error, DialError::LocalPeerId { .. } | DialError::NoAddresses);
        self.book_dial_failed(connection, is_self);
        self.dialer.failed(Instant::now(), connection, is_self);
    }

    pub(super) fn dial_due(&mut self) {
        for (target, address) in self.dialer.due(Instant::now()) {
            let resolved = self.resolved.0.clone();
            tokio::spawn(async move {
                let address = address.resolve().await;
                // The driver is gone: so is the reason to dial.
                let _ = resolved.send(Resolved { target, address }).await;
            });
        }
    }

    pub(super) fn on_resolved(&mut self, Resolved { target, address }: Resolved) {
        let Some(address) = address else {
            self.dialer.not_dialed(Instant::now(), target);
            return;
        };
        let dial = DialOpts::unknown_peer_id().address(address).build();
        self.dialer.dialing(target, dial.connection_id());
        let connection = dial.connection_id();
        if let Err(error) = self.swarm.dial(dial) {
            self.on_dial_failed(connection, &error);
        }
    }

    pub(super) fn disconnect(&mut self, key: PeerKey, reason: DisconnectReason) {
        let Some(id) = self.peers.id(key) else { return };
        tracing::info!(peer = %id, %reason, "closing connection");
        let label = match reason {
            DisconnectReason::WrongNetwork => "wrong_network",
            DisconnectReason::WrongVersion { .. } => "wrong_version",
            DisconnectReason::Misbehaved(_) => "misbehaved",
        };
        Metrics::disconnected(label);
        let ip = self.peers.get_mut(&id).and_then(|peer| {
            peer.is_cut_off = true;
            ip_of(&peer.address)
        });
        match reason {
            DisconnectReason::Misbehaved(misbehavior) => {
                Metrics::cut_off(misbehavior.name());
                match ip {
                    Some(ip) if misbehavior.is_silence() => self.pause(ip),
                    Some(ip) => self.ban(ip),
                    None => {}
                }
            }
            DisconnectReason::WrongNetwork | DisconnectReason::WrongVersion { .. } => self.forget_address(&id),
        }
        let _ = self.swarm.disconnect_peer_id(id);
    }

    /// Refuses an address for a moment, so that others get their chance.
    fn pause(&mut self, ip: IpAddr) {
        let until = Timestamp(wall().0.saturating_add(self.ban.min(SILENCE_PAUSE).as_secs()));
        self.swarm.behaviour_mut().gate.ban(ip, until);
    }
}
