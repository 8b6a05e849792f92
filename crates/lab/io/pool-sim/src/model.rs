//! What miners earned, said slowly: out of the shares and the chain alone, by the text of SPEC 8.1 to 8.3 and 8.9 and none of
//! the pool's code.

use std::collections::BTreeMap;

use bq_mining_message::{Share, SharePay};
use bq_primitives::{Algorithm, KeyHash};

use crate::slow;

/// Shares in the order of the log, and blocks that pay them.
pub(crate) struct Model<'a> {
    pub(crate) shares: &'a [Share],
    /// The pool's fee in hundredths of a percent.
    pub(crate) fee: u128,
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

/// The usual fee.
pub(crate) const FEE: u128 = 100;
/// Length of the window in blocks.
const WINDOW: u128 = 2;
const ONE: u128 = 1 << 60;

pub(crate) fn weight(share: &Share) -> u128 {
    (u128::from(share.difficulty.hashes()) * ONE / share.network_difficulty.hashes()).min(ONE)
}

impl Model<'_> {
    /// What each key earns by a block, residues of other blocks left out: less than one atom per miner and block.
    pub(crate) fn credits(&self, reward: u64, lane: Algorithm, start: Start) -> BTreeMap<KeyHash, u64> {
        let less = |fee: u128| u128::from(reward) - u128::from(reward) * fee / 10_000;
        let own = if let Start::Own(index) = start { Some(&self.shares[index]) } else { None };
        match own.map(|own| (own, own.pay)) {
            Some((_, SharePay::PerShare(_))) => BTreeMap::new(),
            Some((own, SharePay::Solo)) => BTreeMap::from([(own.payee, less(slow::SOLO_FEE.into()) as u64)]),
            Some((own, SharePay::Tides)) => {
                let length = u128::from(slow::TIDES_WINDOW) * own.network_difficulty.hashes();
                let hashes = |share: &Share| u128::from(share.difficulty.hashes());
                self.split((less(slow::TIDES_FEE.into()), length), lane, start, (SharePay::Tides, &hashes))
            }
            _ => self.split((less(self.fee), WINDOW * ONE), lane, start, (SharePay::Window, &weight)),
        }
    }

    fn split(
        &self,
        (net, length): (u128, u128),
        lane: Algorithm,
        start: Start,
        (pay, worth): (SharePay, &dyn Fn(&Share) -> u128),
    ) -> BTreeMap<KeyHash, u64> {
        let (newest, mut halves) = match start {
            Start::Own(index) => (Some(index), true),
            Start::Before(index) => (Some(index), false),
            Start::Nothing => (None, false),
        };
        let mut parts: BTreeMap<KeyHash, u128> = BTreeMap::new();
        let mut needed = length;
        let mut at = newest.map_or(0, |index| index + 1);
        while at > 0 && needed > 0 {
            at -= 1;
            let share = &self.shares[at];
            if share.algorithm != lane || share.pay != pay {
                continue;
            }
            let mut part = worth(share);
            if halves {
                part /= 2;
                halves = false;
            }
            let counted = part.min(needed);
            needed -= counted;
            *parts.entry(share.payee).or_default() += counted;
        }
        parts.into_iter().map(|(key, part)| (key, (net * part / length) as u64)).collect()
    }
}
