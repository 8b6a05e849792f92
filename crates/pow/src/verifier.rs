use std::{
    num::NonZeroUsize,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bq_primitives::{Algorithm, BlockId, Header, PowHash, PowKey, PowValue, Seal, Target};

use crate::{
    EthashBuild, EthashBuilt, EthashCache, EthashHasher, EthashProof, EthashTask, EthashWorkHash, NoChunkStore,
    PowError, RandomXHasher,
    ethash::EthashDatasets,
    ethash_final, ethash_work_hash,
    randomx::{DatasetSlot, KeyTables, LightHashers},
    randomx_blob,
    resident::Resident,
    sha256d, sha256d_work_header,
};

/// RandomX keys in memory: the one in use, and the one before or after it. Their caches take 512 MiB.
const RANDOMX_KEYS_MAX: usize = 2;
/// Ethash epochs in memory: the one in use, and the one before or after it.
const ETHASH_EPOCHS_MAX: usize = 2;

/// How much memory RandomX may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RandomXMode {
    /// 256 MiB for each of at most two keys; some 40 hashes per second and core one by one, 125 in lock step.
    Light,
    /// As light, and 2,080 MiB for the key given to [`PowVerifier::prepare_fast`]; some 280 hashes per second and core.
    Fast,
}

impl RandomXMode {
    /// The fastest mode that `bytes` of memory allow, or light.
    #[must_use]
    pub const fn for_budget(bytes: u64) -> Self {
        // Two caches and a dataset; VMs take 2 MiB each, which the rounding up to whole GiB covers.
        if bytes >= 3 << 30 { Self::Fast } else { Self::Light }
    }
}

/// What the verifier may use of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowConfig {
    /// How much memory RandomX may use.
    pub randomx_mode: RandomXMode,
    /// Threads that build a RandomX dataset.
    pub build_threads: NonZeroUsize,
    /// Idle RandomX VMs (2 MiB each) kept per key; as many as threads that hash at the same time.
    pub idle_vms_max: usize,
}

impl Default for PowConfig {
    fn default() -> Self {
        Self { randomx_mode: RandomXMode::Light, build_threads: NonZeroUsize::MIN, idle_vms_max: 8 }
    }
}

/// What happened since the start; every figure only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowCounters {
    /// RandomX caches built. More than one per key change means that keys displace each other.
    pub randomx_cache_builds: u64,
    /// RandomX keys that had to leave memory.
    pub randomx_cache_evictions: u64,
    /// RandomX datasets built.
    pub randomx_dataset_builds: u64,
    /// Ethash caches built.
    pub ethash_cache_builds: u64,
    /// Ethash epochs that had to leave memory.
    pub ethash_cache_evictions: u64,
}

/// Judges proofs of work, and owns the tables that takes: one per process, shared by node, Stratum server and miner.
///
/// A table that is missing is built by the first caller that needs it, for up to a second, while others that need it wait:
/// call [`PowVerifier::prepare`] ahead of a key change. Never call on an async worker thread.
pub struct PowVerifier {
    config: PowConfig,
    randomx: Resident<BlockId, KeyTables>,
    light: LightHashers,
    dataset: DatasetSlot,
    dataset_builds: AtomicU64,
    ethash: Resident<u32, EthashCache>,
    ethash_datasets: EthashDatasets,
}

impl Default for PowVerifier {
    fn default() -> Self {
        Self::new(PowConfig::default())
    }
}

impl PowVerifier {
    /// A verifier without any table yet.
    #[must_use]
    pub fn new(config: PowConfig) -> Self {
        Self {
            config,
            randomx: Resident::new(RANDOMX_KEYS_MAX),
            light: LightHashers::default(),
            dataset: DatasetSlot::default(),
            dataset_builds: AtomicU64::new(0),
            ethash: Resident::new(ETHASH_EPOCHS_MAX),
            ethash_datasets: EthashDatasets::default(),
        }
    }

    /// Checks that `seal` proves the work on `header` that `target` asks for, cheapest test first, and returns the
    /// proof-of-work value. `key` must come from the caller's chain, for the height of `header` (SPEC 5.4, 7.6).
    ///
    /// # Errors
    /// The proof is bad, or could not be examined: [`PowError::is_invalid_proof`] tells which.
    pub fn verify(&self, header: &Header, seal: &Seal, key: &PowKey, target: &Target) -> Result<PowHash, PowError> {
        if let Seal::Ethash { extranonce, nonce, mix } = seal {
            let claimed = ethash_final(&ethash_work_hash(&header.seal_hash(), extranonce), *nonce, mix);
            if !PowValue::of(Algorithm::Ethash, &claimed).meets(target) {
                return Err(PowError::AboveTarget { got: claimed, target: *target });
            }
        }
        let value = self.pow_value(header, seal, key)?;
        if PowValue::of(seal.algorithm(), &value).meets(target) {
            Ok(value)
        } else {
            Err(PowError::AboveTarget { got: value, target: *target })
        }
    }

