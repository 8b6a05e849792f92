use bq_pool_machine::{LogHash, LogHead, LogNumber};
use bq_primitives::{Amount, AmountError, KeyHash, tagged_hash};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::world::{Pool, atoms, miner};
use crate::{
    Document, LiabilityEpoch, LiabilityFault, LiabilityProof, LiabilitySecret, LiabilityTree, Pseudonym, Salt,
    Statement, SumNode, liability_tree::sum_up,
};

const SECRET: LiabilitySecret = LiabilitySecret([5; 32]);
const EPOCH: LiabilityEpoch = LiabilityEpoch(9);
const HEAD: LogHead = LogHead { number: LogNumber(3), hash: LogHash([2; 32]) };

fn tree(balances: &[(KeyHash, Amount)]) -> LiabilityTree {
    LiabilityTree::new(&SECRET, EPOCH, balances.iter().copied()).expect("sums in range")
}

fn statement(tree: &LiabilityTree) -> Statement {
    Statement::of(tree, &Pool::new(miner(0xee), b"/bq/").identity, HEAD)
}

fn some(count: u8) -> Vec<(KeyHash, Amount)> {
    (1..=count).map(|number| (miner(number), atoms(1000 * u64::from(number)))).collect()
}

/// The root by definition, on plain numbers: hash and sum of the leaves from `from` on, `size` of them, padding among them.
fn slow(leaves: &[(Vec<u8>, u64)], from: usize, size: usize) -> (Vec<u8>, u64) {
    if size == 1 {
        return leaves.get(from).cloned().unwrap_or((vec![0; 32], 0));
    }
    let (left, right) = (slow(leaves, from, size / 2), slow(leaves, from + size / 2, size / 2));
    let text = [&[1][..], &left.0, &left.1.to_be_bytes(), &right.0, &right.1.to_be_bytes()].concat();
    (Sha256::digest(text).to_vec(), left.1 + right.1)
}

fn slow_root(epoch: u64, balances: &[(KeyHash, Amount)]) -> (Vec<u8>, u64) {
    let derive = |tag, key: &KeyHash| tagged_hash(tag, &[&SECRET.0, &epoch.to_le_bytes(), &key.0]);
    let mut sorted = balances.to_vec();
    sorted.sort_by_key(|(key, _)| derive("BQIP0002/liability-order", key));
    let leaf = |(key, balance): &(KeyHash, Amount)| {
        let salt = &derive("BQIP0002/liability-salt", key)[..16];
        let name = tagged_hash("BQIP0002/liability-name", &[salt, &epoch.to_le_bytes(), &key.0]);
        let text = [&[0][..], &name, &balance.atoms().to_be_bytes(), salt].concat();
        (Sha256::digest(text).to_vec(), balance.atoms())
    };
    let leaves: Vec<_> = sorted.iter().map(leaf).collect();
    let mut size = 1;
    while size < leaves.len() {
        size *= 2;
    }
    slow(&leaves, 0, size)
}

#[test]
fn the_root_is_that_of_the_known_example() {
    let leaf = |name: &[u8], balance| SumNode::leaf_named(name, atoms(balance), Salt([0; 16]));
    let leaves = vec![leaf(b"A", 2_475_000_000), leaf(b"B", 1_484_999_999), leaf(b"C", 990_000_000)];
    let (levels, root) = sum_up(leaves).expect("in range");
    assert_eq!(KeyHash(root.hash).to_string(), "f02dab6d93aafd009f33af8e9d05d8ac8455d563336b380bff83b356abbee187");
    assert_eq!(root.sum, atoms(4_949_999_999));
    assert_eq!(levels[0][3], SumNode::PADDING);
}

#[test]
fn nobody_is_owed_anything() {
    let tree = tree(&[]);
    assert_eq!((tree.depth(), tree.root()), (0, SumNode::PADDING));
    assert_eq!(tree.proof(&miner(1)), None);
}

#[test]
fn a_pool_that_leaves_an_account_out_has_no_proof_for_it() {
    let all = some(7);
    let honest = tree(&all);
    let without = tree(&all[1..]);
    assert_eq!(without.proof(&miner(1)), None);
    // Nor can any other account's proof be shown to it, nor the one of the honest tree.
    let stated = statement(&without);
    for (key, _) in &all[1..] {
        let other = without.proof(key).expect("in the tree");
        assert!(other.verify(key, &stated).is_ok());
        assert_eq!(other.verify(&miner(1), &stated), Err(LiabilityFault::Root));
    }
    let kept = honest.proof(&miner(1)).expect("in the tree");
    assert_eq!(kept.verify(&miner(1), &stated), Err(LiabilityFault::Root));
}

