use std::fmt;

use bq_primitives::{Algorithm, PowHash, PowValue, Target};
use cudarc::driver::sys::CUdevice_attribute as Attribute;

use super::{
    GpuError,
    driver::{Context, Device, Driver},
    ethash::{EthashKernels, GpuDataset, top_be},
    hits::HitBuffer,
    sha256d::Sha256dSearch,
};
use crate::{
    EthashCache, EthashProof, EthashTask, EthashWorkHash, Sha256dWork,
    sha256d::{SearchParts, Sha256dKernel},
};

/// Hits that may turn out to be none before the device is given up.
const BAD_HITS_MAX: u64 = 3;
/// The oldest compute capability that the committed PTX is made for.
const COMPUTE_MIN: (u32, u32) = (7, 0);

/// A GPU as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// Its number, from zero; what [`GpuDevice::open`] takes.
    pub index: usize,
    /// What the driver calls it.
    pub name: String,
    /// Compute capability, major and minor.
    pub compute: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of memory, used or not.
    pub memory_bytes: u64,
    /// Bytes per second that the memory can move by its clock and width, if the driver tells them.
    pub memory_bytes_per_sec: Option<u64>,
}

impl fmt::Display for GpuInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, name, compute: (major, minor), multiprocessors, memory_bytes, .. } = self;
        let mib = memory_bytes >> 20;
        write!(f, "{index}: {name}, compute {major}.{minor}, {multiprocessors} multiprocessors, {mib} MiB")
    }
}

/// What a device did since it was opened; every figure only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuCounters {
    /// Nonces tried.
    pub hashes: u64,
    /// Values that met their target, on the CPU's word.
    pub hits: u64,
    /// What the GPU took for a possible hit and the CPU found to be none. A sound GPU has no such hits.
    pub bad_hits: u64,
}

/// One CUDA GPU that passed its self-test. It may move between threads; one uses it at a time.
///
/// Nothing that it finds is believed: each hit is computed again on the CPU, and after three that were none the device
/// refuses to go on. Every call blocks until the GPU is done.
#[derive(Debug)]
pub struct GpuDevice {
    info: GpuInfo,
    sha256d: Sha256dSearch,
    ethash: EthashKernels,
    dataset: Option<GpuDataset>,
    hits: HitBuffer,
    counters: GpuCounters,
}

impl GpuDevice {
    /// The GPUs of this machine, usable or not. Never panics, whatever is or is not installed.
    ///
    /// # Errors
    /// [`GpuError::NoDriver`] and [`GpuError::NoDevice`] where there is none, [`GpuError::OldDriver`], [`GpuError::Driver`].
    pub fn list() -> Result<Vec<GpuInfo>, GpuError> {
        let driver = Driver::load()?;
        (0..driver.count()?).map(|index| describe(index, driver.device(index)?)).collect()
    }

    /// Loads the kernels onto the GPU of that number and compares what they find with the CPU. Takes a second or so the first
    /// time, since the driver compiles them.
    ///
    /// # Errors
    /// As [`GpuDevice::list`], and [`GpuError::NoSuchDevice`], [`GpuError::OldDevice`], [`GpuError::Memory`],
    /// [`GpuError::Wrong`].
    pub fn open(index: usize) -> Result<Self, GpuError> {
        let device = Driver::load()?.device(index)?;
        let info = describe(index, device)?;
        if info.compute < COMPUTE_MIN {
            return Err(GpuError::OldDevice { name: info.name, compute: info.compute });
        }
        let context = Context::retain(device)?;
        let opened = Self {
            info,
            sha256d: Sha256dSearch::new(&context)?,
            ethash: EthashKernels::new(&context)?,
            dataset: None,
            hits: HitBuffer::new(&context)?,
            counters: GpuCounters::default(),
        };
        opened.self_test()?;
        Ok(opened)
    }

    /// What it is.
    #[must_use]
    pub const fn info(&self) -> &GpuInfo {
        &self.info
    }

    /// What it did.
    #[must_use]
    pub const fn counters(&self) -> GpuCounters {
        self.counters
    }

    /// Tries `count` nonces from `first` on, wrapping round at 2^32, and returns those that meet the target, in order: the
    /// same as [`Sha256dWork::search`]. A range with more than a thousand hits is searched in parts, so an easy target wants a
    /// small count.
    ///
    /// # Errors
    /// [`GpuError::Unreliable`] once too many hits were none, [`GpuError::Driver`], [`GpuError::Wrong`]: give the device up.
    pub fn search_sha256d(
        &mut self,
        work: &Sha256dWork,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, PowHash)>, GpuError> {
        self.check_trust()?;
        let parts = work.parts();
        let offsets = self.sha256d.candidates(parts, first, count, &self.hits)?;
        let mut found = Vec::new();
        for nonce in offsets.into_iter().map(|offset| first.wrapping_add(offset)) {
            let value = work.hash(nonce);
            if !parts.may_meet(&value) {
                self.counters.bad_hits += 1;
            } else if PowValue::of(Algorithm::Sha256d, &value).meets(work.target()) {
                found.push((nonce, value));
            }
        }
        self.count(count, found.len());
        Ok(found)
    }

