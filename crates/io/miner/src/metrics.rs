use bq_primitives::Algorithm;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

const HASHES: &str = "bq_miner_hashes_total";
const SHARES: &str = "bq_miner_shares_total";
const CONNECTED: &str = "bq_miner_connected";
const THREADS: &str = "bq_miner_threads";

/// What the built-in miner counts for one algorithm.
#[derive(Clone)]
pub(crate) struct MinerMetrics {
    algorithm: Algorithm,
    hashes: Counter,
    connected: Gauge,
}

impl MinerMetrics {
    /// Describes the metrics, and shows the counters at zero before anything happens.
    pub(crate) fn register(algorithm: Algorithm) -> Self {
        describe_counter!(HASHES, "Hashes of the built-in miner, by algorithm");
        describe_counter!(SHARES, "Shares of the built-in miner, by algorithm and result: accepted, rejected, lost");
        describe_gauge!(CONNECTED, "1 while the built-in miner has work from a pool, by algorithm");
        describe_gauge!(THREADS, "Threads of the built-in miner");
        let name = algorithm.name();
        for result in ["accepted", "rejected", "lost"] {
            counter!(SHARES, "algorithm" => name, "result" => result).increment(0);
        }
        Self {
            algorithm,
            hashes: counter!(HASHES, "algorithm" => name),
            connected: gauge!(CONNECTED, "algorithm" => name),
        }
    }

    pub(crate) fn hashed(&self, count: u64) {
        self.hashes.increment(count);
    }

    pub(crate) fn share(&self, result: &'static str) {
        counter!(SHARES, "algorithm" => self.algorithm.name(), "result" => result).increment(1);
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.set(if connected { 1.0 } else { 0.0 });
    }
}

/// Tells how many threads may run.
pub(crate) fn threads(count: usize) {
    gauge!(THREADS).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}
