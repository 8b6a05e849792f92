use bq_primitives::Algorithm;

/// The built-in miner's controls, as JSON-RPC offers them (`getminingconfig`, `setminingconfig`).
pub trait MiningControl: Send + Sync + 'static {
    /// What the miner is set to and what it does. Cheap.
    fn mining_status(&self) -> MiningStatus;

    /// Changes what is named and leaves the rest. Takes effect with the next job.
    ///
    /// # Errors
    /// The miner cannot run so; nothing changed.
    fn set_mining(&self, change: &MiningChange) -> Result<MiningStatus, MiningControlError>;
}

/// What the built-in miner is set to and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct MiningStatus {
    /// Switched on.
    pub enabled: bool,
    /// Worker threads in all.
    pub threads: usize,
    /// What it may mine, in increasing id; an algorithm that is not active at the tip rests.
    pub algorithms: Vec<Algorithm>,
    /// Hashes per second over the last minute, for each algorithm that has threads.
    pub hashrate: Vec<(Algorithm, f64)>,
    /// Blocks found since start.
    pub blocks_found: u64,
}

/// What to change; nothing means leave as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MiningChange {
    /// Switch on or off.
    pub enabled: Option<bool>,
    /// Worker threads in all.
    pub threads: Option<usize>,
    /// What it may mine; not empty.
    pub algorithms: Option<Vec<Algorithm>>,
}

/// A change that the miner refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct MiningControlError {
    /// Which setting: `enabled`, `threads` or `algorithms`.
    pub field: &'static str,
    /// Why not.
    pub reason: String,
}
