use std::collections::{BTreeMap, BTreeSet};

use bq_primitives::{DecodeError, Decoder, Timestamp, put_compact_size, tagged_hash};

use super::{Endpoint, NetGroup};

/// Places for one kind of address, and how far one group gets among them.
#[derive(Clone, Copy, Debug)]
struct Shape {
    tag: &'static str,
    buckets: u64,
    /// Buckets that the addresses of one group (tried), or heard from one group (heard), may fall into.
    buckets_per_group: u64,
}

const HEARD: Shape = Shape { tag: "bq/addresses/heard", buckets: 256, buckets_per_group: 16 };
const TRIED: Shape = Shape { tag: "bq/addresses/tried", buckets: 64, buckets_per_group: 4 };
const BUCKET_PLACES: u64 = 32;

/// The most addresses that are remembered: 8192 heard of, 2048 tried.
pub const BOOK_ADDRESSES_MAX: usize = 10_240;
/// Tried addresses whose place another wants and that should be probed. More are not noted.
const CONTESTED_MAX: usize = 16;
/// An address that was never reached is given up after so many attempts, one that was after more.
const FAILURES_MAX: u8 = 3;
const FAILURES_MAX_ONCE_GOOD: u8 = 10;
const RETRY_SECS: u64 = 60;
const RETRY_SECS_MAX: u64 = 86_400;
/// An answer gives away at most one in this many addresses, or so few that it does not matter.
const SAMPLE_ONE_IN: usize = 4;
const SAMPLE_MIN: usize = 16;
/// Random places that are looked at before a search gives up: some find nothing that is acceptable now.
const LOOKS_MAX: u64 = 128;

/// Which addresses a book takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that strangers can reach.
    Routable,
    /// Any: for networks on one machine or behind one router.
    Any,
}

/// Addresses of other nodes, in two tables of fixed size, as Bitcoin's nodes keep them. Heard: what others told. Tried:
/// where a node of this chain answered us. The place of an address is a keyed hash, so that nobody can aim at one; what is
/// heard from one network group falls into a sixteenth of the first table, and the addresses of one group into a
/// sixteenth of the second, however many there are. Who holds a place keeps it while it is any good.
///
/// Time and randomness are arguments.
#[derive(Clone, Debug)]
pub struct AddressBook {
    key: [u8; 32],
    scope: Scope,
    entries: BTreeMap<Endpoint, Entry>,
    heard: BTreeMap<u64, Endpoint>,
    tried: BTreeMap<u64, Endpoint>,
    contested: Vec<Endpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// The group of whoever told of it first.
    source: NetGroup,
    place: u64,
    is_tried: bool,
    attempted: Timestamp,
    /// When a node answered there last; zero for never.
    good: Timestamp,
    /// Attempts since then.
    failures: u8,
}

impl Entry {
    fn is_hopeless(&self) -> bool {
        let max = if self.good == Timestamp(0) { FAILURES_MAX } else { FAILURES_MAX_ONCE_GOOD };
        self.failures >= max
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let wait = RETRY_SECS.saturating_mul(1 << self.failures.min(16)).min(RETRY_SECS_MAX);
        // A clock that was set back must not silence an address for ever.
        now.0 >= self.attempted.0.saturating_add(wait) || now < self.attempted
    }
}

impl AddressBook {
    /// An empty book. `key` is secret and random, made once.
    #[must_use]
    pub const fn new(key: [u8; 32], scope: Scope) -> Self {
        Self {
            key,
            scope,
            entries: BTreeMap::new(),
            heard: BTreeMap::new(),
            tried: BTreeMap::new(),
            contested: Vec::new(),
        }
    }

