use bq_ledger::{ShareWeight, Window, WindowUnits};
use bq_mining_message::{BootEpoch, FRAME_SHARES_MAX, FrameDigest};
use bq_primitives::AccountId;
use proptest::prelude::*;

use super::*;
use crate::{record::Record, record::Salt};

prop_compose! {
    /// Few payees and workers, so that definitions are used again; anything else.
    fn any_share()(
        lane in 0_usize..3,
        payee in 0_u8..4,
        worker in "[a-b]{1,2}|[A-Za-z0-9._-]{1,64}",
        difficulty in prop_oneof![1_u64..20, 1_u64.., 1_u64 << 50..1 << 60],
        network in prop_oneof![1_u128..4, 1_u128..1 << 96, Just((1 << 96) - 1), Just(1_u128 << 60)],
        height in prop_oneof![0_u32..3, any::<u32>()],
        time_ms in prop_oneof![1_700_000_000_000_u64..1_700_000_001_000, 1_700_000_000_000_u64..1_700_000_001_000, any::<u64>()],
        block in proptest::option::weighted(0.2, any::<[u8; 32]>()),
        pay in (0_u32..8).prop_map(pay_of),
    ) -> Share {
        Share {
            algorithm: Algorithm::ALL[lane],
            payee: KeyHash([payee; 32]),
            worker: WorkerName::new(&worker).expect("plain"),
            difficulty: ShareDifficulty::from_hashes(difficulty),
            network_difficulty: NetworkDifficulty::from_hashes(network),
            height: Height(height),
            time_ms,
            block_id: block.map(BlockId),
            pay,
        }
    }
}

prop_compose! {
    fn any_options()(shares in 0_u32..40, bytes in 0_u64..5000, miners in 0_u16..6, jobs in 0_u16..6, leaves in 0_usize..20) -> LogOptions {
        LogOptions {
            segment_shares_max: shares,
            segment_bytes_max: bytes,
            segment_miners_max: miners,
            segment_jobs_max: jobs,
            leaves_max: leaves,
            sync_interval: None,
        }
    }
}

fn written(shares: &[Share], chunk: usize, options: LogOptions) -> (MemoryDisk, ShareLog) {
    let disk = MemoryDisk::default();
    let log = open_with(&disk, 1, options).expect("empty");
    for chunk in shares.chunks(chunk) {
        log.append_many(chunk).1.expect("there is room");
    }
    (disk, log)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_share_comes_back_exactly(
        shares in proptest::collection::vec(any_share(), 0..80), chunk in 1_usize..30, options in any_options(),
    ) {
        let (disk, log) = written(&shares, chunk, options);
        let expected: Vec<_> = (1..).map(ShareSequence).zip(shares.iter().cloned()).collect();
        prop_assert_eq!(&all(&log), &expected);
        drop(log);
        let at_least = u32::try_from(shares.len() + 1).expect("small");
        prop_assert_eq!(&all(&open_with(&disk, at_least, options).expect("whole")), &expected);
        // Only what the shares need was written.
        prop_assert!(disk.segments().len() <= shares.len());
    }

    #[test]
    fn backwards_is_forwards_reversed(
        shares in proptest::collection::vec(any_share(), 0..80), options in any_options(), before in 0_u64..90,
    ) {
        let (_, log) = written(&shares, 7, options);
        let expected: Vec<_> = (1..).map(ShareSequence).zip(&shares).take_while(|(at, _)| at.0 < before).map(|(sequence, share)| Piece {
            sequence,
            algorithm: share.algorithm,
            payee: share.payee,
            weight: ShareWeight::of(share.difficulty, share.network_difficulty),
            difficulty: share.difficulty,
            network_difficulty: share.network_difficulty,
            pay: share.pay,
            is_block: share.block_id.is_some(),
        }).collect();
        let mut got = folded(&log, ShareSequence(before)).expect("readable");
        got.reverse();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn a_window_is_that_of_the_slow_model(
        shares in proptest::collection::vec(any_share(), 1..80), options in any_options(), units in 1_u8..4, lane in 0_usize..3,
    ) {
        let (_, log) = written(&shares, 7, options);
        let algorithm = Algorithm::ALL[lane];
        let units = WindowUnits::new(units).expect("in range");
        let newest_first = log.backwards(log.next(), |payee| AccountId(payee.0[0].into())).map(|piece| piece.expect("readable"));
        let in_lane = newest_first.filter(|piece| piece.algorithm == algorithm);
        let got = Window::walk(units, in_lane.map(|piece| Ok::<_, ()>((piece.payee, piece.weight)))).expect("no errors");

        // The definition in words: newest first, the first one half, each at most what is left.
        let mut left = u128::from(units.units()) << 60;
        let mut model = std::collections::BTreeMap::new();
        let in_lane = shares.iter().rev().filter(|share| share.algorithm == algorithm);
        for (position, share) in in_lane.enumerate() {
            let whole = ((u128::from(share.difficulty.hashes()) << 60) / share.network_difficulty.hashes()).min(1 << 60);
            let taken = left.min(if position == 0 { whole / 2 } else { whole });
            left -= taken;
            *model.entry(AccountId(share.payee.0[0].into())).or_insert(0) += taken;
        }
        model.retain(|_, weight| *weight > 0);
        prop_assert_eq!(got.weights().collect::<std::collections::BTreeMap<_, _>>(), model);
        prop_assert_eq!(got.seed(), left);
    }

    #[test]
    fn frames_hold_every_share_once_and_have_the_digest_of_their_shares(
        shares in proptest::collection::vec(any_share(), 0..600), options in any_options(), from in 1_usize..600,
    ) {
        let (_, log) = written(&shares, 50, LogOptions { segment_shares_max: options.segment_shares_max + 20, segment_bytes_max: 1 << 20, segment_miners_max: 500, segment_jobs_max: 500, ..options });
        let first = ShareSequence(u64::try_from(from).expect("small"));
        let frames: Vec<_> = log.frames(first, BootEpoch(4), ShareSequence(u64::MAX)).map(|frame| frame.expect("readable")).collect();
        let rest = shares.get(from - 1..).unwrap_or_default();
        prop_assert_eq!(frames.len(), rest.len().div_ceil(FRAME_SHARES_MAX));
        for (frame, shares) in frames.iter().zip(rest.chunks(FRAME_SHARES_MAX)) {
            prop_assert_eq!(usize::from(frame.count), shares.len());
            prop_assert_eq!((frame.digest, frame.epoch, frame.front_end), (FrameDigest::of(shares), BootEpoch(4), IDENTITY.front_end));
        }
        prop_assert!(frames.windows(2).all(|pair| pair[0].end() == pair[1].first));
        log.verify(frames).expect("borne out");
    }

    #[test]
    fn noise_is_never_a_record_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), offset in 0_usize..300) {
        let disk = filled(1);
        let header = crate::header::SegmentHeader::read(&path_of(1), &disk.get(&path_of(1)), IDENTITY, ShareSequence::FIRST).expect("good");
        prop_assert!(Record::read(&bytes, offset, Salt::of(header)).is_err());
    }
}
