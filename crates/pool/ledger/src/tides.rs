use std::ops::ControlFlow;

use bq_primitives::{AccountId, NetworkDifficulty, ShareDifficulty};

use crate::{Head, Window, WindowUnits, fill::Fill};

/// A TIDES window being filled, newest share first (SPEC 8.9): as [`crate::WindowFold`], but in hashes, and as long as so many
/// blocks of the difficulty of the block that it pays. [`crate::distribute`] splits a reward over it.
#[derive(Clone, Debug)]
pub struct TidesFold(Fill);

impl TidesFold {
    /// An empty window for a block of this difficulty: `units * D_b` hashes, below 2^102.
    #[must_use]
    pub const fn new(units: WindowUnits, block: NetworkDifficulty, head: Head) -> Self {
        // At most 64 times a difficulty below 2^96.
        Self(Fill::new(block.hashes().saturating_mul(units.units() as u128), head))
    }

    /// The next older share. Breaks when the window is full.
    pub fn add(&mut self, account: AccountId, share: ShareDifficulty) -> ControlFlow<()> {
        let counted = match self.0.next_head() {
            Head::Half => share.hashes() >> 1,
            Head::Whole => share.hashes(),
        };
        self.0.add(account, counted)
    }

    /// The window; what was not filled belongs to the seed account.
    #[must_use]
    pub fn finish(self) -> Window {
        self.0.finish()
    }
}
