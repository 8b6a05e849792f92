use std::{collections::VecDeque, convert::Infallible};

use bq_ledger::{ShareSequence, ShareWeight, Window, WindowUnits};
use bq_primitives::AccountId;

/// Shares kept at most; a window that needs more is read from the share log.
const SHARES_MAX: usize = 1_000_000;

/// The newest shares of one algorithm: enough for the window of every block that was found lately.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    shares: VecDeque<(ShareSequence, AccountId, ShareWeight)>,
    /// Sum of the weights in `shares`.
    weight: u128,
    /// Weight to keep: the window and one block's work more, for blocks that are not credited yet.
    keep: u128,
    /// Shares older than those kept exist.
    is_cut: bool,
    /// Weight since the lane's last block, that block's own share not counted.
    round: u128,
}

impl Lane {
    /// Keeps enough for windows of `units`.
    pub(crate) fn set_window(&mut self, units: WindowUnits) {
        self.keep = units.parts() + u128::from(ShareWeight::ONE.parts());
    }

    /// The next share of the lane.
    pub(crate) fn push(&mut self, sequence: ShareSequence, account: AccountId, weight: ShareWeight, is_block: bool) {
        self.shares.push_back((sequence, account, weight));
        self.weight += u128::from(weight.parts());
        self.round = if is_block { 0 } else { self.round.saturating_add(weight.parts().into()) };
        while let Some((_, _, oldest)) = self.shares.front() {
            let rest = self.weight - u128::from(oldest.parts());
            if rest < self.keep && self.shares.len() <= SHARES_MAX {
                break;
            }
            self.weight = rest;
            self.is_cut = true;
            self.shares.pop_front();
        }
    }

    /// While rebuilding, newest first: whether more shares are wanted.
    pub(crate) fn wants_older(&self) -> bool {
        self.weight < self.keep && self.shares.len() < SHARES_MAX
    }

    /// While rebuilding, newest first: the share before all others.
    pub(crate) fn push_older(&mut self, sequence: ShareSequence, account: AccountId, weight: ShareWeight) {
        self.shares.push_front((sequence, account, weight));
        self.weight += u128::from(weight.parts());
    }

    /// While rebuilding: a share that is too old to keep exists.
    pub(crate) const fn note_cut(&mut self) {
        self.is_cut = true;
    }

    /// While rebuilding: a share since the lane's last block.
    pub(crate) fn add_to_round(&mut self, weight: ShareWeight) {
        self.round = self.round.saturating_add(weight.parts().into());
    }

    /// The window that ends with share `newest`; nothing when shares it needs are not kept any more.
    pub(crate) fn window(&self, units: WindowUnits, newest: ShareSequence) -> Option<Window> {
        let end = self.shares.partition_point(|(sequence, _, _)| *sequence <= newest);
        let shares = self.shares.range(..end).rev();
        let Ok(window) =
            Window::walk(units, shares.map(|(_, account, weight)| Ok::<_, Infallible>((*account, *weight))));
        (window.seed() == 0 || !self.is_cut).then_some(window)
    }

    /// Position of the newest share.
    pub(crate) fn newest(&self) -> Option<ShareSequence> {
        self.shares.back().map(|(sequence, _, _)| *sequence)
    }

    /// Work since the lane's last block, in 2^-60 of the expected work for one.
    pub(crate) const fn round(&self) -> u128 {
        self.round
    }
}
