use std::collections::BTreeMap;

use crate::{Ban, BanReason, Peer, Restored, UnixMs, standing::Standing};

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Claimed a result that the work does not have.
    ForgedShare,
    /// Was cut off for flooding or for not speaking Stratum.
    Misbehaved,
}

impl Strike {
    const fn points(self) -> u32 {
        match self {
            Self::ForgedShare => 4,
            Self::Misbehaved => 1,
        }
    }

    const fn reason(self) -> BanReason {
        match self {
            Self::ForgedShare => BanReason::ForgedShares,
            Self::Misbehaved => BanReason::Misbehaved,
        }
    }
}

/// Whether a stranger's claim may be hashed now (SPEC 11.6, 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimTurn {
    /// Yes, and it is undecided from now on.
    Begins,
    /// Once another of its peer is decided.
    Waits,
    /// Its peer is banned.
    Banned,
}

/// Strikes by peer, never by account: otherwise anyone could get a stranger banned by mining badly in his name. And the claims of each that
/// are undecided: no more than may turn out forged before a ban begins.
#[derive(Debug)]
pub struct Bans {
    policy: BanPolicy,
    peers: BTreeMap<Peer, Record>,
    /// A peer did something since [`Bans::changes`] was asked.
    changed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    points: u32,
    /// Accepted shares lately: half of them and half of the points lapse at a time.
    accepted: u32,
    /// Claims of its strangers that are being hashed.
    undecided: u32,
    /// When it was heard of last.
    last: UnixMs,
    struck: UnixMs,
    /// When accepted shares were halved last.
    lapsed: UnixMs,
    banned_since: UnixMs,
    banned_until: UnixMs,
    reason: Option<BanReason>,
    bans: u32,
}

/// When a ban begins and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanPolicy {
    /// Peers with strikes that are remembered at a time.
    pub peers_max: usize,
    /// Points at which a ban begins: ten is three forged shares.
    pub points: u32,
    /// Accepted shares of a peer that make room for one forged one more.
    pub shares_per_pardon: u32,
    /// With as many accepted shares lately for each forged one a peer is not banned: behind one address may be a farm, and what one of it can
    /// cost is bounded by [`crate::Allowances`]. A ratio: a rig that is slow shows as much as one that is fast.
    pub exempt_ratio: u32,
    /// Points lapse after this many milliseconds without another, and a first ban lasts as long.
    pub span_ms: u64,
    /// Each ban of a peer is twice as long as the last, up to this.
    pub span_ms_max: u64,
}

impl Default for BanPolicy {
    fn default() -> Self {
        Self {
            peers_max: 65_536,
            points: 10,
            shares_per_pardon: 64,
            exempt_ratio: 4,
            span_ms: 600_000,
            span_ms_max: 86_400_000,
        }
    }
}

impl Bans {
    /// Nobody is banned.
    #[must_use]
    pub const fn new(policy: BanPolicy) -> Self {
        Self { policy, peers: BTreeMap::new(), changed: false }
    }

    /// The peer may not connect now.
    #[must_use]
    pub fn is_banned(&self, now: UnixMs, peer: Peer) -> bool {
        self.peers.get(&peer).is_some_and(|record| now < record.banned_until)
    }

    /// Counts an accepted share.
    pub fn accept(&mut self, now: UnixMs, peer: Peer) {
        let record = self.record(now, peer);
        record.accepted = record.accepted.saturating_add(1);
        self.changed = true;
    }

    /// Counts a strike; true if a ban begins with it.
    pub fn strike(&mut self, now: UnixMs, peer: Peer, strike: Strike) -> bool {
        let policy = self.policy;
        self.changed = true;
        let record = self.record(now, peer);
        record.struck = now;
        record.points = record.points.saturating_add(strike.points());
        let forged = record.points.div_ceil(Strike::ForgedShare.points());
        let is_exempt = record.accepted >= forged.saturating_mul(policy.exempt_ratio);
        if record.points < record.points_max(&policy) || is_exempt || now < record.banned_until {
            return false;
        }
        let span_ms = policy.span_ms.saturating_mul(1 << record.bans.min(16)).min(policy.span_ms_max);
        record.begin_ban(now, span_ms, strike.reason());
        true
    }

