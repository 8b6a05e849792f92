use std::{path::PathBuf, time::Duration};

use bq_ledger::{FeeBasisPoints, WindowUnits};
use bq_pool_store::Scheme;
use bq_primitives::{Amount, Network};

use crate::PoolError;

/// How a pool works. Start from [`PoolConfig::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Holds `ledger.sqlite` and `shares/`.
    pub data_dir: PathBuf,
    /// The chain.
    pub network: Network,
    /// The pool's fee in hundredths of a percent, at most 10,000. A change holds for blocks found after it.
    pub fee_bp: u16,
    /// Length of the PPLNS window in expected blocks, 1 to 64. A change holds for blocks found after it.
    pub pplns_window_units: u32,
    /// A miner is paid when its payable balance reaches this.
    pub payout_min: Amount,
    /// Confirmations after which a payout is final.
    pub final_depth: u32,
    /// Pause between two payouts.
    pub payout_interval: Duration,
    /// Coins that one payout spends at most; bounds its weight.
    pub payout_inputs_max: usize,
    /// Miners that one payout pays at most.
    pub payout_payees_max: usize,
    /// Network fee in atoms per 1,000 weight units; the payees bear it.
    pub fee_rate: u64,
    /// How old a template gets at most before it is made anew, also without a new tip.
    pub template_interval: Duration,
    /// How long the settling thread waits at most for a new tip.
    pub settle_interval: Duration,
    /// Starts the data of every coinbase; with it the pool knows its own blocks. At most 64 bytes.
    pub pool_tag: Vec<u8>,
}

/// The longest [`PoolConfig::pool_tag`]: what a coinbase may carry less the 32 bytes of the journal's hash.
const TAG_BYTES_MAX: usize = bq_primitives::COINBASE_DATA_BYTES_MAX - 32;

impl PoolConfig {
    /// The usual values: fee 1 %, window of 2, payouts from 1 coin, final after 60 blocks; on devnet and regtest payouts
    /// every 10 s that are final after 6.
    #[must_use]
    pub fn new(data_dir: PathBuf, network: Network) -> Self {
        let is_small = matches!(network, Network::Devnet | Network::Regtest);
        Self {
            data_dir,
            network,
            fee_bp: 100,
            pplns_window_units: u32::from(WindowUnits::DEFAULT.units()),
            payout_min: Amount::from_atoms(Amount::ATOMS_PER_COIN).unwrap_or(Amount::MAX),
            final_depth: if is_small { 6 } else { 60 },
            payout_interval: Duration::from_secs(if is_small { 10 } else { 3600 }),
            payout_inputs_max: 100,
            payout_payees_max: 500,
            fee_rate: 1000,
            template_interval: Duration::from_secs(15),
            settle_interval: Duration::from_secs(10),
            pool_tag: b"/bq/".to_vec(),
        }
    }

    /// Checks every field and returns the terms on which blocks are split.
    pub(crate) fn check(&self) -> Result<Scheme, PoolError> {
        let field = |field, reason: String| PoolError::Config { field, reason };
        let fee = FeeBasisPoints::new(self.fee_bp).map_err(|error| field("fee_bp", error.to_string()))?;
        let units = u8::try_from(self.pplns_window_units).ok().and_then(WindowUnits::new);
        let window =
            units.ok_or_else(|| field("pplns_window_units", format!("{} is not 1 to 64", self.pplns_window_units)))?;
        if self.payout_min == Amount::ZERO {
            return Err(field("payout_min", "must be at least one atom".to_owned()));
        }
        if self.final_depth == 0 {
            return Err(field("final_depth", "must be at least 1".to_owned()));
        }
        if !(1..=600).contains(&self.payout_inputs_max) {
            return Err(field("payout_inputs_max", format!("{} is not 1 to 600", self.payout_inputs_max)));
        }
        if !(1..=500).contains(&self.payout_payees_max) {
            return Err(field("payout_payees_max", format!("{} is not 1 to 500", self.payout_payees_max)));
        }
        if self.pool_tag.is_empty() || self.pool_tag.len() > TAG_BYTES_MAX {
            let reason = format!("{} bytes are not 1 to {TAG_BYTES_MAX}", self.pool_tag.len());
            return Err(field("pool_tag", reason));
        }
        Ok(Scheme { fee, window })
    }
}
