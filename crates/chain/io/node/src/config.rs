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
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

/// The local clock: the only one that the rule about early blocks sees (SPEC 2.3).
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970-01-01 UTC.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is set wrong; zero makes every block too early, which is safe and visible.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| since.as_secs()))
    }
}
