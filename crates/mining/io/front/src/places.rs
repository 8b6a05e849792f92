//! Who may be connected (SPEC 11.12): so many in all, from one address, and from one subnet; whoever proved nothing makes room.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bq_share::{Peer, Subnet, UnixMs};
use parking_lot::Mutex;

use crate::mailbox::Mailbox;

/// How many places there are, and for how long a share holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    /// In all.
    pub total: usize,
    /// From one peer.
    pub per_peer: usize,
    /// From one subnet.
    pub per_subnet: usize,
    /// An accepted share proves its place for so many milliseconds.
    pub proof_lapses_ms: u64,
}

/// Counts places, and knows which of them may be cleared.
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
    /// Subnets with places that proved nothing, those with most of them last; of equals the one last whose turn came first.
    most_unproven: BTreeSet<(usize, Reverse<Turn>, Subnet)>,
    /// Places that proved something, the oldest proof first.
    proven: BTreeMap<Turn, Arc<Seat>>,
    opened: u64,
}

#[derive(Debug, Default)]
struct Group {
    count: usize,
    unproven: usize,
    /// Of all that may be cleared at some time.
    turns: BTreeMap<Turn, Arc<Seat>>,
}

/// In which order places are cleared: first who has not logged in, then who has; of both who came first. Then who proved something, but no more
/// for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Unproven { has_logged_in: bool, opened: u64 },
    Proven { at: UnixMs, opened: u64 },
}

/// One place, for whoever may have to clear it: a connection's own, or that of one more channel.
#[derive(Debug)]
pub(crate) struct Seat {
    peer: Option<Peer>,
    limits: Limits,
    opened: u64,
    /// The connection's own, if this is a channel's.
    own: Option<Arc<Self>>,
    /// Changed under the lock of [`Places`] alone.
    state: Mutex<State>,
    leaves: OnceLock<Leave>,
    /// Of the connection's own: some of its channels or logins have to end.
    has_news: AtomicBool,
    /// Of the connection; rung when somebody has to leave, too: one thing to wait for.
    mailbox: Arc<Mailbox>,
}

/// Which limits a newcomer meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limits {
    All,
    /// That of all places alone: its network is allowed. Places are counted and cleared as everybody's.
    Whole,
}

#[derive(Clone, Copy, Debug)]
struct State {
    standing: Standing,
    /// Channels of the connection that have a place of their own: they leave before it does.
    channels: usize,
}

/// What was shown from a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Stranger,
    LoggedIn,
    /// A share was accepted, lately at this time.
    Proven(UnixMs),
}

/// Why a connection, or a channel of it, is asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Others want the place of one that proved nothing, or nothing lately.
    MadeRoom,
    /// The token that let it in was taken back, or its address locked.
    Revoked,
    /// Its peer was banned.
    Banned,
    /// Of a channel: its account is paid by another scheme than the connection from now on.
    OtherScheme,
}

impl Leave {
    /// The label used in metrics and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MadeRoom => "made_room",
            Self::Revoked => "revoked",
            Self::Banned => "banned",
            Self::OtherScheme => "other_scheme",
        }
    }
}

/// A place that is taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    seat: Arc<Seat>,
}

/// Which limit was reached, with nobody who would make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Server,
    Peer,
    Subnet,
}

