//! Ethash by its published vectors. They use the epochs of the chain it comes from; this chain's own rule is SPEC 5.4.

use bq_pow::{
    EthashCache, EthashWorkHash, ethash_cache_bytes, ethash_dataset_bytes, ethash_final, ethash_seed, keccak256,
    keccak512,
};
use bq_primitives::{Algorithm, PowValue, ShareDifficulty, Target, U256};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    ConformanceError,
    case::{Case, Fault, Outcome, malformed, same, same_bytes},
    run::{Progress, Run},
    tables::Tables,
    values::{Array, Bytes, Unsigned, Wide},
};

/// Blocks per epoch where the vectors come from.
const PUBLISHED_EPOCH_BLOCKS: u64 = 30_000;
/// Epochs above the last have no seed; the functions below would never end.
const EPOCH_MAX: u32 = bq_pow::ETHASH_EPOCH_MAX;

fn published_epoch(block: u64) -> Result<u32, Fault> {
    let epoch = u32::try_from(block / PUBLISHED_EPOCH_BLOCKS).unwrap_or(u32::MAX);
    checked_epoch(epoch)
}

fn checked_epoch(epoch: u32) -> Result<u32, Fault> {
    if epoch > EPOCH_MAX { Err(malformed(format!("epoch {epoch} is above {EPOCH_MAX}"))) } else { Ok(epoch) }
}

#[derive(Deserialize)]
pub(super) struct Hashimoto {
    block_number: u64,
    header_hash: Array<32>,
    nonce: NonceHex,
    mix_hash: Array<32>,
    final_hash: Array<32>,
    difficulty: Option<u64>,
}

/// A nonce is always written in hex.
#[derive(Deserialize)]
struct NonceHex(Unsigned);

impl Case for Hashimoto {
    fn check(&self, tables: &mut Tables) -> Result<Outcome, Fault> {
        let (work_hash, nonce) = (EthashWorkHash(self.header_hash.0), self.nonce.0.0);
        let claimed = ethash_final(&work_hash, nonce, &self.mix_hash.0);
        same_bytes("final hash of the claimed mix", &claimed.0, &self.final_hash.0)?;
        let proof = tables.ethash_cache(published_epoch(self.block_number)?)?.hash(&work_hash, nonce);
        same_bytes("mix_hash", &proof.mix, &self.mix_hash.0)?;
        same_bytes("final_hash", &proof.value.0, &self.final_hash.0)?;
        if let Some(difficulty) = self.difficulty {
            let target = ShareDifficulty::from_hashes(difficulty).target();
            same("final hash meets difficulty", PowValue::of(Algorithm::Ethash, &proof.value).meets(&target), true)?;
        }
        Ok(Outcome::Ran)
    }
}

#[derive(Deserialize)]
pub(super) struct Sizes {
    epoch: u32,
    light_cache_bytes: Option<u64>,
    full_dataset_bytes: Option<u64>,
}

impl Case for Sizes {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let epoch = checked_epoch(self.epoch)?;
        let (cache, dataset) = (ethash_cache_bytes(epoch), ethash_dataset_bytes(epoch));
        same("light_cache_bytes", cache, self.light_cache_bytes.unwrap_or(cache))?;
        same("full_dataset_bytes", dataset, self.full_dataset_bytes.unwrap_or(dataset))?;
        Ok(Outcome::Ran)
    }
}

#[derive(Deserialize)]
pub(super) struct Seed {
    epoch: u32,
    seed: Array<32>,
}

impl Case for Seed {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        same_bytes("seed", &ethash_seed(checked_epoch(self.epoch)?), &self.seed.0)?;
        Ok(Outcome::Ran)
    }
}

#[derive(Deserialize)]
pub(super) struct CacheDigest {
    epoch: u32,
    keccak256_of_light_cache: Array<32>,
}

