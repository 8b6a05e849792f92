mod conformance;
mod file;
mod replay;

use bq_ledger::{FeeBasisPoints, ShareWeight, Window, WindowUnits};
use bq_primitives::{
    AccountId, Address, Algorithm, Amount, BlockId, Height, KeyHash, Network, NetworkDifficulty, OutPoint,
    ShareDifficulty, Timestamp, TxId, WorkerName,
};

use crate::{Candidate, CandidateShare, PayoutInput};

pub(crate) const NETWORK: Network = Network::Regtest;
pub(crate) const GENESIS: BlockId = BlockId([9; 32]);
pub(crate) const LANE: Algorithm = Algorithm::RandomX;

pub(crate) fn address(number: u8) -> Address {
    Address { network: NETWORK, key_hash: KeyHash([number; 32]) }
}

pub(crate) fn block(number: u8) -> BlockId {
    BlockId([number; 32])
}

pub(crate) fn atoms(atoms: u64) -> Amount {
    Amount::from_atoms(atoms).expect("in range")
}

pub(crate) fn fee(basis_points: u16) -> FeeBasisPoints {
    FeeBasisPoints::new(basis_points).expect("in range")
}

pub(crate) fn candidate(number: u8, reward: u64, finder: Option<AccountId>) -> Candidate {
    Candidate {
        id: block(number),
        height: Height(u32::from(number)),
        algorithm: LANE,
        reward: atoms(reward),
        coinbase: TxId([number; 32]),
        time: Timestamp(1000 + u64::from(number)),
        share: finder.map(|account| CandidateShare {
            account,
            worker: WorkerName::default(),
            difficulty: ShareDifficulty::from_hashes(u64::MAX),
            network_difficulty: NetworkDifficulty::MAX,
            time_ms: 5,
        }),
        bytes: vec![number; 100],
    }
}

/// Thirds of one unit, and the other unit to seed: leaves a residue for most rewards.
pub(crate) fn window(accounts: &[AccountId]) -> Window {
    let third = ShareWeight::ONE.parts() / 3;
    let unit = u128::from(ShareWeight::ONE.parts());
    let weights: Vec<_> = accounts.iter().map(|account| (*account, u128::from(third))).collect();
    let used: u128 = weights.iter().map(|(_, parts)| parts).sum();
    Window::from_parts(WindowUnits::DEFAULT, weights, 2 * unit - used).expect("sums to two units")
}

pub(crate) fn input(number: u8, amount: u64) -> PayoutInput {
    PayoutInput { outpoint: OutPoint { txid: TxId([number; 32]), index: 0 }, amount: atoms(amount) }
}

/// In memory where the system has such a folder: a thousand syncs need no real disk to be tested.
pub(crate) fn tempdir() -> std::io::Result<tempfile::TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}
