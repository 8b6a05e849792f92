use super::*;
use crate::record::RECORD_BYTES_MAX;
use proptest::prelude::*;

#[test]
fn what_is_appended_is_read_back_from_any_share() {
    let folder = tempdir().expect("a folder");
    let small = LogOptions { segment_records_max: 7, ..options() };
    let log = ShareLog::open(folder.path(), GENESIS, small).expect("empty");
    assert!(records(&log).is_empty());
    fill(&log, 1..=40);
    assert_eq!(log.status().segments, 6);
    assert_eq!(records(&log), numbered(40));
    for newest in 0..45_u64 {
        let got: Vec<_> = log.backwards_from(ShareSequence(newest)).map(|share| share.expect("readable")).collect();
        let mut expected = numbered(u32::try_from(newest.min(40)).expect("small"));
        expected.reverse();
        assert_eq!(got, expected);
    }
}

#[test]
fn reopening_continues_the_sequence() {
    let folder = tempdir().expect("a folder");
    let small = LogOptions { segment_bytes_max: 1000, ..options() };
    for round in 0..5_u32 {
        let log = ShareLog::open(folder.path(), GENESIS, small).expect("whole");
        assert_eq!(log.torn_tail(), None);
        fill(&log, round * 9 + 1..=round * 9 + 9);
        assert_eq!(records(&log), numbered(round * 9 + 9));
    }
    assert!(ShareLog::open(folder.path(), GENESIS, small).expect("whole").status().segments > 3);
}

#[test]
fn a_snapshot_does_not_see_later_shares() {
    let folder = tempdir().expect("a folder");
    let log = open(folder.path()).expect("empty");
    fill(&log, 1..=3);
    let snapshot = log.backwards_from(ShareSequence(u64::MAX));
    fill(&log, 4..=9);
    assert_eq!(snapshot.count(), 3);
}

#[test]
fn closing_syncs_and_frees_the_folder() {
    let folder = tempdir().expect("a folder");
    let log = open(folder.path()).expect("empty");
    assert!(matches!(open(folder.path()), Err(OpenError::InUse(_))));
    fill(&log, 1..=3);
    log.sync().expect("a healthy disk");
    assert_eq!(log.status().synced_before, ShareSequence(4));
    drop(log);
    assert_eq!(records(&open(folder.path()).expect("whole")), numbered(3));
}

#[test]
fn threads_share_one_sequence() {
    let folder = tempdir().expect("a folder");
    let log = open(folder.path()).expect("empty");
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..50 {
                    log.append(share(thread * 50 + number + 1)).expect("there is room");
                }
            });
        }
    });
    let mut accounts: Vec<_> = records(&log).iter().map(|record| record.share.account.0).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, (1..=200).collect::<Vec<_>>());
}

prop_compose! {
    fn any_share()(
        lane in 0_usize..3,
        account: u32,
        worker in "[A-Za-z0-9._-]{1,64}",
        difficulty in 1_u64..,
        network in 1_u128..1 << 96,
        height: u32,
        time_ms: u64,
        block in proptest::option::of(any::<[u8; 32]>()),
    ) -> NewShare {
        NewShare {
            algorithm: Algorithm::ALL[lane],
            account: AccountId(account),
            worker: WorkerName::new(&worker).expect("plain"),
            difficulty: ShareDifficulty::from_hashes(difficulty),
            network_difficulty: NetworkDifficulty::from_hashes(network),
            height: Height(height),
            time_ms,
            block_id: block.map(BlockId),
        }
    }
}

proptest! {
    #[test]
    fn records_round_trip(share in any_share(), sequence: u64) {
        let record = ShareRecord::new(ShareSequence(sequence), share);
        let bytes = record.to_bytes();
        prop_assert!(bytes.len() <= RECORD_BYTES_MAX);
        prop_assert_eq!(ShareRecord::decode(&bytes), Ok((record, bytes.len())));
    }

    #[test]
    fn noise_is_never_a_record_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ShareRecord::decode(&bytes).is_err());
    }

    #[test]
    fn a_flipped_bit_is_seen(share in any_share(), at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = ShareRecord::new(ShareSequence(1), share).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(ShareRecord::decode(&bytes).is_err());
    }
}
