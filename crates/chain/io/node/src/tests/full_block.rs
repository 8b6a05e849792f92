//! The block with the most signatures, through the rules and through a node.

use std::sync::{Arc, LazyLock};

use bq_chain_api::{NodeApi, SubmitBlockError, SubmitTransactionError};
use bq_consensus::{BlockError, TransactionError, block_weight};
use bq_fixtures::FullBlock;
use bq_primitives::{Algorithm, Amount, Transaction, TxOut};

use super::rig::{Rig, first_coin, key, reseal, sha256d_params, spend};
use crate::{SignatureCounts, VerifiedSignatures};

/// Signing takes seconds: one for all tests.
static FULL: LazyLock<Arc<FullBlock>> = LazyLock::new(|| Arc::new(FullBlock::new(usize::MAX).unwrap()));

const SIGNATURES: usize = 7_573;

fn counts(verified: usize, remembered: usize) -> SignatureCounts {
    SignatureCounts { verified: verified as u64, remembered: remembered as u64 }
}

#[test]
fn a_full_block_is_valid_and_verified_once() {
    assert_eq!(block_weight(Algorithm::Sha256d, &FULL.block.transactions).unwrap().units(), 4_000_000);
    assert_eq!(FULL.signatures(), SIGNATURES);
    // One more would not fit: frame, coinbase and the smallest transaction around it leave too little.
    let around = 4 * (120 + 28) + 4 * 47 + 4 * (8 + 3 + 1 + 40);
    assert!(around + 528 * (SIGNATURES + 1) > 4_000_000);

    let rig = Rig::new(FULL.params.clone());
    rig.submit_all(std::slice::from_ref(&FULL.funding));
    rig.submit_all(std::slice::from_ref(&FULL.block));
    assert_eq!(rig.node.tip().id, FULL.block.id());
    assert_eq!(rig.node.signatures.counts(), counts(SIGNATURES, 0));

    // A rival branch takes the block off, and its own descendant brings it back.
    let rival = Rig::new(FULL.params.clone());
    rival.submit_all(std::slice::from_ref(&FULL.funding));
    rig.submit_all(&rival.grow_by(2, &key(2)));
    assert_ne!(rig.node.tip().id, FULL.block.id());
    let home = Rig::new(FULL.params.clone());
    home.submit_all(&[FULL.funding.clone(), FULL.block.clone()]);
    rig.submit_all(&home.grow_by(2, &key(3)));
    assert_eq!(rig.node.tip().id, home.node.tip().id);
    assert_eq!(rig.node.signatures.counts().verified, SIGNATURES as u64);
}

#[test]
fn one_bad_signature_anywhere_makes_a_full_block_invalid() {
    let judge = VerifiedSignatures::default();
    for position in [SIGNATURES - 1, SIGNATURES / 2, 0] {
        let block = FULL.with_bad_signature(position).unwrap();
        let expected = BlockError::Transaction { position: 1, error: TransactionError::Signature { position } };
        for _ in 0..2 {
            let before = judge.counts().verified;
            assert_eq!(FULL.validate(block.clone(), &judge).unwrap_err(), expected);
            assert!(
                judge.counts().verified > before,
                "a bad signature is never remembered, neither as good nor as bad"
            );
        }
    }
    // The good ones before and after it were remembered, the bad ones' places were not.
    let before = judge.counts().verified;
    FULL.validate(FULL.block.clone(), &judge).unwrap();
    assert!(judge.counts().verified - before <= 3);
}

#[test]
fn no_signature_is_verified_before_all_else_is_right() {
    // The last transaction's coin does not exist, the coinbase takes too much: cheap to see, so seen first.
    let rig = Rig::new(sha256d_params());
    rig.grow_by(3, &key(1));
    let coin = first_coin(&rig.node, &key(1));
    let payment = spend(&rig.node, &key(1), coin, &key(2), 1_000, 9_000);
    let good = rig.mine(Algorithm::Sha256d, &key(3));
    let mut missing = coin;
    missing.0.index = 5;
    let nowhere = spend(&rig.node, &key(1), missing, &key(2), 1_000, 9_000);
    let mut greedy = good.transactions[0].clone();
    greedy.outputs[0] = TxOut { amount: Amount::from_atoms(60 * Amount::ATOMS_PER_COIN).unwrap(), ..greedy.outputs[0] };
    let refused = |transactions: Vec<Transaction>, what: &str| {
        let error = rig.node.submit_block(reseal(&rig.params, &good, transactions)).unwrap_err();
        assert!(matches!(&error, SubmitBlockError::Invalid(reason) if reason.to_string().contains(what)), "{error}");
    };
    refused(vec![good.transactions[0].clone(), payment.clone(), nowhere], "does not exist");
    refused(vec![greedy, payment.clone()], "coinbase creates");
    // The mempool asks what it would refuse anyway before it asks for signatures.
    let free = spend(&rig.node, &key(1), coin, &key(2), 1_000, 0);
    assert!(matches!(rig.node.submit_transaction(free), Err(SubmitTransactionError::Invalid(_))));
    assert_eq!(rig.node.signatures.counts(), SignatureCounts::default());
    rig.node.submit_transaction(payment).unwrap();
    assert_eq!(rig.node.signatures.counts().verified, 1);
}

#[test]
fn what_the_mempool_verified_a_block_does_not_verify_again() {
    let rig = Rig::new(sha256d_params());
    rig.grow_by(22, &key(1));
    for coin in rig.node.coins_of(&key(1).key_hash()).unwrap().into_iter().take(20) {
        let payment = spend(&rig.node, &key(1), (coin.outpoint, coin.output), &key(2), 1_000, 9_000);
        rig.node.submit_transaction(payment).unwrap();
    }
    assert_eq!(rig.node.signatures.counts().verified, 20);
    let block = rig.grow(Algorithm::Sha256d, &key(3));
    assert_eq!(block.transactions.len(), 21);
    assert_eq!(rig.node.signatures.counts().verified, 20);
    assert!(rig.node.signatures.counts().remembered >= 40, "in the template and in the block");
}
