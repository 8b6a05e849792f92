use std::{
    collections::{HashMap, HashSet},
    mem,
};

use bq_consensus::{CoinView, SignatureVerifier};
use bq_primitives::{BlockId, OutPoint, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash, Transaction, TxOut, tagged_hash};
use parking_lot::Mutex;
use rayon::prelude::*;

/// Signatures remembered per generation: a full block's (7,500) several times over. 32 bytes each, at most 4 MiB.
const GENERATION_MAX: usize = 64 * 1024;

/// Checks signatures and remembers which hold, so that a transaction is verified once, not at admission, in a template
/// and in a block. What is remembered is a hash of key, message and signature: whether that triple holds never changes,
/// so an entry is true on every branch. Only good signatures are remembered; a flood of bad ones displaces nothing.
#[derive(Debug, Default)]
pub(crate) struct VerifiedSignatures {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl Generations {
    fn contains(&self, triple: &[u8; 32]) -> bool {
        self.young.contains(triple) || self.old.contains(triple)
    }

    fn insert(&mut self, triple: [u8; 32], max: usize) {
        if self.young.len() >= max {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(triple);
    }
}

impl SignatureVerifier for VerifiedSignatures {
    fn verify(
        &self,
        public_key: &[u8; PUBLIC_KEY_BYTES],
        message: &SigHash,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> bool {
        let triple = tagged_hash("bq/verified-signature", &[public_key, &message.0, signature]);
        if self.generations.lock().contains(&triple) {
            return true;
        }
        let holds = bq_signature::verify(public_key, message, signature);
        if holds {
            self.generations.lock().insert(triple, GENERATION_MAX);
        }
        holds
    }
}

impl VerifiedSignatures {
    /// Verifies a block's signatures on all cores, so that the rules, which go through them one by one, find them
    /// remembered. It judges nothing: what it cannot place, or what is bad, the rules will meet again.
    pub(crate) fn verify_ahead(&self, genesis_id: &BlockId, transactions: &[Transaction], coins: &dyn CoinView) {
        let messages = messages(genesis_id, transactions, coins);
        let verified = messages.par_iter().try_for_each(|(transaction, message)| {
            let holds = transaction
                .witnesses
                .par_iter()
                .all(|witness| self.verify(&witness.public_key, message, &witness.signature));
            holds.then_some(())
        });
        if verified.is_none() {
            tracing::debug!("block holds a bad signature");
        }
    }
}

/// What each transaction's witnesses sign. Transactions whose inputs cannot be found are left out.
fn messages<'a>(
    genesis_id: &BlockId,
    transactions: &'a [Transaction],
    coins: &dyn CoinView,
) -> Vec<(&'a Transaction, SigHash)> {
    let mut made: HashMap<OutPoint, TxOut> = HashMap::new();
    let mut messages = Vec::new();
    for transaction in transactions {
        if !transaction.is_coinbase() {
            let output = |outpoint: &OutPoint| {
                made.get(outpoint).copied().or_else(|| coins.coin(outpoint).map(|coin| coin.output))
            };
            let spent: Option<Vec<_>> = transaction.inputs.iter().map(output).collect();
            messages.extend(spent.map(|spent| (transaction, transaction.sighash(genesis_id, &spent))));
        }
        let txid = transaction.txid();
        made.extend((0_u32..).zip(&transaction.outputs).map(|(index, output)| (OutPoint { txid, index }, *output)));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_signature::KeyPair;

    #[test]
    fn only_good_signatures_are_remembered() {
        let pair = KeyPair::from_seed(&[1; 32]).unwrap();
        let message = SigHash([2; 32]);
        let mut signature = pair.sign(&message).unwrap();
        let cache = VerifiedSignatures::default();
        assert!(cache.verify(pair.public_key(), &message, &signature));
        assert!(cache.verify(pair.public_key(), &message, &signature));
        assert_eq!(cache.generations.lock().young.len(), 1);
        assert!(!cache.verify(pair.public_key(), &SigHash([3; 32]), &signature));
        signature[0] ^= 1;
        assert!(!cache.verify(pair.public_key(), &message, &signature));
        assert_eq!(cache.generations.lock().young.len(), 1);
    }

    #[test]
    fn two_generations_bound_the_memory_and_keep_the_newest() {
        let mut generations = Generations::default();
        for number in 0..10_u8 {
            generations.insert([number; 32], 3);
            assert!(generations.contains(&[number; 32]));
            assert!(generations.young.len() + generations.old.len() <= 6);
        }
        assert!(generations.contains(&[7; 32]));
        assert!(!generations.contains(&[3; 32]));
    }
}
