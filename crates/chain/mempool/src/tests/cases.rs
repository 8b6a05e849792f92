use bq_primitives::{BlockWeight, Height, OutPoint, Transaction};

use super::{candidate, confirmed, transaction};
use crate::{AdmitError, Candidate, Density, Mempool, MempoolLimits};

const NEXT: Height = Height(10);

fn pool() -> Mempool {
    Mempool::new(MempoolLimits::default())
}

fn output(of: &Transaction, index: u32) -> OutPoint {
    OutPoint { txid: of.txid(), index }
}

fn ids(pool: &Mempool, weight_max: u64) -> Vec<u64> {
    // The salt, which is the amount of every output, names a transaction in these tests.
    let selection = pool.select(BlockWeight::from_units(weight_max), NEXT);
    selection.transactions.iter().map(|tx| tx.transaction.outputs[0].amount.atoms()).collect()
}

#[test]
fn refuses_what_can_never_wait() {
    let mut pool = pool();
    let admit = |pool: &mut Mempool, tx| pool.admit(candidate(tx, 100_000), NEXT);
    let coinbase = Transaction::coinbase(NEXT, Vec::new(), Vec::new());
    assert_eq!(admit(&mut pool, coinbase), Err(AdmitError::Coinbase));
    assert_eq!(admit(&mut pool, transaction(&[], 1, 1)), Err(AdmitError::NoInputs));
    let twice = [confirmed(3), confirmed(4), confirmed(3)];
    let repeated = Err(AdmitError::RepeatedInput(confirmed(3)));
    assert_eq!(admit(&mut pool, transaction(&twice, 1, 1)), repeated);
    let heavy = transaction(&[confirmed(0)], 2_500, 1);
    let (got, max) = (heavy.weight().unwrap().units(), 400_000);
    assert_eq!(admit(&mut pool, heavy), Err(AdmitError::TooHeavy { got, max }));
    assert!(pool.is_empty());
}

#[test]
fn the_least_fee_is_exact() {
    let tx = transaction(&[confirmed(0)], 1, 1);
    let weight = tx.weight().unwrap();
    let required = weight.units().div_ceil(10);
    assert_eq!(Density::of_sums(1, 10).fee_for(weight), required);
    let mut pool = pool();
    let got = required - 1;
    let refused = pool.admit(candidate(tx.clone(), got), NEXT);
    assert_eq!(refused, Err(AdmitError::FeeTooLow { got, required }));
    pool.admit(candidate(tx, required), NEXT).unwrap();
}

#[test]
fn who_pays_enough_more_takes_the_place_of_what_spends_the_same() {
    let mut pool = pool();
    let first = transaction(&[confirmed(0)], 2, 1);
    pool.admit(candidate(first.clone(), 1_000), NEXT).unwrap();
    let child = transaction(&[output(&first, 0)], 1, 2);
    pool.admit(candidate(child.clone(), 1_000), NEXT).unwrap();
    let second = transaction(&[confirmed(0)], 1, 3);
    let relay = pool.limits.density_min.fee_for(second.weight().unwrap());
    let required = 2_000 + relay;
    let short = AdmitError::ReplacesTooLittle { spender: first.txid(), got: required - 1, required };
    assert_eq!(pool.admit(candidate(second.clone(), required - 1), NEXT), Err(short));
    assert_eq!(pool.len(), 2);
    let admission = pool.admit(candidate(second.clone(), required), NEXT).unwrap();
    assert_eq!(admission.evicted, [first.txid(), child.txid()]);
    assert_eq!((pool.len(), pool.spender_of(&confirmed(0))), (1, Some(second.txid())));
    // Not by what builds on it, nor with what it brings in.
    let stranger = transaction(&[confirmed(5)], 1, 4);
    pool.admit(candidate(stranger.clone(), 1_000), NEXT).unwrap();
    let conflict = Err(AdmitError::Conflict { outpoint: confirmed(0), spender: second.txid() });
    for parent in [&second, &stranger] {
        let other = transaction(&[confirmed(0), output(parent, 0)], 1, 5);
        assert_eq!(pool.admit(candidate(other, 1_000_000), NEXT), conflict);
    }
}