impl Full {
    /// The label used in metrics and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Server => "server_full",
            Self::Peer => "peer_full",
            Self::Subnet => "subnet_full",
        }
    }
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits) -> Self {
        Self { limits, inner: Mutex::default() }
    }

    /// Takes a place for a connection of `peer`; a trusted one has no peer to be counted for. Where a limit is reached, a place that may be
    /// is cleared: of the same peer or subnet if that is what is full, else of the subnet that has most of those.
    pub(crate) fn take(self: &Arc<Self>, now: UnixMs, peer: Option<Peer>) -> Result<Place, Full> {
        self.seat(now, (peer, Limits::All), None)
    }

    /// The same where only the limit of all places holds (SPEC 11.11, 8).
    pub(crate) fn take_allowed(self: &Arc<Self>, now: UnixMs, peer: Option<Peer>) -> Result<Place, Full> {
        self.seat(now, (peer, Limits::Whole), None)
    }

    fn seat(
        self: &Arc<Self>,
        now: UnixMs,
        (peer, limits): (Option<Peer>, Limits),
        own: Option<&Arc<Seat>>,
    ) -> Result<Place, Full> {
        let mut inner = self.inner.lock();
        self.make_room(&mut inner, now, (peer, limits), own)?;
        inner.opened += 1;
        let standing = if own.is_some() { Standing::LoggedIn } else { Standing::Stranger };
        let seat = Arc::new(Seat {
            peer,
            limits,
            opened: inner.opened,
            own: own.cloned(),
            state: Mutex::new(State { standing, channels: 0 }),
            leaves: OnceLock::new(),
            has_news: AtomicBool::new(false),
            mailbox: own.map_or_else(Arc::default, |own| Arc::clone(&own.mailbox)),
        });
        inner.enter(&seat);
        Ok(Place { places: Arc::clone(self), seat })
    }

    /// Where a limit is reached that one more of `peer` would break, somebody has to go; never one for another of the same connection.
    fn make_room(
        &self,
        inner: &mut Inner,
        now: UnixMs,
        (peer, limits): (Option<Peer>, Limits),
        own: Option<&Arc<Seat>>,
    ) -> Result<(), Full> {
        let may_go = |turn: &Turn, seat: &Arc<Seat>| {
            let has_lapsed = match turn {
                Turn::Unproven { .. } => true,
                Turn::Proven { at, .. } => now.ms_since(*at) >= self.limits.proof_lapses_ms,
            };
            has_lapsed && own.is_none_or(|own| !seat.is_of(own))
        };
        if let Some(peer) = peer.filter(|_| limits == Limits::All) {
            let subnet = peer.subnet();
            let is_full = |group: Option<&Group>, max| group.is_some_and(|group| group.count >= max);
            if is_full(inner.by_peer.get(&peer), self.limits.per_peer) {
                let first = inner.by_peer.get(&peer).and_then(Group::first).filter(|(turn, seat)| may_go(turn, seat));
                let seat = first.map(|(_, seat)| Arc::clone(seat)).ok_or(Full::Peer)?;
                inner.dismiss(&seat, Leave::MadeRoom);
            }
            if is_full(inner.by_subnet.get(&subnet), self.limits.per_subnet) {
                let first =
                    inner.by_subnet.get(&subnet).and_then(Group::first).filter(|(turn, seat)| may_go(turn, seat));
                let seat = first.map(|(_, seat)| Arc::clone(seat)).ok_or(Full::Subnet)?;
                inner.dismiss(&seat, Leave::MadeRoom);
            }
        }
        if inner.total >= self.limits.total {
            let first = inner.first().filter(|(turn, seat)| may_go(turn, seat));
            let seat = first.map(|(_, seat)| Arc::clone(seat)).ok_or(Full::Server)?;
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
    fn enter(&mut self, seat: &Arc<Seat>) {
        self.count(seat, 1);
        match &seat.own {
            Some(own) => self.change(own, |state| state.channels += 1),
            None => self.connections += 1,
        }
        self.list(seat);
    }

    fn leave(&mut self, seat: &Arc<Seat>) {
        self.unlist(seat);
        self.count(seat, -1);
        match &seat.own {
            Some(own) => self.change(own, |state| state.channels -= 1),
            None => self.connections -= 1,
        }
    }

    /// The place is free at once; its connection hears of it as soon as its task runs.
    fn dismiss(&mut self, seat: &Arc<Seat>, why: Leave) {
        self.leave(seat);
        // Only who is still there is dismissed, under the lock: it is the first reason.
        let _first = seat.leaves.set(why);
        if let Some(own) = &seat.own {
            own.has_news.store(true, Ordering::Release);
        }
        seat.mailbox.ring();
    }

    /// Changes what is known of a seat, and its turn with it; who was asked to leave has none any more.
    fn change(&mut self, seat: &Arc<Seat>, change: impl FnOnce(&mut State)) {
        let is_there = seat.leaves.get().is_none();
        if is_there {
            self.unlist(seat);
        }
        change(&mut seat.state.lock());
        if is_there {
            self.list(seat);
        }
    }

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

    fn list(&mut self, seat: &Arc<Seat>) {
        let Some(turn) = seat.turn() else { return };
        self.change_lists(seat, |group| group.insert(turn, seat));
        if let Turn::Proven { .. } = turn {
            self.proven.insert(turn, Arc::clone(seat));
        }
    }

    fn unlist(&mut self, seat: &Arc<Seat>) {
        let Some(turn) = seat.turn() else { return };
        self.change_lists(seat, |group| group.remove(turn));
        self.proven.remove(&turn);
    }

    fn change_lists(&mut self, seat: &Seat, change: impl Fn(&mut Group)) {
        let Some(peer) = seat.peer else { return };
        if let Some(group) = self.by_peer.get_mut(&peer) {
            change(group);
        }
        let subnet = peer.subnet();
        if let Some(group) = self.by_subnet.get_mut(&subnet) {
            if let Some(rank) = group.rank(subnet) {
                self.most_unproven.remove(&rank);
            }
            change(group);
            self.most_unproven.extend(group.rank(subnet));
        }
    }

    /// Whose turn it is of all.
    fn first(&self) -> Option<(&Turn, &Arc<Seat>)> {
        let crowd = self.most_unproven.last().and_then(|(.., subnet)| self.by_subnet.get(subnet));
        crowd.and_then(Group::first).or_else(|| self.proven.first_key_value())
    }
}

impl Group {
    /// Where a subnet stands in [`Inner::most_unproven`].
    fn rank(&self, subnet: Subnet) -> Option<(usize, Reverse<Turn>, Subnet)> {
        let (first, _) = self.first().filter(|_| self.unproven > 0)?;
        Some((self.unproven, Reverse(*first), subnet))
    }

    fn first(&self) -> Option<(&Turn, &Arc<Seat>)> {
        self.turns.first_key_value()
    }

    fn insert(&mut self, turn: Turn, seat: &Arc<Seat>) {
        self.turns.insert(turn, Arc::clone(seat));
        self.unproven += usize::from(turn.is_unproven());
    }

    fn remove(&mut self, turn: Turn) {
        if self.turns.remove(&turn).is_some() {
            self.unproven -= usize::from(turn.is_unproven());
        }
    }
}

impl Turn {
    const fn is_unproven(self) -> bool {
        matches!(self, Self::Unproven { .. })
    }
}

impl Seat {
    /// Nothing for the trusted, and for a connection whose channels go first.
    fn turn(&self) -> Option<Turn> {
        let State { standing, channels } = *self.state.lock();
        let opened = self.opened;
        let turn = match standing {
            Standing::Stranger => Turn::Unproven { has_logged_in: false, opened },
            Standing::LoggedIn => Turn::Unproven { has_logged_in: true, opened },
            Standing::Proven(at) => Turn::Proven { at, opened },
        };
        (self.peer.is_some() && channels == 0).then_some(turn)
    }

    /// Has the connection look at what was ended of it.
    pub(crate) fn call(&self) {
        self.has_news.store(true, Ordering::Release);
        self.mailbox.ring();
    }

    /// Whether this is the connection whose own place `own` is, or a channel of it.
    fn is_of(self: &Arc<Self>, own: &Arc<Self>) -> bool {
        Arc::ptr_eq(self.own.as_ref().unwrap_or(self), own)
    }
}

impl Place {
    /// Somebody was let in here.
    pub(crate) fn log_in(&self) {
        self.rise(|standing| if standing == Standing::Stranger { Standing::LoggedIn } else { standing });
    }

    /// When a share was accepted from here lately; nothing if none was.
    pub(crate) fn proved(&self) -> Option<UnixMs> {
        match self.seat.state.lock().standing {
            Standing::Proven(at) => Some(at),
            Standing::Stranger | Standing::LoggedIn => None,
        }
    }

    /// A share was accepted from here. True if it is the first.
    pub(crate) fn prove(&self, now: UnixMs) -> bool {
        // A proof need not be exact: most shares pass without the lock that all share.
        let exact_ms = self.places.limits.proof_lapses_ms / 16;
        let before = self.seat.state.lock().standing;
        match before {
            Standing::Proven(at) if now.ms_since(at) <= exact_ms => false,
            Standing::Proven(_) | Standing::Stranger | Standing::LoggedIn => {
                self.rise(|_| Standing::Proven(now));
                !matches!(before, Standing::Proven(_))
            }
        }
    }

    fn rise(&self, to: impl FnOnce(Standing) -> Standing) {
        let mut inner = self.places.inner.lock();
        inner.change(&self.seat, |state| state.standing = to(state.standing));
    }

    /// Why its holder has to leave, if he has to.
    pub(crate) fn is_wanted(&self) -> Option<Leave> {
        self.seat.leaves.get().copied()
    }

    /// Whether a channel or a login of this connection was ended since the last call.
    pub(crate) fn has_news(&self) -> bool {
        self.seat.has_news.swap(false, Ordering::Acquire)
    }

    /// Takes a place for one more channel of the connection whose own place this is.
    pub(crate) fn of_channel(&self, now: UnixMs) -> Result<Self, Full> {
        self.places.seat(now, (self.seat.peer, self.seat.limits), Some(&self.seat))
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

    const LAPSES_MS: u64 = 1_600;
    const START: UnixMs = UnixMs(0);

    fn places(total: usize, per_peer: usize, per_subnet: usize) -> Arc<Places> {
        Arc::new(Places::new(PlaceLimits { total, per_peer, per_subnet, proof_lapses_ms: LAPSES_MS }))
    }

    fn leaves(place: &Place) -> bool {
        place.seat.leaves.get().is_some()
    }

    fn proven(places: &Arc<Places>, peer: Option<Peer>) -> Place {
        let place = places.take(START, peer).unwrap();
        place.prove(START);
        place
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let places = places(4, 2, 3);
        let first = proven(&places, peer(1, 1));
        let _second = proven(&places, peer(1, 1));
        assert_eq!(places.take(START, peer(1, 1)).unwrap_err(), Full::Peer);
        let _third = proven(&places, peer(1, 2));
        assert_eq!(places.take(START, peer(1, 3)).unwrap_err(), Full::Subnet);
        let trusted = places.take(START, None).unwrap();
        trusted.prove(START);
        assert_eq!(places.take(START, peer(2, 1)).unwrap_err(), Full::Server);
        drop(first);
        assert_eq!(places.connections(), 3);
        assert!(places.take(START, peer(1, 1)).is_ok());
        let inner = places.inner.lock();
        assert_eq!((inner.by_peer.len(), inner.by_subnet.len()), (2, 1));
    }

    #[test]
    fn who_proved_nothing_makes_room_where_it_is_full() {
        let places = places(100, 2, 3);
        let first = places.take(START, peer(1, 1)).unwrap();
        first.log_in();
        let second = places.take(START, peer(1, 1)).unwrap();
        let third = places.take(START, peer(1, 1)).unwrap();
        assert!(leaves(&second) && !leaves(&first), "who has not logged in goes first");
        let fourth = places.take(START, peer(1, 1)).unwrap();
        assert!(leaves(&third) && !leaves(&first));
        drop((second, third));
        assert_eq!(places.connections(), 2, "a place is given back once");
        let _other = places.take(START, peer(1, 2)).unwrap();
        let _another = places.take(START, peer(1, 3)).unwrap();
        assert!(leaves(&fourth), "of the same subnet");
    }

    #[test]
    fn a_crowd_from_one_subnet_makes_room_for_others_and_nobody_else_does() {
        let places = places(50, 50, 50);
        let rare: Vec<Place> = (0..5).map(|subnet| places.take(START, peer(subnet, 1)).unwrap()).collect();
        let crowd: Vec<Place> = (0..45).map(|host| places.take(START, peer(200, host)).unwrap()).collect();
        let proven = places.take(START, peer(100, 1)).unwrap();
        proven.prove(START);
        let more: Vec<Place> = (0..100).map(|host| places.take(START, peer(200, host)).unwrap()).collect();
        assert!(rare.iter().all(|place| !leaves(place)) && !leaves(&proven));
        assert!(crowd.iter().all(leaves), "those that came first go first");
        assert_eq!((places.connections(), more.iter().filter(|place| !leaves(place)).count()), (50, 44));
        drop((crowd, more, rare, proven));
        let inner = places.inner.lock();
        assert_eq!(
            (inner.total, inner.by_peer.len(), inner.by_subnet.len(), inner.most_unproven.len(), inner.proven.len()),
            (0, 0, 0, 0, 0)
        );
    }

    /// A flood of one connection for each subnet that came first does not keep its places by throwing newcomers at each other.
    #[test]
    fn of_subnets_with_equally_many_the_oldest_connection_leaves() {
        let places = places(10, 10, 10);
        let flood: Vec<Place> = (100..110).rev().map(|subnet| places.take(START, peer(subnet, 1)).unwrap()).collect();
        let newcomers: Vec<Place> =
            (0..10).chain(200..210).map(|subnet| places.take(START, peer(subnet, 1)).unwrap()).collect();
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
        assert_eq!((places.connections(), first.is_wanted()), (0, Some(Leave::Revoked)));
        drop(first);
        assert_eq!((places.connections(), places.inner.lock().total), (0, 0));
    }

    #[test]
    fn a_connection_may_take_several_places_and_gives_all_of_them_back() {
        let places = places(5, 4, 5);
        let wide = proven(&places, peer(1, 1));
        let stranger = places.take(START, peer(1, 1)).unwrap();
        let mut channels: Vec<Place> = (0..2).map(|_| wide.of_channel(START).unwrap()).collect();
        assert!(!leaves(&stranger));
        channels.push(wide.of_channel(START).unwrap());
        assert!(leaves(&stranger), "who proved nothing makes room for a channel too");
        assert_eq!(wide.of_channel(START).unwrap_err(), Full::Peer);
        drop(stranger);
        let _other = proven(&places, peer(1, 2));
        for channel in &channels {
            channel.prove(START);
        }
        assert_eq!(places.take(START, peer(1, 3)).unwrap_err(), Full::Subnet);
        channels.pop();
        assert!(places.take(START, peer(1, 3)).is_ok());
        assert_eq!((places.connections(), places.inner.lock().total), (2, 4));
        drop((wide, channels));
        assert_eq!((places.connections(), places.inner.lock().total), (1, 1));
        assert!(!places.inner.lock().by_peer.contains_key(&peer(1, 1).unwrap()));
    }

    #[test]
    fn no_channel_makes_room_for_another_of_its_connection() {
        let places = places(10, 3, 10);
        let wide = places.take(START, peer(1, 1)).unwrap();
        let channels: Vec<Place> = (0..2).map(|_| wide.of_channel(START).unwrap()).collect();
        assert_eq!(wide.of_channel(START).unwrap_err(), Full::Peer);
        assert!(!leaves(&wide) && !channels.iter().any(leaves));
        let _other = places.take(START, peer(1, 1)).unwrap();
        assert!(leaves(&channels[0]) && !leaves(&channels[1]) && !leaves(&wide) && wide.has_news() && !wide.has_news());
    }

    /// One connection with hundreds of channels weighs hundreds, and its channels leave one by one, before it and before those that proved
    /// something.
    #[test]
    fn a_crowd_of_channels_is_a_crowd() {
        let places = places(60, 60, 60);
        let wide = places.take(START, peer(1, 1)).unwrap();
        let channels: Vec<Place> = (0..54).map(|_| wide.of_channel(START).unwrap()).collect();
        wide.prove(START);
        channels[7].prove(START);
        let newcomers: Vec<Place> = (0..57).map(|n| places.take(START, peer(2 + n, 1)).unwrap()).collect();
        assert!(!leaves(&wide) && !leaves(&channels[7]));
        assert_eq!(channels.iter().filter(|channel| leaves(channel)).count(), 52);
        assert!(!newcomers.iter().any(leaves), "nobody of them had to leave");
        drop((newcomers, channels, wide));
        let inner = places.inner.lock();
        assert_eq!((inner.total, inner.connections, inner.most_unproven.len(), inner.proven.len()), (0, 0, 0, 0));
    }

    /// A share holds a place for a while only: then who came with the oldest one leaves first, after all who never had one.
    #[test]
    fn a_proof_lapses() {
        let places = places(4, 4, 4);
        let at = |ms| UnixMs(ms);
        let old: Vec<Place> = (1..5).map(|n| places.take(START, peer(n, 1)).unwrap()).collect();
        for (place, ms) in old.iter().zip([100, 0, 200, 200]) {
            assert!(place.prove(at(ms)) && !place.prove(at(ms)));
        }
        assert_eq!(places.take(at(LAPSES_MS - 1), peer(9, 1)).unwrap_err(), Full::Server);
        old[1].prove(at(300));
        let first = places.take(at(LAPSES_MS + 100), peer(9, 1)).unwrap();
        assert!(leaves(&old[0]), "the oldest proof, not the oldest connection");
        let second = places.take(at(LAPSES_MS + 300), peer(9, 2)).unwrap();
        assert!(leaves(&first), "who never proved anything is before those whose proof lapsed");
        second.prove(at(LAPSES_MS + 300));
        let _third = places.take(at(LAPSES_MS + 300), peer(9, 3)).unwrap();
        assert!(leaves(&old[2]) && !leaves(&old[1]) && !leaves(&old[3]));
    }

    #[test]
    fn who_was_asked_to_leave_changes_nothing_any_more() {
        let places = places(1, 1, 1);
        let old = places.take(START, peer(1, 1)).unwrap();
        let _new = places.take(START, peer(1, 1)).unwrap();
        assert!(leaves(&old));
        old.log_in();
        old.prove(START);
        drop(old);
        assert_eq!(places.connections(), 1);
        assert!(places.take(START, peer(1, 1)).is_ok(), "the list holds the one that is there");
    }
}