    /// A stranger's claim is there to be hashed; if it begins, [`Bans::end_claim`] follows.
    pub fn begin_claim(&mut self, now: UnixMs, peer: Peer) -> ClaimTurn {
        if self.is_banned(now, peer) {
            return ClaimTurn::Banned;
        }
        let policy = self.policy;
        let record = self.record(now, peer);
        if record.undecided >= record.undecided_max(&policy) {
            return ClaimTurn::Waits;
        }
        record.undecided = record.undecided.saturating_add(1);
        ClaimTurn::Begins
    }

    /// A claim that began is decided. What it costs is counted before another begins.
    pub fn end_claim(&mut self, peer: Peer) {
        if let Some(record) = self.peers.get_mut(&peer) {
            record.undecided = record.undecided.saturating_sub(1);
        }
    }

    /// Bans a peer because the operator says so. Said again while a ban holds, it is another end of the same ban: the next of the server's own
    /// is no longer for it.
    pub fn ban(&mut self, now: UnixMs, peer: Peer, span_ms: u64) {
        let record = self.record(now, peer);
        let bans = if now < record.banned_until { record.bans } else { record.bans.saturating_add(1) };
        record.begin_ban(now, span_ms, BanReason::Operator);
        record.bans = bans;
        self.changed = true;
    }

    /// Ends a ban and forgets what led to it; false if there was none.
    pub fn lift(&mut self, now: UnixMs, peer: Peer) -> bool {
        let was_banned = self.is_banned(now, peer);
        self.peers.remove(&peer);
        self.changed |= was_banned;
        was_banned
    }

    /// The ban that holds a peer off now.
    #[must_use]
    pub fn of(&self, now: UnixMs, peer: Peer) -> Option<Ban> {
        self.peers.get(&peer).and_then(|record| record.ban(now, peer))
    }

    /// All of them, by peer.
    pub fn list(&self, now: UnixMs) -> impl Iterator<Item = Ban> + '_ {
        self.peers.iter().filter_map(move |(peer, record)| record.ban(now, *peer))
    }

    /// One line for each peer that is banned, or did something lately; nothing if nobody did since the last time.
    pub fn changes(&mut self, now: UnixMs) -> Option<String> {
        let line = |(peer, record): (&Peer, &Record)| match record.ban(now, *peer) {
            Some(ban) => Some(format!("{ban}\n")),
            None => Some(format!("{}\n", record.standing(*peer)?)),
        };
        std::mem::take(&mut self.changed).then(|| self.peers.iter().filter_map(line).collect())
    }

    /// Takes in what [`Bans::changes`] wrote, from its beginning for as many peers as are remembered.
    pub fn restore(&mut self, text: &str) -> Restored {
        let mut restored = Restored::default();
        for (index, line) in text.lines().enumerate() {
            let record = match line.parse::<Ban>() {
                Ok(ban) => Ok((ban.peer, Record::of_ban(&ban))),
                Err(_) => line.parse::<Standing>().map(|standing| (standing.peer, Record::of_standing(&standing))),
            };
            match record {
                Ok((peer, record)) if self.peers.len() < self.policy.peers_max || self.peers.contains_key(&peer) => {
                    self.peers.insert(peer, record);
                }
                Ok(_) => restored.dropped = restored.dropped.saturating_add(1),
                Err(_) => restored.note_unread(index),
            }
        }
        restored
    }

    /// The peer's record, in which what lapsed is gone.
    fn record(&mut self, now: UnixMs, peer: Peer) -> &mut Record {
        if !self.peers.contains_key(&peer) {
            self.make_room(now);
        }
        let record = self.peers.entry(peer).or_default();
        if now.ms_since(record.lapsed) >= self.policy.span_ms {
            (record.accepted, record.points) = (record.accepted / 2, record.points / 2);
            record.lapsed = now;
        }
        if now.ms_since(record.struck) >= self.policy.span_ms {
            record.points = 0;
        }
        record.last = now;
        record
    }

    /// Peers that are banned now.
    #[must_use]
    pub fn active(&self, now: UnixMs) -> usize {
        self.peers.values().filter(|record| now < record.banned_until).count()
    }

    /// Forgets what has lapsed, and if that is not enough, one that tells least: whom points alone are known of, then who mines, then who is
    /// banned, and last whom the operator banned; of several the one not seen for longest.
    fn make_room(&mut self, now: UnixMs) {
        if self.peers.len() < self.policy.peers_max.max(1) {
            return;
        }
        let span_ms = self.policy.span_ms;
        self.peers.retain(|_, record| {
            record.undecided > 0 || now < record.banned_until || now.ms_since(record.last) < span_ms
        });
        if self.peers.len() >= self.policy.peers_max.max(1)
            && let Some(oldest) = self.peers.iter().min_by_key(|(_, record)| record.worth(now)).map(|(peer, _)| *peer)
        {
            self.peers.remove(&oldest);
        }
    }
}

