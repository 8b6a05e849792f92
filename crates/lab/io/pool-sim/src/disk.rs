//! A disk in memory that loses what was not synced: content of files, and their names.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bq_segments::{Disk, FolderLock, SegmentFile};
use bq_sim::Rng;
use parking_lot::Mutex;

use crate::{clock::SimClock, death::Death};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What lies on the platter; it outlives every life of the pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Platter {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
}

#[derive(Clone, Debug, Default)]
struct File {
    written: Vec<u8>,
    synced: Vec<u8>,
}

impl Platter {
    /// Power fails: of what was not synced a part may have reached the platter, torn anywhere, its sectors in any order.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) {
        self.names = self.synced_names.clone();
        for file in self.files.iter_mut().filter(|file| file.written != file.synced) {
            file.written = file.left(rng);
            file.synced.clone_from(&file.written);
        }
    }

    /// A bit rots. Nothing if there is no byte to rot.
    pub(crate) fn flip(&mut self, rng: &mut Rng) -> Option<(PathBuf, usize)> {
        let named: Vec<(PathBuf, usize)> = self.names.iter().map(|(path, file)| (path.clone(), *file)).collect();
        let full: Vec<_> = named.into_iter().filter(|(_, file)| !self.files[*file].written.is_empty()).collect();
        let (path, file) = full.get(draw(rng, full.len())?)?.clone();
        let content = &mut self.files[file].written;
        let at = draw(rng, content.len())?;
        content[at] ^= 1 << rng.between(0, 7);
        Some((path, at))
    }

    fn named(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File {
    /// As long as it was, is, or in between; each sector as it was or as it is, on half of the days all that are there as they are.
    fn left(&self, rng: &mut Rng) -> Vec<u8> {
        let (was, is) = (self.synced.len() as u64, self.written.len() as u64);
        let mut left = vec![0; usize::try_from(rng.between(was.min(is), was.max(is))).unwrap_or(self.synced.len())];
        let is_ordered = rng.between(0, 1) == 0;
        for (sector, bytes) in left.chunks_mut(SECTOR_BYTES).enumerate() {
            let of = if is_ordered || rng.between(0, 1) == 0 { &self.written } else { &self.synced };
            let there = of.get(sector * SECTOR_BYTES..).unwrap_or_default();
            let count = there.len().min(bytes.len());
            bytes[..count].copy_from_slice(&there[..count]);
        }
        left
    }
}

fn draw(rng: &mut Rng, count: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    usize::try_from(rng.between(0, last as u64)).ok()
}

/// The platter as one life of the pool sees it.
#[derive(Clone)]
pub(crate) struct SimDisk {
    pub(crate) platter: Arc<Mutex<Platter>>,
    pub(crate) death: Arc<Death>,
    /// The disk says that it synced and did not: a planted bug.
    pub(crate) lies: bool,
    pub(crate) speed: Arc<Speed>,
}

/// How long the disk takes now.
#[derive(Debug)]
pub(crate) struct Speed {
    clock: Arc<SimClock>,
    sync_ms: AtomicU64,
}

impl Speed {
    pub(crate) fn of(clock: Arc<SimClock>) -> Self {
        Self { clock, sync_ms: AtomicU64::new(0) }
    }

    pub(crate) fn set_slow(&self, sync: Duration) {
        self.sync_ms.store(u64::try_from(sync.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.sync_ms.load(Ordering::Relaxed) > 0
    }

    /// A sync takes its time.
    pub(crate) fn sync(&self) {
        self.clock.pass(Duration::from_millis(self.sync_ms.load(Ordering::Relaxed)));
    }

    /// A write waits behind syncs of others, not always to their end.
    fn write(&self) {
        self.clock.pass(Duration::from_millis(self.sync_ms.load(Ordering::Relaxed) / 4));
    }
}

struct SimFile {
    disk: SimDisk,
    file: usize,
}

fn dead() -> io::Error {
    io::Error::other("the pool is dead")
}

impl SimDisk {
    fn alive(&self) -> io::Result<()> {
        if self.death.is_dead() { Err(dead()) } else { Ok(()) }
    }

    fn file(&self, file: usize) -> Arc<dyn SegmentFile> {
        Arc::new(SimFile { disk: self.clone(), file })
    }
}

impl Disk for SimDisk {
    fn lock(&self, _: &Path) -> io::Result<Option<FolderLock>> {
        Ok(Some(Box::new(())))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let platter = self.platter.lock();
        let names = platter.names.keys().filter_map(|path| path.strip_prefix(folder).ok()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn read(&self, path: &Path, bytes_max: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let platter = self.platter.lock();
        let file = platter.named(path)?;
        into.clear();
        into.extend(platter.files[file].written.iter().take(usize::try_from(bytes_max).unwrap_or(usize::MAX)));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.alive()?;
        let mut platter = self.platter.lock();
        let file = platter.files.len();
        platter.files.push(File::default());
        platter.names.insert(path.to_owned(), file);
        Ok(self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.alive()?;
        Ok(self.file(self.platter.lock().named(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive()?;
        self.platter.lock().names.remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive()?;
        let mut platter = self.platter.lock();
        let file = platter.named(from)?;
        platter.names.remove(from);
        platter.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.alive()?;
        let mut platter = self.platter.lock();
        platter.synced_names = platter.names.clone();
        Ok(())
    }
}

impl SimFile {
    fn put(&self, offset: u64, bytes: &[u8]) {
        let mut platter = self.disk.platter.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let written = &mut platter.files[self.file].written;
        written.resize(written.len().max(start + bytes.len()), 0);
        written[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

impl SegmentFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.speed.write();
        if self.disk.death.is_full() {
            self.put(offset, &bytes[..bytes.len() / 2]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        let effect = self.disk.death.effect();
        if effect.happens {
            self.put(offset, bytes);
        } else if effect.is_last {
            self.put(offset, &bytes[..bytes.len() / 2]);
        }
        if effect.is_heard { Ok(()) } else { Err(dead()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.alive()?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.disk.platter.lock().files[self.file].written.resize(length, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.alive()?;
        self.disk.speed.sync();
        if !self.disk.lies {
            let mut platter = self.disk.platter.lock();
            let file = &mut platter.files[self.file];
            file.synced.clone_from(&file.written);
        }
        Ok(())
    }
}
