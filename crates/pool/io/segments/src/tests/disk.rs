use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{Disk, FolderLock, SegmentFile};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A disk in memory with room for some more bytes. A write that does not fit is done in part, as a real one may be.
#[derive(Clone)]
pub(super) struct MemoryDisk {
    files: Arc<Mutex<Files>>,
    pub(super) room: Arc<AtomicU64>,
    pub(super) sync_fails: Arc<AtomicBool>,
    pub(super) truncate_fails: Arc<AtomicBool>,
    pub(super) remove_fails: Arc<AtomicBool>,
    pub(super) folder_sync_fails: Arc<AtomicBool>,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::of(Files::new())
    }
}

impl MemoryDisk {
    pub(super) fn of(files: Files) -> Self {
        Self {
            files: Arc::new(Mutex::new(files)),
            room: Arc::new(AtomicU64::new(u64::MAX)),
            sync_fails: Arc::default(),
            truncate_fails: Arc::default(),
            remove_fails: Arc::default(),
            folder_sync_fails: Arc::default(),
        }
    }

    /// What a killed process leaves behind: the files as they are now.
    pub(super) fn killed(&self) -> Self {
        Self::of(self.files())
    }

    pub(super) fn files(&self) -> Files {
        self.files.lock().clone()
    }

    pub(super) fn get(&self, path: &Path) -> Vec<u8> {
        self.files.lock().get(path).expect("the file is there").clone()
    }

    pub(super) fn put(&self, path: &Path, bytes: Vec<u8>) {
        self.files.lock().insert(path.to_owned(), bytes);
    }

    pub(super) fn lose(&self, path: &Path) {
        self.files.lock().remove(path).expect("the file is there");
    }

    pub(super) fn flip(&self, path: &Path, at: usize, bit: usize) {
        self.files.lock().get_mut(path).expect("the file is there")[at] ^= 1 << bit;
    }

    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let files = self.files.lock();
        files.keys().filter(|path| path.extension().is_some_and(|end| end == "seg")).cloned().collect()
    }

    fn file(&self, path: &Path) -> Arc<dyn SegmentFile> {
        Arc::new(MemoryFile { disk: self.clone(), path: path.to_owned() })
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for MemoryDisk {
    fn lock(&self, _: &Path) -> io::Result<Option<FolderLock>> {
        Ok(Some(Box::new(())))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let files = self.files.lock();
        let names = files.keys().filter_map(|path| path.strip_prefix(folder).ok()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn read(&self, path: &Path, bytes_max: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let files = self.files.lock();
        let bytes = files.get(path).ok_or_else(missing)?;
        into.clear();
        into.extend(bytes.iter().take(usize::try_from(bytes_max).unwrap_or(usize::MAX)));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.put(path, Vec::new());
        Ok(self.file(path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        if self.files.lock().contains_key(path) { Ok(self.file(path)) } else { Err(missing()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.remove_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no removal today"));
        }
        self.files.lock().remove(path).map(|_| ()).ok_or_else(missing)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        let bytes = files.remove(from).ok_or_else(missing)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        if self.folder_sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no sync of folders today"));
        }
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
}

impl SegmentFile for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let wanted = u64::try_from(bytes.len()).expect("small");
        let room = self.disk.room.load(Ordering::SeqCst);
        let written = wanted.min(room);
        self.disk.room.store(room - written, Ordering::SeqCst);
        let (start, count) = (usize::try_from(offset).expect("small"), usize::try_from(written).expect("small"));
        let mut files = self.disk.files.lock();
        let file = files.get_mut(&self.path).ok_or_else(missing)?;
        file.resize(file.len().max(start + count), 0);
        file[start..start + count].copy_from_slice(&bytes[..count]);
        if written == wanted { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if self.disk.truncate_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no truncation today"));
        }
        let mut files = self.disk.files.lock();
        files.get_mut(&self.path).ok_or_else(missing)?.resize(usize::try_from(length).expect("small"), 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no sync today"));
        }
        Ok(())
    }
}
