use std::{collections::BTreeMap, time::Duration};

use bq_ledger::LedgerAccount;
use bq_pool_machine::{BlockState, State};
use bq_primitives::Algorithm;
use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::direct::Coinbases;

/// What the pool counts. Base units, no rates; labels are algorithms and states only, never a name a miner chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolMetrics;

const HASHRATE: &str = "bq_pool_hashrate";
const WORKERS: &str = "bq_pool_workers";
const MINERS: &str = "bq_pool_miners_active";
const BLOCKS: &str = "bq_pool_blocks_total";
const PAYOUTS_OPEN: &str = "bq_pool_payouts_open";
const IMMATURE: &str = "bq_pool_immature_atoms";
const PAYABLE: &str = "bq_pool_payable_atoms";
const IN_FLIGHT: &str = "bq_pool_in_flight_atoms";
const PAID: &str = "bq_pool_paid_atoms";
const SPENDABLE: &str = "bq_pool_spendable_atoms";
const UNKNOWN_INBOUND: &str = "bq_pool_unknown_inbound_atoms";
const IMBALANCE: &str = "bq_ledger_imbalance_atoms";
const CHAIN_DELTA: &str = "bq_ledger_chain_delta_atoms";
const MISSING: &str = "bq_pool_missing_atoms";
const DUE: &str = "bq_pool_accounts_due";
const CARRIED: &str = "bq_pool_carried_atoms";
const RESERVE: &str = "bq_pool_reserve_atoms";
const ACCRUED: &str = "bq_pool_accrued_atoms";
const COINBASE_OUTPUTS: &str = "bq_pool_coinbase_outputs";
const COINBASE_SECONDS: &str = "bq_pool_coinbase_seconds";
const EVENTS: &str = "bq_pool_log_events";
const TEMPLATE_AGE: &str = "bq_template_age_seconds";
const TEMPLATE_ERRORS: &str = "bq_template_errors_total";
const SHARE_LOG_ERRORS: &str = "bq_share_log_errors_total";
const SETTLE_ERRORS: &str = "bq_pool_settle_errors_total";

impl PoolMetrics {
    /// Describes every metric to the recorder, and shows the counters at zero before anything happens.
    pub(crate) fn register() -> Self {
        describe_gauge!(HASHRATE, "Hashes per second of all miners over the last 10 minutes, by algorithm");
        describe_gauge!(WORKERS, "Workers kept in the statistics");
        describe_gauge!(MINERS, "Accounts with a share in the last hour");
        describe_gauge!(BLOCKS, "Blocks found since the first day, by algorithm and state");
        describe_gauge!(PAYOUTS_OPEN, "Payouts that are not final, by state");
        describe_gauge!(IMMATURE, "Sum of all miners' immature balances in atoms");
        describe_gauge!(PAYABLE, "Sum of all miners' payable balances in atoms");
        describe_gauge!(IN_FLIGHT, "Sum of all payouts that are not final in atoms");
        describe_gauge!(PAID, "Sum of all final payouts in atoms, network fees not counted");
        describe_gauge!(SPENDABLE, "Coins that the next payouts may spend, in atoms");
        describe_gauge!(UNKNOWN_INBOUND, "Coins that strangers sent to the pool's key and that are buried, in atoms");
        describe_gauge!(IMBALANCE, "Sum of debits less credits of the whole ledger in atoms: 0 or the books are wrong");
        describe_gauge!(
            CHAIN_DELTA,
            "0 while the pool's coins on the chain are those of the books; otherwise payouts stop"
        );
        describe_gauge!(
            MISSING,
            "Coins that were spent outside the books and nobody explained, in atoms: 0 or payouts stop"
        );
        describe_gauge!(DUE, "Accounts that have reached the minimum and wait for a payout");
        describe_gauge!(CARRIED, "Matured balances that coinbases to come pay, in atoms");
        describe_gauge!(RESERVE, "What PPS and FPPS are paid out of, in atoms");
        describe_gauge!(ACCRUED, "What shares that are paid for themselves earned and was not credited, in atoms");
        describe_gauge!(COINBASE_OUTPUTS, "Miners that the coinbase of the newest template pays, by algorithm");
        describe_gauge!(COINBASE_SECONDS, "How long it took to make the coinbases of the newest template");
        describe_gauge!(EVENTS, "Number of the newest event in the pool's log");
        describe_gauge!(TEMPLATE_AGE, "Seconds since the block template was made");
        describe_counter!(TEMPLATE_ERRORS, "Times that the node gave no template");
        describe_counter!(SHARE_LOG_ERRORS, "Shares that could not be written");
        describe_counter!(SETTLE_ERRORS, "Settling rounds that failed");
        for name in [TEMPLATE_ERRORS, SHARE_LOG_ERRORS, SETTLE_ERRORS] {
            counter!(name).absolute(0);
        }
        for name in [IMBALANCE, CHAIN_DELTA, UNKNOWN_INBOUND, MISSING] {
            gauge!(name).set(0.0);
        }
        Self
    }

