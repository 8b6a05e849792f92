use bq_pow::PowError;
use bq_primitives::{
    Algorithm, Amount, AmountError, BlockId, CompactError, CompactTarget, Height, KeyHash, MerkleRoot, OutPoint,
    Timestamp,
};

/// What a [`BlockError`] means for the block and for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The block breaks a rule and always will: remember its id as invalid, and every descendant's.
    Invalid,
    /// These transactions are not the ones that the header commits to. The header is as good as before: forget the
    /// transactions, never the block.
    BodyMismatch,
    /// It may become valid when the local clock has moved on. Never mark it.
    Hold,
    /// It may become valid once its parent is known. Never mark it.
    UnknownParent,
    /// This machine could not tell. It says nothing about the block.
    Local,
}

/// The rule that a block breaks (SPEC 7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// SPEC 7.1: it is not a child of the block it is checked against.
    #[error("parent {parent_id} is not known")]
    UnknownParent {
        /// The parent in the header.
        parent_id: BlockId,
    },
    /// SPEC 7.1: unknown header version.
    #[error("header version is {got}, expected {expected}")]
    HeaderVersion {
        /// In the header.
        got: u32,
        /// The only one there is.
        expected: u32,
    },
    /// SPEC 7.1: the seal belongs to another algorithm than the header.
    #[error("seal is for {got}, expected {expected}")]
    SealAlgorithm {
        /// Of the seal.
        got: Algorithm,
        /// Of the header.
        expected: Algorithm,
    },
    /// SPEC 7.1: not one above the parent.
    #[error("height is {got}, expected {expected}")]
    Height {
        /// In the header.
        got: Height,
        /// Parent's height plus one.
        expected: Height,
    },
    /// SPEC 7.1: the parent has the last height there is.
    #[error("no height is left above the parent")]
    HeightEnd,
    /// SPEC 7.2: the era of this height does not have the algorithm.
    #[error("{algorithm} is not active at height {height}")]
    AlgorithmNotActive {
        /// In the header.
        algorithm: Algorithm,
        /// In the header.
        height: Height,
    },
    /// SPEC 7.3: the bits are no target.
    #[error("bits: {0}")]
    BitsEncoding(CompactError),
    /// SPEC 7.3: the target is outside the era's range.
    #[error("bits {got} are not between {hardest} and {limit}")]
    BitsOutOfRange {
        /// In the header.
        got: CompactTarget,
        /// The era's hardest.
        hardest: CompactTarget,
        /// The era's easiest.
        limit: CompactTarget,
    },
    /// SPEC 7.4: a time that no block may ever state.
    #[error("time {got} is not below {end}")]
    TimeOutOfRange {
        /// In the header.
        got: Timestamp,
        /// The first time that is too late.
        end: Timestamp,
    },
    /// SPEC 7.4, rule T1: not later than the median of the blocks before it.
    #[error("time {got} is before {earliest}, one second past the median")]
    TimeTooOld {
        /// In the header.
        got: Timestamp,
        /// Median time past plus one.
        earliest: Timestamp,
    },
    /// SPEC 7.4, rule T2: too far ahead of the local clock, for now.
    #[error("time {got} is after {latest}, the latest that the local clock allows now")]
    TimeTooEarly {
        /// In the header.
        got: Timestamp,
        /// Local clock plus the future limit.
        latest: Timestamp,
    },
    /// SPEC 7.5: not the bits that the algorithm needs at this height.
    #[error("bits are {got}, expected {expected}")]
    Bits {
        /// In the header.
        got: CompactTarget,
        /// Required.
        expected: CompactTarget,
    },
    /// SPEC 5.4: the algorithm has no table for this height.
    #[error("{algorithm} has no key at height {height}")]
    NoPowKey {
        /// In the header.
        algorithm: Algorithm,
        /// In the header.
        height: Height,
    },
    /// SPEC 7.6: the proof is bad, or could not be examined.
    #[error("proof of work: {0}")]
    ProofOfWork(PowError),
    /// SPEC 4.4: the sum of work leaves 256 bits.
    #[error("chain work overflows 256 bits")]
    ChainWorkOverflow,
    /// SPEC 7.7: the transactions are not those of the header.
    #[error("transaction root is {got}, expected {expected}")]
    TxRoot {
        /// Of the transactions.
        got: MerkleRoot,
        /// In the header.
        expected: MerkleRoot,
    },
    /// SPEC 7.7: the witnesses are not those of the header.
    #[error("witness root is {got}, expected {expected}")]
    WitnessRoot {
        /// Of the transactions.
        got: MerkleRoot,
        /// In the header.
        expected: MerkleRoot,
    },
    /// SPEC 7.7: the first transaction is no coinbase, or there is none.
    #[error("the first transaction is not a coinbase")]
    NoCoinbase,
    /// SPEC 7.7: a coinbase that is not the first transaction.
    #[error("transaction {position} is a second coinbase")]
    SecondCoinbase {
        /// Its position in the block.
        position: usize,
    },
    /// SPEC 7.7: the coinbase input does not carry the block's height.
    #[error("coinbase is for height {got}, expected {expected}")]
    CoinbaseHeight {
        /// Index of the coinbase input.
        got: u32,
        /// Height of the block.
        expected: Height,
    },
    /// SPEC 7.7: two inputs of the block spend the same output.
    #[error("output {}:{} is spent twice in the block", .outpoint.txid, .outpoint.index)]
    SpentTwice {
        /// The output.
        outpoint: OutPoint,
    },
    /// SPEC 7.8: above the weight limit.
    #[error("weight is {got}, at most {max} is allowed")]
    TooHeavy {
        /// Weight of the block.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// SPEC 7.7 or 7.9: one of its transactions breaks a rule.
    #[error("transaction {position}: {error}")]
    Transaction {
        /// Its position in the block.
        position: usize,
        /// The rule.
        error: TransactionError,
    },
    /// SPEC 7.9: the fees of all transactions together are no amount.
    #[error("sum of fees: {0}")]
    FeeSum(AmountError),
    /// SPEC 7.9: the coinbase creates more than subsidy and fees.
    #[error("coinbase creates {got}, at most {max} is allowed")]
    CoinbaseValue {
        /// Sum of its outputs.
        got: Amount,
        /// Subsidy plus fees.
        max: Amount,
    },
    /// The branch did not answer for a height that it covers: a mistake of the caller, never of the block.
    #[error("the block index has a hole")]
    BrokenBranch,
}

