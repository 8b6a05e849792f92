use std::sync::atomic::Ordering;

use super::*;
use crate::AppendError;

#[test]
fn a_full_disk_refuses_shares_without_a_trace_and_recovers_by_itself() {
    // Room runs out at every byte of headers, definitions and shares in turn.
    for room in 0..1200 {
        let disk = MemoryDisk::default();
        disk.room.store(room, Ordering::SeqCst);
        let log = open_with(&disk, 1, LogOptions { segment_shares_max: 2, ..options() }).expect("empty");
        let mut written = 0;
        while log.append(&share(written + 1)).is_ok() {
            written += 1;
        }
        let error = log.append(&share(written + 1)).expect_err("still full");
        assert!(matches!(error, AppendError::DiskFull(_)) && error.is_transient(), "{error}");
        assert_eq!(all(&log), numbered(1..=written));

        disk.room.store(1 << 20, Ordering::SeqCst);
        fill(&log, written + 1..=written + 3);
        assert_eq!(all(&log), numbered(1..=written + 3));
        drop(log);
        let again = open_with(&disk, written + 4, small()).expect("nothing half-written was left");
        assert_eq!((again.torn_tail(), all(&again)), (None, numbered(1..=written + 3)));
    }
}

#[test]
fn of_many_shares_those_before_the_disk_was_full_are_written() {
    let shares: Vec<_> = (1..=12).map(share).collect();
    for room in 0..1200 {
        let disk = MemoryDisk::default();
        disk.room.store(room, Ordering::SeqCst);
        let log = open(&disk).expect("empty");
        let (written, end) = log.append_many(&shares);
        assert!(matches!(end, Err(AppendError::DiskFull(_))));
        let count = u32::try_from(written.end.0).expect("small") - 1;
        assert_eq!(all(&log), numbered(1..=count));
        assert!(count.is_multiple_of(3), "a segment takes its shares in one write");
        disk.room.store(1 << 20, Ordering::SeqCst);
        let (written, end) = log.append_many(&shares[usize::try_from(count).expect("small")..]);
        end.expect("there is room");
        assert_eq!(written, sequence(count + 1)..sequence(13));
        assert_eq!(all(&log), numbered(1..=12));
    }
}

#[test]
fn a_check_for_room_says_what_appending_would_and_leaves_nothing() {
    let disk = MemoryDisk::default();
    let set_room = |room| disk.room.store(room, Ordering::SeqCst);
    set_room(0);
    let log = open(&disk).expect("empty");
    assert!(matches!(log.check_writable(), Err(AppendError::DiskFull(_))), "no room for the first segment");
    set_room(1 << 20);
    log.check_writable().expect("room");
    fill(&log, 1..=2);
    let before = disk.files();
    for room in [0, 1, 4095] {
        set_room(room);
        assert!(matches!(log.check_writable(), Err(AppendError::DiskFull(_))), "{room} bytes are too few");
    }
    set_room(1 << 20);
    log.check_writable().expect("room again");
    assert!(disk.files() == before);
    fill(&log, 3..=5);
    // What a crash between writing and taking back leaves is a torn tail.
    disk.truncate_fails.store(true, Ordering::SeqCst);
    log.check_writable().expect("room");
    drop(log);
    disk.truncate_fails.store(false, Ordering::SeqCst);
    let again = open_with(&disk, 6, small()).expect("whole");
    assert_eq!((again.torn_tail().map(|torn| torn.bytes), all(&again)), (Some(4096), numbered(1..=5)));
}

#[test]
fn what_could_not_be_cut_back_at_once_is_cut_before_the_next_write_and_before_sealing() {
    let disk = MemoryDisk::default();
    let log = open(&disk).expect("empty");
    fill(&log, 1..=2);
    disk.room.store(20, Ordering::SeqCst);
    disk.truncate_fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.append(&share(3)), Err(AppendError::DiskFull(_))));
    disk.room.store(1 << 20, Ordering::SeqCst);
    assert!(matches!(log.append(&share(3)), Err(AppendError::Io { .. })), "bytes of a failed write are in the way");
    disk.truncate_fails.store(false, Ordering::SeqCst);
    fill(&log, 3..=3);

    disk.truncate_fails.store(true, Ordering::SeqCst);
    log.check_writable().expect("room");
    assert!(matches!(log.append(&share(4)), Err(AppendError::Io { .. })), "a sealed segment has no bytes too many");
    disk.truncate_fails.store(false, Ordering::SeqCst);
    fill(&log, 4..=5);
    drop(log);
    assert_eq!(all(&open_with(&disk, 6, small()).expect("whole")), numbered(1..=5));
}

#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged() {
    let disk = MemoryDisk::default();
    let log = open(&disk).expect("empty");
    fill(&log, 1..=2);
    disk.sync_fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.sync(), Err(AppendError::SyncFailed { .. })));
    disk.sync_fails.store(false, Ordering::SeqCst);
    assert!(matches!(log.sync(), Err(AppendError::SyncFailed { .. })), "a later success proves nothing");
    let error = log.append(&share(3)).expect_err("the system may have dropped pages");
    assert!(!error.is_transient());
    assert_eq!(log.synced_before(), sequence(1));
    assert!(log.status().sync_failure.is_some());
    drop(log);
    fill(&open(&disk).expect("whole"), 3..=3);
}

/// The header of a segment was written, but the folder not synced and the file not removed: a crash finds it.
#[test]
fn a_segment_that_could_not_be_started_continues_the_one_before_it_all_the_same() {
    let disk = MemoryDisk::default();
    let one_miner = LogOptions { segment_miners_max: 1, ..options() };
    let log = open_with(&disk, 1, one_miner).expect("empty");
    let of_first_miner = Share { payee: share(1).payee, worker: share(1).worker, ..share(3) };
    log.append(&share(1)).expect("there is room");
    disk.folder_sync_fails.store(true, Ordering::SeqCst);
    disk.remove_fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.append(&share(2)), Err(AppendError::Io { .. })));
    // The first segment would have had a place for this one.
    log.append(&of_first_miner).expect_err("sealed is sealed");
    assert_eq!(disk.segments(), [path_of(1), path_of(2)]);
    assert_eq!(all(&open_with(&disk.killed(), 2, small()).expect("whole")), numbered(1..=1));
    disk.folder_sync_fails.store(false, Ordering::SeqCst);
    log.append(&of_first_miner).expect("a healthy disk");
    assert_eq!(all(&open_with(&disk.killed(), 3, small()).expect("whole")).len(), 2);
}
