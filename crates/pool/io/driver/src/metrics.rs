use bq_pool_store::{BlockCounts, BlockState, PayoutState, Totals};
use bq_primitives::{Algorithm, Amount};
use metrics::{counter, describe_counter, describe_gauge, gauge};

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
        describe_gauge!(UNKNOWN_INBOUND, "Coins sent to the pool's key from outside, in atoms; never spent");
        describe_gauge!(IMBALANCE, "Sum of debits less credits of the whole ledger in atoms: 0 or the books are wrong");
        describe_gauge!(
            CHAIN_DELTA,
            "The pool's coins on the chain less what the ledger says, in atoms: 0 or payouts stop"
        );
        describe_gauge!(TEMPLATE_AGE, "Seconds since the block template was made");
        describe_counter!(TEMPLATE_ERRORS, "Times that the node gave no template");
        describe_counter!(SHARE_LOG_ERRORS, "Shares that could not be written");
        describe_counter!(SETTLE_ERRORS, "Settling rounds that failed");
        for name in [TEMPLATE_ERRORS, SHARE_LOG_ERRORS, SETTLE_ERRORS] {
            counter!(name).absolute(0);
        }
        for name in [IMBALANCE, CHAIN_DELTA, UNKNOWN_INBOUND] {
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

    pub(crate) fn blocks(self, counts: &[BlockCounts]) {
        for algorithm in Algorithm::ALL {
            for state in BlockState::ALL {
                let of = |count: &&BlockCounts| count.algorithm == algorithm && count.state == state;
                let blocks = counts.iter().find(of).map_or(0, |count| count.blocks);
                gauge!(BLOCKS, "algorithm" => algorithm.name(), "state" => state.name())
                    .set(approximate(blocks.into()));
            }
        }
    }

    pub(crate) fn payouts_open(self, states: &[PayoutState]) {
        for state in PayoutState::ALL.into_iter().filter(|state| state.is_open()) {
            let count = states.iter().filter(|other| **other == state).count();
            gauge!(PAYOUTS_OPEN, "state" => state.name()).set(approximate(i128::try_from(count).unwrap_or(i128::MAX)));
        }
    }

    pub(crate) fn totals(self, totals: &Totals) {
        let atoms = |name: &'static str, amount: Amount| gauge!(name).set(approximate(amount.atoms().into()));
        atoms(IMMATURE, totals.miners.immature);
        atoms(PAYABLE, totals.miners.payable);
        atoms(IN_FLIGHT, totals.miners.in_flight);
        atoms(PAID, totals.miners.paid);
        atoms(SPENDABLE, totals.chain_spendable);
    }

    pub(crate) fn imbalance(self, atoms: i128) {
        gauge!(IMBALANCE).set(approximate(atoms));
    }

    pub(crate) fn reconciled(self, delta: i128, unknown: u64) {
        gauge!(CHAIN_DELTA).set(approximate(delta));
        gauge!(UNKNOWN_INBOUND).set(approximate(unknown.into()));
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