impl BlockError {
    /// Points that cut a peer off at once (SPEC 9).
    pub const MISBEHAVIOR_MAX: u32 = 100;

    /// What to do with the block.
    #[must_use]
    pub const fn consequence(&self) -> Consequence {
        match self {
            Self::UnknownParent { .. } => Consequence::UnknownParent,
            Self::TimeTooEarly { .. } => Consequence::Hold,
            Self::TxRoot { .. } | Self::WitnessRoot { .. } => Consequence::BodyMismatch,
            Self::BrokenBranch => Consequence::Local,
            Self::ProofOfWork(error) if !error.is_invalid_proof() => Consequence::Local,
            _ => Consequence::Invalid,
        }
    }

    /// Points against a peer that sent this as a block; 100 is a ban. A block that may still become valid costs nothing:
    /// honest peers with faster clocks send those.
    #[must_use]
    pub const fn misbehavior(&self) -> u32 {
        match self.consequence() {
            Consequence::Invalid | Consequence::BodyMismatch => Self::MISBEHAVIOR_MAX,
            Consequence::Hold | Consequence::UnknownParent | Consequence::Local => 0,
        }
    }
}

/// The rule that a transaction breaks (SPEC 6).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// SPEC 6.1: unknown version.
    #[error("transaction version is {got}, expected {expected}")]
    Version {
        /// In the transaction.
        got: u32,
        /// The only one there is.
        expected: u32,
    },
    /// SPEC 6.1: it spends nothing.
    #[error("no inputs")]
    NoInputs,
    /// SPEC 6.1: it pays nobody.
    #[error("no outputs")]
    NoOutputs,
    /// SPEC 6.1: an input with a zero txid, which only a coinbase has.
    #[error("input {position} has a zero txid")]
    NullInput {
        /// Its position.
        position: usize,
    },
    /// SPEC 6.1: an output named by two inputs.
    #[error("output {}:{} is spent twice", .outpoint.txid, .outpoint.index)]
    SpentTwice {
        /// The output.
        outpoint: OutPoint,
    },
    /// SPEC 6.1: not one witness per input, or a coinbase with witnesses.
    #[error("{got} witnesses, expected {expected}")]
    WitnessCount {
        /// In the transaction.
        got: usize,
        /// One per input; none in a coinbase.
        expected: usize,
    },
    /// SPEC 6.6: more free data than allowed; a transaction that is no coinbase may have none.
    #[error("{got} bytes of coinbase data, at most {max} are allowed")]
    CoinbaseData {
        /// Bytes in the transaction.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// SPEC 6.6: a coinbase with a lock height.
    #[error("coinbase has lock height {got}")]
    CoinbaseLock {
        /// In the coinbase.
        got: Height,
    },
    /// SPEC 6.1: not allowed in a block this low.
    #[error("locked up to height {lock_height}, block has height {height}")]
    Locked {
        /// In the transaction.
        lock_height: Height,
        /// Of the block.
        height: Height,
    },
    /// SPEC 6.3: outputs, or the coins it spends, add up to no amount.
    #[error("sum: {0}")]
    Sum(AmountError),
    /// SPEC 7.9: an input names an output that does not exist or is spent.
    #[error("output {}:{} does not exist or is spent", .outpoint.txid, .outpoint.index)]
    MissingCoin {
        /// The output.
        outpoint: OutPoint,
    },
    /// SPEC 6.6: it spends a coinbase output too soon.
    #[error("coinbase output {}:{} may be spent from height {spendable_from}, not at {height}", .outpoint.txid, .outpoint.index)]
    Immature {
        /// The output.
        outpoint: OutPoint,
        /// The first height that may spend it.
        spendable_from: u64,
        /// Of the block.
        height: Height,
    },
    /// SPEC 6.2: the public key is not the one that the output names.
    #[error("input {position}: key hashes to {got}, expected {expected}")]
    WrongKey {
        /// The input.
        position: usize,
        /// Hash of the key in the witness.
        got: KeyHash,
        /// In the output.
        expected: KeyHash,
    },
    /// SPEC 6.3: it pays more than it spends.
    #[error("outputs of {outputs} exceed inputs of {inputs}")]
    Overspent {
        /// Sum of the coins it spends.
        inputs: Amount,
        /// Sum of its outputs.
        outputs: Amount,
    },
    /// SPEC 6.2: a signature does not verify.
    #[error("input {position}: signature does not verify")]
    Signature {
        /// The input.
        position: usize,
    },
}

