//! The pool's key as the pool sees it.

use bq_pool::{PayoutSigner, SignerError};
use bq_pool_proof::{Bytes, SignedStatement, Statement};
use bq_primitives::{BlockId, KeyHash, Transaction, TxOut};
use bq_wallet::Wallet;

/// Signs payouts with an unlocked wallet.
pub(crate) struct WalletSigner(pub(crate) Wallet);

impl PayoutSigner for WalletSigner {
    fn key_hash(&self) -> KeyHash {
        self.0.key_hash()
    }

    fn commitment_key(&self) -> [u8; 32] {
        self.0.commitment_key()
    }

    fn sign_transaction(
        &self,
        genesis: &BlockId,
        transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError> {
        self.0.sign_transaction(genesis, transaction, spent).map_err(|error| SignerError(error.to_string()))
    }

    fn sign_statement(&self, statement: &Statement) -> Result<SignedStatement, SignerError> {
        let witness = self.0.sign_tagged(&statement.signing_hash()).map_err(|error| SignerError(error.to_string()))?;
        let (public_key, signature) = (Bytes(witness.public_key.to_vec()), Bytes(witness.signature.to_vec()));
        Ok(SignedStatement { statement: *statement, public_key, signature })
    }
}