    pub(crate) fn hashrate(self, algorithm: Algorithm, hashes_per_second: f64) {
        gauge!(HASHRATE, "algorithm" => algorithm.name()).set(hashes_per_second);
    }

    pub(crate) fn miners(self, accounts: u64, workers: u64) {
        gauge!(MINERS).set(approximate(accounts.into()));
        gauge!(WORKERS).set(approximate(workers.into()));
    }

    pub(crate) fn blocks(self, counts: &BTreeMap<(Algorithm, BlockState), u64>) {
        for algorithm in Algorithm::ALL {
            for state in BlockState::ALL {
                let blocks = counts.get(&(algorithm, state)).copied().unwrap_or(0);
                gauge!(BLOCKS, "algorithm" => algorithm.name(), "state" => state.name())
                    .set(approximate(blocks.into()));
            }
        }
    }

    pub(crate) fn payouts_open(self, states: impl Iterator<Item = &'static str>) {
        let states: Vec<_> = states.collect();
        for state in ["reserved", "broadcast", "confirmed"] {
            let count = states.iter().filter(|other| **other == state).count();
            gauge!(PAYOUTS_OPEN, "state" => state).set(approximate(i128::try_from(count).unwrap_or(i128::MAX)));
        }
    }

    pub(crate) fn books(self, state: &State) {
        let (mut immature, mut payable, mut in_flight, mut carried) = (0_u64, 0_u64, 0_u64, 0_u64);
        for (account, balance) in state.books().balances() {
            let sum = match account {
                LedgerAccount::MinerImmature(_) => &mut immature,
                LedgerAccount::MinerPayable(_) => &mut payable,
                LedgerAccount::MinerInFlight(_) => &mut in_flight,
                LedgerAccount::MinerCarried(_) => &mut carried,
                _ => continue,
            };
            *sum = sum.saturating_add(balance);
        }
        let figures = [
            (IMMATURE, immature),
            (PAYABLE, payable),
            (CARRIED, carried),
            (RESERVE, state.pps_reserve().atoms()),
            (ACCRUED, state.accrued()),
            (IN_FLIGHT, in_flight),
            (PAID, state.paid_in_all()),
            (SPENDABLE, state.books().balance(LedgerAccount::ChainSpendable)),
            (UNKNOWN_INBOUND, state.books().balance(LedgerAccount::GiftIncome)),
            (MISSING, state.books().balance(LedgerAccount::Missing)),
            (DUE, u64::try_from(state.due().count()).unwrap_or(u64::MAX)),
            (EVENTS, state.head().number.0),
        ];
        for (name, value) in figures {
            gauge!(name).set(approximate(value.into()));
        }
        gauge!(IMBALANCE).set(approximate(state.books().imbalance()));
    }

    pub(crate) fn coinbases(self, coinbases: &Coinbases, took: Duration) {
        for (algorithm, plan) in Algorithm::ALL.into_iter().zip(&coinbases.lanes) {
            let outputs = plan.as_ref().map_or(0, |plan| plan.outputs.len());
            let outputs = approximate(i128::try_from(outputs).unwrap_or(i128::MAX));
            gauge!(COINBASE_OUTPUTS, "algorithm" => algorithm.name()).set(outputs);
        }
        gauge!(COINBASE_SECONDS).set(took.as_secs_f64());
    }

    /// 0 or payouts stop.
    pub(crate) fn coins_match(self, coins_match: bool) {
        gauge!(CHAIN_DELTA).set(if coins_match { 0.0 } else { 1.0 });
    }

    pub(crate) fn template_age(self, seconds: f64) {
        gauge!(TEMPLATE_AGE).set(seconds);
    }

    pub(crate) fn template_failed(self) {
        counter!(TEMPLATE_ERRORS).increment(1);
    }

    pub(crate) fn share_log_error(self) {
        counter!(SHARE_LOG_ERRORS).increment(1);
    }

    pub(crate) fn settle_failed(self) {
        counter!(SETTLE_ERRORS).increment(1);
    }
}

/// The nearest float: exact up to 2^53, which no amount exceeds.
#[expect(clippy::cast_precision_loss, reason = "a figure for a gauge; exact for every amount")]
pub(crate) const fn approximate(value: i128) -> f64 {
    value as f64
}
