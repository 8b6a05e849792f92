use bq_mining_message::{FRAME_SHARES_MAX, FrameDigest, Share};
use bq_primitives::tagged_hash;
use proptest::prelude::*;

use super::world::{frame, share};
use crate::{ShareFault, ShareProof, path::path_len};

fn shares(count: usize) -> Vec<Share> {
    (0..count).map(|number| share(1 + u8::try_from(number % 5).unwrap(), u64::try_from(number).unwrap())).collect()
}

/// The top of a frame's tree and the path of a leaf by definition: the left part takes the largest power of two that leaves
/// something for the right. That is where odd nodes going up lead.
fn slow(leaves: &[[u8; 32]], index: usize) -> ([u8; 32], Vec<[u8; 32]>) {
    if let [leaf] = leaves {
        return (*leaf, Vec::new());
    }
    let mut half = 1;
    while half * 2 < leaves.len() {
        half *= 2;
    }
    let (left, right) = leaves.split_at(half);
    let (in_left, in_right) = (index.min(left.len() - 1), index.saturating_sub(half).min(right.len() - 1));
    let ((left, left_path), (right, right_path)) = (slow(left, in_left), slow(right, in_right));
    let (mut path, beside) = if index < half { (left_path, right) } else { (right_path, left) };
    path.push(beside);
    (tagged_hash("BQIP0002/frame-node", &[&left, &right]), path)
}

#[test]
fn every_share_of_every_size_of_frame_is_proved() {
    for count in 1..=FRAME_SHARES_MAX {
        let shares = shares(count);
        let header = frame(1, &shares);
        let leaves: Vec<[u8; 32]> = shares.iter().map(Share::leaf).collect();
        let proofs = ShareProof::all_of(&shares);
        assert_eq!(proofs.len(), count);
        for (index, proof) in proofs.iter().enumerate() {
            assert_eq!(proof.verify(&header).as_ref(), Ok(&shares[index]), "{index} of {count}");
            // The whole model is slow: look at the ends of each frame and at some between.
            if index < 2 || index + 2 > count || index % 37 == count % 37 {
                let (top, path) = slow(&leaves, index);
                assert_eq!(proof.path, path, "{index} of {count}");
                let bound = tagged_hash("BQIP0002/frame", &[&u64::try_from(count).unwrap().to_le_bytes(), &top]);
                assert_eq!(header.digest, FrameDigest(bound));
            }
        }
    }
}

#[test]
fn no_bit_of_a_proof_is_free() {
    for (count, index) in [(1, 0), (2, 1), (3, 2), (5, 4), (6, 1), (13, 12), (256, 77)] {
        let shares = shares(count);
        let header = frame(1, &shares);
        let bytes = postcard::to_stdvec(&ShareProof::all_of(&shares)[index]).expect("encodes");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok((proof, [])) = postcard::take_from_bytes::<ShareProof>(&flipped) else { continue };
            assert!(proof.verify(&header).is_err(), "bit {bit} of share {index} of {count}");
        }
    }
}

#[test]
fn the_fault_says_what_is_wrong() {
    let shares = shares(6);
    let header = frame(1, &shares);
    let proof = ShareProof::all_of(&shares).remove(4);
    assert_eq!(proof.path.len(), 2, "share 4 of 6 goes up alone once");
    let with = |change: fn(&mut ShareProof)| {
        let mut other = proof.clone();
        change(&mut other);
        other.verify(&header).expect_err("changed")
    };
    assert_eq!(with(|proof| proof.count = 5), ShareFault::Count { got: 5, expected: 6 });
    assert_eq!(with(|proof| proof.index = 6), ShareFault::Index { index: 6, count: 6 });
    assert_eq!(with(|proof| proof.index = 3), ShareFault::PathLength { got: 2, expected: 3 });
    assert_eq!(with(|proof| proof.path.truncate(1)), ShareFault::PathLength { got: 1, expected: 2 });
    assert!(matches!(with(|proof| proof.index = 5), ShareFault::Digest { .. }));
    assert!(matches!(with(|proof| proof.share.0.truncate(60)), ShareFault::Share(_)));
    assert!(matches!(with(|proof| proof.share.0.push(0)), ShareFault::Share(_)));
    assert_eq!(ShareProof::all_of(&[]), []);
}

proptest! {
    #[test]
    fn a_share_is_proved_at_its_own_place_only(count in 1_usize..=256, at in any::<prop::sample::Index>(), other in any::<u16>()) {
        let shares = shares(count);
        let header = frame(1, &shares);
        let index = at.index(count);
        let mut proof = ShareProof::all_of(&shares).swap_remove(index);
        prop_assert_eq!(proof.path.len(), path_len(index, count));
        prop_assert!(proof.path.len() <= 8);
        let wrong = other % 300;
        prop_assume!(usize::from(wrong) != index);
        proof.index = wrong;
        prop_assert!(proof.verify(&header).is_err());
    }

    #[test]
    fn a_changed_frame_is_another(count in 1_usize..=64, at in any::<prop::sample::Index>(), difficulty in 1_u64..) {
        let mut shares = shares(count);
        let proofs = ShareProof::all_of(&shares);
        let index = at.index(count);
        prop_assume!(shares[index].difficulty.hashes() != difficulty);
        shares[index].difficulty = bq_primitives::ShareDifficulty::from_hashes(difficulty);
        let header = frame(1, &shares);
        // Each share's old proof holds neither for the changed frame nor leads anywhere into it.
        for proof in proofs {
            prop_assert!(proof.verify(&header).is_err());
        }
    }
}
