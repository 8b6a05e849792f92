use std::{io, path::Path};

/// Bytes that this user may still write to the file system of `path`.
///
/// # Errors
/// `path` does not exist or cannot be read.
pub fn disk_free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Raises the number of open files to what the system allows this process, and returns it: every connection is one, and
/// the usual limit of 1,024 is far below what a pool serves.
///
/// # Errors
/// The system refused; the old limit stays.
pub fn raise_file_limit() -> io::Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    // No limit reads as none.
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_told_for_a_real_directory_only() {
        let dir = tempfile::tempdir().unwrap();
        assert!(disk_free_bytes(dir.path()).unwrap() > 0);
        assert!(disk_free_bytes(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn the_file_limit_reaches_the_hard_limit() {
        let raised = raise_file_limit().unwrap();
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        assert_eq!(raised, hard.unwrap_or(u64::MAX));
    }
}
