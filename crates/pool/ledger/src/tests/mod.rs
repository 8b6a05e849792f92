//! Worked examples, properties, and the slow models that check window and balances.

mod examples;
mod journal;
mod model;
mod per_share;
mod pps_transfers;
mod properties;
mod reserve;
mod sliding;
mod tides;

use bq_primitives::{AccountId, Algorithm, Amount, BlockId, Height, NetworkDifficulty, ShareDifficulty};

use crate::{FeeBasisPoints, ShareWeight, Window, WindowUnits};

pub(crate) const ONE: u128 = 1 << 60;
pub(crate) const A: AccountId = AccountId(1);
pub(crate) const B: AccountId = AccountId(2);
pub(crate) const C: AccountId = AccountId(3);
pub(crate) const D: AccountId = AccountId(4);
pub(crate) const LANE: Algorithm = Algorithm::Sha256d;

pub(crate) fn atoms(atoms: u64) -> Amount {
    Amount::from_atoms(atoms).expect("test amounts are in range")
}

pub(crate) fn bp(basis_points: u16) -> FeeBasisPoints {
    FeeBasisPoints::new(basis_points).expect("test fees are in range")
}

pub(crate) fn units(units: u8) -> WindowUnits {
    WindowUnits::new(units).expect("test windows are in range")
}

pub(crate) fn weight(share: u64, network: u128) -> ShareWeight {
    ShareWeight::of(ShareDifficulty::from_hashes(share), NetworkDifficulty::from_hashes(network))
}

pub(crate) fn block(number: u8) -> BlockId {
    BlockId([number; 32])
}

/// Shares as people write them down, oldest first.
pub(crate) fn window_of(units: WindowUnits, oldest_first: &[(AccountId, ShareWeight)]) -> Window {
    let newest_first = oldest_first.iter().rev().map(|share| Ok::<_, std::convert::Infallible>(*share));
    match Window::walk(units, newest_first) {
        Ok(window) => window,
        Err(never) => match never {},
    }
}
