use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /api/v1/difficulty`, and `getdifficulty` with its details: how hard the next block is, why, and what to expect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DifficultyView {
    /// Height of the tip that all of this follows from.
    pub height: u32,
    /// Its id.
    pub tip_id: String,
    /// Every algorithm that may seal the next block, by name.
    pub algorithms: BTreeMap<String, AlgorithmDifficultyView>,
}

/// One algorithm's difficulty. Difficulties are expected hashes, as decimal strings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlgorithmDifficultyView {
    /// Difficulty of the algorithm's latest block, or of the start of its era.
    pub last_difficulty: String,
    /// Difficulty of the next block.
    pub difficulty: String,
    /// The next block's bits, eight hex digits.
    pub bits: String,
    /// The next block's target, 64 hex digits.
    pub target: String,
    /// Difficulty of the next block before the burst cap.
    pub base_difficulty: String,
    /// How much easier the next target is than the last, in percent; negative when harder.
    pub easing_percent: f64,
    /// Seconds of chain time behind schedule; negative when ahead.
    pub lag_secs: i64,
    /// Whether the burst guard holds the difficulty above its base.
    pub burst_active: bool,
    /// Schedule, change and burst guard in words.
    pub state: String,
    /// Estimated hashes per second over the last hour of chain time.
    pub hashrate_1h: f64,
    /// Estimated hashes per second over the last 24 hours of chain time.
    pub hashrate_24h: f64,
    /// The next hours if the hash rate stays and nobody has luck; shorter where that would be too many blocks.
    pub forecast: Vec<DifficultyForecastView>,
}

/// What an algorithm's difficulty is expected to be some hours from now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifficultyForecastView {
    /// Hours after the tip.
    pub hours: u32,
    /// Difficulty of the block that is next then.
    pub difficulty: String,
    /// Blocks that the algorithm finds until then.
    pub blocks: u32,
}
