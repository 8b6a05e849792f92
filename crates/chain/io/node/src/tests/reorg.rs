use bq_chain_api::{NodeApi, TransactionStatus};
use bq_primitives::{Algorithm, Amount};
use bq_signature::KeyPair;
use proptest::prelude::*;

use super::rig::{Rig, first_coin, key, output_of, quick_params, sha256d_params, spend, state};

const COIN: u64 = Amount::ATOMS_PER_COIN;
const FEE: u64 = 10_000;

fn keys() -> [KeyPair; 4] {
    [1, 2, 3, 4].map(key)
}

#[test]
fn a_longer_branch_wins_across_two_era_switches_and_its_losers_return_to_the_mempool() {
    let (here, there) = (Rig::new(quick_params()), Rig::new(quick_params()));
    let [owner, payee, rival, _] = keys();
    let shared = here.grow_by(2, &owner);
    there.submit_all(&shared);

    // Here: blocks 3 to 7, over both switches, with a payment and its child in block 4 and 5.
    here.grow_by(1, &owner);
    let payment = spend(&here.node, &owner, first_coin(&here.node, &owner), &payee, 20 * COIN, FEE);
    here.node.submit_transaction(payment.clone()).unwrap();
    here.grow_by(1, &owner);
    let child = spend(&here.node, &payee, output_of(&payment, 0), &owner, COIN, FEE);
    here.node.submit_transaction(child.clone()).unwrap();
    here.grow_by(3, &owner);
    // Spends a coin that only this branch has; and waits in the mempool.
    let lost_coin = here.node.coins_of(&owner.key_hash()).unwrap().into_iter().find(|coin| coin.height.0 == 3).unwrap();
    let lost = spend(&here.node, &owner, (lost_coin.outpoint, lost_coin.output), &payee, COIN, FEE);
    here.node.submit_transaction(lost.clone()).unwrap();
    assert_eq!(here.node.tip().height.0, 7);

    let branch = there.grow_by(7, &rival);
    assert_eq!(there.node.tip().height.0, 9);
    let before = here.node.tip();
    for block in &branch[..4] {
        here.submit_all(std::slice::from_ref(block));
        assert_eq!(here.node.tip(), before, "less work changes nothing");
        assert_eq!(here.node.block_summary(&block.id()).unwrap().unwrap().confirmations, None);
    }
    here.submit_all(&branch[4..]);

    assert_eq!(state(&here.node, &keys()), state(&there.node, &keys()));
    assert_eq!(here.node.block_summary(&before.id).unwrap().unwrap().confirmations, None);
    // The first two blocks' coins are still there, so the payment and its child wait again; the third block's are not.
    let status = |transaction: &bq_primitives::Transaction| here.node.transaction_status(&transaction.txid()).unwrap();
    assert_eq!(status(&payment), TransactionStatus::InMempool);
    assert_eq!(status(&child), TransactionStatus::InMempool);
    assert_eq!(status(&lost), TransactionStatus::Unknown);
    let block = here.grow(Algorithm::RandomX, &rival);
    assert_eq!(block.transactions[1..], [payment, child]);
    there.submit_all(&[block]);
    assert_eq!(state(&here.node, &keys()), state(&there.node, &keys()));
}

#[test]
fn a_transaction_confirmed_on_both_branches_stays_confirmed() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let [owner, payee, ..] = keys();
    let shared = here.grow_by(2, &owner);
    there.submit_all(&shared);
    let payment = spend(&here.node, &owner, first_coin(&here.node, &owner), &payee, COIN, FEE);
    here.node.submit_transaction(payment.clone()).unwrap();
    here.grow_by(1, &owner);
    there.grow_by(1, &payee);
    there.node.submit_transaction(payment.clone()).unwrap();
    let branch = there.grow_by(1, &payee);
    let parent = there.node.block(&branch[0].header.parent_id).unwrap().unwrap();
    here.submit_all(&[parent, branch[0].clone()]);
    assert_eq!(state(&here.node, &keys()), state(&there.node, &keys()));
    let confirmed = here.node.transaction_status(&payment.txid()).unwrap();
    assert!(matches!(confirmed, TransactionStatus::Confirmed { height, .. } if height.0 == 4));
    assert_eq!(here.node.spender_of(&payment.inputs[0]).unwrap(), Some(payment.txid()));
    assert_eq!(here.node.mining_info().unwrap().mempool_transactions, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However the blocks of a random tree arrive, a node ends with as much work and with the coins of a node that
    /// only ever saw the best branch.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        forks in prop::collection::vec((0..6_u32, 1..4_usize), 1..5),
        order in any::<prop::sample::Index>(),
    ) {
        let keys = keys();
        // Miners of different branches are different nodes.
        let mut blocks: Vec<bq_primitives::Block> = Vec::new();
        let trunk = Rig::new(sha256d_params());
        blocks.extend(trunk.grow_by(5, &keys[0]));
        for (number, (fork, length)) in forks.iter().enumerate() {
            let miner = Rig::new(sha256d_params());
            miner.submit_all(&blocks[..(*fork as usize).min(5)]);
            for block in miner.grow_by(*length, &keys[1 + number % 3]) {
                // Two miners with one key on one parent make the same block.
                if !blocks.contains(&block) {
                    blocks.push(block);
                }
            }
        }
        let straight = Rig::new(sha256d_params());
        straight.submit_all(&blocks);
        // Rotations of the list keep parents before children only within a branch: skip what cannot be placed yet.
        let shuffled = Rig::new(sha256d_params());
        let mut waiting = blocks.clone();
        let turn = order.index(waiting.len());
        waiting.rotate_left(turn);
        shuffled.clock.advance(1_000_000);
        while !waiting.is_empty() {
            let mut later = Vec::new();
            for block in waiting {
                let known = shuffled.node.block_summary(&block.header.parent_id).unwrap().is_some();
                if known {
                    match shuffled.node.submit_block(block) {
                        Ok(_) | Err(bq_chain_api::SubmitBlockError::Duplicate) => {}
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                } else {
                    later.push(block);
                }
            }
            waiting = later;
        }
        prop_assert_eq!(shuffled.node.tip().chain_work, straight.node.tip().chain_work);
        let alone = Rig::new(sha256d_params());
        let (tip, ids, _) = state(&shuffled.node, &keys);
        let best: Vec<_> =
            ids[1..].iter().map(|id| shuffled.node.block(id).unwrap().unwrap()).collect();
        alone.submit_all(&best);
        prop_assert_eq!(alone.node.tip().id, tip);
        prop_assert_eq!(state(&alone.node, &keys), state(&shuffled.node, &keys));
    }
}
