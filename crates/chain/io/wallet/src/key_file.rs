//! The key file: JSON with the encrypted seed. Everything outside the ciphertext is authenticated with it, so a changed
//! address, network or derivation cost makes the file unreadable rather than misleading.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use argon2::Argon2;
use bq_primitives::{Address, Network};
use bq_signature::SEED_BYTES;
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Password, WalletError};

const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 16 * 1024;
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;

/// A key file as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    version: u32,
    network: String,
    address: String,
    kdf: Kdf,
    cipher: Cipher,
}

/// How a password becomes the encryption key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

/// The encrypted seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: String,
    nonce: String,
    ciphertext: String,
}

/// Price of one password guess.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KdfCost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl KdfCost {
    /// The second choice of RFC 9106 section 4, for machines where 2 GiB are not free.
    pub(crate) const STANDARD: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

    /// A file must not make its reader allocate or compute without bound.
    const MAX: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

    fn within_bounds(self) -> bool {
        self.memory_kib <= Self::MAX.memory_kib && self.passes <= Self::MAX.passes && self.lanes <= Self::MAX.lanes
    }
}

impl KeyFile {
    /// Encrypts a seed with a fresh salt and nonce.
    pub(crate) fn encrypt(
        seed: &[u8; SEED_BYTES],
        address: Address,
        password: &Password,
        cost: KdfCost,
    ) -> Result<Self, WalletError> {
        let (salt, nonce) = (random::<SALT_BYTES>()?, random::<NONCE_BYTES>()?);
        let mut file = Self {
            version: VERSION,
            network: address.network.to_string(),
            address: address.to_string(),
            kdf: Kdf {
                name: "argon2id".to_owned(),
                memory_kib: cost.memory_kib,
                passes: cost.passes,
                lanes: cost.lanes,
                salt: hex::encode(salt),
            },
            cipher: Cipher {
                name: "xchacha20poly1305".to_owned(),
                nonce: hex::encode(nonce),
                ciphertext: String::new(),
            },
        };
        let key = derive_key(password, &salt, cost)?;
        let payload = Payload { msg: seed, aad: &file.authenticated_bytes() };
        let ciphertext = XChaCha20Poly1305::new((&*key).into())
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| WalletError::Encryption)?;
        file.cipher.ciphertext = hex::encode(ciphertext);
        Ok(file)
    }

    /// The seed; `path` only names the file in errors.
    pub(crate) fn decrypt(&self, password: &Password, path: &Path) -> Result<Zeroizing<[u8; SEED_BYTES]>, WalletError> {
        let format = |reason: &str| format_error(path, reason);
        let Kdf { memory_kib, passes, lanes, ref salt, .. } = self.kdf;
        let cost = KdfCost { memory_kib, passes, lanes };
        if !cost.within_bounds() {
            return Err(format("the derivation cost is out of range"));
        }
        let salt = unhex::<SALT_BYTES>(salt).ok_or_else(|| format("salt is not 16 bytes of hex"))?;
        let nonce = unhex::<NONCE_BYTES>(&self.cipher.nonce).ok_or_else(|| format("nonce is not 24 bytes of hex"))?;
        let ciphertext = hex::decode(&self.cipher.ciphertext).map_err(|_| format("ciphertext is not hex"))?;
        let key = derive_key(password, &salt, cost)?;
        let payload = Payload { msg: &ciphertext, aad: &self.authenticated_bytes() };
        let plain = XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| WalletError::WrongPassword(path.to_owned()))?;
        let plain = Zeroizing::new(plain);
        let seed = <[u8; SEED_BYTES]>::try_from(plain.as_slice());
        seed.map(Zeroizing::new).map_err(|_| format("the seed is not 32 bytes"))
    }

    /// The address in clear. True only once [`KeyFile::decrypt`] succeeded.
    pub(crate) fn address(&self, path: &Path) -> Result<Address, WalletError> {
        let network: Network = self
            .network
            .parse()
            .map_err(|error: bq_primitives::UnknownNetwork| format_error(path, &error.to_string()))?;
        Ok(Address::parse(&self.address, network)?)
    }

    /// Writes a new file, readable by its owner only, and returns once it is on disk.
    pub(crate) fn write_new(&self, path: &Path) -> Result<(), WalletError> {
        let mut file = open_new(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => WalletError::Exists(path.to_owned()),
            _ => WalletError::Io { path: path.to_owned(), source },
        })?;
        let text = serde_json::to_string_pretty(self).map_err(|error| format_error(path, &error.to_string()))?;
        writeln!(file, "{text}").and_then(|()| file.sync_all()).and_then(|()| sync_parent(path)).map_err(|source| {
            // Half a key file is of no use and would block the next attempt; nothing was overwritten.
            let _ = fs::remove_file(path);
            WalletError::Io { path: path.to_owned(), source }
        })
    }

    /// Reads a file and checks its version and names, not its ciphertext.
    pub(crate) fn read(path: &Path) -> Result<Self, WalletError> {
        let io = |source| WalletError::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(format_error(path, "it is too long"));
        }
        let bytes = fs::read(path).map_err(io)?;
        let file: Self = serde_json::from_slice(&bytes).map_err(|error| format_error(path, &error.to_string()))?;
        if file.version != VERSION {
            return Err(format_error(path, &format!("version {}, expected {VERSION}", file.version)));
        }
        if file.kdf.name != "argon2id" || file.cipher.name != "xchacha20poly1305" {
            return Err(format_error(path, "unknown kdf or cipher"));
        }
        Ok(file)
    }

    /// Every field but the ciphertext, each with its length in front, so that no two files share these bytes.
    fn authenticated_bytes(&self) -> Vec<u8> {
        let Kdf { name, memory_kib, passes, lanes, salt } = &self.kdf;
        let mut out = b"bq key file".to_vec();
        for number in [&self.version, memory_kib, passes, lanes] {
            out.extend(number.to_le_bytes());
        }
        for text in [&self.network, &self.address, name, salt, &self.cipher.name, &self.cipher.nonce] {
            out.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            out.extend(text.as_bytes());
        }
        out
    }
}

/// Fresh bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], WalletError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(WalletError::Randomness)?;
    Ok(bytes)
}

fn derive_key(password: &Password, salt: &[u8], cost: KdfCost) -> Result<Zeroizing<[u8; KEY_BYTES]>, WalletError> {
    let params = argon2::Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES))
        .map_err(WalletError::Derivation)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, key.as_mut())
        .map_err(WalletError::Derivation)?;
    Ok(key)
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

fn format_error(path: &Path, reason: &str) -> WalletError {
    WalletError::Format { path: path.to_owned(), reason: reason.to_owned() }
}

fn open_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A new name is durable only once its directory is.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
