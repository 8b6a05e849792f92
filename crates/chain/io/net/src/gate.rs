use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io,
    net::IpAddr,
    task::{Context, Poll},
};

use bq_primitives::Timestamp;
use bq_sync::{Bans, InboundLimits, InboundRefusal, InboundSlots, NetGroup};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};

use crate::{address::ip_of, clock::wall, metrics::Metrics};

/// Decides about connections that others open, before anything is computed for them: who is shut out, and how many places
/// an address and a network group get. It has no say in the connections that we open.
#[derive(Debug)]
pub(crate) struct Gate {
    slots: InboundSlots<ConnectionId>,
    exempt_loopback: bool,
    bans: Bans,
    /// Established connections of others, to be found when they lose their place.
    peers: HashMap<ConnectionId, PeerId>,
    closing: VecDeque<(PeerId, ConnectionId)>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("it misbehaved before")]
    Banned,
    #[error(transparent)]
    Slots(#[from] InboundRefusal),
    #[error("its place was given to another")]
    Displaced,
    #[error("it has no address")]
    NoAddress,
}

impl Refusal {
    /// The label used in metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Slots(InboundRefusal::PerIp(_)) => "per_address",
            Self::Slots(InboundRefusal::PerGroup(_)) => "per_group",
            Self::Slots(InboundRefusal::Full(_)) => "full",
            Self::Displaced => "displaced",
            Self::NoAddress => "no_address",
        }
    }

    fn deny(self) -> ConnectionDenied {
        Metrics::refused(self.name());
        ConnectionDenied::new(io::Error::other(self))
    }
}

impl Gate {
    pub(crate) fn new(limits: InboundLimits, bans: Bans) -> Self {
        Self {
            slots: InboundSlots::new(limits),
            exempt_loopback: limits.exempt_loopback,
            bans,
            peers: HashMap::new(),
            closing: VecDeque::new(),
        }
    }

    pub(crate) const fn bans(&self) -> &Bans {
        &self.bans
    }

    /// Shuts an address out; `false` if it is one that is never shut out.
    pub(crate) fn ban(&mut self, ip: IpAddr, until: Timestamp) -> bool {
        if self.exempt_loopback && NetGroup::of(ip) == NetGroup::Loopback {
            return false;
        }
        self.bans.ban(ip, until);
        true
    }

    pub(crate) fn expire_bans(&mut self, now: Timestamp) {
        self.bans.expire(now);
    }

    fn admit(&mut self, connection: ConnectionId, address: &Multiaddr) -> Result<(), Refusal> {
        let ip = ip_of(address).ok_or(Refusal::NoAddress)?;
        if self.bans.holds(wall(), ip) {
            return Err(Refusal::Banned);
        }
        // One that is displaced while it is half open is turned away when it is established.
        if let Some(displaced) = self.slots.admit(connection, ip)?
            && let Some(peer) = self.peers.remove(&displaced)
        {
            Metrics::refused(Refusal::Displaced.name());
            self.closing.push_back((peer, displaced));
        }
        Ok(())
    }

    fn release(&mut self, connection: ConnectionId) {
        self.slots.release(&connection);
        self.peers.remove(&connection);
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.admit(connection, remote).map_err(Refusal::deny)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.slots.holds(&connection) {
            return Err(Refusal::Displaced.deny());
        }
        self.peers.insert(connection, peer);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.release(connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Filled only while the swarm handles a connection, after which it polls again.
        self.closing.pop_front().map_or(Poll::Pending, |(peer_id, connection)| {
            Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        format!("/ip4/{text}/tcp/40000").parse().unwrap()
    }

    fn pending(gate: &mut Gate, number: usize, ip: &str) -> Result<(), ConnectionDenied> {
        let local = address("192.0.2.1");
        gate.handle_pending_inbound_connection(ConnectionId::new_unchecked(number), &local, &address(ip))
    }

    #[test]
    fn the_banned_are_refused_before_the_handshake_and_loopback_never_is() {
        let mut gate = Gate::new(InboundLimits::new(64), Bans::default());
        let until = Timestamp(wall().0 + 1000);
        assert!(gate.ban("203.0.113.5".parse().unwrap(), until));
        assert!(!gate.ban("127.0.0.1".parse().unwrap(), until));
        assert!(pending(&mut gate, 1, "203.0.113.5").is_err());
        assert!(pending(&mut gate, 2, "203.0.113.6").is_ok());
        assert!(pending(&mut gate, 3, "127.0.0.1").is_ok());
    }

    #[test]
    fn a_place_is_free_again_when_a_connection_fails_or_closes() {
        let mut gate = Gate::new(InboundLimits::new(64), Bans::default());
        assert!(pending(&mut gate, 1, "203.0.113.5").is_ok() && pending(&mut gate, 2, "203.0.113.5").is_ok());
        assert!(pending(&mut gate, 3, "203.0.113.5").is_err());
        gate.release(ConnectionId::new_unchecked(1));
        assert!(pending(&mut gate, 4, "203.0.113.5").is_ok());
    }

    #[test]
    fn who_lost_its_place_is_closed_or_never_let_in() {
        let mut gate = Gate::new(InboundLimits { total: 2, ..InboundLimits::new(2) }, Bans::default());
        assert!(pending(&mut gate, 1, "203.0.113.5").is_ok() && pending(&mut gate, 2, "203.0.113.6").is_ok());
        let (peer, local) = (PeerId::random(), address("192.0.2.1"));
        let establish = |gate: &mut Gate, number: usize| {
            let remote = address("203.0.113.6");
            gate.handle_established_inbound_connection(ConnectionId::new_unchecked(number), peer, &local, &remote)
        };
        assert!(pending(&mut gate, 3, "198.51.100.1").is_ok());
        assert!(establish(&mut gate, 2).is_err(), "half open, displaced");
        assert!(establish(&mut gate, 1).is_ok());
        let mut gate = Gate::new(InboundLimits { total: 2, ..InboundLimits::new(2) }, Bans::default());
        assert!(pending(&mut gate, 1, "203.0.113.5").is_ok() && pending(&mut gate, 2, "203.0.113.6").is_ok());
        assert!(establish(&mut gate, 1).is_ok() && establish(&mut gate, 2).is_ok());
        assert!(pending(&mut gate, 3, "198.51.100.1").is_ok());
        assert_eq!(gate.closing, [(peer, ConnectionId::new_unchecked(2))]);
    }
}
