use bq_pow::Sha256dKernel;
use bq_primitives::Algorithm;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

const HASHES: &str = "bq_miner_hashes_total";
const HASHRATE: &str = "bq_miner_hashrate";
const SHARES: &str = "bq_miner_shares_total";
const RESENT: &str = "bq_miner_shares_resent_total";
const NONSENSE: &str = "bq_miner_pool_nonsense_total";
const CONNECTED: &str = "bq_miner_connected";
const ACTIVE: &str = "bq_miner_active";
const EXPECTED_REWARD: &str = "bq_miner_expected_reward_atoms_per_second";
const CHOSEN: &str = "bq_miner_chosen";
const THREADS: &str = "bq_miner_threads";
const PAUSED: &str = "bq_miner_paused";
const GPUS: &str = "bq_miner_gpus";
const GPU_BAD_HITS: &str = "bq_miner_gpu_bad_hits_total";
const KERNEL: &str = "bq_miner_sha256d_kernel";

/// What the built-in miner counts for one algorithm.
#[derive(Clone)]
pub(crate) struct MinerMetrics {
    algorithm: Algorithm,
    hashes: Counter,
    hashrate: Gauge,
    resent: Counter,
    nonsense: Counter,
    connected: Gauge,
    active: Gauge,
    expected_reward: Gauge,
    chosen: Gauge,
}

impl MinerMetrics {
    /// Describes the metrics, and shows the counters at zero before anything happens.
    pub(crate) fn register(algorithm: Algorithm) -> Self {
        describe_counter!(HASHES, "Hashes of the built-in miner, by algorithm");
        describe_gauge!(HASHRATE, "Hashes per second of the built-in miner over the last minute, by algorithm");
        describe_counter!(
            SHARES,
            "Shares of the built-in miner, by algorithm and result: accepted, rejected, stale (too late), lost (without an answer when the connection ended)"
        );
        describe_counter!(RESENT, "Shares that the built-in miner sent again because the pool was busy, by algorithm");
        describe_counter!(
            NONSENSE,
            "Lines of pools that the built-in miner passed over, by algorithm: not JSON, jobs of wrong lengths, difficulties that nobody can meet"
        );
        describe_gauge!(CONNECTED, "1 while the built-in miner has work from a pool, by algorithm");
        describe_gauge!(
            ACTIVE,
            "1 while the built-in miner may mine this algorithm: work, tables, and the era allows it"
        );
        describe_gauge!(
            EXPECTED_REWARD,
            "Atoms per second that all threads would earn on average with this algorithm; 0 while not known"
        );
        describe_gauge!(CHOSEN, "1 for the algorithm that auto mines");
        describe_gauge!(THREADS, "Threads of the built-in miner");
        describe_gauge!(PAUSED, "1 while the built-in miner is paused");
        describe_gauge!(KERNEL, "1 for the SHA-256d kernel that the built-in miner uses");
        let name = algorithm.name();
        for result in ["accepted", "rejected", "stale", "lost"] {
            counter!(SHARES, "algorithm" => name, "result" => result).increment(0);
        }
        for counter in [RESENT, NONSENSE] {
            counter!(counter, "algorithm" => name).increment(0);
        }
        Self {
            algorithm,
            hashes: counter!(HASHES, "algorithm" => name),
            resent: counter!(RESENT, "algorithm" => name),
            nonsense: counter!(NONSENSE, "algorithm" => name),
            hashrate: gauge!(HASHRATE, "algorithm" => name),
            connected: gauge!(CONNECTED, "algorithm" => name),
            active: gauge!(ACTIVE, "algorithm" => name),
            expected_reward: gauge!(EXPECTED_REWARD, "algorithm" => name),
            chosen: gauge!(CHOSEN, "algorithm" => name),
        }
    }

    pub(crate) fn hashed(&self, count: u64) {
        self.hashes.increment(count);
    }

    pub(crate) fn hashrate(&self, hashes_per_second: f64) {
        self.hashrate.set(hashes_per_second);
    }

    pub(crate) fn share(&self, result: &'static str) {
        counter!(SHARES, "algorithm" => self.algorithm.name(), "result" => result).increment(1);
    }

    pub(crate) fn resent(&self) {
        self.resent.increment(1);
    }

    pub(crate) fn nonsense(&self) {
        self.nonsense.increment(1);
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.set(flag(connected));
    }

    /// What `auto` knows and does; where it is off, nothing is chosen.
    pub(crate) fn outlook(&self, is_active: bool, expected_reward: Option<f64>, is_chosen: bool) {
        self.active.set(flag(is_active));
        self.expected_reward.set(expected_reward.unwrap_or(0.0));
        self.chosen.set(flag(is_chosen));
    }
}

/// Tells how many threads may run.
pub(crate) fn threads(count: usize) {
    gauge!(THREADS).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

pub(crate) fn paused(paused: bool) {
    gauge!(PAUSED).set(flag(paused));
}

/// Tells how many GPUs work, where GPUs are asked for.
pub(crate) fn gpus(count: usize) {
    describe_gauge!(GPUS, "GPUs that the built-in miner uses");
    describe_counter!(GPU_BAD_HITS, "Hits of GPUs that the processor found to be none; a sound GPU has no such hits");
    gauge!(GPUS).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    counter!(GPU_BAD_HITS).increment(0);
}

pub(crate) fn gpu_bad_hits(count: u64) {
    counter!(GPU_BAD_HITS).increment(count);
}

pub(crate) fn kernel(kernel: Sha256dKernel) {
    gauge!(KERNEL, "kernel" => kernel.name()).set(1.0);
}

const fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}
