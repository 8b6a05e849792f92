use std::{fs, io, path::Path};

use bq_primitives::KeyHash;
use serde::{Deserialize, Serialize};

/// In the data directory: whose signer it is. With it a pool starts while its signer is away.
pub const IDENTITY_FILE: &str = "pool-signer";

/// What a pool knows of its signer's key. The secret seals coinbases and spends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownSigner {
    pub(crate) key: KeyHash,
    pub(crate) commitment_key: [u8; 32],
}

const VERSION: u8 = 1;

impl KnownSigner {
    /// Nothing if there is no such file.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged, or of another software");
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map(Some).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let bytes = postcard::to_extend(self, vec![VERSION]).map_err(io::Error::other)?;
        bq_private_file::write(path, &bytes)
    }
}

/// The key of the signer that the pool in a data directory knows; nothing if it knows none.
///
/// # Errors
/// The file is there and cannot be read.
pub fn known_key(data_dir: &Path) -> io::Result<Option<KeyHash>> {
    Ok(KnownSigner::read(&data_dir.join(IDENTITY_FILE))?.map(|known| known.key))
}
