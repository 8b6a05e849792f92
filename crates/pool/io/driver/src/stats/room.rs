//! Who is kept, and who makes room for whom.

use bq_pool_history::{Series, SeriesKey, Subject};
use bq_primitives::{KeyHash, Timestamp, WorkerName};

use super::{ACTIVE_SECS, Class, OTHERS, Stats, Worker, WorkerKey, recent::Run};

impl Stats {
    /// Where a worker is kept; nothing when there is no room. Newcomers take the place of whoever was not seen for longest, if that is an
    /// hour: first of their own account, then of all. Those of whom every share was refused have places of their own, because such a name costs
    /// no work.
    pub(super) fn worker_index(&mut self, now: Timestamp, mut key: WorkerKey, class: Class) -> Option<usize> {
        match self.by_key.get(&key).copied() {
            Some(index) if class == Class::Refused || self.workers[index].class == class => return Some(index),
            Some(index) if self.make_room(now, key.0, class) => {
                // Making room looked at the places of the proven ones only, so it is still there.
                self.prove(index);
                return Some(index);
            }
            Some(_) => {}
            None if self.make_room(now, key.0, class) => return Some(self.insert(key, class)),
            None => {}
        }
        key.2 = WorkerName::new(OTHERS).unwrap_or_default();
        if let Some(index) = self.by_key.get(&key).copied() {
            if class == Class::Proven && self.workers[index].class == Class::Refused {
                self.prove(index);
            }
            return Some(index);
        }
        let has_room = self.lists[Class::Proven.index()].len() < self.limits.all_max.saturating_mul(2);
        (class == Class::Proven && has_room).then(|| self.insert(key, class))
    }

    fn make_room(&mut self, now: Timestamp, account: KeyHash, class: Class) -> bool {
        let (per_account_max, all_max) = self.limits.of(class);
        while let Some(list) = self.accounts.get(&account).map(|account| account.lists[class.index()]) {
            if list.len() < per_account_max {
                break;
            }
            if !self.forget_if_idle(now, list.oldest()) {
                return false;
            }
        }
        while self.lists[class.index()].len() >= all_max {
            if !self.forget_if_idle(now, self.lists[class.index()].oldest()) {
                return false;
            }
        }
        true
    }

    fn forget_if_idle(&mut self, now: Timestamp, place: Option<usize>) -> bool {
        let Some(place) = place else { return false };
        let is_idle = self.workers[place].seen().0.saturating_add(ACTIVE_SECS) < now.0;
        if is_idle {
            self.forget(place);
        }
        is_idle
    }

    /// A worker that was just linked makes one too many: whoever was seen before all others goes.
    pub(super) fn make_room_loaded(&mut self, newest: usize) {
        let Worker { key, class, .. } = &self.workers[newest];
        let (class, account) = (*class, self.accounts.get(&key.0));
        let (per_account_max, all_max) = self.limits.of(class);
        let of_account = account.map(|account| account.lists[class.index()]).unwrap_or_default();
        // Beside the others there is the name that these are counted under.
        if of_account.len() > per_account_max.saturating_add(1) {
            of_account.oldest().into_iter().for_each(|oldest| self.forget(oldest));
        }
        if self.lists[class.index()].len() > all_max {
            self.lists[class.index()].oldest().into_iter().for_each(|oldest| self.forget(oldest));
        }
    }

    fn insert(&mut self, key: WorkerKey, class: Class) -> usize {
        let index = self.place(key, class, Series::default());
        self.link(index);
        index
    }

    /// Puts a worker where there is a place, in no list yet.
    pub(super) fn place(&mut self, key: WorkerKey, class: Class, series: Series) -> usize {
        let worker =
            Worker { key: key.clone(), class, series, work: 0, minute: 0, run: Run::default(), is_changed: false };
        let index = match self.free.pop() {
            Some(index) => {
                self.workers[index] = worker;
                index
            }
            None => {
                self.workers.push(worker);
                self.workers.len() - 1
            }
        };
        let account = self.accounts.entry(key.0).or_default();
        account.names.insert((key.2.clone(), key.1), index);
        self.by_key.insert(key, index);
        index
    }

    /// Puts a worker behind all others.
    pub(super) fn link(&mut self, index: usize) {
        let Worker { class, key, .. } = &self.workers[index];
        self.in_all.push(&mut self.lists[class.index()], index);
        if let Some(account) = self.accounts.get_mut(&key.0) {
            self.in_account.push(&mut account.lists[class.index()], index);
        }
    }

    /// Something happened at a worker.
    pub(super) fn touch(&mut self, index: usize) {
        let Worker { class, key, .. } = &self.workers[index];
        self.in_all.touch(&mut self.lists[class.index()], index);
        if let Some(account) = self.accounts.get_mut(&key.0) {
            self.in_account.touch(&mut account.lists[class.index()], index);
        }
    }

    /// A worker whose shares were all refused has done work.
    fn prove(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.class = Class::Proven;
        let (from, to) = (Class::Refused.index(), Class::Proven.index());
        self.in_all.remove(&mut self.lists[from], index);
        self.in_all.push(&mut self.lists[to], index);
        if let Some(account) = self.accounts.get_mut(&worker.key.0) {
            self.in_account.remove(&mut account.lists[from], index);
            self.in_account.push(&mut account.lists[to], index);
        }
    }

    /// Forgets a worker, and its account with the last one.
    pub(super) fn forget(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.is_changed = false;
        let (key, class) = (worker.key.clone(), worker.class.index());
        self.in_all.remove(&mut self.lists[class], index);
        self.by_key.remove(&key);
        self.free.push(index);
        self.drop_series(SeriesKey { subject: Subject::Worker(key.0, key.2.clone()), lane: key.1 });
        let Some(account) = self.accounts.get_mut(&key.0) else { return };
        self.in_account.remove(&mut account.lists[class], index);
        account.names.remove(&(key.2, key.1));
        if account.names.is_empty() {
            self.forget_account(key.0);
        }
    }

    /// Forgets what is kept of an account as a whole.
    pub(super) fn forget_account(&mut self, account: KeyHash) {
        let Some(known) = self.accounts.remove(&account) else { return };
        for (lane, _) in known.lanes() {
            self.drop_series(SeriesKey { subject: Subject::Account(account), lane });
        }
    }
}