    /// The proof-of-work value of a sealed header, whatever the target: little-endian for SHA-256d and RandomX, big-endian
    /// for Ethash (SPEC 5.3).
    ///
    /// # Errors
    /// As [`PowVerifier::verify`], less the target.
    pub fn pow_value(&self, header: &Header, seal: &Seal, key: &PowKey) -> Result<PowHash, PowError> {
        let seal_hash = header.seal_hash();
        match (seal, key) {
            _ if header.algorithm != seal.algorithm() => Err(mismatch(header, seal, key)),
            (Seal::Sha256d { extranonce, version, ntime, nonce }, PowKey::Sha256d) => {
                Ok(sha256d(&sha256d_work_header(header, &seal_hash, extranonce, *version, *ntime, *nonce)))
            }
            (Seal::RandomX { extranonce, nonce }, PowKey::RandomX(key)) => {
                self.randomx_hash(key, &randomx_blob(header, &seal_hash, extranonce, *nonce))
            }
            (Seal::Ethash { extranonce, nonce, mix }, PowKey::Ethash(epoch)) => {
                let proof = self.ethash_hash(*epoch, &ethash_work_hash(&seal_hash, extranonce), *nonce)?;
                if proof.mix != *mix {
                    return Err(PowError::WrongMix { got: *mix, expected: proof.mix });
                }
                Ok(proof.value)
            }
            _ => Err(mismatch(header, seal, key)),
        }
    }

    /// Builds what verifying under `key` needs, if it is missing, so that the first proof does not wait for it.
    ///
    /// # Errors
    /// [`PowError::Memory`], [`PowError::EpochTooHigh`].
    pub fn prepare(&self, key: &PowKey) -> Result<(), PowError> {
        match key {
            PowKey::Sha256d => Ok(()),
            PowKey::RandomX(key) => self.randomx_tables(key).map(drop),
            PowKey::Ethash(epoch) => self.ethash_cache(*epoch).map(drop),
        }
    }

    /// As [`PowVerifier::prepare`], and in fast mode builds the RandomX dataset of `key`, taking it from the key that has it:
    /// some 5 seconds of CPU time over `build_threads` (50 without AVX-512). Give it the key of the next block, not of a later
    /// one. True if it built a dataset.
    ///
    /// # Errors
    /// As [`PowVerifier::prepare`], and [`PowError::WrongDataset`].
    pub fn prepare_fast(&self, key: &PowKey) -> Result<bool, PowError> {
        self.prepare(key)?;
        let (PowKey::RandomX(key), RandomXMode::Fast) = (key, self.config.randomx_mode) else { return Ok(false) };
        let built = self.dataset.build_for(&self.randomx_tables(key)?, self.config.build_threads)?;
        self.dataset_builds.fetch_add(u64::from(built), Ordering::Relaxed);
        Ok(built)
    }

