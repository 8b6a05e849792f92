use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use bq_primitives::KeyHash;

use crate::Notice;

/// Who waits and is called apart from the others (SPEC 8.11.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Its webhook answered the last call.
    Proven,
    /// Everybody else.
    Unproven,
}

/// A notice on its way.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) notice: Notice,
    /// Tries so far.
    pub(crate) tried: u32,
    /// Not called before.
    pub(crate) from: Instant,
    host: String,
}

impl Waiting {
    pub(crate) fn new(notice: Notice, now: Instant) -> Self {
        let host = notice.webhook.place().map(|place| place.host.to_ascii_lowercase()).unwrap_or_default();
        Self { notice, tried: 0, from: now, host }
    }
}

/// A class's part of so many: three quarters for the proven, at least one for each.
#[must_use]
pub(crate) fn part(class: Class, total: usize) -> usize {
    let unproven = (total / 4).max(1);
    match class {
        Class::Proven => total.saturating_sub(unproven).max(1),
        Class::Unproven => unproven,
    }
}

/// Notices that wait, and whom calls are under way to. It knows no clock and calls nobody.
#[derive(Debug)]
pub(crate) struct Queue {
    places: usize,
    callers: usize,
    /// By number: the order in which they came.
    waiting: BTreeMap<u64, (Class, Waiting)>,
    next: u64,
    /// Of an account one of each kind waits.
    kinds: BTreeMap<(KeyHash, String), u64>,
    crowds: BTreeMap<Class, Crowds>,
    /// Calls under way, by class and by host.
    calling: BTreeMap<Class, usize>,
    hosts: BTreeMap<String, usize>,
}

impl Queue {
    pub(crate) fn new(places: usize, callers: usize) -> Self {
        let (waiting, kinds, crowds) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { places, callers, waiting, next: 0, kinds, crowds, calling: BTreeMap::new(), hosts: BTreeMap::new() }
    }

    /// One more that waits. Returns the accounts of those that are left out for it: an older one of its kind, and whoever makes room.
    pub(crate) fn add(&mut self, class: Class, waiting: Waiting) -> Vec<KeyHash> {
        let kind = (waiting.notice.account, waiting.notice.event.clone());
        let mut left_out: Vec<KeyHash> = Vec::new();
        if let Some(older) = self.kinds.get(&kind).copied() {
            left_out.extend(self.remove(older).map(|(_, older)| older.notice.account));
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        self.kinds.insert(kind, number);
        self.crowds.entry(class).or_default().add(number, &waiting);
        self.waiting.insert(number, (class, waiting));
        left_out.extend(self.make_room(class));
        left_out
    }

    /// One of this kind waits for this account.
    pub(crate) fn holds(&self, notice: &Notice) -> bool {
        self.kinds.contains_key(&(notice.account, notice.event.clone()))
    }

    /// What waits for this webhook of this account is of this class from now on. Returns the accounts of those that make room.
    pub(crate) fn reclass(&mut self, notice: &Notice, class: Class) -> Vec<KeyHash> {
        let of_account = self.kinds.range((notice.account, String::new())..);
        let of_account = of_account.take_while(|((account, _), _)| *account == notice.account);
        let numbers: Vec<u64> = of_account.map(|(_, number)| *number).collect();
        for number in numbers {
            let Some((before, waiting)) = self.waiting.get_mut(&number) else { continue };
            if *before == class || waiting.notice.webhook != notice.webhook {
                continue;
            }
            self.crowds.entry(*before).or_default().remove(number, waiting);
            self.crowds.entry(class).or_default().add(number, waiting);
            *before = class;
        }
        self.make_room(class)
    }

    /// The next to be called, if its class has a caller left: of those whose host the fewest calls are under way to, the oldest.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(Class, Waiting)> {
        let is_free = |class| self.calling.get(&class).copied().unwrap_or_default() < part(class, self.callers);
        let free = [is_free(Class::Proven), is_free(Class::Unproven)];
        if free == [false; 2] {
            return None;
        }
        let may = |class: Class| if class == Class::Proven { free[0] } else { free[1] };
        let ready = self.waiting.iter().filter(|(_, (class, waiting))| may(*class) && waiting.from <= now);
        let calls = |host: &String| self.hosts.get(host).copied().unwrap_or_default();
        let next = ready.min_by_key(|(number, (class, waiting))| (*class, calls(&waiting.host), **number));
        let number = *next?.0;
        let (class, waiting) = self.remove(number)?;
        *self.calling.entry(class).or_default() += 1;
        *self.hosts.entry(waiting.host.clone()).or_default() += 1;
        Some((class, waiting))
    }

    /// A call that was taken is over.
    pub(crate) fn ended(&mut self, class: Class, waiting: &Waiting) {
        let less = |count: usize| count.saturating_sub(1);
        self.calling.entry(class).and_modify(|count| *count = less(*count));
        let left = self.hosts.get(&waiting.host).copied().map_or(0, less);
        if left == 0 {
            self.hosts.remove(&waiting.host);
        } else {
            self.hosts.insert(waiting.host.clone(), left);
        }
    }

    /// Where a class has more than its places: the oldest of the account or host that has most of them goes.
    fn make_room(&mut self, class: Class) -> Vec<KeyHash> {
        let mut left_out = Vec::new();
        let places = part(class, self.places);
        while let Some(number) = self.crowds.get(&class).and_then(|crowds| crowds.one_too_many(places)) {
            let Some((_, gone)) = self.remove(number) else { break };
            left_out.push(gone.notice.account);
        }
        left_out
    }

    fn remove(&mut self, number: u64) -> Option<(Class, Waiting)> {
        let (class, waiting) = self.waiting.remove(&number)?;
        self.kinds.remove(&(waiting.notice.account, waiting.notice.event.clone()));
        self.crowds.entry(class).or_default().remove(number, &waiting);
        Some((class, waiting))
    }
}

/// Whose notices wait.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Crowd {
    Account(KeyHash),
    Host(String),
}

/// The notices of one class by account and by host, the largest crowd at hand.
#[derive(Debug, Default)]
struct Crowds {
    all: usize,
    members: BTreeMap<Crowd, BTreeSet<u64>>,
    /// How many, and the oldest of them: where crowds tie, the one with the oldest comes last.
    by_size: BTreeSet<(usize, Reverse<u64>, Crowd)>,
}

impl Crowds {
    fn add(&mut self, number: u64, waiting: &Waiting) {
        self.all = self.all.saturating_add(1);
        self.change(waiting, |members| members.insert(number));
    }

    fn remove(&mut self, number: u64, waiting: &Waiting) {
        self.all = self.all.saturating_sub(1);
        self.change(waiting, |members| members.remove(&number));
    }

    fn change(&mut self, waiting: &Waiting, change: impl Fn(&mut BTreeSet<u64>) -> bool) {
        for crowd in [Crowd::Account(waiting.notice.account), Crowd::Host(waiting.host.clone())] {
            let members = self.members.entry(crowd.clone()).or_default();
            if let Some(oldest) = members.first() {
                self.by_size.remove(&(members.len(), Reverse(*oldest), crowd.clone()));
            }
            change(members);
            match members.first() {
                Some(oldest) => drop(self.by_size.insert((members.len(), Reverse(*oldest), crowd))),
                None => drop(self.members.remove(&crowd)),
            }
        }
    }

    /// The number of who makes room, if there are more than so many.
    fn one_too_many(&self, places: usize) -> Option<u64> {
        let (_, Reverse(oldest), _) = self.by_size.last()?;
        (self.all > places).then_some(*oldest)
    }
}
