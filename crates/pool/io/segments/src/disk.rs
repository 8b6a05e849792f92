use std::{
    any::Any,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

/// Holds a folder for one log until it is dropped.
pub type FolderLock = Box<dyn Any + Send + Sync>;

/// The file system, as small as the log needs it. A simulator keeps the files in memory, a test puts a disk here that fills up.
pub trait Disk: Send + Sync + 'static {
    /// Makes the folder if it is missing and takes it for one log; nothing if another log has it.
    ///
    /// # Errors
    /// As the file system says.
    fn lock(&self, folder: &Path) -> io::Result<Option<FolderLock>>;

    /// Names of the files in a folder, in any order.
    ///
    /// # Errors
    /// As the file system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Replaces what is in `into` by the first `bytes_max` bytes of a file, or by all of it if it is shorter.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, path: &Path, bytes_max: u64, into: &mut Vec<u8>) -> io::Result<()>;

    /// Makes an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// As the file system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;

    /// Opens a file for writing.
    ///
    /// # Errors
    /// As the file system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in its folder, in one step, and replaces what had that name.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Returns once every file made, removed or renamed in the folder is so on stable storage.
    ///
    /// # Errors
    /// As the file system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that is written at known places.
pub trait SegmentFile: Send + Sync {
    /// Writes all of `bytes` at `offset`. After an error some of them may be there.
    ///
    /// # Errors
    /// As the file system says.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file exactly this long.
    ///
    /// # Errors
    /// As the file system says.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Returns once everything written is on stable storage.
    ///
    /// # Errors
    /// As the file system says; what was written may then be lost.
    fn sync(&self) -> io::Result<()>;
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn lock(&self, folder: &Path) -> io::Result<Option<FolderLock>> {
        std::fs::create_dir_all(folder)?;
        let lock = File::options().create(true).append(true).open(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Box::new(lock))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, path: &Path, bytes_max: u64, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        File::open(path)?.take(bytes_max).read_to_end(into)?;
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(OpenOptions::new().write(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl SegmentFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
