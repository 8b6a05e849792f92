//! What miners earned, said slowly: out of the shares and the chain alone, by the text of SPEC 8.1 to 8.3 and none of the
//! pool's code.

use std::collections::BTreeMap;

use bq_mining_message::Share;
use bq_primitives::{Algorithm, KeyHash};

/// Shares in the order of the log, and blocks that pay them.
pub(crate) struct Model<'a> {
    pub(crate) shares: &'a [Share],
}

/// Where the window of a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the block's own share, by its index.
    Own(usize),
    /// With the newest share before it.
    Before(usize),
    /// There was none.
    Nothing,
}

/// The pool's fee in hundredths of a percent.
const FEE: u128 = 100;
/// Length of the window in blocks.
const WINDOW: u128 = 2;
const ONE: u128 = 1 << 60;

impl Model<'_> {
    /// What each key earns by a block, residues of other blocks left out: less than one atom per miner and block.
    pub(crate) fn credits(&self, reward: u64, lane: Algorithm, start: Start) -> BTreeMap<KeyHash, u64> {
        let net = u128::from(reward) - u128::from(reward) * FEE / 10_000;
        let (newest, mut halves) = match start {
            Start::Own(index) => (Some(index), true),
            Start::Before(index) => (Some(index), false),
            Start::Nothing => (None, false),
        };
        let mut weights: BTreeMap<KeyHash, u128> = BTreeMap::new();
        let mut needed = WINDOW * ONE;
        let mut at = newest.map_or(0, |index| index + 1);
        while at > 0 && needed > 0 {
            at -= 1;
            let share = &self.shares[at];
            if share.algorithm != lane {
                continue;
            }
            let mut weight = (u128::from(share.difficulty.hashes()) * ONE / share.network_difficulty.hashes()).min(ONE);
            if halves {
                weight /= 2;
                halves = false;
            }
            let counted = weight.min(needed);
            needed -= counted;
            *weights.entry(share.payee).or_default() += counted;
        }
        let part = |weight: u128| (net * weight / (WINDOW * ONE)) as u64;
        weights.into_iter().map(|(key, weight)| (key, part(weight))).collect()
    }
}
