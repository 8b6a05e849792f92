use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// A text that is not exactly 64 lower-case or upper-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hex digits")]
pub struct ParseHashError;

macro_rules! hash_newtypes {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// 32 zero bytes.
            pub const ZERO: Self = Self([0; 32]);

            /// The bytes in the order they are hashed, stored and printed.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHashError)?;
                Ok(Self(bytes))
            }
        }
    )+};
}

hash_newtypes! {
    /// Names a block: hash of header and seal (SPEC 5.2). Printed in the order it is hashed, never reversed.
    BlockId,
    /// Hash of a transaction's base part (SPEC 6.1).
    TxId,
    /// Hash of a transaction's base part and witness (SPEC 6.1).
    WtxId,
    /// Root of a Merkle tree of [`TxId`]s or [`WtxId`]s (SPEC 6.4).
    MerkleRoot,
    /// Hash of the native header: what miners work on (SPEC 5.2).
    SealHash,
    /// Hash of a public key: who may spend an output (SPEC 6.1).
    KeyHash,
    /// What an input's signature signs (SPEC 6.2).
    SigHash,
    /// A proof-of-work value as the algorithm returns it; which end is most significant depends on the algorithm.
    PowHash,
}

/// `T(tag, parts) = SHA-256(SHA-256(tag) || SHA-256(tag) || parts..)` (SPEC 5.1).
#[must_use]
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    TaggedHasher::new(tag).hash(parts)
}

/// What the owner of an address signs that is no transaction: a request about mining to it (SPEC 11.11). No transaction has this tag.
#[must_use]
pub fn account_request_hash(text: &str) -> SigHash {
    SigHash(tagged_hash("BQ/account-request", &[text.as_bytes()]))
}

/// `T(tag, ..)` for a tag that is hashed often: what the tag alone comes to is computed once, which is half of the work for a
/// short message.
#[derive(Clone)]
pub struct TaggedHasher(Sha256);

impl TaggedHasher {
    /// A hasher of this tag.
    #[must_use]
    pub fn new(tag: &str) -> Self {
        let tag = Sha256::digest(tag.as_bytes());
        let mut hasher = Sha256::new();
        hasher.update(tag);
        hasher.update(tag);
        Self(hasher)
    }

    /// `T(tag, parts)`.
    #[must_use]
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = self.0.clone();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

/// SHA-256 of the SHA-256 of `bytes`.
#[must_use]
pub fn double_sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// The hash that an output names its owner's public key by (SPEC 6.1).
#[must_use]
pub fn key_hash(public_key: &[u8]) -> KeyHash {
    KeyHash(tagged_hash("BQIP0002/key", &[public_key]))
}
