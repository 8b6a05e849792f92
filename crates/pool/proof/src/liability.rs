use std::fmt;

use bq_primitives::{Amount, AmountError, KeyHash, tagged_hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Counts the times that a pool stated what it owes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LiabilityEpoch(pub u64);

/// What the names and places in the trees of a pool follow from.
///
/// # Security
/// Whoever knows it can tell whose every leaf is. It prints nothing.
#[derive(Clone)]
pub struct LiabilitySecret(pub [u8; 32]);

impl fmt::Debug for LiabilitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiabilitySecret")
    }
}

/// Hides an account in one epoch: known to the pool and to that account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salt(pub [u8; 16]);

/// The name of an account in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pseudonym(pub [u8; 32]);

/// A node of the sum tree: the hash of what is under it, and what that comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumNode {
    /// Its hash.
    pub hash: [u8; 32],
    /// The sum of the balances under it.
    pub sum: Amount,
}

impl LiabilitySecret {
    /// It follows from the secret that follows from the pool's key (SPEC 8.6.10).
    #[must_use]
    pub fn of(commitment_key: &[u8; 32]) -> Self {
        Self(tagged_hash("BQIP0002/liability-secret", &[commitment_key]))
    }

    /// The salt of an account in an epoch (SPEC 8.10.6).
    #[must_use]
    pub fn salt(&self, epoch: LiabilityEpoch, account: &KeyHash) -> Salt {
        Salt(self.derive("BQIP0002/liability-salt", epoch, account).first_chunk().copied().unwrap_or_default())
    }

    /// What the leaves of an epoch are put in order by (SPEC 8.10.6): nobody who lacks the secret can find an account of one epoch
    /// again in the next by its place.
    pub(crate) fn order(&self, epoch: LiabilityEpoch, account: &KeyHash) -> [u8; 32] {
        self.derive("BQIP0002/liability-order", epoch, account)
    }

    fn derive(&self, tag: &str, epoch: LiabilityEpoch, account: &KeyHash) -> [u8; 32] {
        tagged_hash(tag, &[&self.0, &epoch.0.to_le_bytes(), &account.0])
    }
}

impl Pseudonym {
    /// The name of the account with this key (SPEC 8.10.6). It binds the key, so that two accounts with the same balance can never
    /// be shown the same leaf.
    #[must_use]
    pub fn of(epoch: LiabilityEpoch, salt: Salt, account: &KeyHash) -> Self {
        Self(tagged_hash("BQIP0002/liability-name", &[&salt.0, &epoch.0.to_le_bytes(), &account.0]))
    }
}

impl SumNode {
    /// What fills a level up: nobody's, and nothing.
    pub const PADDING: Self = Self { hash: [0; 32], sum: Amount::ZERO };

    /// `H(00 || pseudonym || balance || salt)`.
    #[must_use]
    pub fn leaf(pseudonym: &Pseudonym, balance: Amount, salt: Salt) -> Self {
        Self::leaf_named(&pseudonym.0, balance, salt)
    }

    /// A leaf whose name may have any length; names of one tree must not differ in it.
    pub(crate) fn leaf_named(name: &[u8], balance: Amount, salt: Salt) -> Self {
        let hash = sha256(&[&[0], name, &balance.atoms().to_be_bytes(), &salt.0]);
        Self { hash, sum: balance }
    }

    /// `H(01 || left hash || left sum || right hash || right sum)`.
    ///
    /// # Errors
    /// The sum leaves the range of amounts. A sum that wrapped could hide any balance.
    pub fn above(left: &Self, right: &Self) -> Result<Self, AmountError> {
        let sum = left.sum.checked_add(right.sum)?;
        let (left_sum, right_sum) = (left.sum.atoms().to_be_bytes(), right.sum.atoms().to_be_bytes());
        Ok(Self { hash: sha256(&[&[1], &left.hash, &left_sum, &right.hash, &right_sum]), sum })
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