impl Case for CacheDigest {
    fn check(&self, tables: &mut Tables) -> Result<Outcome, Fault> {
        let cache = tables.ethash_cache(checked_epoch(self.epoch)?)?;
        let digest = keccak256(&cache.to_bytes());
        same_bytes("keccak256_of_light_cache", &digest, &self.keccak256_of_light_cache.0)?;
        Ok(Outcome::Ran)
    }
}

/// A page of 128 bytes in two halves.
#[derive(Deserialize)]
struct DatasetItem {
    index: u32,
    half0: Array<64>,
    half1: Array<64>,
}

/// The section's name says which epoch.
pub(super) fn dataset_items(run: &mut Run, section: &str, value: &Value, epoch: u32) -> Result<(), ConformanceError> {
    let cache = checked_epoch(epoch).and_then(|epoch| Ok(run.tables.ethash_cache(epoch)?));
    let cache = run.agreed(section, 0, cache)?;
    let mut progress = Progress::new(section);
    for (index, value) in run.items(section, value)?.iter().enumerate() {
        let item: DatasetItem = run.decode(section, index, value)?;
        run.agreed(section, index, item.check(&cache))?;
        progress.add(Outcome::Ran);
    }
    run.add(progress);
    Ok(())
}

impl DatasetItem {
    fn check(&self, cache: &EthashCache) -> Result<(), Fault> {
        let first = self.index.checked_mul(2).ok_or_else(|| malformed("index above 2^31"))?;
        same_bytes("half0", &cache.dataset_node(first), &self.half0.0)?;
        same_bytes("half1", &cache.dataset_node(first.saturating_add(1)), &self.half1.0)
    }
}

#[derive(Deserialize)]
pub(super) struct Boundary {
    difficulty: Wide,
    boundary: Wide,
}

impl Case for Boundary {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        same("boundary", boundary(self.difficulty.0), Target(self.boundary.0))?;
        Ok(Outcome::Ran)
    }
}

/// `floor(2^256 / difficulty)`, saturating. Share difficulties have 64 bits; published ones may have more.
fn boundary(difficulty: U256) -> Target {
    if let Ok(hashes) = u64::try_from(difficulty) {
        return ShareDifficulty::from_hashes(hashes).target();
    }
    // floor(2^256 / d) = floor((2^256 - d) / d) + 1
    let below = difficulty.wrapping_neg().checked_div(difficulty).unwrap_or(U256::MAX);
    Target(below.saturating_add(U256::ONE))
}

/// A cache and dataset small enough to print.
#[derive(Deserialize)]
pub(super) struct Small {
    cache_bytes: u32,
    full_bytes: u32,
    seed_ascii: String,
    cache_hex: Bytes,
    dag_item0_hex: Option<Array<64>>,
}

impl Case for Small {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        const SMALL: u32 = 64 << 20;
        if self.cache_bytes > SMALL || self.cache_bytes < 64 || self.full_bytes < 128 {
            return Err(malformed("sizes are not those of a small cache"));
        }
        let cache = EthashCache::of_sizes(self.seed_ascii.as_bytes(), self.cache_bytes, self.full_bytes)?;
        same_bytes("cache_hex", &cache.to_bytes(), &self.cache_hex.0)?;
        if let Some(Array(expected)) = self.dag_item0_hex {
            same_bytes("dag_item0_hex", &cache.dataset_node(0), &expected)?;
        }
        Ok(Outcome::Ran)
    }
}

#[derive(Deserialize)]
pub(super) struct KeccakEmpty {
    k256: Option<Array<32>>,
    k512: Option<Array<64>>,
}

impl Case for KeccakEmpty {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        if let Some(Array(expected)) = self.k256 {
            same_bytes("k256", &keccak256(b""), &expected)?;
        }
        if let Some(Array(expected)) = self.k512 {
            same_bytes("k512", &keccak512(b""), &expected)?;
        }
        Ok(Outcome::Ran)
    }
}

/// Block, epoch.
#[derive(Deserialize)]
pub(super) struct EpochOfBlock(u64, u32);

impl Case for EpochOfBlock {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        same("epoch", published_epoch(self.0)?, self.1)?;
        Ok(Outcome::Ran)
    }
}
