mod blocks;
mod cold;
mod crash;
mod decisions;
mod direct;
mod dying;
mod evidence;
pub(crate) mod fake_node;
mod flips;
mod forfeit;
mod lost_bytes;
mod lost_log;
mod migrate;
mod replay;
mod restart;
mod restore;
mod retention;
mod schemes;
mod settings;
mod statistics;
mod stopped;
mod world;

use bq_primitives::{Amount, Network};

pub(crate) const NETWORK: Network = Network::Regtest;

pub(crate) fn atoms(amount: u64) -> Amount {
    Amount::from_atoms(amount).expect("small")
}
