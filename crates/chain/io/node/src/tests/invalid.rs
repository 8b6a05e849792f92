use bq_chain_api::{NodeApi, SubmitBlockError, SyncApi};
use bq_primitives::{Algorithm, Amount, Block};

use super::rig::{Rig, first_coin, key, reseal, sha256d_params, spend, state};

const COIN: u64 = Amount::ATOMS_PER_COIN;

fn assert_invalid(rig: &Rig, block: Block, what: &str) {
    let error = rig.node.submit_block(block).unwrap_err();
    assert!(matches!(error, SubmitBlockError::Invalid(_)), "{error}");
    assert_eq!(error.misbehavior(), 100);
    assert!(error.to_string().contains(what), "{error}");
}

#[test]
fn a_double_spend_in_a_block_is_refused_and_remembered() {
    let rig = Rig::new(sha256d_params());
    rig.grow_by(3, &key(1));
    let coin = first_coin(&rig.node, &key(1));
    let first = spend(&rig.node, &key(1), coin, &key(2), COIN, 9_000);
    rig.node.submit_transaction(first.clone()).unwrap();
    rig.grow(Algorithm::Sha256d, &key(1));
    let before = state(&rig.node, &[key(1), key(2)]);

    // A block that spends the same coin again.
    let good = rig.mine(Algorithm::Sha256d, &key(3));
    let again = spend(&rig.node, &key(1), coin, &key(3), COIN, 9_000);
    let bad = reseal(&rig.params, &good, vec![good.transactions[0].clone(), again]);
    assert_invalid(&rig, bad.clone(), "does not exist or is spent");
    assert_invalid(&rig, bad.clone(), "known to be invalid");
    assert_eq!(state(&rig.node, &[key(1), key(2)]), before);

    // Nobody can build on it, now or after a restart.
    let mut child = reseal(&rig.params, &good, good.transactions.clone());
    child.header.parent_id = bad.id();
    let rig = rig.restart();
    assert_invalid(&rig, child, "known to be invalid");
    assert_invalid(&rig, bad, "known to be invalid");
    assert_eq!(state(&rig.node, &[key(1), key(2)]), before);
    rig.submit_all(&[good]);
}

#[test]
fn a_coinbase_that_creates_too_much_is_refused() {
    let rig = Rig::new(sha256d_params());
    let good = rig.mine(Algorithm::Sha256d, &key(1));
    let mut coinbase = good.transactions[0].clone();
    coinbase.outputs[0].amount = Amount::from_atoms(50 * COIN + 1).unwrap();
    assert_invalid(&rig, reseal(&rig.params, &good, vec![coinbase]), "coinbase creates");
    assert_eq!(rig.node.tip().height.0, 0);
}

#[test]
fn transactions_that_are_not_the_headers_do_not_condemn_the_header() {
    let rig = Rig::new(sha256d_params());
    let good = rig.mine(Algorithm::Sha256d, &key(1));
    let mut swapped = good.clone();
    swapped.transactions[0].outputs[0].key_hash = key(2).key_hash();
    assert_invalid(&rig, swapped, "transaction root");
    rig.node.submit_block(good).unwrap();
}

#[test]
fn a_bad_proof_is_refused_and_leaves_no_trace() {
    let rig = Rig::new(sha256d_params());
    let good = rig.mine(Algorithm::Sha256d, &key(1));
    let target = good.header.bits.decode().unwrap();
    let mut bad = good.clone();
    bad.seal = (0..)
        .map(|nonce| super::rig::seal_at(&good.header, &bq_primitives::PowKey::Sha256d, nonce))
        .find(|seal| super::rig::POW.verify(&good.header, seal, &bq_primitives::PowKey::Sha256d, &target).is_err())
        .unwrap();
    assert_invalid(&rig, bad.clone(), "proof of work");
    assert!(!rig.node.has_header(&bad.id()));
    rig.node.submit_block(good).unwrap();
}

#[test]
fn a_better_branch_with_a_bad_block_is_left_and_the_best_chain_stays() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let shared = here.grow_by(2, &key(1));
    there.submit_all(&shared);
    here.grow_by(3, &key(1));
    let before = state(&here.node, &[key(1), key(2)]);

    // The rival's second block takes too much; headers alone cannot show it.
    let first = there.grow(Algorithm::Sha256d, &key(2));
    let good = there.mine(Algorithm::Sha256d, &key(2));
    let mut coinbase = good.transactions[0].clone();
    coinbase.outputs[0].amount = Amount::from_atoms(60 * COIN).unwrap();
    let bad = reseal(&there.params, &good, vec![coinbase]);
    let mut branch = vec![first, bad.clone()];
    for _ in 0..3 {
        let template = there.mine(Algorithm::Sha256d, &key(2));
        let last = branch.last().unwrap();
        let mut next = template.clone();
        next.header.parent_id = last.id();
        next.header.height = last.header.height.next().unwrap();
        next.header.time.0 = last.header.time.0 + 600;
        let mut coinbase = template.transactions[0].clone();
        coinbase.inputs[0].index = next.header.height.0;
        branch.push(reseal(&there.params, &next, vec![coinbase]));
    }
    here.clock.advance(100_000);
    let mut refused = 0;
    for block in &branch {
        match here.node.submit_block(block.clone()) {
            Ok(_) => {}
            Err(SubmitBlockError::Invalid(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(state(&here.node, &[key(1), key(2)]), before);
    }
    // Block four of the branch had more work than the tip: it was tried, failed, and took its descendants with it.
    assert_eq!(refused, 2);
    let here = here.restart();
    assert_eq!(state(&here.node, &[key(1), key(2)]), before);
    assert!(matches!(here.node.submit_block(bad), Err(SubmitBlockError::Invalid(_))));
}
