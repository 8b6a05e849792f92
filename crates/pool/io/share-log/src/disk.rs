use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

/// The writing side of the file system, as small as the log needs it. Tests put a disk here that fills up.
pub trait Disk: Send + Sync + 'static {
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
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(OpenOptions::new().write(true).open(path)?))
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