#[test]
fn the_first_spender_stays_where_no_more_is_paid() {
    let mut pool = pool();
    let first = transaction(&[confirmed(0)], 1, 1);
    pool.admit(candidate(first.clone(), 1_000), NEXT).unwrap();
    let again = pool.admit(candidate(first.clone(), 1_000), NEXT);
    assert_eq!(again, Err(AdmitError::Duplicate(first.txid())));
    let second = transaction(&[confirmed(1), confirmed(0)], 1, 2);
    let refused = pool.admit(candidate(second, 1_000), NEXT);
    assert!(matches!(refused, Err(AdmitError::ReplacesTooLittle { spender, .. }) if spender == first.txid()));
    assert_eq!(pool.spender_of(&confirmed(0)), Some(first.txid()));
    assert_eq!(pool.output(&output(&first, 0)), Some(first.outputs[0]));
    let missing = output(&first, 1);
    let child = transaction(&[missing], 1, 3);
    assert_eq!(pool.output(&missing), None);
    let refused = pool.admit(candidate(child, 1_000), NEXT);
    assert_eq!(refused, Err(AdmitError::MissingOutput(missing)));
}

#[test]
fn lock_heights_count_from_the_block_that_may_hold_it() {
    let mut pool = pool();
    let mut locked = transaction(&[confirmed(0)], 1, 1);
    locked.lock_height = Height(11);
    let early = AdmitError::NotYetValid { valid_from: Height(11), next: NEXT };
    assert_eq!(pool.admit(candidate(locked.clone(), 1_000), NEXT), Err(early));
    pool.admit(candidate(locked.clone(), 1_000), Height(11)).unwrap();
    let child = transaction(&[output(&locked, 0)], 1, 2);
    pool.admit(candidate(child, 9_000), Height(11)).unwrap();
    assert_eq!(ids(&pool, 4_000_000), Vec::<u64>::new(), "a child never goes without its parent");
}

#[test]
fn families_are_bounded_both_ways() {
    let limits = MempoolLimits { family_max: 3, ..MempoolLimits::default() };
    let mut pool = Mempool::new(limits);
    let root = transaction(&[confirmed(0)], 4, 1);
    let child = transaction(&[output(&root, 0)], 1, 2);
    let grandchild = transaction(&[output(&child, 0)], 1, 3);
    for tx in [&root, &child, &grandchild] {
        pool.admit(candidate(tx.clone(), 1_000), NEXT).unwrap();
    }
    let too_large = Err(AdmitError::FamilyTooLarge { got: 4, max: 3 });
    let deep = transaction(&[output(&grandchild, 0)], 1, 4);
    assert_eq!(pool.admit(candidate(deep, 1_000), NEXT), too_large);
    let wide = transaction(&[output(&root, 1)], 1, 5);
    assert_eq!(pool.admit(candidate(wide, 1_000), NEXT), too_large);
}

#[test]
fn a_child_pays_for_its_parent() {
    let mut pool = pool();
    let poor = transaction(&[confirmed(0)], 1, 1);
    let rich = transaction(&[output(&poor, 0)], 1, 2);
    let middle = transaction(&[confirmed(1)], 1, 3);
    let low = transaction(&[confirmed(2)], 1, 4);
    for (tx, fee) in [(&poor, 200), (&rich, 9_000), (&middle, 4_000), (&low, 300)] {
        pool.admit(candidate(tx.clone(), fee), NEXT).unwrap();
    }
    assert_eq!(ids(&pool, 4_000_000), [1, 2, 3, 4]);
    // All four weigh the same. Where the pair does not fit, the best single one is taken.
    let each = poor.weight().unwrap().units();
    assert_eq!(ids(&pool, each), [3]);
    assert_eq!(ids(&pool, each - 1), Vec::<u64>::new());
    assert_eq!(ids(&pool, 2 * each), [1, 2]);
}

