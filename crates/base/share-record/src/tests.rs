use bq_primitives::{
    Algorithm, Amount, BlockId, Decoder, Height, KeyHash, NetworkDifficulty, ShareDifficulty, WorkerName,
};
use proptest::prelude::*;

use crate::{FrameDigest, MessageError, Share, SharePay, SharePrice};

fn shares() -> impl Strategy<Value = Share> {
    let fields = (0_usize..3, any::<[u8; 32]>(), "[A-Za-z0-9._-]{1,64}", 1..u64::MAX, 1_u128..1 << 96);
    let rest = (any::<u32>(), any::<u64>(), any::<Option<[u8; 32]>>(), pays());
    (fields, rest).prop_map(|((algorithm, payee, worker, difficulty, network), (height, time_ms, block, pay))| Share {
        algorithm: Algorithm::ALL[algorithm],
        payee: KeyHash(payee),
        worker: WorkerName::new(&worker).expect("plain"),
        difficulty: ShareDifficulty::from_hashes(difficulty),
        network_difficulty: NetworkDifficulty::from_hashes(network),
        height: Height(height),
        time_ms,
        block_id: block.map(BlockId),
        pay,
    })
}

fn pays() -> impl Strategy<Value = SharePay> {
    let amount = || (0..1_u64 << 52).prop_map(|atoms| Amount::from_atoms(atoms).expect("small"));
    let price = (amount(), prop::option::of(amount()), 0..=10_000_u16);
    let price = price.prop_map(|(subsidy, fees, fee_bp)| SharePay::PerShare(SharePrice { subsidy, fees, fee_bp }));
    prop_oneof![Just(SharePay::Window), price, Just(SharePay::Solo), Just(SharePay::Tides)]
}

fn decode(bytes: &[u8]) -> Result<Share, MessageError> {
    let mut decoder = Decoder::new(bytes);
    let share = Share::decode(&mut decoder)?;
    decoder.finish()?;
    Ok(share)
}

proptest! {
    #[test]
    fn a_share_survives_its_encoding_and_no_other_bytes_are_that_share(share in shares(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = Vec::new();
        share.encode(&mut bytes);
        prop_assert!(bytes.len() <= Share::BYTES_MAX);
        prop_assert_eq!(decode(&bytes), Ok(share.clone()));
        let index = at.index(bytes.len());
        bytes[index] ^= flip;
        prop_assert_ne!(decode(&bytes).ok(), Some(share));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(share) = decode(&bytes) {
            let mut again = Vec::new();
            share.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_digest_binds_content_order_and_count(frame in prop::collection::vec(shares(), 1..20), at in any::<prop::sample::Index>()) {
        let digest = FrameDigest::of(&frame);
        let index = at.index(frame.len());
        let mut shorter = frame.clone();
        shorter.remove(index);
        prop_assert_ne!(FrameDigest::of(&shorter), digest);
        let mut doubled = frame.clone();
        doubled.push(frame[frame.len() - 1].clone());
        prop_assert_ne!(FrameDigest::of(&doubled), digest);
        let mut turned = frame.clone();
        turned.rotate_left(index);
        prop_assert_eq!(FrameDigest::of(&turned) == digest, turned == frame);
    }
}
