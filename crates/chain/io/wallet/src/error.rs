use std::{io, path::PathBuf};

use bq_primitives::{AddressError, KeyHash, Network};
use bq_signature::SignatureError;

/// A key file could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The file exists. A key file is never overwritten: the coins of the old key would be lost.
    #[error("{} exists already; a key file is never overwritten", .0.display())]
    Exists(PathBuf),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Not a key file, or one of a later version.
    #[error("{}: not a key file this version reads: {reason}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The password is wrong, or the file was changed. The two cannot be told apart.
    #[error("{}: wrong password, or the file is damaged", .0.display())]
    WrongPassword(PathBuf),
    /// The password file holds nothing.
    #[error("{}: the password is empty", .0.display())]
    EmptyPassword(PathBuf),
    /// A key file of another network.
    #[error("{}: key file belongs to {got}, expected {expected}", path.display())]
    WrongNetwork {
        /// Which file.
        path: PathBuf,
        /// Network of the file.
        got: Network,
        /// Network that was asked for.
        expected: Network,
    },
    /// The operating system gave no random bytes.
    #[error("no system randomness: {0}")]
    Randomness(getrandom::Error),
    /// The password could not be turned into a key: out of memory.
    #[error("password derivation failed: {0}")]
    Derivation(argon2::Error),
    /// The cipher refused a 32-byte seed, which it never does.
    #[error("the seed could not be encrypted")]
    Encryption,
    /// The signature library failed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The address in the file is not one.
    #[error("address in the key file: {0}")]
    Address(#[from] AddressError),
}

/// A transaction was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A coinbase carries no signature.
    #[error("a coinbase is not signed")]
    Coinbase,
    /// The spent outputs do not match the inputs.
    #[error("{got} spent outputs for {expected} inputs")]
    SpentCount {
        /// Spent outputs given.
        got: usize,
        /// Inputs of the transaction.
        expected: usize,
    },
    /// An input spends an output of another key.
    #[error("input {input} belongs to key {owner}, not to this wallet")]
    NotOurs {
        /// Position of the input.
        input: usize,
        /// Whose output it spends.
        owner: KeyHash,
    },
    /// The outputs are worth more than the inputs, or a sum is out of range: no node would take it.
    #[error("outputs are worth more than inputs")]
    Unbalanced,
    /// The signature library failed, or made a signature that does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}
