//! Who may be connected: so many in all, from one address, and from one subnet; whoever proved nothing makes room.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bq_share::{Peer, Subnet};
use parking_lot::Mutex;

use crate::mailbox::Mailbox;

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    /// In all.
    pub total: usize,
    /// From one peer.
    pub per_peer: usize,
    /// From one subnet.
    pub per_subnet: usize,
}

/// Counts open connections, and knows which of them may be asked to leave.
#[derive(Debug)]
pub(crate) struct Places {
    limits: PlaceLimits,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Places that are taken.
    total: usize,
    connections: usize,
    by_peer: BTreeMap<Peer, Group>,
    by_subnet: BTreeMap<Subnet, Group>,
    /// Subnets with connections that may be asked to leave, those with most of them last; of equals the one last whose turn came first.
    most_unproven: BTreeSet<(usize, Reverse<Seniority>, Subnet)>,
    opened: u64,
}

#[derive(Debug, Default)]
struct Group {
    count: usize,
    unproven: BTreeMap<Seniority, Arc<Seat>>,
}

/// In which order those that proved nothing leave: first who has not logged in, then who has; of both who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seniority {
    has_logged_in: bool,
    opened: u64,
}

/// Where a connection sits, for whoever may have to ask it to leave.
#[derive(Debug)]
pub(crate) struct Seat {
    peer: Option<Peer>,
    opened: u64,
    /// Places that it takes; changed under the lock alone.
    width: AtomicUsize,
    leaves: OnceLock<Leave>,
    /// Rung when it has to leave, too: one thing to wait for.
    mailbox: Arc<Mailbox>,
}

/// Why a connection is asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Others want the place of one that proved nothing.
    MadeRoom,
    /// The token that let it in was taken back, or its address locked.
    Revoked,
    /// Its peer was banned.
    Banned,
}

impl Leave {
    /// The label used in metrics and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MadeRoom => "made_room",
            Self::Revoked => "revoked",
            Self::Banned => "banned",
        }
    }
}

/// A place among the open connections; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    seat: Arc<Seat>,
    standing: Standing,
}

/// What a connection has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Stranger,
    LoggedIn,
    /// A share of it was accepted: it is not asked to leave.
    Proven,
}

/// Which limit was reached, with nobody who would make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Server,
    Peer,
    Subnet,
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits) -> Self {
        Self { limits, inner: Mutex::default() }
    }

    /// Takes a place for `peer`; a trusted one has no peer to be counted for. Where a limit is reached, one that proved nothing
    /// leaves: of the same peer or subnet if that is what is full, else of the subnet that has most of those.
    pub(crate) fn take(self: &Arc<Self>, peer: Option<Peer>) -> Result<Place, Full> {
        let mut inner = self.inner.lock();
        self.make_room(&mut inner, peer)?;
        inner.opened += 1;
        let (opened, width) = (inner.opened, AtomicUsize::new(1));
        let seat = Arc::new(Seat { peer, opened, width, leaves: OnceLock::new(), mailbox: Arc::default() });
        inner.count(&seat, 1);
        inner.connections += 1;
        inner.list(&seat, Standing::Stranger);
        Ok(Place { places: Arc::clone(self), seat, standing: Standing::Stranger })
    }

    /// Where a limit is reached that one more of `peer` would break, somebody has to go.
    fn make_room(&self, inner: &mut Inner, peer: Option<Peer>) -> Result<(), Full> {
        if let Some(peer) = peer {
            let subnet = peer.subnet();
            let is_full = |group: Option<&Group>, max| group.is_some_and(|group| group.count >= max);
            if is_full(inner.by_peer.get(&peer), self.limits.per_peer) {
                let seat = inner.by_peer.get(&peer).and_then(Group::first_to_leave).ok_or(Full::Peer)?;
                inner.dismiss(&seat, Leave::MadeRoom);
            }
            if is_full(inner.by_subnet.get(&subnet), self.limits.per_subnet) {
                let seat = inner.by_subnet.get(&subnet).and_then(Group::first_to_leave).ok_or(Full::Subnet)?;
                inner.dismiss(&seat, Leave::MadeRoom);
            }
        }
        if inner.total >= self.limits.total {
            let seat = inner.largest_crowd().ok_or(Full::Server)?;
            inner.dismiss(&seat, Leave::MadeRoom);
        }
        Ok(())
    }

    /// Open connections; each may take several places.
    pub(crate) fn connections(&self) -> usize {
        self.inner.lock().connections
    }

    /// Asks a connection to leave, whatever it has shown.
    pub(crate) fn end(&self, seat: &Arc<Seat>, why: Leave) {
        let mut inner = self.inner.lock();
        if seat.leaves.get().is_none() {
            inner.dismiss(seat, why);
        }
    }
}

