use std::ops::ControlFlow;

use bq_primitives::AccountId;

use crate::{Head, Window};

/// A window being filled, newest share first (SPEC 8.2). What its parts are, weights or hashes, its owner knows. Accounts are
/// small numbers, so the sums lie in a table: a window of millions of shares costs one addition each.
#[derive(Clone, Debug)]
pub(crate) struct Fill {
    whole: u128,
    need: u128,
    head: Head,
    sums: Vec<u128>,
}

impl Fill {
    pub(crate) const fn new(whole: u128, head: Head) -> Self {
        Self { whole, need: whole, head, sums: Vec::new() }
    }

    /// How the next share counts. The newest is asked about first, and only once.
    pub(crate) const fn next_head(&mut self) -> Head {
        std::mem::replace(&mut self.head, Head::Whole)
    }

    /// As much of the next older share as counts and still fits. Breaks when the window is full.
    pub(crate) fn add(&mut self, account: AccountId, counted: u64) -> ControlFlow<()> {
        let taken = self.need.min(u128::from(counted));
        self.need = self.need.saturating_sub(taken);
        let index = usize::try_from(account.0).unwrap_or(usize::MAX);
        if index >= self.sums.len() {
            self.sums.resize(index.saturating_add(1), 0);
        }
        if let Some(sum) = self.sums.get_mut(index) {
            *sum = sum.saturating_add(taken);
        }
        if self.need == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The window; what was not filled belongs to the seed account.
    pub(crate) fn finish(self) -> Window {
        let numbered = (0_u32..).map(AccountId).zip(self.sums);
        Window::filled(self.whole, numbered, self.need)
    }
}
