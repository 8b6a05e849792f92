use std::{
    fs, io,
    path::{Path, PathBuf},
};

use libp2p::identity::Keypair;

use crate::NetError;

/// The key that names this node to its peers: read from `path`, made there when missing, or only for this run.
pub(crate) fn load_or_create(path: Option<&PathBuf>) -> Result<Keypair, NetError> {
    let Some(path) = path else { return Ok(Keypair::generate_ed25519()) };
    read_or_create(path).map_err(|source| NetError::NodeKey { path: path.clone(), source })
}

/// Whether a node could start with the key in `path`; made there when missing.
///
/// # Errors
/// [`NetError::NodeKey`]: it cannot be read, or is none.
pub fn check_key(path: &Path) -> Result<(), NetError> {
    read_or_create(path).map(drop).map_err(|source| NetError::NodeKey { path: path.to_owned(), source })
}

fn read_or_create(path: &Path) -> io::Result<Keypair> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    match fs::read(path) {
        Ok(bytes) => Keypair::from_protobuf_encoding(&bytes).map_err(invalid),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Keypair::generate_ed25519();
            bq_private_file::write(path, &key.to_protobuf_encoding().map_err(invalid)?)?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_survives_a_restart_and_a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p2p").join("node.key");
        let first = load_or_create(Some(&path)).unwrap().public().to_peer_id();
        assert_eq!(load_or_create(Some(&path)).unwrap().public().to_peer_id(), first);
        assert_ne!(load_or_create(None).unwrap().public().to_peer_id(), first);
        fs::write(&path, b"not a key").unwrap();
        assert!(load_or_create(Some(&path)).unwrap_err().to_string().contains("node.key"));
    }
}
