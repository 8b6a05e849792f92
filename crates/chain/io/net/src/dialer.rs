use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::PeerAddress;

const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// An address that leads back to ourselves is not tried again soon.
const BACKOFF_SELF: Duration = Duration::from_secs(3600);
/// The most addresses to keep connected.
pub(crate) const TARGETS_MAX: usize = 64;

/// The addresses to stay connected to, and when to try each again. Reads no clock and opens no socket.
#[derive(Debug, Default)]
pub(crate) struct Dialer {
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    address: PeerAddress,
    state: State,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Instant),
    Resolving,
    Dialing(ConnectionId),
    Connected(PeerId),
}

/// Which target; stays valid, as targets are never removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TargetIndex(usize);

/// The outcome of a name lookup.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) target: TargetIndex,
    pub(crate) address: Option<Multiaddr>,
}

impl Dialer {
    /// Adds an address to be tried at once; `false` when the list is full.
    pub(crate) fn add(&mut self, now: Instant, address: PeerAddress) -> bool {
        if self.targets.iter().any(|target| target.address == address) {
            return true;
        }
        if self.targets.len() >= TARGETS_MAX {
            return false;
        }
        self.targets.push(Target { address, state: State::Waiting(now), failures: 0 });
        true
    }

    /// The addresses whose time has come; they count as being looked up from now on.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(TargetIndex, PeerAddress)> {
        let is_due = |target: &Target| matches!(target.state, State::Waiting(when) if when <= now);
        let due = self.targets.iter_mut().enumerate().filter(|(_, target)| is_due(target));
        due.map(|(index, target)| {
            target.state = State::Resolving;
            (TargetIndex(index), target.address.clone())
        })
        .collect()
    }

    /// When the next address is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let waiting = |target: &Target| match target.state {
            State::Waiting(when) => Some(when),
            State::Resolving | State::Dialing(_) | State::Connected(_) => None,
        };
        self.targets.iter().filter_map(waiting).min()
    }

    pub(crate) fn dialing(&mut self, target: TargetIndex, connection: ConnectionId) {
        if let Some(target) = self.targets.get_mut(target.0) {
            target.state = State::Dialing(connection);
        }
    }

    /// The name was not found or the dial could not start.
    pub(crate) fn not_dialed(&mut self, now: Instant, target: TargetIndex) {
        if let Some(target) = self.targets.get_mut(target.0) {
            target.fail(now);
        }
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(target) = self.dialed(connection) {
            target.state = State::Connected(peer);
        }
    }

    /// `is_self`: the address turned out to be our own.
    pub(crate) fn failed(&mut self, now: Instant, connection: ConnectionId, is_self: bool) {
        if let Some(target) = self.dialed(connection) {
            target.fail(now);
            if is_self {
                target.state = State::Waiting(now + BACKOFF_SELF);
            }
        }
    }

    /// The last connection to `peer` is gone. A peer that stayed a while is tried again soon; one that was cut off, or
    /// cut us off at once, is waited for longer each time.
    pub(crate) fn disconnected(&mut self, now: Instant, peer: PeerId, was_useful: bool) {
        for target in &mut self.targets {
            if target.state == State::Connected(peer) {
                if was_useful {
                    target.failures = 0;
                }
                target.fail(now);
            }
        }
    }

    fn dialed(&mut self, connection: ConnectionId) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.state == State::Dialing(connection))
    }
}

impl Target {
    fn fail(&mut self, now: Instant) {
        let backoff = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting(now + backoff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over_after_a_good_connection() {
        let start = Instant::now();
        let mut dialer = Dialer::default();
        assert!(dialer.add(start, "127.0.0.1:1".parse().unwrap()));
        let mut now = start;
        let mut waits = Vec::new();
        for serial in 0..10 {
            let due = dialer.due(now);
            assert_eq!(due.len(), 1);
            assert_eq!(dialer.due(now).len(), 0, "a lookup runs once");
            let connection = ConnectionId::new_unchecked(serial);
            dialer.dialing(due[0].0, connection);
            dialer.failed(now, connection, false);
            let next = dialer.next_due().unwrap();
            waits.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        let target = dialer.due(now)[0].0;
        let (connection, peer) = (ConnectionId::new_unchecked(99), PeerId::random());
        dialer.dialing(target, connection);
        dialer.connected(connection, peer);
        assert_eq!(dialer.next_due(), None);
        dialer.disconnected(now, peer, true);
        assert_eq!(dialer.next_due(), Some(now + BACKOFF_FIRST));
    }

    #[test]
    fn the_list_is_bounded_and_holds_each_address_once() {
        let now = Instant::now();
        let mut dialer = Dialer::default();
        for port in 1..=TARGETS_MAX {
            assert!(dialer.add(now, format!("127.0.0.1:{port}").parse().unwrap()));
        }
        assert!(dialer.add(now, "127.0.0.1:1".parse().unwrap()));
        assert!(!dialer.add(now, "127.0.0.1:9999".parse().unwrap()));
        assert_eq!(dialer.due(now).len(), TARGETS_MAX);
    }
}
