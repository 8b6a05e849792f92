use std::{
    fs,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Instant,
};

use bq_pow::{
    ETHASH_CHUNK_BYTES, ETHASH_EPOCH_MAX, EthashBuild, EthashBuilt, NoChunkStore, PowError, PowVerifier,
    ethash_dataset_bytes,
};
use tracing::{info, warn};

use super::file::{DatasetFile, Layout, prune};

/// Memory that a dataset leaves to everything else.
const RESERVE_BYTES: u64 = 512 << 20;

/// What [`super::DatasetKeeper`] has done.
pub(crate) trait Build: Send + Sync {
    /// Puts the dataset of `epoch` into memory in place of that of `held`. False if it is not there afterwards.
    fn now(&self, epoch: u32, held: Option<u32>, stop: &AtomicBool) -> bool;

    /// Prepares the dataset of `epoch` beside the one that is mined from, at low priority.
    fn ahead(&self, epoch: u32, stop: &AtomicBool);
}

/// Builds with a verifier, which hands the datasets to those who mine.
pub(crate) struct VerifierBuild {
    pub(crate) pow: Arc<PowVerifier>,
    /// Where datasets are kept between runs, if they are.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) low_priority: bool,
}

impl Build for VerifierBuild {
    fn now(&self, epoch: u32, held: Option<u32>, stop: &AtomicBool) -> bool {
        let freed = held.map_or(0, ethash_dataset_bytes);
        if !has_room(ethash_dataset_bytes(epoch), freed, free_memory()) {
            warn!(epoch, "not enough free memory for the Ethash dataset; mining from the light cache");
            return false;
        }
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let plan = EthashBuild { threads, low_priority: self.low_priority, beside: false, store: &NoChunkStore, stop };
        let built = self.with_store(epoch, plan, |build| self.pow.build_ethash_dataset(epoch, build));
        self.prune(epoch);
        built
    }

    fn ahead(&self, epoch: u32, stop: &AtomicBool) {
        let threads = NonZeroUsize::MIN;
        let plan = EthashBuild { threads, low_priority: true, beside: true, store: &NoChunkStore, stop };
        if epoch > ETHASH_EPOCH_MAX {
            return;
        }
        if self.directory.is_some() {
            // On disk it takes no memory, and is read within seconds when its time has come.
            self.with_store(epoch, plan, |build| {
                Ok(self.pow.ethash_cache(epoch)?.store_dataset(ETHASH_CHUNK_BYTES, build))
            });
        } else if has_room(ethash_dataset_bytes(epoch), 0, free_memory()) {
            self.with_store(epoch, plan, |build| self.pow.build_ethash_dataset(epoch, build));
        }
    }
}

impl VerifierBuild {
    /// Lets `build` follow `plan` with the file of `epoch`, and reports what came of it. True if all chunks are there.
    fn with_store(
        &self,
        epoch: u32,
        plan: EthashBuild<'_>,
        build: impl FnOnce(&EthashBuild<'_>) -> Result<EthashBuilt, PowError>,
    ) -> bool {
        let file = self.directory.as_ref().and_then(|directory| {
            let opened = DatasetFile::open(directory, Layout::of_epoch(epoch));
            opened.inspect_err(|error| warn!(%error, epoch, "the Ethash dataset cannot be kept on disk")).ok()
        });
        let began = Instant::now();
        let built = match &file {
            Some(file) => build(&EthashBuild { store: file, ..plan }),
            None => build(&plan),
        };
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                warn!(epoch, %error, "cannot build the Ethash dataset");
                return false;
            }
        };
        let EthashBuilt { loaded, computed, stopped } = built;
        metrics::counter!("bq_miner_dataset_chunks_total", "source" => "disk").increment(loaded as u64);
        metrics::counter!("bq_miner_dataset_chunks_total", "source" => "computed").increment(computed as u64);
        let seconds = began.elapsed().as_secs();
        if stopped {
            info!(epoch, loaded, computed, seconds, "Ethash dataset interrupted");
            return false;
        }
        if loaded + computed > 0 {
            info!(epoch, loaded, computed, seconds, "Ethash dataset ready");
        }
        if let Some(file) = file.filter(|file| !file.is_complete())
            && loaded + computed > 0
            && let Err(error) = file.complete()
        {
            warn!(epoch, %error, "the Ethash dataset on disk stays partial");
        }
        true
    }

    /// Keeps the files of `epoch` and the next one.
    fn prune(&self, epoch: u32) {
        if let Some(directory) = &self.directory
            && let Err(error) = prune(directory, &[epoch, epoch.saturating_add(1)])
        {
            warn!(directory = %directory.display(), %error, "cannot remove old Ethash datasets");
        }
    }
}

/// Whether `bytes` more fit into memory, once `freed` bytes are given back. Where nobody tells, they do.
fn has_room(bytes: u64, freed: u64, free: Option<u64>) -> bool {
    free.is_none_or(|free| free.saturating_add(freed) >= bytes.saturating_add(RESERVE_BYTES))
}

/// Bytes that programs may still take without swapping, where the system tells.
fn free_memory() -> Option<u64> {
    available_bytes(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read() {
        let meminfo = "MemTotal:       24689784 kB\nMemFree:        1 kB\nMemAvailable:   22713344 kB\n";
        assert_eq!(available_bytes(meminfo), Some(22_713_344 << 10));
        assert_eq!(available_bytes("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn a_dataset_must_leave_something() {
        let gib = 1 << 30;
        assert!(has_room(gib, 0, Some(2 * gib)));
        assert!(!has_room(gib, 0, Some(gib)));
        assert!(has_room(gib, gib, Some(gib)));
        assert!(has_room(gib, 0, None));
    }
}
