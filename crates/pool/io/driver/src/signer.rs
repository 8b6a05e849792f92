use bq_mining_message::BootEpoch;
use bq_pool_machine::{LogHash, LogHead, LogNumber, PlannedPayout};
use bq_pool_proof::{SignedStatement, Statement};
use bq_primitives::{BlockId, KeyHash, Transaction, TxOut};

/// The key that receives every reward and signs every payout.
pub trait PayoutSigner: Send + Sync + 'static {
    /// What the coinbase pays.
    fn key_hash(&self) -> KeyHash;

    /// A secret that follows from the key and seals what coinbases say of the log.
    fn commitment_key(&self) -> [u8; 32];

    /// Adds the witnesses. `genesis` names the network, `spent` is the output behind each input, in input order, all of
    /// them this key's.
    ///
    /// # Errors
    /// Nothing was signed; the payout stays planned and is tried again.
    fn sign_transaction(
        &self,
        genesis: &BlockId,
        transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError>;

    /// Signs what the pool says it owes, with the key that it pays with. A signer that knows no statements says so.
    ///
    /// # Errors
    /// Nothing was signed; it is tried again with the next statement.
    fn sign_statement(&self, statement: &Statement) -> Result<SignedStatement, SignerError> {
        let _ = statement;
        Err(SignerError("this signer signs no statements".to_owned()))
    }

    /// Signs a statement that the log holds.
    ///
    /// # Errors
    /// As [`PayoutSigner::sign_statement`].
    fn sign_stated(&self, statement: &Statement, log: &dyn LogReader) -> Result<SignedStatement, SignerError> {
        let _not_needed_by_who_believes_the_pool = log;
        self.sign_statement(statement)
    }

    /// Signs a payout that the log has planned.
    ///
    /// # Errors
    /// As [`PayoutSigner::sign_transaction`].
    fn sign_payout(&self, payout: &PayoutToSign, log: &dyn LogReader) -> Result<Transaction, SignerError> {
        let _not_needed_by_who_believes_the_pool = log;
        self.sign_transaction(&payout.genesis, payout.unsigned.clone(), &payout.spent)
    }

    /// It may keep whoever asks waiting: a thread of its own asks.
    fn is_remote(&self) -> bool {
        false
    }

    /// Tells it of the log, so that it has little to hear when it is to sign.
    ///
    /// # Errors
    /// It would not sign just now.
    fn follow(&self, log: &dyn LogReader) -> Result<(), SignerError> {
        let _nobody_to_tell = log;
        Ok(())
    }
}

/// A payout to be signed.
#[derive(Clone, Debug)]
pub struct PayoutToSign {
    /// The network, by its first block.
    pub genesis: BlockId,
    /// The start of the pool that asks (SPEC 8.11.8).
    pub epoch: BootEpoch,
    /// As it was planned.
    pub planned: PlannedPayout,
    /// Its transaction.
    pub unsigned: Transaction,
    /// The output behind each input.
    pub spent: Vec<TxOut>,
}

/// The pool's log for whoever follows it: what is on disk. All calls block on disk.
///
/// # Errors
/// Every call fails when books or shares cannot be read.
#[expect(clippy::missing_errors_doc, reason = "the trait's own documentation says it once for all")]
pub trait LogReader {
    /// The hash of one event; nothing behind the end, and zero before the first.
    fn hash_at(&self, number: LogNumber) -> Result<Option<LogHash>, SignerError>;

    /// The events after one, in order: at most so many, and none more once they have so many bytes.
    fn events_after(
        &self,
        number: LogNumber,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LoggedEvent>, SignerError>;

    /// A state to begin with, and the log before the oldest frame that it needs; nothing for a log without a checkpoint.
    fn start(&self) -> Result<Option<(LogHead, Vec<u8>)>, SignerError>;
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Of a frame the encodings of its shares, one after the other; nothing if they are not there any more.
    pub shares: Option<Vec<u8>>,
}

/// A payout was not signed; the text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignerError(pub String);