impl Inner {
    fn count(&mut self, seat: &Seat, by: isize) {
        self.total = self.total.saturating_add_signed(by);
        let Some(peer) = seat.peer else { return };
        let subnet = peer.subnet();
        let of_peer = self.by_peer.entry(peer).or_default();
        of_peer.count = of_peer.count.saturating_add_signed(by);
        if of_peer.count == 0 {
            self.by_peer.remove(&peer);
        }
        let of_subnet = self.by_subnet.entry(subnet).or_default();
        of_subnet.count = of_subnet.count.saturating_add_signed(by);
        if of_subnet.count == 0 {
            self.by_subnet.remove(&subnet);
        }
    }

    /// Enters a connection among those that may be asked to leave, or takes it off.
    fn list(&mut self, seat: &Arc<Seat>, standing: Standing) {
        self.change_list(seat, |unproven, seat| {
            if let Some(seniority) = seat.seniority(standing) {
                unproven.insert(seniority, Arc::clone(seat));
            }
        });
    }

    fn unlist(&mut self, seat: &Arc<Seat>, standing: Standing) {
        self.change_list(seat, |unproven, seat| {
            if let Some(seniority) = seat.seniority(standing) {
                unproven.remove(&seniority);
            }
        });
    }

    fn change_list(&mut self, seat: &Arc<Seat>, change: impl Fn(&mut BTreeMap<Seniority, Arc<Seat>>, &Arc<Seat>)) {
        let Some(peer) = seat.peer else { return };
        if let Some(group) = self.by_peer.get_mut(&peer) {
            change(&mut group.unproven, seat);
        }
        let subnet = peer.subnet();
        if let Some(group) = self.by_subnet.get_mut(&subnet) {
            if let Some(rank) = group.rank(subnet) {
                self.most_unproven.remove(&rank);
            }
            change(&mut group.unproven, seat);
            self.most_unproven.extend(group.rank(subnet));
        }
    }

    fn largest_crowd(&self) -> Option<Arc<Seat>> {
        let (.., subnet) = self.most_unproven.last()?;
        self.by_subnet.get(subnet).and_then(Group::first_to_leave)
    }

    /// Gives back all places of a connection.
    fn leave(&mut self, seat: &Seat) {
        self.count(seat, -seat.width.load(Ordering::Relaxed).cast_signed());
        self.connections -= 1;
    }

    /// The place is free at once; its connection ends as soon as its task runs.
    fn dismiss(&mut self, seat: &Arc<Seat>, why: Leave) {
        self.unlist(seat, Standing::Stranger);
        self.unlist(seat, Standing::LoggedIn);
        self.leave(seat);
        // Only who is on no list yet is dismissed, under the lock: it is the first reason.
        let _first = seat.leaves.set(why);
        seat.mailbox.ring();
    }
}

impl Group {
    /// Where a subnet stands in [`Inner::most_unproven`].
    fn rank(&self, subnet: Subnet) -> Option<(usize, Reverse<Seniority>, Subnet)> {
        self.unproven.first_key_value().map(|(first, _)| (self.unproven.len(), Reverse(*first), subnet))
    }

    fn first_to_leave(&self) -> Option<Arc<Seat>> {
        self.unproven.first_key_value().map(|(_, seat)| Arc::clone(seat))
    }
}

impl Seat {
    const fn seniority(&self, standing: Standing) -> Option<Seniority> {
        match standing {
            Standing::Stranger => Some(Seniority { has_logged_in: false, opened: self.opened }),
            Standing::LoggedIn => Some(Seniority { has_logged_in: true, opened: self.opened }),
            Standing::Proven => None,
        }
    }
}