#[test]
fn a_pool_that_understates_a_balance_shows_it_to_that_account() {
    let mut all = some(7);
    all[2].1 = atoms(1);
    let understated = tree(&all);
    let stated = statement(&understated);
    let mut proof = understated.proof(&miner(3)).expect("in the tree");
    assert_eq!(proof.verify(&miner(3), &stated), Ok(atoms(1)), "3000 are owed");
    proof.balance = atoms(3000);
    assert_eq!(proof.verify(&miner(3), &stated), Err(LiabilityFault::Root));
}

#[test]
fn a_sum_beside_the_way_cannot_be_understated() {
    // The attack on trees whose nodes hash only the total: each side is shown the other as smaller than it is. Here the root
    // would have to hash two things.
    let all = some(4);
    let tree = tree(&all);
    for (key, _) in &all {
        let proof = tree.proof(key).expect("in the tree");
        for level in 0..proof.path.len() {
            let mut other = proof.clone();
            let less = other.path[level].sum.checked_sub(atoms(1)).expect("not empty");
            other.path[level].sum = less;
            let mut stated = statement(&tree);
            stated.sum = stated.sum.checked_sub(atoms(1)).expect("not empty");
            assert_eq!(other.verify(key, &stated), Err(LiabilityFault::Root));
        }
        let mut stated = statement(&tree);
        stated.sum = stated.sum.checked_sub(atoms(1)).expect("not empty");
        let expected = LiabilityFault::Total { got: tree.root().sum, expected: stated.sum };
        assert_eq!(proof.verify(key, &stated), Err(expected));
    }
}

#[test]
fn sums_neither_wrap_nor_go_below_zero() {
    let max = vec![(miner(1), Amount::MAX), (miner(2), atoms(1))];
    let made = LiabilityTree::new(&SECRET, EPOCH, max);
    assert_eq!(made.expect_err("too much"), LiabilityFault::Sum(AmountError::TooLarge));

    let all = some(4);
    let tree = tree(&all);
    let mut proof = tree.proof(&miner(1)).expect("in the tree");
    proof.path[1].sum = Amount::MAX;
    assert_eq!(proof.verify(&miner(1), &statement(&tree)), Err(LiabilityFault::Sum(AmountError::TooLarge)));
    // -1 as a u64 is no amount: the bytes of such a proof cannot be read.
    let negative =
        [&[1][..], &postcard::to_stdvec(&(EPOCH, Salt([1; 16]), u64::MAX)).expect("encodes"), &[0, 0]].concat();
    assert!(LiabilityProof::from_bytes(&negative).is_err());
    let zero = [&[1][..], &postcard::to_stdvec(&(EPOCH, Salt([1; 16]), 0_u64)).expect("encodes"), &[0, 0]].concat();
    assert!(LiabilityProof::from_bytes(&zero).is_ok());
}

#[test]
fn a_way_of_another_length_is_refused() {
    let all = some(5);
    let tree = tree(&all);
    let stated = statement(&tree);
    let proof = tree.proof(&miner(2)).expect("in the tree");
    assert_eq!((tree.depth(), proof.path.len()), (3, 3));
    for depth in [0, 1, 2, 4, 32, 33, 255] {
        let other = Statement { depth, ..stated };
        let expected = LiabilityFault::Depth { got: 3, expected: depth };
        assert_eq!(proof.verify(&miner(2), &other), Err(expected));
    }
    let mut long = proof.clone();
    long.path.push(SumNode::PADDING);
    assert_eq!(long.verify(&miner(2), &stated), Err(LiabilityFault::Depth { got: 4, expected: 3 }));
    let mut outside = proof.clone();
    outside.index += 8;
    assert_eq!(outside.verify(&miner(2), &stated), Err(LiabilityFault::Index(outside.index)));
    let later = Statement { epoch: LiabilityEpoch(10), ..stated };
    let expected = LiabilityFault::Epoch { got: EPOCH, expected: later.epoch };
    assert_eq!(proof.verify(&miner(2), &later), Err(expected));
    // An inner node does not pass for a leaf: a tree of half the depth with the same root.
    let lone = LiabilityProof { index: 0, path: Vec::new(), ..proof };
    assert_eq!(lone.verify(&miner(2), &Statement { depth: 0, ..stated }), Err(LiabilityFault::Root));
}

