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
}

/// A payout was not signed; the text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignerError(pub String);