impl Record {
    /// What its record makes of the points at which a ban begins.
    fn points_max(&self, policy: &BanPolicy) -> u32 {
        let pardons = self.accepted.checked_div(policy.shares_per_pardon).unwrap_or(0);
        policy.points.saturating_add(pardons.saturating_mul(Strike::ForgedShare.points()))
    }

    /// As many as forged ones would begin a ban, and one more for each accepted share: who mines is not kept waiting for long.
    fn undecided_max(&self, policy: &BanPolicy) -> u32 {
        let forged_left = self.points_max(policy).saturating_sub(self.points).div_ceil(Strike::ForgedShare.points());
        forged_left.max(1).saturating_add(self.accepted)
    }

    /// What is worth more is forgotten later. Others can make as many records of points as they have addresses, for nothing.
    fn worth(&self, now: UnixMs) -> (bool, bool, bool, bool, bool, UnixMs) {
        let is_banned = now < self.banned_until;
        let is_operators = is_banned && self.reason == Some(BanReason::Operator);
        (is_operators, self.undecided > 0, is_banned, self.accepted > 0, self.points > 0, self.last)
    }

    /// What is kept of a peer that is not banned; nothing if there is nothing.
    fn standing(&self, peer: Peer) -> Option<Standing> {
        let Self { points, accepted, last, struck, .. } = *self;
        (points > 0 || accepted > 0).then_some(Standing { peer, accepted, points, last, struck })
    }

    fn of_standing(standing: &Standing) -> Self {
        let Standing { peer: _, accepted, points, last, struck } = *standing;
        Self { accepted, points, last, struck, lapsed: last, ..Self::default() }
    }

    fn begin_ban(&mut self, now: UnixMs, span_ms: u64, reason: BanReason) {
        *self = Self {
            points: 0,
            accepted: 0,
            banned_since: now,
            banned_until: now.after_ms(span_ms),
            reason: Some(reason),
            bans: self.bans.saturating_add(1),
            ..*self
        };
    }

    fn ban(&self, now: UnixMs, peer: Peer) -> Option<Ban> {
        let (since, until) = (self.banned_since, self.banned_until);
        let reason = self.reason.filter(|_| now < until)?;
        Some(Ban { peer, reason, since, until, bans: self.bans })
    }

