use bq_pool_machine::LogHead;
use bq_primitives::{Amount, BlockId, KeyHash, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash, key_hash, tagged_hash};
use serde::{Deserialize, Serialize};

use crate::{Bytes, Document, LiabilityEpoch, LiabilityTree, PoolIdentity};

/// Levels above 2^32 accounts.
pub(crate) const DEPTH_MAX: u8 = 32;

/// What a pool says it owes in all, at one place of its log (SPEC 8.10.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// First block of the chain.
    pub genesis: BlockId,
    /// Hash of the pool's key, which signs.
    pub pool: KeyHash,
    /// Which statement.
    pub epoch: LiabilityEpoch,
    /// Levels of the tree below its root.
    pub depth: u8,
    /// Hash of the tree's root.
    pub root: [u8; 32],
    /// All that is owed.
    pub sum: Amount,
    /// The newest event that is part of it.
    pub head: LogHead,
}

/// A statement with the pool's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedStatement {
    /// What is signed.
    pub statement: Statement,
    /// The pool's ML-DSA-65 public key.
    pub public_key: Bytes,
    /// Its signature of [`Statement::signing_hash`], empty context.
    pub signature: Bytes,
}

/// A statement is not the pool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementFault {
    /// Not as many bytes as a key has.
    #[error("a public key of {got} bytes, not {PUBLIC_KEY_BYTES}")]
    PublicKey {
        /// Bytes.
        got: usize,
    },
    /// Not as many bytes as a signature has.
    #[error("a signature of {got} bytes, not {SIGNATURE_BYTES}")]
    SignatureLength {
        /// Bytes.
        got: usize,
    },
    /// The key is not the one that the statement names.
    #[error("signed with key {got}, it names {expected}")]
    Key {
        /// Hash of the public key.
        got: KeyHash,
        /// In the statement.
        expected: KeyHash,
    },
    /// The key did not sign this.
    #[error("the signature is not valid")]
    Signature,
}

impl Document for SignedStatement {}

impl Statement {
    /// What a pool says of this tree, once the books stand at `head`.
    #[must_use]
    pub const fn of(tree: &LiabilityTree, pool: &PoolIdentity, head: LogHead) -> Self {
        let (epoch, root) = (tree.epoch(), tree.root());
        let (genesis, pool) = (pool.genesis, pool.key);
        Self { genesis, pool, epoch, depth: tree.depth(), root: root.hash, sum: root.sum, head }
    }

    /// What the pool's key signs. The tag sets it apart from all else that the key signs: transactions, and what the owner of an
    /// address asks for.
    #[must_use]
    pub fn signing_hash(&self) -> SigHash {
        let LogHead { number, hash } = self.head;
        SigHash(tagged_hash(
            "BQIP0002/pool-statement",
            &[
                &self.genesis.0,
                &self.pool.0,
                &self.epoch.0.to_le_bytes(),
                &[self.depth],
                &self.root,
                &self.sum.atoms().to_le_bytes(),
                &number.0.to_le_bytes(),
                &hash.0,
            ],
        ))
    }
}

impl SignedStatement {
    /// The statement, once the key that it names is found to have signed it. `is_signed` checks an ML-DSA-65 signature with an
    /// empty context, as `bq_signature::verify` does; it is an argument because that library does not run everywhere.
    ///
    /// # Errors
    /// [`StatementFault`].
    pub fn verify(
        &self,
        is_signed: impl FnOnce(&[u8; PUBLIC_KEY_BYTES], &SigHash, &[u8; SIGNATURE_BYTES]) -> bool,
    ) -> Result<&Statement, StatementFault> {
        let (key, signature) = (self.public_key.0.as_slice(), self.signature.0.as_slice());
        let public_key = key.try_into().map_err(|_| StatementFault::PublicKey { got: key.len() })?;
        let signature = signature.try_into().map_err(|_| StatementFault::SignatureLength { got: signature.len() })?;
        let (got, expected) = (key_hash(key), self.statement.pool);
        if got != expected {
            return Err(StatementFault::Key { got, expected });
        }
        let message = self.statement.signing_hash();
        is_signed(public_key, &message, signature).then_some(&self.statement).ok_or(StatementFault::Signature)
    }

    /// Whether these two, both found to be signed, prove that the pool told two stories: one epoch, two contents.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let (one, two) = (&self.statement, &other.statement);
        (one.genesis, one.pool, one.epoch) == (two.genesis, two.pool, two.epoch) && one != two
    }
}