impl TransactionError {
    /// Points against a peer that relayed this transaction; 100 is a ban (SPEC 9). What no chain can hold is a lie. What depends
    /// on the chain that the sender follows happens to honest peers around a new block, and costs little.
    #[must_use]
    pub const fn misbehavior(&self) -> u32 {
        match self {
            Self::Locked { .. } | Self::MissingCoin { .. } | Self::Immature { .. } => 5,
            _ => BlockError::MISBEHAVIOR_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use bq_primitives::{PowHash, Target};

    use super::*;

    /// One of each variant.
    fn block_errors() -> Vec<BlockError> {
        let (id, height, amount) = (BlockId::ZERO, Height(1), Amount::ZERO);
        let (bits, time, root) = (CompactTarget(0), Timestamp(0), MerkleRoot::ZERO);
        let (algorithm, outpoint) = (Algorithm::RandomX, OutPoint { txid: bq_primitives::TxId::ZERO, index: 0 });
        vec![
            BlockError::UnknownParent { parent_id: id },
            BlockError::HeaderVersion { got: 2, expected: 1 },
            BlockError::SealAlgorithm { got: algorithm, expected: algorithm },
            BlockError::Height { got: height, expected: height },
            BlockError::HeightEnd,
            BlockError::AlgorithmNotActive { algorithm, height },
            BlockError::BitsEncoding(CompactError::Zero(bits)),
            BlockError::BitsOutOfRange { got: bits, hardest: bits, limit: bits },
            BlockError::TimeOutOfRange { got: time, end: time },
            BlockError::TimeTooOld { got: time, earliest: time },
            BlockError::TimeTooEarly { got: time, latest: time },
            BlockError::Bits { got: bits, expected: bits },
            BlockError::NoPowKey { algorithm, height },
            BlockError::ProofOfWork(PowError::AboveTarget { got: PowHash::ZERO, target: Target::MAX }),
            BlockError::ProofOfWork(PowError::Memory { what: "a table", bytes: 1 }),
            BlockError::ChainWorkOverflow,
            BlockError::TxRoot { got: root, expected: root },
            BlockError::WitnessRoot { got: root, expected: root },
            BlockError::NoCoinbase,
            BlockError::SecondCoinbase { position: 1 },
            BlockError::CoinbaseHeight { got: 1, expected: height },
            BlockError::SpentTwice { outpoint },
            BlockError::TooHeavy { got: 2, max: 1 },
            BlockError::Transaction { position: 1, error: TransactionError::NoInputs },
            BlockError::FeeSum(AmountError::TooLarge),
            BlockError::CoinbaseValue { got: amount, max: amount },
            BlockError::BrokenBranch,
        ]
    }

    /// Every variant with its consequence: a new one does not compile until it has a line here.
    #[test]
    fn every_error_has_its_consequence_and_its_price() {
        for error in block_errors() {
            let consequence = match &error {
                BlockError::UnknownParent { .. } => Consequence::UnknownParent,
                BlockError::TimeTooEarly { .. } => Consequence::Hold,
                BlockError::TxRoot { .. } | BlockError::WitnessRoot { .. } => Consequence::BodyMismatch,
                BlockError::BrokenBranch => Consequence::Local,
                BlockError::ProofOfWork(error) => match error {
                    PowError::AlgorithmMismatch { .. } | PowError::AboveTarget { .. } | PowError::WrongMix { .. } => {
                        Consequence::Invalid
                    }
                    PowError::EpochTooHigh { .. } | PowError::Memory { .. } | PowError::WrongDataset => {
                        Consequence::Local
                    }
                },
                BlockError::HeaderVersion { .. }
                | BlockError::SealAlgorithm { .. }
                | BlockError::Height { .. }
                | BlockError::HeightEnd
                | BlockError::AlgorithmNotActive { .. }
                | BlockError::BitsEncoding(_)
                | BlockError::BitsOutOfRange { .. }
                | BlockError::TimeOutOfRange { .. }
                | BlockError::TimeTooOld { .. }
                | BlockError::Bits { .. }
                | BlockError::NoPowKey { .. }
                | BlockError::ChainWorkOverflow
                | BlockError::NoCoinbase
                | BlockError::SecondCoinbase { .. }
                | BlockError::CoinbaseHeight { .. }
                | BlockError::SpentTwice { .. }
                | BlockError::TooHeavy { .. }
                | BlockError::Transaction { .. }
                | BlockError::FeeSum(_)
                | BlockError::CoinbaseValue { .. } => Consequence::Invalid,
            };
            let price = match consequence {
                Consequence::Invalid | Consequence::BodyMismatch => 100,
                Consequence::Hold | Consequence::UnknownParent | Consequence::Local => 0,
            };
            assert_eq!((error.consequence(), error.misbehavior()), (consequence, price), "{error}");
        }
    }
}