    /// The addresses of the dataset of `key`, if there is one, for asking the system how it is backed:
    /// [`huge_page_bytes`](crate::huge_page_bytes). They mean nothing any more once the dataset goes to another key.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn randomx_dataset_memory(&self, key: &BlockId) -> Result<Option<Range<usize>>, PowError> {
        Ok(self.randomx_tables(key)?.dataset_memory())
    }

    /// RandomX of any input under `key` (little-endian value).
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn randomx_hash(&self, key: &BlockId, input: &[u8]) -> Result<PowHash, PowError> {
        Ok(self.randomx_hasher(key)?.hash(input))
    }

    /// As [`PowVerifier::randomx_hash`] for many; results in the order of `inputs`. In light mode each takes half the time or less
    /// from four on, where the processor has AVX-512; eight at a time are nearly as good as any number.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn randomx_hash_batch(&self, key: &BlockId, inputs: &[&[u8]]) -> Result<Vec<PowHash>, PowError> {
        self.randomx_tables(key)?.hash_batch(&self.light, inputs)
    }

    /// A RandomX VM to hash many inputs with. Keep it for a slice of work only.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn randomx_hasher(&self, key: &BlockId) -> Result<RandomXHasher, PowError> {
        self.randomx_tables(key)?.hasher()
    }

    /// Mix and value of an Ethash work hash and nonce, for miners that do not send the mix.
    ///
    /// # Errors
    /// [`PowError::Memory`], [`PowError::EpochTooHigh`].
    pub fn ethash_hash(&self, epoch: u32, work_hash: &EthashWorkHash, nonce: u64) -> Result<EthashProof, PowError> {
        Ok(self.ethash_cache(epoch)?.hash(work_hash, nonce))
    }

    /// As [`PowVerifier::ethash_hash`] for many, many times faster; results in the order of `tasks`.
    ///
    /// # Errors
    /// [`PowError::Memory`], [`PowError::EpochTooHigh`].
    pub fn ethash_hash_batch(&self, epoch: u32, tasks: &[EthashTask]) -> Result<Vec<EthashProof>, PowError> {
        Ok(self.ethash_cache(epoch)?.hash_batch(tasks))
    }

    /// Builds the full Ethash dataset of `epoch` (1 GiB and more), in place of that of another epoch: some 15 seconds of CPU time
    /// over `build_threads`. For mining; verifying does not need it.
    ///
    /// # Errors
    /// [`PowError::Memory`], [`PowError::EpochTooHigh`], [`PowError::WrongDataset`].
    pub fn prepare_ethash_dataset(&self, epoch: u32) -> Result<(), PowError> {
        let (threads, stop) = (self.config.build_threads, AtomicBool::new(false));
        let build = EthashBuild { threads, low_priority: false, beside: false, store: &NoChunkStore, stop: &stop };
        self.build_ethash_dataset(epoch, &build).map(drop)
    }

    /// As [`PowVerifier::prepare_ethash_dataset`], but from chunks that were kept, as far as there are any, and with a say in how.
    /// One build at a time; others that call meanwhile wait. An epoch that is not asked for stays in memory only if it is
    /// the next one.
    ///
    /// # Errors
    /// [`PowError::Memory`], [`PowError::EpochTooHigh`], [`PowError::WrongDataset`].
    pub fn build_ethash_dataset(&self, epoch: u32, build: &EthashBuild<'_>) -> Result<EthashBuilt, PowError> {
        self.ethash_datasets.build(&*self.ethash_cache(epoch)?, build)
    }

    /// What mines an epoch fastest: its full dataset if that was prepared, else its light cache.
    ///
    /// # Errors
    /// [`PowError::Memory`], [`PowError::EpochTooHigh`].
    pub fn ethash_hasher(&self, epoch: u32) -> Result<EthashHasher, PowError> {
        match self.ethash_datasets.get(epoch) {
            Some(dataset) => Ok(EthashHasher::full(dataset)),
            None => self.ethash_cache(epoch).map(EthashHasher::light),
        }
    }

    /// The light cache of an epoch. Keep it for a slice of work only.
    ///
    /// # Errors
    /// [`PowError::Memory`], [`PowError::EpochTooHigh`].
    pub fn ethash_cache(&self, epoch: u32) -> Result<Arc<EthashCache>, PowError> {
        self.ethash.get_or_build(epoch, |evicted| {
            // Freed first: the new cache is larger than the old one, so that its memory could not be used again.
            drop(evicted);
            EthashCache::build(epoch)
        })
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> PowCounters {
        PowCounters {
            randomx_cache_builds: self.randomx.builds(),
            randomx_cache_evictions: self.randomx.evictions(),
            randomx_dataset_builds: self.dataset_builds.load(Ordering::Relaxed),
            ethash_cache_builds: self.ethash.builds(),
            ethash_cache_evictions: self.ethash.evictions(),
        }
    }

    fn randomx_tables(&self, key: &BlockId) -> Result<Arc<KeyTables>, PowError> {
        self.randomx.get_or_build(*key, |evicted| KeyTables::build(*key, evicted, self.config.idle_vms_max))
    }
}

fn mismatch(header: &Header, seal: &Seal, key: &PowKey) -> PowError {
    let key = match key {
        PowKey::Sha256d => bq_primitives::Algorithm::Sha256d,
        PowKey::RandomX(_) => bq_primitives::Algorithm::RandomX,
        PowKey::Ethash(_) => bq_primitives::Algorithm::Ethash,
    };
    PowError::AlgorithmMismatch { header: header.algorithm, seal: seal.algorithm(), key }
}
