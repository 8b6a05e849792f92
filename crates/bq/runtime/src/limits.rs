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
    Ok(open_files_max())
}

/// How many files this process may have open.
#[must_use]
pub fn open_files_max() -> u64 {
    use rustix::process::{Resource, getrlimit};
    // No limit reads as none.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections each part may hold open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// Miners.
    pub stratum: usize,
    /// Pages, probes and metrics.
    pub http: usize,
    /// JSON-RPC.
    pub rpc: usize,
}

impl OpenFiles {
    /// What of this the system allows with `limit` open files, `reserved` of which are left to everything else: miners take what pages and
    /// RPC leave, which get an eighth and a sixteenth at least, so that whoever looks after the pool is not locked out by those
    /// who mine. Nothing if next to nothing is left.
    #[must_use]
    pub fn within(self, limit: u64, reserved: usize) -> Option<Self> {
        let free = usize::try_from(limit).unwrap_or(usize::MAX).checked_sub(reserved).filter(|free| *free >= 16)?;
        let wanted = self.stratum.saturating_add(self.http).saturating_add(self.rpc);
        if wanted <= free {
            return Some(self);
        }
        let (http, rpc) = (self.http.min(free / 8), self.rpc.min(free / 16));
        Some(Self { stratum: self.stratum.min(free - http - rpc), http, rpc })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_are_shared_and_nobody_is_left_without() {
        let wanted = OpenFiles { stratum: 12_000, http: 1_024, rpc: 64 };
        assert_eq!(wanted.within(1 << 20, 256), Some(wanted));
        assert_eq!(wanted.within(u64::MAX, 256), Some(wanted));
        assert_eq!(wanted.within(1_024, 256), Some(OpenFiles { stratum: 624, http: 96, rpc: 48 }));
        assert_eq!(wanted.within(256 + 16, 256), Some(OpenFiles { stratum: 13, http: 2, rpc: 1 }));
        assert_eq!(wanted.within(256 + 15, 256), None);
        assert_eq!(wanted.within(100, 256), None);
    }

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