    /// Addresses heard of and tried.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.heard.len(), self.tried.len())
    }

    /// Takes an address that somebody in `source` told of; `false` when it is known, not ours to use, or its place is taken.
    pub fn learn(&mut self, source: NetGroup, endpoint: Endpoint) -> bool {
        if !self.takes(&endpoint) || self.entries.contains_key(&endpoint) {
            return false;
        }
        let place = self.heard_place(source, &endpoint);
        if let Some(holder) = self.heard.get(&place).copied() {
            if !self.entries.get(&holder).is_some_and(Entry::is_hopeless) {
                return false;
            }
            self.forget(&holder);
        }
        let entry = Entry { source, place, is_tried: false, attempted: Timestamp(0), good: Timestamp(0), failures: 0 };
        self.heard.insert(place, endpoint);
        self.entries.insert(endpoint, entry);
        true
    }

    /// It is being dialled.
    pub fn attempted(&mut self, now: Timestamp, endpoint: &Endpoint) {
        if let Some(entry) = self.entries.get_mut(endpoint) {
            entry.attempted = now;
            entry.failures = entry.failures.saturating_add(1);
        }
    }

    /// A node of this chain answered there. It moves to the tried addresses, unless one that has not failed holds its
    /// place: that one is to be probed first.
    pub fn good(&mut self, now: Timestamp, endpoint: Endpoint) {
        if !self.takes(&endpoint) {
            return;
        }
        self.learn(endpoint.group(), endpoint);
        self.contested.retain(|contested| *contested != endpoint);
        if let Some(entry) = self.entries.get_mut(&endpoint) {
            (entry.good, entry.failures) = (now.max(Timestamp(1)), 0);
            if entry.is_tried {
                return;
            }
        }
        let place = self.tried_place(&endpoint);
        if let Some(holder) = self.tried.get(&place).copied() {
            if self.entries.get(&holder).is_some_and(|entry| entry.failures == 0) {
                if self.contested.len() < CONTESTED_MAX && !self.contested.contains(&holder) {
                    self.contested.push(holder);
                }
                return;
            }
            self.forget(&holder);
        }
        self.forget(&endpoint);
        let good = now.max(Timestamp(1));
        let entry = Entry { source: endpoint.group(), place, is_tried: true, attempted: now, good, failures: 0 };
        self.tried.insert(place, endpoint);
        self.entries.insert(endpoint, entry);
    }

    /// It is of no use: our own address, or a node of another chain.
    pub fn forget(&mut self, endpoint: &Endpoint) {
        if let Some(entry) = self.entries.remove(endpoint) {
            let table = if entry.is_tried { &mut self.tried } else { &mut self.heard };
            table.remove(&entry.place);
            self.contested.retain(|contested| contested != endpoint);
        }
    }

    /// A random address to connect to, tried or heard with equal chance, that is due for an attempt and that `accept` takes.
    pub fn pick(&self, now: Timestamp, draw: u64, accept: impl Fn(&Endpoint) -> bool) -> Option<Endpoint> {
        let is_fit = |endpoint: &Endpoint| self.is_fit(now, endpoint) && accept(endpoint);
        (0..LOOKS_MAX).find_map(|look| {
            let draw = mixed(draw, look);
            let (first, second) = if draw & 1 == 0 { (&self.tried, &self.heard) } else { (&self.heard, &self.tried) };
            let table = if first.is_empty() { second } else { first };
            random_of(table, draw).filter(is_fit)
        })
    }

    /// A random address to find out about: a tried one whose place is contested, or else one only heard of.
    pub fn pick_unsure(&self, now: Timestamp, draw: u64, accept: impl Fn(&Endpoint) -> bool) -> Option<Endpoint> {
        let is_fit = |endpoint: &Endpoint| self.is_fit(now, endpoint) && accept(endpoint);
        let contested = self.contested.iter().copied().find(is_fit);
        contested.or_else(|| (0..LOOKS_MAX).find_map(|look| random_of(&self.heard, mixed(draw, look)).filter(is_fit)))
    }

    /// What to tell a node that asks: up to `max` random addresses, never more than a quarter of all if there are
    /// many.
    #[must_use]
    pub fn sample(&self, draw: u64, max: usize) -> Vec<Endpoint> {
        let count = max.min(self.entries.len().div_ceil(SAMPLE_ONE_IN).max(SAMPLE_MIN));
        let looks = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(4);
        let mut found = BTreeSet::new();
        for look in 0..looks {
            if found.len() >= count {
                break;
            }
            let draw = mixed(draw, look);
            let table = if draw & 1 == 0 { &self.tried } else { &self.heard };
            let is_hopeless = |endpoint: &Endpoint| self.entries.get(endpoint).is_none_or(Entry::is_hopeless);
            found.extend(random_of(table, draw).filter(|endpoint| !is_hopeless(endpoint)));
        }
        found.into_iter().collect()
    }

    /// Every address, for tests and for people.
    pub fn addresses(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.entries.keys().copied()
    }

    /// Bytes of one remembered address: endpoint, source, whether tried, attempted, good, failures.
    const ENTRY_BYTES: usize = Endpoint::BYTES + 5 + 1 + 8 + 8 + 1;

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.key);
        put_compact_size(out, self.entries.len());
        for (endpoint, entry) in &self.entries {
            endpoint.put(out);
            out.extend(entry.source.to_bytes());
            out.push(u8::from(entry.is_tried));
            out.extend(entry.attempted.0.to_le_bytes());
            out.extend(entry.good.0.to_le_bytes());
            out.push(entry.failures);
        }
    }

    /// What does not fit (a place that is taken twice, a group that does not exist) is left out: a book is a hint.
    pub(super) fn decode(decoder: &mut Decoder<'_>, scope: Scope) -> Result<Self, DecodeError> {
        let mut book = Self::new(decoder.array()?, scope);
        let count = decoder.count(Self::ENTRY_BYTES)?;
        if count > BOOK_ADDRESSES_MAX {
            let got = u64::try_from(count).unwrap_or(u64::MAX);
            return Err(DecodeError::CountTooLarge { got, max: BOOK_ADDRESSES_MAX });
        }
        for _ in 0..count {
            let endpoint = Endpoint::decode(decoder)?;
            let source = NetGroup::from_bytes(decoder.array()?);
            let is_tried = decoder.u8()? == 1;
            let (attempted, good) = (Timestamp(decoder.u64()?), Timestamp(decoder.u64()?));
            let failures = decoder.u8()?;
            if let (Some(endpoint), Some(source)) = (endpoint, source) {
                book.restore(endpoint, Entry { source, place: 0, is_tried, attempted, good, failures });
            }
        }
        Ok(book)
    }

    fn restore(&mut self, endpoint: Endpoint, mut entry: Entry) {
        if !self.takes(&endpoint) || self.entries.contains_key(&endpoint) {
            return;
        }
        entry.place =
            if entry.is_tried { self.tried_place(&endpoint) } else { self.heard_place(entry.source, &endpoint) };
        let table = if entry.is_tried { &mut self.tried } else { &mut self.heard };
        if let std::collections::btree_map::Entry::Vacant(place) = table.entry(entry.place) {
            place.insert(endpoint);
            self.entries.insert(endpoint, entry);
        }
    }

    fn takes(&self, endpoint: &Endpoint) -> bool {
        self.scope == Scope::Any || endpoint.is_routable()
    }

    fn is_fit(&self, now: Timestamp, endpoint: &Endpoint) -> bool {
        self.entries.get(endpoint).is_some_and(|entry| entry.is_due(now) && !entry.is_hopeless())
    }

    /// Among the buckets of whoever told of it.
    fn heard_place(&self, source: NetGroup, endpoint: &Endpoint) -> u64 {
        self.place(HEARD, source, &endpoint.group().to_bytes(), endpoint)
    }

    /// Among the buckets of its own group.
    fn tried_place(&self, endpoint: &Endpoint) -> u64 {
        self.place(TRIED, endpoint.group(), &endpoint_bytes(endpoint), endpoint)
    }

    /// `spread` chooses among the buckets that `group` has.
    fn place(&self, shape: Shape, group: NetGroup, spread: &[u8], endpoint: &Endpoint) -> u64 {
        let group = group.to_bytes();
        let turn = self.hash(shape.tag, &[&group, spread]).checked_rem(shape.buckets_per_group).unwrap_or(0);
        let bucket = self.hash(shape.tag, &[&group, &turn.to_le_bytes()]).checked_rem(shape.buckets).unwrap_or(0);
        let position = self.hash(shape.tag, &[&bucket.to_le_bytes(), &endpoint_bytes(endpoint)]);
        bucket.saturating_mul(BUCKET_PLACES).saturating_add(position.checked_rem(BUCKET_PLACES).unwrap_or(0))
    }

    fn hash(&self, tag: &str, parts: &[&[u8]]) -> u64 {
        let keyed: Vec<&[u8]> = std::iter::once(&self.key[..]).chain(parts.iter().copied()).collect();
        let [a, b, c, d, e, f, g, h, ..] = tagged_hash(tag, &keyed);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

fn endpoint_bytes(endpoint: &Endpoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(Endpoint::BYTES);
    endpoint.put(&mut bytes);
    bytes
}

/// A random address of a random bucket: every bucket has about the same chance, full or not, so that a group which fills
/// its buckets gains nothing by it.
fn random_of(table: &BTreeMap<u64, Endpoint>, draw: u64) -> Option<Endpoint> {
    let last = *table.last_key_value()?.0;
    let from = (draw >> 1).checked_rem(last.saturating_add(1)).unwrap_or(0);
    let (found, _) = table.range(from..).next()?;
    let start = found.saturating_sub(found.checked_rem(BUCKET_PLACES).unwrap_or(0));
    let bucket: Vec<_> =
        table.range(start..start.saturating_add(BUCKET_PLACES)).map(|(_, endpoint)| *endpoint).collect();
    let chosen = usize::try_from(mixed(draw, 1)).unwrap_or(0).checked_rem(bucket.len()).unwrap_or(0);
    bucket.get(chosen).copied()
}

/// The `turn`th number drawn from a seed.
fn mixed(seed: u64, turn: u64) -> u64 {
    let mut z = seed.wrapping_add(turn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn at(a: u8, b: u8, c: u8, d: u8) -> Endpoint {
        Endpoint::new(IpAddr::from([a, b, c, d]), 8333).unwrap()
    }

    fn book() -> AddressBook {
        AddressBook::new([7; 32], Scope::Routable)
    }

    /// Honest addresses: `count` of them, each of its own group, told by as many sources.
    fn honest(book: &mut AddressBook, count: u8) -> Vec<Endpoint> {
        let all: Vec<_> = (0..count).map(|n| at(20 + n / 100, n, 1, 1)).collect();
        all.iter().for_each(|endpoint| {
            book.learn(endpoint.group(), *endpoint);
        });
        all
    }

    #[test]
    fn one_group_cannot_fill_the_book_whatever_it_tells() {
        let mut book = book();
        let liar = NetGroup::V4([66, 6]);
        let mut taken = 0;
        for n in 0..60_000_u32 {
            let [_, b, c, d] = n.to_be_bytes();
            taken += u32::from(book.learn(liar, at(40 + b, c, d, 1)));
        }
        // A sixteenth of 8192 places, less where two of its sixteen buckets coincide.
        assert!(taken <= 512, "{taken}");
        assert_eq!(book.counts().0, usize::try_from(taken).unwrap());
        // And it displaces nobody who was there: the honest ones come first here.
        let mut book = self::book();
        let known = honest(&mut book, 100);
        let before: Vec<_> = known.iter().filter(|endpoint| book.entries.contains_key(endpoint)).collect();
        for n in 0..60_000_u32 {
            let [_, b, c, d] = n.to_be_bytes();
            book.learn(liar, at(40 + b, c, d, 1));
        }
        assert!(before.len() > 90 && before.iter().all(|endpoint| book.entries.contains_key(endpoint)));
    }

    #[test]
    fn addresses_of_one_group_get_a_sixteenth_of_the_tried_places() {
        let mut book = book();
        for n in 0..=u16::MAX {
            let [c, d] = n.to_be_bytes();
            if n % 16 == 0 {
                book.good(NOW, at(66, 6, c, d));
            }
        }
        let (_, tried) = book.counts();
        assert!((32..=128).contains(&tried), "{tried}");
    }

    /// An attacker that filled all the places it can get is picked hardly more often than its share of buckets.
    #[test]
    fn a_flooded_book_still_picks_mostly_others() {
        let mut book = book();
        let liar = NetGroup::V4([66, 6]);
        for n in 0..60_000_u32 {
            let [_, b, c, d] = n.to_be_bytes();
            book.learn(liar, at(40 + b, c, d, 1));
        }
        honest(&mut book, 200);
        let picks: Vec<_> = (0..2000).filter_map(|draw| book.pick(NOW, mixed(9, draw), |_| true)).collect();
        let bad = picks.iter().filter(|endpoint| book.entries[endpoint].source == liar).count();
        assert!(picks.len() == 2000 && bad < 400, "{bad} of {}", picks.len());
    }

    #[test]
    fn an_address_is_tried_less_and_less_often_and_then_given_up() {
        let mut book = book();
        let endpoint = at(20, 1, 1, 1);
        assert!(book.learn(endpoint.group(), endpoint));
        assert!(!book.learn(endpoint.group(), endpoint));
        let mut now = NOW;
        for wait in [120, 240] {
            assert_eq!(book.pick(now, 5, |_| true), Some(endpoint));
            book.attempted(now, &endpoint);
            assert_eq!(book.pick(Timestamp(now.0 + wait - 1), 5, |_| true), None);
            now = Timestamp(now.0 + wait);
        }
        book.attempted(now, &endpoint);
        assert_eq!(book.pick(Timestamp(now.0 + 1_000_000), 5, |_| true), None, "given up");
        book.good(now, endpoint);
        assert_eq!(book.counts(), (0, 1));
        assert_eq!(book.pick(Timestamp(now.0 + 60), 5, |_| true), Some(endpoint));
        assert_eq!(book.pick(Timestamp(now.0 + 60), 5, |_| false), None);
    }

    #[test]
    fn a_tried_address_keeps_its_place_until_it_fails() {
        let mut book = book();
        let first = at(20, 1, 1, 1);
        book.good(NOW, first);
        let place = book.entries[&first].place;
        let rival = (0..=u16::MAX)
            .map(|n| at(20, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]))
            .find(|other| *other != first && book.tried_place(other) == place)
            .unwrap();
        book.good(NOW, rival);
        assert_eq!(book.tried.get(&place), Some(&first));
        let later = Timestamp(NOW.0 + 3600);
        assert_eq!(book.pick_unsure(later, 1, |_| true), Some(first), "the holder is probed");
        book.attempted(later, &first);
        book.good(later, rival);
        assert_eq!(book.tried.get(&place), Some(&rival));
        assert!(!book.entries.contains_key(&first));
    }

    #[test]
    fn addresses_of_one_bucket_have_the_same_chance() {
        let mut book = book();
        let source = NetGroup::V4([20, 0]);
        let known: Vec<_> = (1..40).map(|d| at(20, 1, 1, d)).filter(|endpoint| book.learn(source, *endpoint)).collect();
        let picks = (0..4000).filter_map(|draw| book.pick(NOW, mixed(3, draw), |_| true));
        let mut counts = BTreeMap::new();
        picks.for_each(|endpoint| *counts.entry(endpoint).or_insert(0) += 1);
        let fair = 4000 / known.len();
        assert_eq!(counts.len(), known.len());
        assert!(counts.values().all(|count| *count > fair / 2 && *count < fair * 2), "{counts:?}");
    }

    #[test]
    fn a_sample_is_a_part_of_the_book() {
        let mut book = book();
        let known = honest(&mut book, 200);
        let sample = book.sample(3, 1000);
        assert!((20..=50).contains(&sample.len()), "{}", sample.len());
        assert!(sample.iter().all(|endpoint| known.contains(endpoint)));
        assert_eq!(book.sample(3, 5).len(), 5);
        assert_eq!(self::book().sample(3, 5), []);
    }

    #[test]
    fn private_addresses_are_taken_only_where_they_are_wanted() {
        let private = at(192, 168, 0, 1);
        assert!(!book().learn(private.group(), private));
        assert!(AddressBook::new([7; 32], Scope::Any).learn(private.group(), private));
    }

    /// What can happen to a book.
    #[derive(Clone, Debug)]
    enum Step {
        Learn(u8, [u8; 4]),
        Attempted([u8; 4]),
        Good([u8; 4]),
        Forget([u8; 4]),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few groups and hosts, so that steps meet.
        let ip = (20..24_u8, 0..4_u8, 0..8_u8, 1..8_u8).prop_map(|(a, b, c, d)| [a, b, c, d]);
        prop_oneof![
            4 => (0..4_u8, ip.clone()).prop_map(|(source, ip)| Step::Learn(source, ip)),
            2 => ip.clone().prop_map(Step::Attempted),
            2 => ip.clone().prop_map(Step::Good),
            1 => ip.prop_map(Step::Forget),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn tables_and_entries_agree_and_survive_the_disk(steps in proptest::collection::vec(step(), 0..400)) {
            let mut book = book();
            for (turn, step) in steps.into_iter().enumerate() {
                let now = Timestamp(NOW.0 + u64::try_from(turn).unwrap());
                let to = |[a, b, c, d]: [u8; 4]| at(a, b, c, d);
                match step {
                    Step::Learn(source, ip) => { book.learn(NetGroup::V4([source, 0]), to(ip)); }
                    Step::Attempted(ip) => book.attempted(now, &to(ip)),
                    Step::Good(ip) => book.good(now, to(ip)),
                    Step::Forget(ip) => book.forget(&to(ip)),
                }
            }
            prop_assert_eq!(book.entries.len(), book.heard.len() + book.tried.len());
            for (endpoint, entry) in &book.entries {
                let table = if entry.is_tried { &book.tried } else { &book.heard };
                prop_assert_eq!(table.get(&entry.place), Some(endpoint));
            }
            prop_assert!(book.contested.iter().all(|endpoint| book.entries[endpoint].is_tried));
            let mut bytes = Vec::new();
            book.put(&mut bytes);
            let again = AddressBook::decode(&mut Decoder::new(&bytes), Scope::Routable).unwrap();
            prop_assert_eq!(&again.entries, &book.entries);
            prop_assert_eq!((&again.heard, &again.tried), (&book.heard, &book.tried));
        }
    }
}
