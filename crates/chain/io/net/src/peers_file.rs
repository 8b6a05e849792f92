use std::{fs, io, path::PathBuf};

use bq_sync::{PeerMemory, Scope};

use crate::NetError;

/// Where peers are remembered over a restart. What is lost with it is only time: a missing or damaged file means a new
/// start with the addresses of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct PeersFile(Option<PathBuf>);

impl PeersFile {
    pub(crate) const fn new(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// What was remembered, or a new memory with a random key.
    pub(crate) fn load(&self, scope: Scope) -> Result<PeerMemory, NetError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| NetError::Transport(error.to_string()))?;
        let fresh = PeerMemory::new(key, scope);
        let Some(path) = &self.0 else { return Ok(fresh) };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fresh),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "remembered peers cannot be read");
                return Ok(fresh);
            }
        };
        Ok(PeerMemory::from_bytes(&bytes, scope).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "remembered peers are forgotten");
            fresh
        }))
    }

    /// Replaces what is remembered. Blocks on the disk.
    pub(crate) fn save(&self, memory: &PeerMemory) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = bq_private_file::write(path, &memory.to_bytes()) {
            tracing::warn!(path = %path.display(), %error, "peers cannot be remembered");
        }
    }
}

#[cfg(test)]
mod tests {
    use bq_primitives::Timestamp;

    use super::*;

    #[test]
    fn a_damaged_file_is_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers");
        let file = PeersFile::new(Some(path.clone()));
        let mut memory = file.load(Scope::Any).unwrap();
        memory.bans.ban("192.0.2.1".parse().unwrap(), Timestamp(9));
        file.save(&memory);
        assert_eq!(file.load(Scope::Any).unwrap().bans, memory.bans);
        fs::write(&path, b"damaged").unwrap();
        assert!(file.load(Scope::Any).unwrap().bans.is_empty());
        assert!(PeersFile::new(None).load(Scope::Any).unwrap().bans.is_empty());
    }
}
