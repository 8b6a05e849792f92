use bq_pool_machine::{Event, LogHead, Stated};
use bq_primitives::KeyHash;
use bq_signature::KeyPair;

use super::world::{Pool, atoms, miner};
use crate::{
    Bytes, CoinbaseProof, Document, Evidence, Finding, LiabilityEpoch, LiabilitySecret, LiabilityTree, LogProof,
    OwedFault, OwedReceipt, SignedStatement, StatedOnChain, Statement,
};

fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed(&[seed; 32]).expect("a key")
}

fn sign(key: &KeyPair, statement: Statement) -> SignedStatement {
    let signature = key.sign(&statement.signing_hash()).expect("signs");
    SignedStatement { statement, public_key: Bytes(key.public_key().to_vec()), signature: Bytes(signature.to_vec()) }
}

/// A pool that stated what it owes seven miners, and the receipt of one.
fn stated(account: KeyHash) -> (Pool, LiabilityTree, OwedReceipt) {
    let keys = key(1);
    let mut pool = Pool::busy(keys.key_hash(), b"/bq/", 2);
    let balances = (1..=7).map(|number| (miner(number), atoms(100 * u64::from(number))));
    let epoch = LiabilityEpoch(pool.head().number.0);
    let tree = LiabilityTree::new(&LiabilitySecret([5; 32]), epoch, balances).expect("in range");
    let (root, depth) = (tree.root(), tree.depth());
    let event = Event::Stated(Stated::Liabilities { epoch: epoch.0, depth, root: root.hash, sum: root.sum });
    let number = pool.tell(event);
    let statement = sign(&keys, Statement::of(&tree, &pool.identity, pool.head()));
    pool.frame(&[3]);
    pool.block(1);
    let (last, block) = pool.blocks.last().expect("a block");
    let (at, end) = (usize::try_from(number.0).unwrap(), usize::try_from(last.0).unwrap());
    let log = LogProof::of(number, pool.heads[at - 1].hash, &pool.log[at - 1..end]).expect("encodes");
    let on_chain = Some(StatedOnChain { log, coinbase: CoinbaseProof::of(block) });
    let proof = tree.proof(&account).expect("owed something");
    (pool, tree, OwedReceipt { account, statement, proof, on_chain })
}

#[test]
fn a_balance_is_proved_to_be_part_of_what_was_signed_and_is_on_the_chain() {
    let (pool, tree, receipt) = stated(miner(3));
    let evidence = Evidence::Owed { pool: pool.identity.clone(), receipt: Box::new(receipt) };
    let evidence = Evidence::from_bytes(&evidence.to_bytes().expect("encodes")).expect("reads");
    let found = evidence.verify(bq_signature::verify).expect("whole");
    let Finding::Owed(owed) = &found else { panic!("{found:?}") };
    assert_eq!((owed.balance, owed.statement.sum), (atoms(300), tree.root().sum));
    assert_eq!(found.on_chain(&pool.identity, pool.identity.network, |height| pool.id_at(height)), Ok(()));
    assert_eq!(found.anchors().len(), 1);
}

#[test]
fn the_fault_says_which_part_is_wrong() {
    let (pool, _, good) = stated(miner(3));
    let fault = |change: &dyn Fn(&mut OwedReceipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        receipt.verify(&pool.identity, bq_signature::verify).expect_err("changed")
    };
    let signature = fault(&|receipt| receipt.statement.signature.0[7] ^= 1);
    assert!(matches!(signature, OwedFault::Statement(_)), "{signature:?}");
    let less = fault(&|receipt| receipt.proof.balance = atoms(299));
    assert!(matches!(less, OwedFault::Liability(_)), "{less:?}");
    let whose = fault(&|receipt| receipt.account = miner(4));
    assert!(matches!(whose, OwedFault::Liability(_)), "{whose:?}");
    let cut = fault(&|receipt| {
        receipt.on_chain.as_mut().expect("there").log.events.pop();
    });
    assert!(matches!(cut, OwedFault::Head { .. }), "{cut:?}");
    let other = fault(&|receipt| {
        receipt.on_chain.as_mut().expect("there").log.events.remove(0);
    });
    assert!(matches!(other, OwedFault::NotStated(_)), "{other:?}");
    let place = fault(&|receipt| receipt.on_chain.as_mut().expect("there").log.before.0[0] ^= 1);
    assert!(matches!(place, OwedFault::Place { .. }), "{place:?}");
}

/// Signed by the pool, and not what its log says: a root of another tree, or another place.
#[test]
fn a_statement_that_the_log_does_not_hold_is_found() {
    let (pool, _, good) = stated(miner(3));
    let other = {
        let balances = (1..=6).map(|number| (miner(number), atoms(100 * u64::from(number))));
        LiabilityTree::new(&LiabilitySecret([5; 32]), good.proof.epoch, balances).expect("in range")
    };
    let head = good.statement.statement.head;
    let proof = other.proof(&miner(3)).expect("owed");
    let swapped =
        OwedReceipt { statement: sign(&key(1), Statement::of(&other, &pool.identity, head)), proof, ..good.clone() };
    let refused = swapped.verify(&pool.identity, bq_signature::verify);
    assert!(matches!(refused, Err(OwedFault::NotStated(_))), "{refused:?}");
    let moved = Statement { head: LogHead { number: head.number.next(), ..head }, ..good.statement.statement };
    let moved = OwedReceipt { statement: sign(&key(1), moved), ..good.clone() };
    let refused = moved.verify(&pool.identity, bq_signature::verify);
    assert!(matches!(refused, Err(OwedFault::Place { .. })), "{refused:?}");
    let foreign = OwedReceipt { statement: sign(&key(2), good.statement.statement), ..good };
    assert!(matches!(foreign.verify(&pool.identity, bq_signature::verify), Err(OwedFault::Statement(_))));
}
