use bq_pool::{PayoutSigner, SignerError};
use bq_primitives::{BlockId, KeyHash, Transaction, TxOut, Witness};

/// The pool's key.
pub(crate) const POOL: KeyHash = KeyHash([0xaa; 32]);
/// Seals what its coinbases say of the log.
pub(crate) const COMMITMENT_KEY: [u8; 32] = [0x55; 32];

/// Signs with zeros: the simulated chain only counts signatures.
pub(crate) struct SimSigner {
    /// Pays half of the first output to the pool again: a planted bug.
    pub(crate) meddles: bool,
}

impl PayoutSigner for SimSigner {
    fn key_hash(&self) -> KeyHash {
        POOL
    }

    fn commitment_key(&self) -> [u8; 32] {
        COMMITMENT_KEY
    }

    fn sign_transaction(
        &self,
        _genesis: &BlockId,
        mut transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError> {
        if spent.iter().any(|output| output.key_hash != POOL) || spent.len() != transaction.inputs.len() {
            return Err(SignerError("a foreign input".to_owned()));
        }
        if self.meddles {
            transaction.outputs.truncate(1);
        }
        let witness = Witness { public_key: Box::new([0; 1952]), signature: Box::new([0; 3309]) };
        transaction.witnesses = vec![witness; spent.len()];
        Ok(transaction)
    }
}