#[test]
fn equal_densities_go_in_order_of_arrival() {
    let mut pool = pool();
    for salt in 1..6 {
        let index = u32::try_from(salt).unwrap();
        let tx = transaction(&[confirmed(index)], 1, salt);
        pool.admit(candidate(tx, 1_000), NEXT).unwrap();
    }
    assert_eq!(ids(&pool, 4_000_000), [1, 2, 3, 4, 5]);
}

#[test]
fn a_full_pool_drops_the_worst_and_nothing_for_a_worse_newcomer() {
    let first = transaction(&[confirmed(0)], 1, 1);
    let bytes_max = 3 * first.to_bytes().len();
    let mut pool = Mempool::new(MempoolLimits { bytes_max, ..MempoolLimits::default() });
    let child = transaction(&[output(&first, 0)], 1, 2);
    let other = transaction(&[confirmed(1)], 1, 3);
    for (tx, fee) in [(&first, 500), (&child, 600), (&other, 5_000)] {
        pool.admit(candidate(tx.clone(), fee), NEXT).unwrap();
    }
    assert_eq!(pool.bytes, bytes_max);
    let before: Vec<_> = pool.iter().map(|tx| tx.txid).collect();
    // Two inputs: its bytes would push out more than one, its density is the lowest of all.
    let worse = transaction(&[confirmed(5), confirmed(6)], 1, 4);
    assert_eq!(pool.admit(candidate(worse, 200), NEXT), Err(AdmitError::Full));
    assert_eq!(pool.iter().map(|tx| tx.txid).collect::<Vec<_>>(), before);
    let better = transaction(&[confirmed(7)], 1, 5);
    let admission = pool.admit(candidate(better, 2_000), NEXT).unwrap();
    assert_eq!(admission.evicted, [first.txid(), child.txid()]);
}

#[test]
fn a_block_confirms_some_and_displaces_others() {
    let mut pool = pool();
    let parent = transaction(&[confirmed(0)], 1, 1);
    let child = transaction(&[output(&parent, 0)], 1, 2);
    let rival = transaction(&[confirmed(1)], 1, 3);
    let heir = transaction(&[output(&rival, 0)], 1, 4);
    for tx in [&parent, &child, &rival, &heir] {
        pool.admit(candidate(tx.clone(), 1_000), NEXT).unwrap();
    }
    let double_spend = transaction(&[confirmed(1)], 1, 5);
    let coinbase = Transaction::coinbase(NEXT, Vec::new(), Vec::new());
    let removed = pool.block_connected(&[coinbase.clone(), parent.clone(), double_spend.clone()]);
    assert_eq!(removed.included, [parent.txid()]);
    assert_eq!(removed.conflicting, [rival.txid(), heir.txid()]);
    assert_eq!(ids(&pool, 4_000_000), [2]);
    let body = [coinbase, parent.clone(), double_spend];
    let offered = pool.blocks_disconnected([body.as_slice()], NEXT);
    let offered: Vec<_> = offered.iter().map(|candidate| candidate.transaction.txid()).collect();
    assert_eq!(offered, [child.txid()], "its parent left the chain");
    assert!(pool.is_empty());
    assert_eq!((pool.bytes, pool.weight().units()), (0, 0));
}

#[test]
fn a_shorter_chain_puts_out_what_is_not_valid_yet() {
    let mut pool = pool();
    let young = transaction(&[confirmed(0)], 1, 1);
    let child = transaction(&[output(&young, 0)], 1, 2);
    let old = transaction(&[confirmed(1)], 1, 3);
    let young = Candidate { valid_from: NEXT, ..candidate(young, 1_000) };
    for candidate in [young, candidate(child, 1_000), candidate(old, 1_000)] {
        pool.admit(candidate, NEXT).unwrap();
    }
    let offered = pool.blocks_disconnected([], Height(9));
    assert_eq!(offered.iter().map(|tx| tx.transaction.outputs[0].amount.atoms()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(pool.len(), 1);
}
