use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use bq_pow::{ETHASH_CHUNK_BYTES, EthashChunkStore, ethash_dataset_bytes, ethash_seed};
use tracing::{info, warn};

/// What every file begins with; the last character is the version of the format.
const MAGIC: &[u8; 8] = b"bqDAG\0\0\x01";
/// Tells a file of a machine with another byte order, whose words cannot be used as they are.
const BYTE_ORDER: u32 = 0x0102_0304;
/// Room for the header, so that chunks start at a page.
const HEADER_BYTES: u64 = 4096;
/// The checksum behind each chunk.
const CHECKSUM_BYTES: usize = 4;

/// What a file is for; it is the file's header too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    epoch: u32,
    seed: [u8; 32],
    dataset_bytes: u64,
    chunk_bytes: usize,
}

impl Layout {
    pub(super) fn of_epoch(epoch: u32) -> Self {
        Self {
            epoch,
            seed: ethash_seed(epoch),
            dataset_bytes: ethash_dataset_bytes(epoch),
            chunk_bytes: ETHASH_CHUNK_BYTES,
        }
    }

    fn header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(BYTE_ORDER.to_ne_bytes());
        header.extend(self.epoch.to_le_bytes());
        header.extend(self.dataset_bytes.to_le_bytes());
        header.extend((self.chunk_bytes as u64).to_le_bytes());
        header.extend(self.seed);
        header
    }

    fn offset(&self, index: usize) -> u64 {
        HEADER_BYTES + index as u64 * (self.chunk_bytes + CHECKSUM_BYTES) as u64
    }

    /// Of a chunk in its place: one that lies elsewhere, or in the file of another epoch, does not have it.
    fn checksum(&self, index: usize, chunk: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let place = crc32c::crc32c_append(crc32c::crc32c(&self.header()), &(index as u64).to_le_bytes());
        crc32c::crc32c_append(place, chunk).to_le_bytes()
    }
}

/// The dataset of one epoch on disk, as far as it was made: a header, then each chunk with its checksum, in any order of
/// writing. Killed at any moment, it has lost at most the chunks that were being written.
///
/// It bears the name `*.partial` until every chunk is there and synced. Chunks are read into memory, not mapped: that gives
/// them pages of 2 MiB, with which mining is faster by half, and a file that is cut short or lies on a disk that fails is a
/// chunk to compute rather than a signal that ends the process.
pub(super) struct DatasetFile {
    layout: Layout,
    /// Locked, so that one process writes.
    file: File,
    path: PathBuf,
    /// A write failed: nothing more is kept.
    failed: AtomicBool,
}

/// Why chunks cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatasetFileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
}

impl DatasetFile {
    /// Opens the file of an epoch in `directory`, or begins it; one whose header is another's is begun anew.
    pub(super) fn open(directory: &Path, layout: Layout) -> Result<Self, DatasetFileError> {
        fs::create_dir_all(directory)?;
        let complete = directory.join(complete_name(layout.epoch));
        let path = if complete.exists() { complete } else { directory.join(partial_name(layout.epoch)) };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DatasetFileError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let header = layout.header();
        let mut found = vec![0; header.len()];
        if file.read_exact_at(&mut found, 0).is_err() || found != header {
            file.set_len(0)?;
            file.write_all_at(&header, 0)?;
        }
        Ok(Self { layout, file, path, failed: AtomicBool::new(false) })
    }

    /// Every chunk was there, and synced, at some time; whether they still are, their checksums tell.
    pub(super) fn is_complete(&self) -> bool {
        self.path.ends_with(complete_name(self.layout.epoch))
    }

    /// Gives the file its final name, once every chunk was loaded or saved.
    pub(super) fn complete(self) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.file.sync_all()?;
        let complete = self.path.with_file_name(complete_name(self.layout.epoch));
        fs::rename(&self.path, complete)?;
        // The new name is on disk too.
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }

    fn try_load(&self, index: usize, chunk: &mut [u8]) -> io::Result<bool> {
        let offset = self.layout.offset(index);
        let mut checksum = [0; CHECKSUM_BYTES];
        self.file.read_exact_at(chunk, offset)?;
        self.file.read_exact_at(&mut checksum, offset + chunk.len() as u64)?;
        Ok(checksum == self.layout.checksum(index, chunk))
    }

    fn try_save(&self, index: usize, chunk: &[u8]) -> io::Result<()> {
        let offset = self.layout.offset(index);
        self.file.write_all_at(chunk, offset)?;
        self.file.write_all_at(&self.layout.checksum(index, chunk), offset + chunk.len() as u64)
    }

    /// Gives the disk back what cannot be completed.
    fn give_up(&self, error: &io::Error) {
        if self.failed.swap(true, Ordering::Relaxed) {
            return;
        }
        warn!(path = %self.path.display(), %error, "cannot keep the Ethash dataset on disk; mining goes on from memory");
        // Its blocks are free at once, though the file stays open until the build is done.
        let emptied = self.file.set_len(0);
        if let Err(error) = fs::remove_file(&self.path).and(emptied) {
            warn!(path = %self.path.display(), %error, "cannot remove what was written of it");
        }
    }
}