    /// Builds the full Ethash dataset of `cache` (1 GiB and more) in the GPU's memory, in place of that of another epoch, and
    /// compares a part of it with the CPU's.
    ///
    /// # Errors
    /// [`GpuError::Memory`], after which the device still mines SHA-256d; [`GpuError::Driver`], [`GpuError::Wrong`].
    pub fn prepare_ethash(&mut self, cache: &EthashCache) -> Result<(), GpuError> {
        if self.ethash_epoch() == Some(cache.epoch()) {
            return Ok(());
        }
        // Freed first: there may not be room for two.
        self.dataset = None;
        self.dataset = Some(self.ethash.build(cache, &self.hits)?);
        Ok(())
    }

    /// The epoch whose dataset is in the GPU's memory.
    #[must_use]
    pub fn ethash_epoch(&self) -> Option<u32> {
        self.dataset.as_ref().map(GpuDataset::epoch)
    }

    /// Tries `count` nonces from `first` on, wrapping round at 2^64, and returns those that meet the target, in order, with
    /// their proofs as `cache` gives them (some 0.5 ms of CPU time each). An easy target wants a small count.
    ///
    /// # Errors
    /// [`GpuError::NoDataset`] if [`GpuDevice::prepare_ethash`] was not called for the epoch of `cache`; else as
    /// [`GpuDevice::search_sha256d`].
    pub fn search_ethash(
        &mut self,
        cache: &EthashCache,
        work_hash: &EthashWorkHash,
        target: Target,
        first: u64,
        count: u32,
    ) -> Result<Vec<(u64, EthashProof)>, GpuError> {
        self.check_trust()?;
        let dataset = self.dataset.as_ref().filter(|dataset| dataset.epoch() == cache.epoch());
        let dataset = dataset.ok_or(GpuError::NoDataset { epoch: cache.epoch() })?;
        let start = EthashTask { work_hash: *work_hash, nonce: first };
        let top_max = u64::try_from(target.0 >> 192_usize).unwrap_or(u64::MAX);
        let offsets = self.ethash.candidates(dataset, &start, top_max, count, &self.hits)?;
        let tasks: Vec<EthashTask> = offsets
            .into_iter()
            .map(|offset| EthashTask { nonce: first.wrapping_add(offset.into()), ..start })
            .collect();
        let mut found = Vec::new();
        for (task, proof) in tasks.iter().zip(cache.hash_batch(&tasks)) {
            if top_be(&proof.value.0) > top_max {
                self.counters.bad_hits += 1;
            } else if PowValue::of(Algorithm::Ethash, &proof.value).meets(&target) {
                found.push((task.nonce, proof));
            }
        }
        self.count(count, found.len());
        Ok(found)
    }

    fn check_trust(&self) -> Result<(), GpuError> {
        let bad_hits = self.counters.bad_hits;
        if bad_hits < BAD_HITS_MAX { Ok(()) } else { Err(GpuError::Unreliable { bad_hits }) }
    }

    fn count(&mut self, hashes: u32, hits: usize) {
        self.counters.hashes += u64::from(hashes);
        self.counters.hits += u64::try_from(hits).unwrap_or(0);
    }

    /// Both algorithms against the CPU, Ethash on tables so small that their whole dataset is compared.
    fn self_test(&self) -> Result<(), GpuError> {
        self.self_test_sha256d()?;
        // Primes, as the tables of every epoch have: 127 nodes and 257 pages.
        let cache = EthashCache::of_sizes(&[7; 32], 127 * 64, 257 * 128)?;
        self.ethash.build(&cache, &self.hits).map(drop)
    }

    /// What is found among some nonces, for bounds that all of them meet, one in four, one in 256, and none.
    fn self_test_sha256d(&self) -> Result<(), GpuError> {
        const FIRST: u32 = u32::MAX - 1500;
        const COUNT: u32 = 3001;
        let header: [u8; 80] = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0).wrapping_mul(151));
        for top_max in [u32::MAX, u32::MAX >> 2, u32::MAX >> 8, 0] {
            let parts = SearchParts { top_max, ..SearchParts::of(&header, Target::MAX) };
            let mut expected = Vec::new();
            Sha256dKernel::Portable.search(&parts, FIRST, COUNT, &mut expected);
            let offsets = self.sha256d.candidates(&parts, FIRST, COUNT, &self.hits)?;
            if !offsets.into_iter().map(|offset| FIRST.wrapping_add(offset)).eq(expected) {
                return Err(GpuError::Wrong { what: "what a SHA-256d search finds" });
            }
        }
        Ok(())
    }
}

fn describe(index: usize, device: Device) -> Result<GpuInfo, GpuError> {
    let attribute = |attribute| device.attribute(attribute);
    let clock_khz = u64::from(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE).unwrap_or(0));
    let width_bits = u64::from(attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH).unwrap_or(0));
    // Two transfers a clock.
    let bytes_per_sec = clock_khz * 1000 * 2 * width_bits / 8;
    Ok(GpuInfo {
        index,
        name: device.name()?,
        compute: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        memory_bytes: device.memory_bytes()?,
        memory_bytes_per_sec: (bytes_per_sec > 0).then_some(bytes_per_sec),
    })
}