#[test]
fn two_accounts_with_one_balance_have_two_leaves() {
    let tree = tree(&[(miner(1), atoms(70)), (miner(2), atoms(70))]);
    let stated = statement(&tree);
    assert_eq!(stated.sum, atoms(140));
    let proof = tree.proof(&miner(1)).expect("in the tree");
    assert_eq!(proof.verify(&miner(1), &stated), Ok(atoms(70)));
    assert_eq!(proof.verify(&miner(2), &stated), Err(LiabilityFault::Root));
    let twice = LiabilityTree::new(&SECRET, EPOCH, [(miner(1), atoms(1)), (miner(1), atoms(2))]);
    assert_eq!(twice.expect_err("named twice"), LiabilityFault::Twice(miner(1)));
}

#[test]
fn places_names_and_salts_are_of_one_epoch_and_one_secret() {
    let all = some(40);
    let indices = |secret: &LiabilitySecret, epoch| -> Vec<u32> {
        let tree = LiabilityTree::new(secret, epoch, all.iter().copied()).expect("in range");
        all.iter().map(|(key, _)| tree.proof(key).expect("in the tree").index).collect()
    };
    let here = indices(&SECRET, EPOCH);
    let mut sorted = here.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..40).collect::<Vec<u32>>(), "a permutation");
    assert_ne!(here, sorted);
    assert_ne!(here, indices(&SECRET, LiabilityEpoch(10)));
    assert_ne!(here, indices(&LiabilitySecret([6; 32]), EPOCH));
    assert_eq!(here, indices(&SECRET, EPOCH));
    let salt = SECRET.salt(EPOCH, &miner(1));
    assert_ne!(salt, SECRET.salt(LiabilityEpoch(10), &miner(1)));
    assert_ne!(salt, SECRET.salt(EPOCH, &miner(2)));
    assert_ne!(Pseudonym::of(EPOCH, salt, &miner(1)), Pseudonym::of(LiabilityEpoch(10), salt, &miner(1)));
    assert_eq!(format!("{SECRET:?}"), "LiabilitySecret");
}

proptest! {
    #[test]
    fn the_tree_is_the_models_and_proves_everybody(
        balances in prop::collection::btree_map(any::<[u8; 32]>(), 0_u64..1 << 40, 0..70),
        epoch in any::<u64>(),
        rotate in any::<prop::sample::Index>(),
    ) {
        let mut all: Vec<(KeyHash, Amount)> = balances.iter().map(|(key, sum)| (KeyHash(*key), atoms(*sum))).collect();
        let tree = LiabilityTree::new(&SECRET, LiabilityEpoch(epoch), all.iter().copied()).expect("in range");
        let (hash, sum) = slow_root(epoch, &all);
        prop_assert_eq!((tree.root().hash.to_vec(), tree.root().sum.atoms()), (hash, sum));
        let stated = statement(&tree);
        for (key, balance) in &all {
            let proof = tree.proof(key).expect("in the tree");
            prop_assert_eq!(proof.verify(key, &stated), Ok(*balance));
            let bytes = proof.to_bytes().expect("encodes");
            prop_assert_eq!(LiabilityProof::from_bytes(&bytes), Ok(proof));
        }
        // The order that the balances come in does not show.
        let by = rotate.index(all.len().max(1));
        all.rotate_left(by);
        let again = LiabilityTree::new(&SECRET, LiabilityEpoch(epoch), all).expect("in range");
        prop_assert_eq!(again.root(), tree.root());
    }
}

#[test]
fn no_bit_of_a_proof_is_free() {
    for count in [1, 2, 3, 8, 9] {
        let all = some(count);
        let tree = tree(&all);
        let stated = statement(&tree);
        let bytes = tree.proof(&miner(1)).expect("in the tree").to_bytes().expect("encodes");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(proof) = LiabilityProof::from_bytes(&flipped) else { continue };
            assert!(proof.verify(&miner(1), &stated).is_err(), "bit {bit} of {count}");
        }
    }
}
