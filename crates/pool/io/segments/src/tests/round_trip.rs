use std::time::Duration;

use super::*;
use crate::RealDisk;

#[test]
fn what_is_appended_is_read_back_from_any_share_in_both_directions() {
    let disk = MemoryDisk::default();
    let log = open(&disk).expect("empty");
    assert!(all(&log).is_empty());
    fill(&log, 1..=20);
    assert_eq!(log.status().segments, 7);
    assert_eq!(all(&log), numbered(1..=20));
    for at in 0..25 {
        let forwards: Vec<_> = log.read(sequence(at)..sequence(at + 4)).map(|share| share.expect("readable")).collect();
        assert_eq!(forwards, numbered((at.max(1)..at + 4).filter(|number| *number <= 20)));
        let places: Vec<_> = folded(&log, sequence(at)).expect("readable").iter().map(|piece| piece.sequence).collect();
        assert_eq!(places, (1..at.min(21)).rev().map(sequence).collect::<Vec<_>>());
    }
}

#[test]
fn reopening_continues_segments_and_their_definitions() {
    let disk = MemoryDisk::default();
    let sizes = LogOptions { segment_bytes_max: 1000, ..options() };
    for round in 0..5_u32 {
        let log = open_with(&disk, round * 9 + 1, sizes).expect("whole");
        assert_eq!(log.torn_tail(), None);
        fill(&log, round * 9 + 1..=round * 9 + 9);
        assert_eq!(all(&log), numbered(1..=round * 9 + 9));
    }
    // One run writes the same bytes as five.
    let once = MemoryDisk::default();
    fill(&open_with(&once, 1, sizes).expect("empty"), 1..=45);
    assert!(once.files() == disk.files());
    assert!(once.segments().len() > 3);
}

#[test]
fn many_at_once_are_the_same_as_one_by_one() {
    let shares: Vec<_> = (1..=20).map(share).collect();
    let disk = MemoryDisk::default();
    let log = open(&disk).expect("empty");
    for (chunk, first) in shares.chunks(8).zip([1, 9, 17]) {
        let (written, end) = log.append_many(chunk);
        assert_eq!((written.start, written.end), (sequence(first), sequence(first + 8).min(sequence(21))));
        end.expect("there is room");
    }
    let (written, end) = log.append_many(&[]);
    assert!(written.is_empty() && end.is_ok());
    assert!(disk.files() == filled(20).files());
}

#[test]
fn a_segment_ends_when_a_table_is_full_or_a_time_does_not_fit() {
    let share_of = |miner: u32, height: u32, time_ms: u64| Share {
        payee: KeyHash([u8::try_from(miner).expect("small"); 32]),
        height: Height(height),
        time_ms,
        ..share(1)
    };
    let reach = |shares: &[Share], options: LogOptions| {
        let disk = MemoryDisk::default();
        let log = open_with(&disk, 1, options).expect("empty");
        for share in shares {
            log.append(share).expect("there is room");
        }
        drop(log);
        let log = open_with(&disk, 1, options).expect("whole");
        let read: Vec<_> = all(&log).into_iter().map(|(_, share)| share).collect();
        assert_eq!(read, shares);
        log.status().segments
    };
    let miners: Vec<_> = [0, 1, 0, 1, 2, 1, 0].map(|miner| share_of(miner, 1, 5)).into();
    assert_eq!(reach(&miners, LogOptions { segment_miners_max: 2, ..options() }), 3);
    let jobs: Vec<_> = [0, 1, 0, 1, 2, 1, 0].map(|height| share_of(0, height, 5)).into();
    assert_eq!(reach(&jobs, LogOptions { segment_jobs_max: 2, ..options() }), 3);
    let times: Vec<_> = [u64::MAX, u64::MAX - 9, 0, 0, 1 << 31, (1 << 31) - 1].map(|time| share_of(0, 0, time)).into();
    assert_eq!(reach(&times, options()), 3);
}

#[test]
fn a_snapshot_does_not_see_later_shares() {
    let disk = MemoryDisk::default();
    let log = open(&disk).expect("empty");
    fill(&log, 1..=4);
    let snapshot = log.read(ShareSequence::FIRST..ShareSequence(u64::MAX));
    fill(&log, 5..=9);
    assert_eq!(snapshot.count(), 4);
}

#[test]
fn closing_syncs_and_frees_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let hourly = LogOptions { sync_interval: Some(Duration::from_secs(3600)), ..small() };
    let open = || ShareLog::open(Arc::new(RealDisk), folder.path(), IDENTITY, ShareSequence::FIRST, hourly);
    let log = open().expect("empty");
    assert!(matches!(open(), Err(OpenError::InUse(_))));
    fill(&log, 1..=4);
    assert_eq!(log.synced_before(), sequence(4), "sealing synced the first segment");
    log.sync().expect("a healthy disk");
    assert_eq!((log.synced_before(), log.next()), (sequence(5), sequence(5)));
    fill(&log, 5..=5);
    drop(log);
    assert_eq!(all(&open().expect("whole")), numbered(1..=5));
}

#[test]
fn without_a_thread_only_the_caller_syncs() {
    let disk = MemoryDisk::default();
    let log = open_with(&disk, 1, options()).expect("empty");
    fill(&log, 1..=4);
    assert_eq!(log.synced_before(), sequence(1));
    log.sync().expect("a healthy disk");
    assert_eq!(log.synced_before(), sequence(5));
}

#[test]
fn threads_share_one_sequence() {
    let folder = tempfile::tempdir().expect("a folder");
    let frequent = LogOptions { sync_interval: Some(Duration::from_millis(1)), segment_shares_max: 30, ..options() };
    let log =
        ShareLog::open(Arc::new(RealDisk), folder.path(), IDENTITY, ShareSequence::FIRST, frequent).expect("empty");
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..50 {
                    log.append(&share(thread * 50 + number + 1)).expect("there is room");
                }
            });
        }
    });
    let mut numbers: Vec<_> = all(&log).iter().map(|(_, share)| share.difficulty.hashes() / 1000).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
}

#[test]
fn the_share_of_a_block_is_found() {
    let disk = filled(20);
    let log = open(&disk).expect("whole");
    let find = |number: u8, lowest| log.find_block(&BlockId([number; 32]), sequence(lowest)).expect("readable");
    for number in [5_u8, 10, 15, 20] {
        assert_eq!(find(number, 1), Some(sequence(number.into())));
        assert_eq!(find(number, number.into()), Some(sequence(number.into())));
        assert_eq!(find(number, u32::from(number) + 1), None);
    }
    assert_eq!(find(7, 1), None);
}
