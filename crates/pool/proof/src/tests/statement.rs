use bq_pool_machine::{LogHash, LogHead, LogNumber};
use bq_primitives::SigHash;
use bq_signature::KeyPair;

use super::world::{Pool, atoms, miner};
use crate::{
    Bytes, Document, LiabilityEpoch, LiabilitySecret, LiabilityTree, SignedStatement, Statement, StatementFault,
};

fn signed(key: &KeyPair, balance: u64) -> SignedStatement {
    let pool = Pool::new(key.key_hash(), b"/bq/").identity;
    let tree = LiabilityTree::new(&LiabilitySecret([5; 32]), LiabilityEpoch(4), [(miner(1), atoms(balance))]);
    let head = LogHead { number: LogNumber(8), hash: LogHash([1; 32]) };
    let statement = Statement::of(&tree.expect("in range"), &pool, head);
    let signature = key.sign(&statement.signing_hash()).expect("signs");
    SignedStatement { statement, public_key: Bytes(key.public_key().to_vec()), signature: Bytes(signature.to_vec()) }
}

fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed(&[seed; 32]).expect("a key")
}

#[test]
fn the_pools_key_signs_what_it_owes() {
    let signed = signed(&key(1), 70);
    assert_eq!(signed.verify(bq_signature::verify), Ok(&signed.statement));
    let bytes = signed.to_bytes().expect("encodes");
    assert_eq!(SignedStatement::from_bytes(&bytes).as_ref(), Ok(&signed));
}

#[test]
fn every_field_is_signed() {
    let signed = signed(&key(1), 70);
    // The statement, then the lengths, the key and the signature: every bit of the first part, some of the rest.
    let bytes = signed.to_bytes().expect("encodes");
    let statement_bits = 8 * postcard::to_stdvec(&signed.statement).expect("encodes").len();
    let mut hashes = std::collections::BTreeSet::from([signed.statement.signing_hash().0]);
    for bit in (8..8 + statement_bits).chain((8 + statement_bits..bytes.len() * 8).step_by(401)) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = SignedStatement::from_bytes(&flipped) else { continue };
        assert!(other.verify(bq_signature::verify).is_err(), "bit {bit}");
        if other.statement != signed.statement {
            assert!(hashes.insert(other.statement.signing_hash().0), "bit {bit} is not signed");
        }
    }
    assert!(hashes.len() > 1000);
}

#[test]
fn the_fault_says_what_is_wrong() {
    let good = signed(&key(1), 70);
    let with = |change: &dyn Fn(&mut SignedStatement)| {
        let mut other = good.clone();
        change(&mut other);
        other.verify(bq_signature::verify).expect_err("changed")
    };
    assert_eq!(with(&|signed| signed.public_key.0.clear()), StatementFault::PublicKey { got: 0 });
    assert_eq!(with(&|signed| signed.signature.0.push(0)), StatementFault::SignatureLength { got: 3310 });
    assert_eq!(with(&|signed| signed.statement.sum = atoms(69)), StatementFault::Signature);
    let other = key(2);
    let expected = StatementFault::Key { got: other.key_hash(), expected: good.statement.pool };
    assert_eq!(with(&|signed| signed.public_key = Bytes(other.public_key().to_vec())), expected);
}

#[test]
fn the_checker_is_given_what_was_signed() {
    let good = signed(&key(1), 70);
    let mut asked = None;
    let verdict = good.verify(|_, message: &SigHash, _| {
        asked = Some(*message);
        false
    });
    assert_eq!(verdict, Err(StatementFault::Signature));
    assert_eq!(asked, Some(good.statement.signing_hash()));
}

#[test]
fn one_epoch_has_one_statement() {
    let (one, two, other) = (signed(&key(1), 70), signed(&key(1), 69), signed(&key(2), 70));
    assert!(one.contradicts(&two) && two.contradicts(&one));
    assert!(!one.contradicts(&signed(&key(1), 70)), "another signature of the same");
    assert!(!one.contradicts(&other));
    let mut later = signed(&key(1), 70);
    later.statement.epoch = LiabilityEpoch(5);
    assert!(!one.contradicts(&later));
}
