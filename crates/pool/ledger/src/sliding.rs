use std::{
    collections::{BTreeMap, VecDeque},
    ops::ControlFlow,
};

use bq_primitives::AccountId;

use crate::{ShareWeight, Window, WindowUnits};

/// The window that ends with the newest share, kept while shares come: what [`crate::WindowFold`] gives of all of them, its newest
/// counted whole, for one addition a share. Holds the shares that are in the window, 16 bytes each.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    units: WindowUnits,
    /// Oldest first; neighbours of one account are one.
    shares: VecDeque<(AccountId, u64)>,
    sums: BTreeMap<AccountId, u128>,
    total: u128,
}

impl SlidingWindow {
    /// Without a share.
    #[must_use]
    pub const fn new(units: WindowUnits) -> Self {
        Self { units, shares: VecDeque::new(), sums: BTreeMap::new(), total: 0 }
    }

    /// Its length.
    #[must_use]
    pub const fn units(&self) -> WindowUnits {
        self.units
    }

    /// The next newer share.
    pub fn push_newer(&mut self, account: AccountId, weight: ShareWeight) {
        let parts = weight.parts();
        self.count(account, parts);
        let joined =
            self.shares.back().filter(|(last, _)| *last == account).and_then(|(_, sum)| sum.checked_add(parts));
        match (joined, self.shares.back_mut()) {
            (Some(sum), Some(last)) => last.1 = sum,
            _ => self.shares.push_back((account, parts)),
        }
        while let Some((oldest, parts)) = self.shares.front().copied() {
            if self.total.saturating_sub(u128::from(parts)) < self.units.parts() {
                return;
            }
            self.shares.pop_front();
            self.total = self.total.saturating_sub(u128::from(parts));
            self.take_off(oldest, u128::from(parts));
        }
    }

    /// The next older share, while the window is filled backwards. Breaks when it is full.
    pub fn push_older(&mut self, account: AccountId, weight: ShareWeight) -> ControlFlow<()> {
        if self.total < self.units.parts() {
            self.count(account, weight.parts());
            self.shares.push_front((account, weight.parts()));
        }
        if self.total < self.units.parts() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// The window: the oldest share as far as it fits, and the seed's part.
    #[must_use]
    pub fn window(&self) -> Window {
        let whole = self.units.parts();
        let mut weights = self.sums.clone();
        if let Some((oldest, _)) = self.shares.front()
            && let Some(sum) = weights.get_mut(oldest)
        {
            *sum = sum.saturating_sub(self.total.saturating_sub(whole));
        }
        Window::filled(whole, weights.into_iter(), whole.saturating_sub(self.total))
    }

    fn count(&mut self, account: AccountId, parts: u64) {
        self.total = self.total.saturating_add(u128::from(parts));
        let sum = self.sums.entry(account).or_default();
        *sum = sum.saturating_add(u128::from(parts));
    }

    fn take_off(&mut self, account: AccountId, parts: u128) {
        if let Some(sum) = self.sums.get_mut(&account) {
            *sum = sum.saturating_sub(parts);
            if *sum == 0 {
                self.sums.remove(&account);
            }
        }
    }
}