    fn of_ban(ban: &Ban) -> Self {
        let Ban { peer: _, reason, since, until, bans } = *ban;
        Self {
            banned_since: since,
            banned_until: until,
            reason: Some(reason),
            bans,
            last: since,
            struck: since,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::of(text.parse().unwrap())
    }

    #[test]
    fn three_forged_shares_ban_for_ten_minutes_and_then_for_twenty() {
        let mut bans = Bans::new(BanPolicy::default());
        let forger = peer("203.0.113.7");
        for n in 1..=3 {
            assert_eq!(bans.strike(UnixMs(n), forger, Strike::ForgedShare), n == 3);
        }
        assert!(bans.is_banned(UnixMs(600_002), forger));
        assert!(!bans.is_banned(UnixMs(600_003), forger));
        assert!(!bans.is_banned(UnixMs(6), peer("203.0.113.8")));
        for n in 0..3 {
            bans.strike(UnixMs(700_000 + n), forger, Strike::ForgedShare);
        }
        assert!(bans.is_banned(UnixMs(1_900_001), forger));
        assert!(!bans.is_banned(UnixMs(1_900_002), forger));
    }

    /// A hundred miners behind one address, one of whom forges: he is cut off by connection, the others go on.
    #[test]
    fn accepted_shares_make_room_for_a_forger_among_many() {
        let mut bans = Bans::new(BanPolicy::default());
        let strikes = |bans: &mut Bans, peer, at: u64| {
            (0..).position(|n| bans.strike(UnixMs(at + n), peer, Strike::ForgedShare)).unwrap() + 1
        };
        let farm = peer("203.0.113.7");
        for n in 0..256 {
            bans.accept(UnixMs(n), farm);
        }
        assert_eq!(strikes(&mut bans, farm, 1_000), 65, "one of five shares");
        let other = peer("203.0.113.8");
        for n in 0..256 {
            bans.accept(UnixMs(n), other);
        }
        assert_eq!(strikes(&mut bans, other, 601_000), 33, "what was accepted counts for a while only");
    }

    /// The same for one slow rig: a share in twenty seconds, beside which every tenth of its address is forged, for a day.
    #[test]
    fn a_slow_rig_is_as_good_as_a_fast_one() {
        let mut bans = Bans::new(BanPolicy::default());
        let household = peer("203.0.113.7");
        for n in 0..4_320 {
            let now = UnixMs(n * 20_000);
            bans.accept(now, household);
            assert!(n % 10 != 9 || !bans.strike(now, household, Strike::ForgedShare), "{n}");
        }
        assert!(
            (0..30).any(|n| bans.strike(UnixMs(86_400_000 + n), household, Strike::ForgedShare)),
            "not whatever comes"
        );
    }

    #[test]
    fn strikes_lapse() {
        let mut bans = Bans::new(BanPolicy::default());
        for n in 0..100 {
            assert!(!bans.strike(UnixMs(n * 600_000), peer("192.0.2.1"), Strike::ForgedShare));
            bans.accept(UnixMs(n * 600_000 + 300_000), peer("192.0.2.1"));
        }
    }

    /// Every claim that may begin is hashed and forged, on however many connections.
    #[test]
    fn no_more_is_hashed_of_an_address_than_bans_it() {
        let mut bans = Bans::new(BanPolicy::default());
        let forger = peer("203.0.113.7");
        let begins = |bans: &mut Bans, peer| bans.begin_claim(UnixMs(0), peer) == ClaimTurn::Begins;
        assert_eq!((0..10).filter(|_| begins(&mut bans, forger)).count(), 3);
        bans.end_claim(forger);
        assert!(!bans.strike(UnixMs(0), forger, Strike::ForgedShare));
        assert!(!begins(&mut bans, forger), "two are undecided, and a third forged one is one too many");
        bans.end_claim(forger);
        assert!(begins(&mut bans, forger), "that one was not forged");
        for n in 2..=3 {
            bans.end_claim(forger);
            assert_eq!(bans.strike(UnixMs(0), forger, Strike::ForgedShare), n == 3);
        }
        assert_eq!(bans.begin_claim(UnixMs(0), forger), ClaimTurn::Banned);
        assert!(begins(&mut bans, peer("203.0.113.8")), "others are others");
    }

    #[test]
    fn who_mines_may_have_more_undecided_and_a_farm_hundreds() {
        let mut bans = Bans::new(BanPolicy::default());
        let (rig, farm) = (peer("203.0.113.7"), peer("203.0.113.8"));
        let begun = |bans: &mut Bans, peer| {
            let begins = |bans: &mut Bans| bans.begin_claim(UnixMs(0), peer) == ClaimTurn::Begins;
            (0..1_000).filter(|_| begins(bans)).count()
        };
        (0..10).for_each(|_| bans.accept(UnixMs(0), rig));
        assert_eq!(begun(&mut bans, rig), 13);
        (0..256).for_each(|_| bans.accept(UnixMs(0), farm));
        assert_eq!(begun(&mut bans, farm), 263);
        for _ in 0..60 {
            bans.end_claim(farm);
            assert!(!bans.strike(UnixMs(0), farm, Strike::ForgedShare));
        }
        assert_eq!(begun(&mut bans, farm), 54, "one of it that forges keeps few waiting");
    }

    /// A farm's good record holds over a restart, as does what was forged before it.
    #[test]
    fn what_a_peer_did_is_kept_as_its_bans_are() {
        let restarted = |bans: &mut Bans| {
            let mut after = Bans::new(BanPolicy::default());
            assert_eq!(after.restore(&bans.changes(UnixMs(1_000)).unwrap()), Restored::default());
            after
        };
        let (farm, forger) = (peer("203.0.113.7"), peer("203.0.113.8"));
        let mut bans = Bans::new(BanPolicy::default());
        (0..200).for_each(|n| bans.accept(UnixMs(n), farm));
        (0..2).for_each(|n| assert!(!bans.strike(UnixMs(n), forger, Strike::ForgedShare)));
        let mut after = restarted(&mut bans);
        assert_eq!(after.changes(UnixMs(1_000)), None);
        assert!((0..3).all(|n| !after.strike(UnixMs(1_000 + n), farm, Strike::ForgedShare)), "exempt as before");
        assert!(after.strike(UnixMs(1_000), forger, Strike::ForgedShare), "the third");
        assert!(restarted(&mut after).is_banned(UnixMs(1_000), forger));
        assert!(!after.strike(UnixMs(700_000), farm, Strike::ForgedShare));
        let halved = (0..60).position(|n| after.strike(UnixMs(700_001 + n), farm, Strike::ForgedShare));
        assert_eq!(halved, Some(24), "and lapses as before");
    }

    /// Addresses are cheap to who has a prefix of IPv6: what each of many did once displaces nothing that counts.
    #[test]
    fn points_of_many_displace_no_ban_and_no_miner() {
        let mut bans = Bans::new(BanPolicy { peers_max: 8, ..BanPolicy::default() });
        let [forger, unwanted, farm] = ["203.0.113.7", "203.0.113.8", "203.0.113.9"].map(peer);
        let _banned = [0; 3].map(|at| bans.strike(UnixMs(at), forger, Strike::ForgedShare));
        bans.ban(UnixMs(0), unwanted, 1_000_000);
        (0..20).for_each(|_| bans.accept(UnixMs(0), farm));
        let stranger = |n: u32| Peer::of(std::net::IpAddr::from([198, 51, 100, u8::try_from(n % 250).unwrap()]));
        for n in 0..500 {
            bans.strike(UnixMs(n.into()), stranger(n), Strike::Misbehaved);
        }
        assert!(bans.is_banned(UnixMs(500), forger) && bans.is_banned(UnixMs(500), unwanted));
        assert!(!bans.strike(UnixMs(500), farm, Strike::ForgedShare) && bans.peers[&farm].accepted == 20);
        // Bans of many, which cost each of them more, displace the miner and then the oldest ban, but never the operator's.
        for n in 0..20 {
            let _banned = [1_000; 3].map(|at| bans.strike(UnixMs(at), stranger(n), Strike::ForgedShare));
        }
        assert!(!bans.is_banned(UnixMs(1_000), forger) && bans.is_banned(UnixMs(1_000), unwanted));
        assert_eq!(bans.peers.len(), 8);
    }

    #[test]
    fn bans_are_listed_lifted_and_kept() {
        let mut bans = Bans::new(BanPolicy::default());
        assert_eq!(bans.changes(UnixMs(0)), None);
        for _ in 0..3 {
            bans.strike(UnixMs(1), peer("203.0.113.7"), Strike::ForgedShare);
        }
        for _ in 0..10 {
            bans.strike(UnixMs(1), peer("203.0.113.8"), Strike::Misbehaved);
        }
        bans.ban(UnixMs(2), peer("2001:db8::1"), 1_000_000);
        let reasons: Vec<_> = bans.list(UnixMs(3)).map(|ban| ban.reason).collect();
        assert_eq!(reasons, [BanReason::ForgedShares, BanReason::Misbehaved, BanReason::Operator]);
        assert!(bans.lift(UnixMs(3), peer("203.0.113.8")));
        assert!(!bans.lift(UnixMs(3), peer("203.0.113.8")));
        let text = bans.changes(UnixMs(3)).unwrap();
        assert_eq!(bans.changes(UnixMs(3)), None, "once");

        let mut after = Bans::new(BanPolicy::default());
        let unread = Restored { unread: 2, first_unread: Some(4), dropped: 0 };
        let lines = text.lines().count();
        assert_eq!(lines, 2, "{text}");
        let known = text.lines().next().unwrap();
        assert_eq!(after.restore(&format!("{text}{known}\nnonsense\nmore\n")), unread);
        assert_eq!(after.changes(UnixMs(3)), None, "nothing new");
        let list = |bans: &Bans, at| bans.list(UnixMs(at)).collect::<Vec<_>>();
        assert_eq!(list(&after, 3), list(&bans, 3));
        assert_eq!(list(&after, 600_001).len(), 1, "the operator's is longer");
        assert_eq!(list(&after, 1_000_002), []);
        for _ in 0..3 {
            after.strike(UnixMs(700_000), peer("203.0.113.7"), Strike::ForgedShare);
        }
        let again = after.of(UnixMs(700_000), peer("203.0.113.7")).unwrap();
        assert_eq!((again.bans, again.until), (2, UnixMs(1_900_000)), "twice as long, also after a restart");
    }

    #[test]
    fn what_is_too_much_to_be_kept_is_counted() {
        let mut bans = Bans::new(BanPolicy::default());
        (1..=5).for_each(|n| bans.ban(UnixMs(1), peer(&format!("203.0.113.{n}")), 1_000));
        let text = bans.changes(UnixMs(2)).unwrap();
        let mut smaller = Bans::new(BanPolicy { peers_max: 2, ..BanPolicy::default() });
        assert_eq!(smaller.restore(&text), Restored { dropped: 3, ..Restored::default() });
        assert_eq!(smaller.list(UnixMs(2)).count(), 2);
    }

    #[test]
    fn an_operator_who_says_it_again_makes_no_later_ban_longer() {
        let mut bans = Bans::new(BanPolicy::default());
        let forger = peer("203.0.113.7");
        (0..10).for_each(|n| bans.ban(UnixMs(n), forger, 1_000));
        assert_eq!(bans.of(UnixMs(10), forger).map(|ban| (ban.bans, ban.until)), Some((1, UnixMs(1_009))));
        for _ in 0..3 {
            bans.strike(UnixMs(2_000), forger, Strike::ForgedShare);
        }
        let own = bans.of(UnixMs(2_000), forger).map(|ban| (ban.bans, ban.until));
        assert_eq!(own, Some((2, UnixMs(2_000 + 1_200_000))), "twice as long as a first one");
        bans.ban(UnixMs(2_001), forger, 1_000);
        assert_eq!(bans.of(UnixMs(2_002), forger).map(|ban| ban.bans), Some(2));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_leaves() {
        let mut bans = Bans::new(BanPolicy { peers_max: 3, ..BanPolicy::default() });
        for n in 1..=10_u8 {
            bans.strike(UnixMs(u64::from(n)), peer(&format!("192.0.2.{n}")), Strike::Misbehaved);
        }
        assert_eq!(bans.peers.len(), 3);
        assert!(bans.peers.contains_key(&peer("192.0.2.10")));
        assert_eq!(bans.active(UnixMs(11)), 0);
    }
}
