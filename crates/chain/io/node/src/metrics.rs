use std::time::Duration;

use bq_primitives::{Algorithm, Height, Work};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::SignatureCounts;

/// What the node counts. Base units, no rates; the only label is the algorithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeMetrics;

const CHAIN_HEIGHT: &str = "bq_chain_height";
const BLOCKS_CONNECTED: &str = "bq_blocks_connected_total";
const REORGS: &str = "bq_reorgs_total";
const REORG_DEPTH: &str = "bq_reorg_depth";
const DIFFICULTY: &str = "bq_difficulty";
const MEMPOOL_TRANSACTIONS: &str = "bq_mempool_transactions";
const BLOCK_VALIDATION: &str = "bq_block_validation_seconds";
const POW_CACHE_BUILDS: &str = "bq_pow_cache_builds_total";
const SIGNATURES_VERIFIED: &str = "bq_signatures_verified_total";
const SIGNATURES_REMEMBERED: &str = "bq_signatures_remembered_total";
const LOW_WORK_HEADERS: &str = "bq_low_work_headers";
const STORE_STOPPED: &str = "bq_chain_store_stopped";
const KEPT_BLOCKS: &str = "bq_kept_blocks";

impl NodeMetrics {
    /// Describes every metric to the recorder, and shows the counters at zero before anything happens.
    pub(crate) fn register() -> Self {
        describe_gauge!(CHAIN_HEIGHT, "Height of the best chain's tip");
        describe_counter!(BLOCKS_CONNECTED, "Blocks connected to the best chain, by algorithm");
        describe_counter!(REORGS, "Changes of the best chain that disconnected a block");
        describe_histogram!(REORG_DEPTH, "Blocks disconnected by one reorganisation");
        describe_gauge!(DIFFICULTY, "Expected hashes for the next block, by algorithm");
        describe_gauge!(MEMPOOL_TRANSACTIONS, "Transactions waiting in the mempool");
        describe_histogram!(BLOCK_VALIDATION, "Seconds from a submitted block to the verdict");
        describe_counter!(POW_CACHE_BUILDS, "Proof-of-work tables built, by algorithm");
        describe_counter!(SIGNATURES_VERIFIED, "Signatures verified in full");
        describe_counter!(SIGNATURES_REMEMBERED, "Signatures that were known to hold");
        describe_gauge!(STORE_STOPPED, "1 while the chain store waits for its disk to work again");
        describe_gauge!(KEPT_BLOCKS, "Blocks in memory that wait for the store to work again");
        describe_gauge!(LOW_WORK_HEADERS, "Headers in memory on branches that are far behind");
        for algorithm in Algorithm::ALL {
            counter!(BLOCKS_CONNECTED, "algorithm" => algorithm.name()).absolute(0);
        }
        counter!(REORGS).absolute(0);
        gauge!(STORE_STOPPED).set(0.0);
        Self
    }

    pub(crate) fn tip(self, height: Height) {
        gauge!(CHAIN_HEIGHT).set(f64::from(height.0));
    }

    pub(crate) fn block_connected(self, algorithm: Algorithm) {
        counter!(BLOCKS_CONNECTED, "algorithm" => algorithm.name()).increment(1);
    }

    pub(crate) fn reorg(self, depth: usize) {
        counter!(REORGS).increment(1);
        histogram!(REORG_DEPTH).record(f64::from(u32::try_from(depth).unwrap_or(u32::MAX)));
    }

    pub(crate) fn difficulty(self, algorithm: Algorithm, difficulty: Work) {
        gauge!(DIFFICULTY, "algorithm" => algorithm.name()).set(work_as_f64(difficulty));
    }

    pub(crate) fn mempool(self, transactions: usize) {
        gauge!(MEMPOOL_TRANSACTIONS).set(f64::from(u32::try_from(transactions).unwrap_or(u32::MAX)));
    }

    pub(crate) fn validated(self, took: Duration) {
        histogram!(BLOCK_VALIDATION).record(took.as_secs_f64());
    }

    pub(crate) fn pow_cache_builds(self, algorithm: Algorithm, builds: u64) {
        counter!(POW_CACHE_BUILDS, "algorithm" => algorithm.name()).absolute(builds);
    }

    pub(crate) fn low_work_headers(self, headers: usize) {
        gauge!(LOW_WORK_HEADERS).set(f64::from(u32::try_from(headers).unwrap_or(u32::MAX)));
    }

    pub(crate) fn store_stopped(self, is_stopped: bool) {
        gauge!(STORE_STOPPED).set(f64::from(u8::from(is_stopped)));
    }

    pub(crate) fn kept_blocks(self, blocks: usize) {
        gauge!(KEPT_BLOCKS).set(f64::from(u32::try_from(blocks).unwrap_or(u32::MAX)));
    }

    pub(crate) fn signatures(self, counts: SignatureCounts) {
        counter!(SIGNATURES_VERIFIED).absolute(counts.verified);
        counter!(SIGNATURES_REMEMBERED).absolute(counts.remembered);
    }
}

/// Work for display: the nearest `f64`.
pub(crate) fn work_as_f64(work: Work) -> f64 {
    work.0.as_limbs().iter().rev().fold(0.0, |sum, limb| {
        let (high, low) = (limb >> 32, limb & 0xffff_ffff);
        let part = |half: u64| f64::from(u32::try_from(half).unwrap_or(u32::MAX));
        (sum * 4_294_967_296.0 + part(high)) * 4_294_967_296.0 + part(low)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_primitives::U256;

    #[test]
    fn work_is_shown_as_the_nearest_number() {
        assert_eq!(work_as_f64(Work(U256::from(0_u8))), 0.0);
        assert_eq!(work_as_f64(Work(U256::from(1_000_000_007_u64))), 1_000_000_007.0);
        assert_eq!(work_as_f64(Work(U256::from(1_u8) << 200)), 2_f64.powi(200));
    }
}
