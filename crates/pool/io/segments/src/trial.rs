use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{Disk, FolderLock, SegmentFile};

/// A disk on which nothing changes: what is written, renamed or removed is so in memory only. Shows what something would come to
/// before it is done.
pub struct TrialDisk {
    below: Arc<dyn Disk>,
    changed: Arc<Mutex<Changed>>,
}

/// Files that are other than below, by path; nothing for one that is gone.
type Changed = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl TrialDisk {
    /// As the disk below is now.
    #[must_use]
    pub fn over(below: Arc<dyn Disk>) -> Self {
        Self { below, changed: Arc::default() }
    }

    fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.changed.lock().get(path) {
            Some(Some(bytes)) => return Ok(bytes.clone()),
            Some(None) => return Err(io::ErrorKind::NotFound.into()),
            None => {}
        }
        let mut bytes = Vec::new();
        self.below.read(path, u64::MAX, &mut bytes)?;
        Ok(bytes)
    }

    fn file(&self, path: &Path, bytes: Vec<u8>) -> Arc<dyn SegmentFile> {
        self.changed.lock().insert(path.to_owned(), Some(bytes));
        Arc::new(TrialFile { path: path.to_owned(), changed: Arc::clone(&self.changed) })
    }
}

impl Disk for TrialDisk {
    fn lock(&self, folder: &Path) -> io::Result<Option<FolderLock>> {
        self.below.lock(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = self.below.list(folder)?;
        for (path, bytes) in self.changed.lock().iter().filter(|(path, _)| path.parent() == Some(folder)) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            names.retain(|other| other != name);
            names.extend(bytes.as_ref().map(|_| name.to_owned()));
        }
        Ok(names)
    }

    fn read(&self, path: &Path, bytes_max: u64, into: &mut Vec<u8>) -> io::Result<()> {
        match self.changed.lock().get(path) {
            Some(Some(bytes)) => {
                let length = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(bytes.len());
                into.clear();
                into.extend_from_slice(&bytes[..length]);
                Ok(())
            }
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => self.below.read(path, bytes_max, into),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(self.file(path, Vec::new()))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let bytes = self.content(path)?;
        Ok(self.file(path, bytes))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.content(path)?;
        self.changed.lock().insert(path.to_owned(), None);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.content(from)?;
        let mut changed = self.changed.lock();
        changed.insert(to.to_owned(), Some(bytes));
        changed.insert(from.to_owned(), None);
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct TrialFile {
    path: PathBuf,
    changed: Arc<Mutex<Changed>>,
}

impl TrialFile {
    /// A file whose name went away, or is another's by now, is written to for nothing.
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(Some(bytes)) = self.changed.lock().get_mut(&self.path) {
            change(bytes);
        }
    }
}

impl SegmentFile for TrialFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.change(|content| {
            content.resize(content.len().max(end), 0);
            content[start..end].copy_from_slice(bytes);
        });
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.change(|content| content.resize(length, 0));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
