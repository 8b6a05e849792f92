use std::{fmt, str::FromStr};

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

/// How threads choose among the algorithms that they may mine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MiningMode {
    /// Each in its turn, for some seconds.
    #[default]
    Turns,
    /// All threads mine what promises the highest reward per second.
    Auto,
}

/// A name that is no [`MiningMode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither turns nor auto")]
pub struct MiningModeError(pub String);

impl MiningMode {
    /// `turns` or `auto`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turns => "turns",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for MiningMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MiningMode {
    type Err = MiningModeError;

    fn from_str(text: &str) -> Result<Self, MiningModeError> {
        let known = [Self::Turns, Self::Auto].into_iter().find(|mode| mode.name() == text);
        known.ok_or_else(|| MiningModeError(text.to_owned()))
    }
}

/// What the built-in miner is set to and what it does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MiningStatus {
    /// Switched on.
    pub enabled: bool,
    /// Connections are kept and nothing is hashed, until it is resumed.
    pub paused: bool,
    /// Worker threads in all.
    pub threads: usize,
    /// What it may mine, in increasing id; an algorithm that is not active at the tip rests.
    pub algorithms: Vec<Algorithm>,
    /// How threads choose among these.
    pub mode: MiningMode,
    /// What [`MiningMode::Auto`] mines now; nothing in the other mode, or while nothing can be mined.
    pub choice: Option<Algorithm>,
    /// Hashes per second over the last minute, for each algorithm that has threads.
    pub hashrate: Vec<(Algorithm, f64)>,
    /// Blocks found since start.
    pub blocks_found: u64,
    /// More about each algorithm that it knows a pool for, in increasing id.
    pub details: Vec<AlgorithmMining>,
    /// The SHA-256d kernel in use; nothing before SHA-256d was mined.
    pub sha256d_kernel: Option<&'static str>,
    /// Per GPU, what it is and what became of it, in words; or one line on why there is none. Empty if none was asked for.
    pub gpus: Vec<String>,
}

/// What the built-in miner knows of one algorithm.
#[derive(Clone, Debug, PartialEq)]
pub struct AlgorithmMining {
    /// Which one.
    pub algorithm: Algorithm,
    /// It may be mined now: there is work, tables are built, and it may seal the next block.
    pub is_active: bool,
    /// Hashes per second over 10 seconds, 60 seconds and 15 minutes; nothing while it has not run that long.
    pub hashrates: [Option<f64>; 3],
    /// Hashes per second that all threads together would make, measured; nothing before that.
    pub measured_hashrate: Option<f64>,
    /// Atoms per second that all threads together would earn on average; nothing while that is not known.
    pub expected_reward: Option<f64>,
    /// Shares that the pool credited.
    pub accepted: u64,
    /// Shares that the pool refused.
    pub rejected: u64,
    /// Shares that came too late.
    pub stale: u64,
    /// Shares that no pool heard of.
    pub lost: u64,
}

/// What to change; nothing means leave as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MiningChange {
    /// Switch on or off.
    pub enabled: Option<bool>,
    /// Pause or resume.
    pub paused: Option<bool>,
    /// Worker threads in all.
    pub threads: Option<usize>,
    /// What it may mine; not empty.
    pub algorithms: Option<Vec<Algorithm>>,
    /// How threads choose.
    pub mode: Option<MiningMode>,
}

/// A change that the miner refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct MiningControlError {
    /// Which setting: `enabled`, `paused`, `threads`, `algorithms` or `mode`.
    pub field: &'static str,
    /// Why not.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_names() {
        for mode in [MiningMode::Turns, MiningMode::Auto] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("rotate".parse::<MiningMode>(), Err(MiningModeError("rotate".to_owned())));
    }
}