impl Place {
    /// The connection has shown more than before; less is never taken back. False if it is not more.
    pub(crate) fn rise(&mut self, standing: Standing) -> bool {
        if standing <= self.standing {
            return false;
        }
        let mut inner = self.places.inner.lock();
        // Who was asked to leave is on no list any more.
        if self.seat.leaves.get().is_none() {
            inner.unlist(&self.seat, self.standing);
            inner.list(&self.seat, standing);
        }
        self.standing = standing;
        true
    }

    /// Why the connection has to leave, if it has to.
    pub(crate) fn is_wanted(&self) -> Option<Leave> {
        self.seat.leaves.get().copied()
    }

    /// Takes one more place for the same connection.
    pub(crate) fn widen(&mut self) -> Result<(), Full> {
        let mut inner = self.places.inner.lock();
        self.places.make_room(&mut inner, self.seat.peer)?;
        // Who would have to make room for himself has none.
        if self.seat.leaves.get().is_some() {
            return Err(Full::Peer);
        }
        inner.count(&self.seat, 1);
        self.seat.width.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Gives one of several places back.
    pub(crate) fn narrow(&mut self) {
        let mut inner = self.places.inner.lock();
        if self.seat.leaves.get().is_none() && self.seat.width.load(Ordering::Relaxed) > 1 {
            self.seat.width.fetch_sub(1, Ordering::Relaxed);
            inner.count(&self.seat, -1);
        }
    }

    /// Returns once the connection has to leave.
    pub(crate) async fn wanted(&self) -> Leave {
        loop {
            if let Some(why) = self.is_wanted() {
                return why;
            }
            self.seat.mailbox.rung().await;
        }
    }

    /// For [`Places::end`].
    pub(crate) const fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Where the connection's answers come, and the bell that is rung for them and when the place is needed.
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.seat.mailbox
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.places.inner.lock();
        if self.seat.leaves.get().is_none() {
            inner.unlist(&self.seat, self.standing);
            inner.leave(&self.seat);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(subnet: u8, host: u8) -> Option<Peer> {
        Some(Peer::of(Ipv4Addr::new(198, 51, subnet, host).into()))
    }

    fn places(total: usize, per_peer: usize, per_subnet: usize) -> Arc<Places> {
        Arc::new(Places::new(PlaceLimits { total, per_peer, per_subnet }))
    }

    fn leaves(place: &Place) -> bool {
        place.seat.leaves.get().is_some()
    }

    fn proven(places: &Arc<Places>, peer: Option<Peer>) -> Place {
        let mut place = places.take(peer).unwrap();
        place.rise(Standing::Proven);
        place
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let places = places(4, 2, 3);
        let first = proven(&places, peer(1, 1));
        let _second = proven(&places, peer(1, 1));
        assert_eq!(places.take(peer(1, 1)).unwrap_err(), Full::Peer);
        let _third = proven(&places, peer(1, 2));
        assert_eq!(places.take(peer(1, 3)).unwrap_err(), Full::Subnet);
        let mut trusted = places.take(None).unwrap();
        trusted.rise(Standing::Proven);
        assert_eq!(places.take(peer(2, 1)).unwrap_err(), Full::Server);
        drop(first);
        assert_eq!(places.connections(), 3);
        assert!(places.take(peer(1, 1)).is_ok());
        let inner = places.inner.lock();
        assert_eq!((inner.by_peer.len(), inner.by_subnet.len()), (2, 1));
    }

    #[test]
    fn who_proved_nothing_makes_room_where_it_is_full() {
        let places = places(100, 2, 3);
        let mut first = places.take(peer(1, 1)).unwrap();
        first.rise(Standing::LoggedIn);
        let second = places.take(peer(1, 1)).unwrap();
        let third = places.take(peer(1, 1)).unwrap();
        assert!(leaves(&second) && !leaves(&first), "who has not logged in goes first");
        let fourth = places.take(peer(1, 1)).unwrap();
        assert!(leaves(&third) && !leaves(&first));
        drop((second, third));
        assert_eq!(places.connections(), 2, "a place is given back once");
        let _other = places.take(peer(1, 2)).unwrap();
        let _another = places.take(peer(1, 3)).unwrap();
        assert!(leaves(&fourth), "of the same subnet");
    }

    #[test]
    fn a_crowd_from_one_subnet_makes_room_for_others_and_nobody_else_does() {
        let places = places(50, 50, 50);
        let rare: Vec<Place> = (0..5).map(|subnet| places.take(peer(subnet, 1)).unwrap()).collect();
        let crowd: Vec<Place> = (0..45).map(|host| places.take(peer(200, host)).unwrap()).collect();
        let mut proven = places.take(peer(100, 1)).unwrap();
        proven.rise(Standing::Proven);
        let more: Vec<Place> = (0..100).map(|host| places.take(peer(200, host)).unwrap()).collect();
        assert!(rare.iter().all(|place| !leaves(place)) && !leaves(&proven));
        assert!(crowd.iter().all(leaves), "those that came first go first");
        assert_eq!((places.connections(), more.iter().filter(|place| !leaves(place)).count()), (50, 44));
        drop((crowd, more, rare, proven));
        let inner = places.inner.lock();
        assert_eq!((inner.total, inner.by_peer.len(), inner.by_subnet.len(), inner.most_unproven.len()), (0, 0, 0, 0));
    }

    /// A flood of one connection for each subnet that came first does not keep its places by throwing newcomers at each other.
    #[test]
    fn of_subnets_with_equally_many_the_oldest_connection_leaves() {
        let places = places(10, 10, 10);
        let flood: Vec<Place> = (100..110).rev().map(|subnet| places.take(peer(subnet, 1)).unwrap()).collect();
        let newcomers: Vec<Place> = (0..10).chain(200..210).map(|subnet| places.take(peer(subnet, 1)).unwrap()).collect();
        assert!(flood.iter().all(leaves));
        let gone: Vec<bool> = newcomers.iter().map(leaves).collect();
        assert_eq!(gone, [[true; 10], [false; 10]].concat());
    }

    #[test]
    fn also_the_proven_can_be_asked_to_leave_once() {
        let places = places(10, 10, 10);
        let first = proven(&places, peer(1, 1));
        places.end(first.seat(), Leave::Revoked);
        places.end(first.seat(), Leave::Banned);
        assert_eq!((places.connections(), first.seat.leaves.get()), (0, Some(&Leave::Revoked)));
        drop(first);
        assert_eq!((places.connections(), places.inner.lock().total), (0, 0));
    }

    #[test]
    fn a_connection_may_take_several_places_and_gives_all_of_them_back() {
        let places = places(5, 4, 5);
        let mut wide = proven(&places, peer(1, 1));
        let stranger = places.take(peer(1, 1)).unwrap();
        assert!((0..2).all(|_| wide.widen().is_ok()) && !leaves(&stranger));
        assert!(wide.widen().is_ok() && leaves(&stranger), "who proved nothing makes room for a channel too");
        assert_eq!(wide.widen(), Err(Full::Peer));
        drop(stranger);
        let _other = proven(&places, peer(1, 2));
        assert_eq!(places.take(peer(1, 3)).unwrap_err(), Full::Subnet);
        wide.narrow();
        assert!(places.take(peer(1, 3)).is_ok());
        assert_eq!((places.connections(), places.inner.lock().total), (2, 4));
        drop(wide);
        assert_eq!((places.connections(), places.inner.lock().total), (1, 1));
    }

    #[test]
    fn who_would_have_to_make_room_for_himself_leaves_with_all_his_places() {
        let places = places(10, 3, 10);
        let mut wide = places.take(peer(1, 1)).unwrap();
        assert!(wide.widen().is_ok() && wide.widen().is_ok());
        assert_eq!(wide.widen(), Err(Full::Peer));
        assert!(leaves(&wide));
        assert_eq!((places.connections(), places.inner.lock().total), (0, 0));
        wide.narrow();
        drop(wide);
        assert_eq!((places.connections(), places.inner.lock().total), (0, 0));
    }

    #[test]
    fn who_was_asked_to_leave_changes_nothing_any_more() {
        let places = places(1, 1, 1);
        let mut old = places.take(peer(1, 1)).unwrap();
        let _new = places.take(peer(1, 1)).unwrap();
        assert!(leaves(&old));
        old.rise(Standing::LoggedIn);
        old.rise(Standing::Proven);
        drop(old);
        assert_eq!(places.connections(), 1);
        assert!(places.take(peer(1, 1)).is_ok(), "the list holds the one that is there");
    }
}
