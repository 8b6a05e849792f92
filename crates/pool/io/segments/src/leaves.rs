use std::collections::VecDeque;

use bq_mining_message::ShareSequence;

/// The leaves of the newest shares that no frame was asked for yet, so that cutting one reads nothing.
#[derive(Debug)]
pub(crate) struct Leaves {
    first: ShareSequence,
    leaves: VecDeque<[u8; 32]>,
    max: usize,
}

impl Leaves {
    /// None yet; `next` is the share that comes next.
    pub(crate) const fn new(next: ShareSequence, max: usize) -> Self {
        Self { first: next, leaves: VecDeque::new(), max }
    }

    /// Adds the leaf of the next share; the oldest goes when there are too many.
    pub(crate) fn push(&mut self, leaf: [u8; 32]) {
        self.leaves.push_back(leaf);
        if self.leaves.len() > self.max {
            self.leaves.pop_front();
            self.first = self.first.next();
        }
    }

    /// The leaves of `count` shares from `from` on, if all of them are here.
    pub(crate) fn get(&self, from: ShareSequence, count: usize) -> Option<Vec<[u8; 32]>> {
        let start = usize::try_from(from.0.checked_sub(self.first.0)?).ok()?;
        let end = start.checked_add(count).filter(|end| *end <= self.leaves.len())?;
        Some(self.leaves.range(start..end).copied().collect())
    }

    /// Forgets those before a share.
    pub(crate) fn drop_before(&mut self, share: ShareSequence) {
        let count = usize::try_from(share.0.saturating_sub(self.first.0)).unwrap_or(usize::MAX).min(self.leaves.len());
        self.leaves.drain(..count);
        self.first = self.first.after(u64::try_from(count).unwrap_or(u64::MAX));
    }
}
