use std::fmt;

use bq_primitives::double_sha256;
use secp256k1::{Keypair, Secp256k1, SecretKey};

/// The key that miners of Stratum V2 know the pool by: it signs what each handshake shows. All servers of a pool share it.
#[derive(Clone)]
pub struct Authority {
    secret: [u8; 32],
    public: [u8; 32],
}

/// A text is no authority key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// It is no base58 with a checksum, or the checksum is another's.
    #[error("not a key in base58 with its checksum")]
    Text,
    /// It has another length, or is no secret of secp256k1.
    #[error("not a secret key of secp256k1")]
    Key,
}

/// In front of a public key: version 1, little-endian.
const PUBLIC_VERSION: [u8; 2] = [1, 0];

impl Authority {
    /// The key with this secret.
    ///
    /// # Errors
    /// [`AuthorityError::Key`]: one in 2^128 is none.
    pub fn of_secret(secret: [u8; 32]) -> Result<Self, AuthorityError> {
        let key = SecretKey::from_slice(&secret).map_err(|_| AuthorityError::Key)?;
        let public = Keypair::from_secret_key(&Secp256k1::signing_only(), &key).x_only_public_key().0.serialize();
        Ok(Self { secret, public })
    }

    /// Reads what [`Authority::secret_text`] wrote.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        let bytes = read_base58(text.trim()).ok_or(AuthorityError::Text)?;
        Self::of_secret(bytes.try_into().map_err(|_| AuthorityError::Key)?)
    }

    /// The secret as other servers of the pool read it.
    #[must_use]
    pub fn secret_text(&self) -> String {
        base58(&self.secret)
    }

    /// What stands in `stratum2+tcp://host:port/KEY`.
    #[must_use]
    pub fn public_text(&self) -> String {
        base58(&[PUBLIC_VERSION.as_slice(), &self.public].concat())
    }

    /// The x-only public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    pub(crate) const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.public_text())
    }
}

/// Base58 with the first four bytes of a double SHA-256 behind the bytes.
fn base58(bytes: &[u8]) -> String {
    let sum = double_sha256(bytes);
    bs58::encode([bytes, &sum[..4]].concat()).into_string()
}

fn read_base58(text: &str) -> Option<Vec<u8>> {
    // What is longer is no key, and costs the square of its length.
    let bytes = bs58::decode(Some(text).filter(|text| text.len() <= 64)?).into_vec().ok()?;
    let (bytes, sum) = bytes.split_last_chunk::<4>()?;
    (double_sha256(bytes)[..4] == *sum).then(|| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair that the example configurations of the public pool have had for years.
    #[test]
    fn the_texts_are_those_of_other_pools() {
        let authority = Authority::parse("mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n").unwrap();
        assert_eq!(authority.public_text(), "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72");
        assert_eq!(authority.secret_text(), "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n");
        assert!(!format!("{authority:?}").contains("mkDLTBB"), "a log never holds the secret");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let mistyped = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2m";
        for text in ["", "0", mistyped, &"1".repeat(1_000)] {
            assert_eq!(Authority::parse(text).unwrap_err(), AuthorityError::Text, "{text}");
        }
        for bytes in [[0; 32].as_slice(), &[0xff; 32], &[1; 31]] {
            assert_eq!(Authority::parse(&base58(bytes)).unwrap_err(), AuthorityError::Key);
        }
    }
}
