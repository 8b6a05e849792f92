use std::fmt;

use aws_lc_rs::signature::{KeyPair as _, ML_DSA_65_SIGNING, PqdsaKeyPair};
use bq_primitives::{KeyHash, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash, Witness, key_hash};

/// Bytes of the seed that a key pair grows from (FIPS 204 algorithm 1, the value xi).
pub const SEED_BYTES: usize = 32;

/// A secret key and its public key.
///
/// # Security
/// The seed is the secret: whoever knows it owns the coins. This type keeps the expanded key only, in memory that the
/// implementation wipes on drop, and prints nothing of it. Wiping the seed is up to the caller, who keeps it.
pub struct KeyPair {
    secret: PqdsaKeyPair,
    public_key: Box<[u8; PUBLIC_KEY_BYTES]>,
}

/// The implementation could not make a key or a signature. Never caused by the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No key from this seed: out of memory, or the implementation's self-test failed.
    #[error("ML-DSA-65 key generation failed")]
    KeyGeneration,
    /// No signature: out of memory, or no system randomness.
    #[error("ML-DSA-65 signing failed")]
    Signing,
}

impl KeyPair {
    /// The key pair of a seed: the same seed gives the same keys everywhere. The seed must come from a secure random
    /// source, or from a key file.
    ///
    /// # Errors
    /// [`SignatureError::KeyGeneration`]; no seed is unsuitable.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self, SignatureError> {
        let secret = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed).map_err(|_| SignatureError::KeyGeneration)?;
        let public_key = <[u8; PUBLIC_KEY_BYTES]>::try_from(secret.public_key().as_ref())
            .map_err(|_| SignatureError::KeyGeneration)?;
        Ok(Self { secret, public_key: Box::new(public_key) })
    }

    /// The public key in its FIPS 204 encoding.
    #[must_use]
    pub fn public_key(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public_key
    }

    /// What outputs name this key by (SPEC 6.1).
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        key_hash(self.public_key.as_slice())
    }

    /// A signature of `message` with an empty context. Two calls give two different signatures, both valid.
    ///
    /// # Errors
    /// [`SignatureError::Signing`].
    pub fn sign(&self, message: &SigHash) -> Result<Box<[u8; SIGNATURE_BYTES]>, SignatureError> {
        let mut signature = Box::new([0; SIGNATURE_BYTES]);
        let written =
            self.secret.sign(message.as_bytes(), signature.as_mut_slice()).map_err(|_| SignatureError::Signing)?;
        if written == SIGNATURE_BYTES { Ok(signature) } else { Err(SignatureError::Signing) }
    }

    /// The right to spend one input: this public key and its signature of `message`.
    ///
    /// # Errors
    /// [`SignatureError::Signing`].
    pub fn witness(&self, message: &SigHash) -> Result<Witness, SignatureError> {
        Ok(Witness { public_key: self.public_key.clone(), signature: self.sign(message)? })
    }
}

/// The public part only.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.key_hash())
    }
}
