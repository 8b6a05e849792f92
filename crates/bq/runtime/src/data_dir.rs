use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

/// A data directory that belongs to this process until the value is dropped.
///
/// Two processes on one ledger would pay twice, so the directory is locked through the operating system, which lets go
/// when the process ends in whatever way. The file `lock` stays; only the lock on it counts.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// A data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds it.
    #[error("data directory {} is in use by process {holder}; stop it or choose another --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// What the lock file says about its holder: a process id.
        holder: String,
    },
    /// It cannot be made, read or written.
    #[error("data directory {}: {source}", path.display())]
    Io {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory if it is missing (for its owner only) and locks it.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] at once when another process, or this one, holds the lock.
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        make_private(path).map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
        let lock_path = path.join("lock");
        let io = |source| DataDirError::Io { path: lock_path.clone(), source };
        let mut options = OpenOptions::new();
        let mut lock = options.read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse { path: path.to_owned(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        note_holder(&mut lock).map_err(io)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    fs::metadata(path)?.is_dir().then_some(()).ok_or_else(|| io::ErrorKind::NotADirectory.into())
}

fn note_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// The text may be missing or old; it is for people, the lock itself decides.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(32).read_to_string(&mut text);
    if read.is_ok() && !text.trim().is_empty() { text.trim().to_owned() } else { "unknown".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let held = DataDir::lock(&path).unwrap();
        assert_eq!(held.path(), path);
        let refused = DataDir::lock(&path).unwrap_err();
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        assert!(matches!(refused, DataDirError::InUse { .. }));
        drop(held);
        DataDir::lock(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_new_directory_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        DataDir::lock(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        assert!(matches!(DataDir::lock(&path), Err(DataDirError::Io { .. })));
    }
}
