use bq_primitives::{Height, OutPoint, TxId};

/// Why a transaction was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// A transaction with this id is pooled already.
    #[error("transaction {0} is already in the mempool")]
    Duplicate(TxId),
    /// Coinbases are made by miners and never travel alone.
    #[error("a coinbase cannot wait in the mempool")]
    Coinbase,
    /// Without an input it has no fee, and its id could repeat.
    #[error("transaction has no inputs")]
    NoInputs,
    /// One input is named twice.
    #[error("output {}:{} is spent twice by the transaction itself", .0.txid, .0.index)]
    RepeatedInput(OutPoint),
    /// Another pooled transaction spends the same output, and this one cannot take its place (see [`crate::Mempool::admit`]).
    #[error("output {}:{} is already spent by {spender} in the mempool", .outpoint.txid, .outpoint.index)]
    Conflict {
        /// The output that both spend.
        outpoint: OutPoint,
        /// Who spends it.
        spender: TxId,
    },
    /// It spends a pooled transaction's output which does not exist.
    #[error("pooled transaction {} has no output {}", .0.txid, .0.index)]
    MissingOutput(OutPoint),
    /// It is not valid in the next block yet.
    #[error("valid from height {valid_from} on; the next block has height {next}")]
    NotYetValid {
        /// The lowest height of a block that may hold it.
        valid_from: Height,
        /// Height of the next block.
        next: Height,
    },
    /// It is heavier than one transaction may be here.
    #[error("weight {got} is above the limit of {max} for one transaction")]
    TooHeavy {
        /// Its weight, in units.
        got: u64,
        /// The most allowed.
        max: u64,
    },
    /// It pays too little for its weight.
    #[error("fee of {got} atoms is below the least fee of {required} atoms")]
    FeeTooLow {
        /// Its fee, in atoms.
        got: u64,
        /// The least fee for its weight.
        required: u64,
    },
    /// Too many unconfirmed transactions in one line of descent.
    #[error("{got} unconfirmed ancestors or descendants in one family; at most {max}")]
    FamilyTooLarge {
        /// Members there would be, the transaction included.
        got: usize,
        /// The most allowed.
        max: usize,
    },
    /// The pool is full, and everything in it pays better.
    #[error("mempool is full of better-paying transactions")]
    Full,
    /// It spends what a pooled transaction spends, and pays too little to take the place of that and of all that build on it.
    #[error("a fee of {got} atoms does not replace {spender}: at least {required} atoms are needed")]
    ReplacesTooLittle {
        /// Whose place it would take.
        spender: TxId,
        /// Its fee, in atoms.
        got: u64,
        /// The least fee.
        required: u64,
    },
}

impl AdmitError {
    /// Points against a peer that relayed this transaction; 100 is a ban (SPEC 9). What no node admits is a lie; what the limits
    /// refuse costs a little; what depends on the transactions that happen to be here, next to nothing.
    #[must_use]
    pub const fn misbehavior(&self) -> u32 {
        match self {
            Self::Coinbase | Self::NoInputs | Self::RepeatedInput(_) | Self::MissingOutput(_) => 100,
            Self::TooHeavy { .. } | Self::FeeTooLow { .. } => 5,
            Self::Conflict { .. }
            | Self::ReplacesTooLittle { .. }
            | Self::NotYetValid { .. }
            | Self::FamilyTooLarge { .. } => 1,
            Self::Duplicate(_) | Self::Full => 0,
        }
    }
}
