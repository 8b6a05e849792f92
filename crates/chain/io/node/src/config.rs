use std::{path::PathBuf, sync::Arc, time::SystemTime};

use bq_consensus::Params;
use bq_mempool::MempoolLimits;
use bq_primitives::Timestamp;

/// What a node needs to know at start.
#[derive(Clone)]
pub struct NodeConfig {
    /// The network's rules.
    pub params: Arc<Params>,
    /// Where the chain store lies; made if it is not there.
    pub data_dir: PathBuf,
    /// How much the mempool holds and what it asks of a transaction.
    pub mempool: MempoolLimits,
    /// How the node treats its store.
    pub store: StoreSettings,
    /// Where the time comes from.
    pub clock: Arc<dyn LocalClock>,
}

/// How a node treats its chain store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Blocks below the tip that are read and examined at start, beyond the file's checksums: 0 to 10,000. More finds older
    /// damage and makes starts slower, by up to a fifth of a second for a full block.
    pub check_blocks: u32,
    /// Most blocks that wait in memory while the store is stopped: 1 to 10,000. With less, blocks that the pool finds while
    /// the disk is full are lost.
    pub kept_blocks_max: usize,
    /// Most bytes of them, about. A block can have 42,000,000.
    pub kept_bytes_max: usize,
    /// Longest pause between attempts to open a stopped store, in seconds: 1 to 3,600. Each attempt reads the whole file.
    pub retry_secs_max: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { check_blocks: 24, kept_blocks_max: 256, kept_bytes_max: 128 << 20, retry_secs_max: 60 }
    }
}

/// The local clock: the only one that the rule about early blocks sees (SPEC 2.3).
pub trait LocalClock: Send + Sync + 'static {
    /// Seconds since 1970-01-01 UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl LocalClock for MachineClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is set wrong; zero makes every block too early, which is safe and visible.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| since.as_secs()))
    }
}
