use std::collections::BTreeMap;

use bq_primitives::{Algorithm, BlockId, CompactTarget, Height, Target, Work};
use serde::{Deserialize, Serialize};

use crate::text;

/// `GET /api/v1/difficulty`, and `getdifficulty` with its details: how hard the next block is, why, and what to expect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DifficultyView {
    /// Height of the tip that all of this follows from.
    pub height: Height,
    /// Its id.
    #[serde(with = "text::printed")]
    pub tip_id: BlockId,
    /// Every algorithm that may seal the next block; in JSON by name.
    #[serde(with = "text::by_name")]
    pub algorithms: BTreeMap<Algorithm, AlgorithmDifficultyView>,
}

/// One algorithm's difficulty. Difficulties are expected hashes, in JSON as decimal strings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlgorithmDifficultyView {
    /// Difficulty of the algorithm's latest block, or of the start of its era.
    #[serde(with = "text::hashes")]
    pub last_difficulty: Work,
    /// Difficulty of the next block.
    #[serde(with = "text::hashes")]
    pub difficulty: Work,
    /// The next block's bits, in JSON eight hex digits.
    #[serde(with = "text::printed")]
    pub bits: CompactTarget,
    /// The next block's target, in JSON 64 hex digits.
    #[serde(with = "text::printed")]
    pub target: Target,
    /// Difficulty of the next block before the burst cap; in JSON empty where the base is no target.
    #[serde(with = "text::hashes_if_any")]
    pub base_difficulty: Option<Work>,
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
    #[serde(with = "text::hashes")]
    pub difficulty: Work,
    /// Blocks that the algorithm finds until then.
    pub blocks: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs read this text: names, order and form of every value stay.
    const JSON: &str = concat!(
        r#"{"height":2,"tip_id":"0909090909090909090909090909090909090909090909090909090909090909","algorithms":{"#,
        r#""ethash":{"last_difficulty":"115792089237316195423570985008687907853269984665640564039457584007913129639935","#,
        r#""difficulty":"1","bits":"1d00ffff","target":"00000000ffff0000000000000000000000000000000000000000000000000000","#,
        r#""base_difficulty":"","easing_percent":12.5,"lag_secs":3,"burst_active":false,"state":"open","#,
        r#""hashrate_1h":0.0,"hashrate_24h":4.25,"forecast":[]},"#,
        r#""sha256d":{"last_difficulty":"512","difficulty":"640","bits":"20007fff","#,
        r#""target":"007fff0000000000000000000000000000000000000000000000000000000000","base_difficulty":"520","#,
        r#""easing_percent":-20.0,"lag_secs":-1740,"burst_active":true,"state":"active","hashrate_1h":12.5,"#,
        r#""hashrate_24h":4.25,"forecast":[{"hours":1,"difficulty":"700","blocks":6}]}}}"#,
    );

    fn work(hashes: u64) -> Work {
        Work(bq_primitives::U256::from(hashes))
    }

    fn view() -> DifficultyView {
        let of = |bits: CompactTarget| AlgorithmDifficultyView {
            last_difficulty: work(512),
            difficulty: work(640),
            bits,
            target: bits.decode().expect("a target"),
            base_difficulty: Some(work(520)),
            easing_percent: -20.0,
            lag_secs: -1_740,
            burst_active: true,
            state: "active".to_owned(),
            hashrate_1h: 12.5,
            hashrate_24h: 4.25,
            forecast: vec![DifficultyForecastView { hours: 1, difficulty: work(700), blocks: 6 }],
        };
        let ethash = AlgorithmDifficultyView {
            last_difficulty: Work(bq_primitives::U256::MAX),
            difficulty: work(1),
            base_difficulty: None,
            easing_percent: 12.5,
            lag_secs: 3,
            burst_active: false,
            state: "open".to_owned(),
            hashrate_1h: 0.0,
            forecast: Vec::new(),
            ..of(CompactTarget(0x1d00_ffff))
        };
        let sha256d = of(CompactTarget(0x2000_7fff));
        let algorithms = BTreeMap::from([(Algorithm::Sha256d, sha256d), (Algorithm::Ethash, ethash)]);
        DifficultyView { height: Height(2), tip_id: BlockId([9; 32]), algorithms }
    }

    #[test]
    fn its_json_is_what_it_always_was() {
        assert_eq!(serde_json::to_string(&view()).expect("encodes"), JSON);
        assert_eq!(serde_json::from_str::<DifficultyView>(JSON).expect("decodes"), view());
    }

    #[test]
    fn what_is_no_difficulty_is_refused() {
        for (right, wrong) in [("\"640\"", "\"0x280\""), ("20007fff", "20007ff"), ("sha256d", "scrypt"), ("0909", "09")]
        {
            let text = JSON.replacen(right, wrong, 1);
            assert!(serde_json::from_str::<DifficultyView>(&text).is_err(), "{wrong}");
        }
    }
}