impl EthashChunkStore for DatasetFile {
    fn load(&self, index: usize, bytes: &mut [u8]) -> bool {
        self.try_load(index, bytes).unwrap_or(false)
    }

    fn save(&self, index: usize, bytes: &[u8]) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.try_save(index, bytes) {
            self.give_up(&error);
        }
    }
}

/// Removes the files of all epochs but `kept` that no process uses.
pub(super) fn prune(directory: &Path, kept: &[u32]) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let epoch = path.file_name().and_then(|name| epoch_of_name(name.to_str()?));
        if epoch.is_some_and(|epoch| !kept.contains(&epoch)) && File::open(&path)?.try_lock().is_ok() {
            fs::remove_file(&path)?;
            info!(path = %path.display(), "removed an old Ethash dataset");
        }
    }
    Ok(())
}

fn complete_name(epoch: u32) -> String {
    format!("ethash-{epoch:05}.dataset")
}

fn partial_name(epoch: u32) -> String {
    format!("ethash-{epoch:05}.partial")
}

/// The epoch of a file that this module named; nothing for any other file.
fn epoch_of_name(name: &str) -> Option<u32> {
    let epoch = name.strip_prefix("ethash-")?.split('.').next()?.parse().ok()?;
    [complete_name(epoch), partial_name(epoch)].iter().any(|known| known == name).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_pow::{EthashBuild, EthashBuilt, EthashCache};
    use std::{num::NonZeroUsize, ops::Range};
    use tempfile::TempDir;

    /// Ten chunks, the last shorter than the others.
    const CHUNK: usize = 64 * 128;
    const DATASET: u32 = 9 * 64 * 128 + 5 * 128;
    const CHUNKS: usize = 10;

    fn layout(epoch: u32) -> Layout {
        Layout { epoch, seed: [5; 32], dataset_bytes: u64::from(DATASET), chunk_bytes: CHUNK }
    }

    fn open(directory: &TempDir) -> DatasetFile {
        DatasetFile::open(directory.path(), layout(3)).unwrap()
    }

    /// Makes what `file` lacks.
    fn build(file: &DatasetFile) -> EthashBuilt {
        let cache = EthashCache::of_sizes(&[5; 32], 257 * 64, DATASET).unwrap();
        let stop = AtomicBool::new(false);
        let threads = NonZeroUsize::new(2).unwrap();
        let build = EthashBuild { threads, low_priority: false, beside: false, store: file, stop: &stop };
        cache.store_dataset(CHUNK, &build)
    }

    fn built(loaded: usize) -> EthashBuilt {
        EthashBuilt { loaded, computed: CHUNKS - loaded, stopped: false }
    }

    /// A complete file, and what is in it.
    fn complete() -> (TempDir, PathBuf, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let file = open(&directory);
        assert_eq!(build(&file), built(0));
        file.complete().unwrap();
        let path = directory.path().join("ethash-00003.dataset");
        let bytes = fs::read(&path).unwrap();
        (directory, path, bytes)
    }

    /// Where a chunk and its checksum lie.
    fn place(index: usize) -> Range<usize> {
        let start = usize::try_from(layout(3).offset(index)).unwrap();
        let bytes = if index == CHUNKS - 1 { 5 * 128 } else { CHUNK };
        start..start + bytes + CHECKSUM_BYTES
    }

    #[test]
    fn a_complete_file_is_read_and_nothing_is_computed() {
        let (directory, path, bytes) = complete();
        assert_eq!(bytes.len(), place(CHUNKS - 1).end);
        assert!(!directory.path().join("ethash-00003.partial").exists());
        let file = open(&directory);
        assert!(file.is_complete());
        assert_eq!(build(&file), built(CHUNKS));
        file.complete().unwrap();
        assert_eq!(fs::read(path).unwrap(), bytes);
    }

    #[test]
    fn a_build_that_was_killed_anywhere_goes_on_from_its_whole_chunks() {
        let (directory, path, bytes) = complete();
        let partial = directory.path().join("ethash-00003.partial");
        fs::remove_file(path).unwrap();
        let cuts = (0..CHUNKS).flat_map(|index| {
            let Range { start, end } = place(index);
            [start, start + 1, (start + end) / 2, end - CHECKSUM_BYTES, end - 1, end]
        });
        for cut in cuts.chain([0, 1, 63, 64, 4095]) {
            fs::write(&partial, &bytes[..cut]).unwrap();
            let file = open(&directory);
            assert!(!file.is_complete());
            let whole = (0..CHUNKS).filter(|index| place(*index).end <= cut).count();
            assert_eq!(build(&file), built(whole), "cut at {cut}");
            assert_eq!(fs::read(&partial).unwrap(), bytes, "cut at {cut}");
        }
    }

    #[test]
    fn holes_are_computed() {
        // Threads write at their own pace: a later chunk may be there before an earlier one.
        let (directory, path, bytes) = complete();
        let mut torn = bytes.clone();
        torn[place(2)].fill(0);
        torn[place(7)].fill(0);
        fs::write(&path, torn).unwrap();
        assert_eq!(build(&open(&directory)), built(CHUNKS - 2));
        assert_eq!(fs::read(path).unwrap(), bytes);
    }

    #[test]
    fn a_flipped_bit_is_found_and_mended() {
        let (directory, path, bytes) = complete();
        for index in 0..CHUNKS {
            let Range { start, end } = place(index);
            for at in [start, (start + end) / 2, end - 1] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x10;
                fs::write(&path, damaged).unwrap();
                assert_eq!(build(&open(&directory)), built(CHUNKS - 1), "bit at {at}");
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
        }
        let mut swapped = bytes.clone();
        swapped[place(0)].copy_from_slice(&bytes[place(1)]);
        fs::write(&path, swapped).unwrap();
        assert_eq!(build(&open(&directory)), built(CHUNKS - 1));
    }

    #[test]
    fn a_file_of_another_epoch_version_or_size_is_begun_anew() {
        let (directory, path, bytes) = complete();
        for at in [7, 8, 12, 16, 24, 32, 63] {
            let mut foreign = bytes.clone();
            foreign[at] ^= 1;
            fs::write(&path, foreign).unwrap();
            assert_eq!(build(&open(&directory)), built(0), "byte {at}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        fs::rename(&path, directory.path().join("ethash-00004.dataset")).unwrap();
        let renamed = DatasetFile::open(directory.path(), layout(4)).unwrap();
        assert_eq!(build(&renamed), built(0));
        // A header alone does not make another epoch's chunks this one's.
        drop(renamed);
        let mut forged = bytes;
        forged[..64].copy_from_slice(&layout(4).header());
        fs::write(directory.path().join("ethash-00004.dataset"), forged).unwrap();
        assert_eq!(build(&DatasetFile::open(directory.path(), layout(4)).unwrap()), built(0));
    }

    #[test]
    fn a_file_has_one_process() {
        let directory = tempfile::tempdir().unwrap();
        let first = open(&directory);
        assert!(matches!(DatasetFile::open(directory.path(), layout(3)), Err(DatasetFileError::InUse(_))));
        prune(directory.path(), &[]).unwrap();
        assert!(first.path.exists());
        drop(first);
        open(&directory);
    }

    #[test]
    fn a_disk_that_takes_no_more_costs_the_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = open(&directory);
        // What a full disk does to a write, a handle that may only read does too.
        file.file = File::open(&file.path).unwrap();
        assert_eq!(build(&file), built(0));
        assert!(!file.path.exists());
        file.complete().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(build(&open(&directory)), built(0));
    }

    #[test]
    fn old_epochs_are_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let names = [
            "ethash-00001.dataset",
            "ethash-00002.partial",
            "ethash-00003.dataset",
            "ethash-00004.partial",
            "ethash-32639.dataset",
            "ethash-1.dataset",
            "ethash-00001.dataset.bak",
            "wallet.json",
        ];
        for name in names {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        prune(directory.path(), &[3, 4]).unwrap();
        let left: Vec<&str> = names.into_iter().filter(|name| directory.path().join(name).exists()).collect();
        assert_eq!(left, [names[2], names[3], names[5], names[6], names[7]]);
    }
}
