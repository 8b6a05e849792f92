mod blocks;
mod crash;
mod fake_node;
mod faults;
mod money;
mod service;
mod world;

use bq_primitives::{Address, Amount, BlockId, KeyHash, Network, Transaction, TxOut, Witness};

use crate::{PayoutSigner, SignerError};

pub(crate) const NETWORK: Network = Network::Regtest;
pub(crate) const POOL_KEY: KeyHash = KeyHash([0xaa; 32]);

pub(crate) fn address(number: u8) -> Address {
    Address { network: NETWORK, key_hash: KeyHash([number; 32]) }
}

pub(crate) fn atoms(atoms: u64) -> Amount {
    Amount::from_atoms(atoms).expect("in range")
}

/// Signs with zeros; the fake chain only counts signatures.
pub(crate) struct FakeSigner;

impl PayoutSigner for FakeSigner {
    fn key_hash(&self) -> KeyHash {
        POOL_KEY
    }

    fn sign_transaction(
        &self,
        _genesis: &BlockId,
        mut transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError> {
        assert!(spent.iter().all(|output| output.key_hash == POOL_KEY));
        assert_eq!(spent.len(), transaction.inputs.len());
        let witness = Witness { public_key: Box::new([0; 1952]), signature: Box::new([0; 3309]) };
        transaction.witnesses = vec![witness; spent.len()];
        Ok(transaction)
    }
}
