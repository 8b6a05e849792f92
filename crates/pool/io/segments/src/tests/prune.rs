use std::sync::atomic::Ordering;

use bq_mining_message::BootEpoch;

use super::*;
use crate::{ForfeitError, FrameFault, forfeit, manifest};

/// Promises nothing about windows.
const NO_WINDOW: ShareSequence = ShareSequence(u64::MAX);

#[test]
fn whole_old_segments_go_and_the_chain_goes_on() {
    for before in 1..=12 {
        let disk = filled(10);
        let log = open(&disk).expect("whole");
        let gone = (before - 1).min(9) / 3;
        assert_eq!(
            log.prune_before(sequence(before), NO_WINDOW).expect("a healthy disk"),
            usize::try_from(gone).expect("small")
        );
        let first = gone * 3 + 1;
        let check = |log: &ShareLog, last: u32| {
            assert_eq!(log.status().pruned_before, sequence(first));
            assert_eq!(all(log), numbered(first..=last));
        };
        check(&log, 10);
        fill(&log, 11..=14);
        check(&log, 14);
        drop(log);
        let log = open_with(&disk, 15, small()).expect("whole");
        check(&log, 14);
        assert_eq!(log.prune_before(sequence(before), NO_WINDOW).expect("nothing to do"), 0);
    }
}

#[test]
fn what_is_pruned_is_said_so() {
    let disk = filled(10);
    let log = open(&disk).expect("whole");
    let frame = log.frames(sequence(1), BootEpoch(0), sequence(3)).next().expect("one").expect("readable");
    log.prune_before(sequence(7), NO_WINDOW).expect("a healthy disk");
    let is_pruned = |error: &ReadError| matches!(error, ReadError::Pruned { before: ShareSequence(7) });
    let read: Vec<_> = log.read(sequence(3)..sequence(9)).collect();
    assert!(matches!(&read[..], [Err(error)] if is_pruned(error)));
    assert!(folded(&log, sequence(11)).is_err_and(|error| is_pruned(&error)));
    assert!(folded(&log, sequence(3)).is_err_and(|error| is_pruned(&error)));
    let cut: Vec<_> = log.frames(sequence(1), BootEpoch(0), sequence(11)).collect();
    assert!(matches!(&cut[..], [Err(error)] if is_pruned(error)));
    let unproven = log.verify([frame]).expect_err("not there");
    assert!(matches!(&unproven.fault, FrameFault::Read(error) if is_pruned(error)));
    assert!(log.find_block(&BlockId([5; 32]), sequence(1)).is_err_and(|error| is_pruned(&error)));
    assert_eq!(log.find_block(&BlockId([5; 32]), sequence(7)).expect("nothing pruned is asked for"), None);
    // A window that is full before it comes there does not mind.
    assert!(log.backwards(sequence(11), |_| ()).take(4).all(|piece| piece.is_ok()));
    // And after an error there is nothing more.
    assert_eq!(
        log.backwards(sequence(11), |_| ()).map(|piece| piece.is_ok()).collect::<Vec<_>>(),
        [true, true, true, true, false]
    );
    assert_eq!(log.backwards(sequence(1), |_| ()).count(), 0, "nothing is wanted");
}

#[test]
fn pruning_that_was_interrupted_is_finished_at_the_next_start() {
    let disk = filled(10);
    let log = open(&disk).expect("whole");
    disk.remove_fails.store(true, Ordering::SeqCst);
    log.prune_before(sequence(7), NO_WINDOW).expect_err("no file goes");
    assert_eq!(all(&log), numbered(7..=10));
    drop(log);
    disk.remove_fails.store(false, Ordering::SeqCst);
    assert_eq!(disk.segments().len(), 4);
    assert_eq!(all(&open(&disk).expect("whole")), numbered(7..=10));
    assert_eq!(disk.segments(), [path_of(7), path_of(10)]);

    // Not even the list could be written: nothing has happened.
    let disk = filled(10);
    let log = open(&disk).expect("whole");
    disk.room.store(30, Ordering::SeqCst);
    log.prune_before(sequence(7), NO_WINDOW).expect_err("no room");
    assert_eq!(all(&log), numbered(1..=10));
    drop(log);
    assert_eq!(all(&open(&disk.killed()).expect("whole")), numbered(1..=10));
}

#[test]
fn a_damaged_or_missing_list_is_refused() {
    let disk = filled(10);
    open(&disk).expect("whole").prune_before(sequence(7), NO_WINDOW).expect("a healthy disk");
    let path = Path::new(FOLDER).join(manifest::NAME);
    for at in 0..disk.get(&path).len() {
        let flipped = disk.killed();
        flipped.flip(&path, at, at % 8);
        assert_eq!(named(&refused(&flipped, 1)), path);
    }
    let lost = disk.killed();
    lost.lose(&path);
    let error = refused(&lost, 1);
    assert!(matches!(error, OpenError::Missing { before: ShareSequence(7), .. }), "{error}");
    // The first segment that is left is checked against the list.
    let lost = disk.killed();
    lost.lose(&path_of(7));
    let error = refused(&lost, 1);
    assert!(matches!(&error, OpenError::Missing { .. }) && named(&error) == path_of(7), "{error}");
    let name = segment_name(sequence(4));
    let error = forfeit(&disk, Path::new(FOLDER), IDENTITY, &name, sequence(11)).expect_err("pruned");
    assert!(matches!(error, ForfeitError::Gone(_)));
}

#[test]
fn holes_are_pruned_with_what_is_around_them() {
    let disk = filled(10);
    disk.lose(&path_of(4));
    forfeit(&disk, Path::new(FOLDER), IDENTITY, &segment_name(sequence(4)), sequence(11)).expect("given up");
    let log = open_with(&disk, 11, small()).expect("with a hole");
    log.prune_before(sequence(6), NO_WINDOW).expect("a healthy disk");
    assert_eq!((all(&log), log.status().pruned_before), (numbered(7..=10), sequence(4)));
    assert_eq!(log.status().holes, [sequence(4)..sequence(7)]);
    fill(&log, 11..=13);
    log.prune_before(sequence(11), NO_WINDOW).expect("a healthy disk");
    drop(log);
    let log = open_with(&disk, 14, small()).expect("whole");
    assert_eq!((all(&log), log.status().pruned_before), (numbered(10..=13), sequence(10)));
    assert!(log.status().holes.is_empty());
}

/// Three lanes' worth of shares: whoever begins behind the place that was promised comes to an end, everybody else to an error.
#[test]
fn a_walk_that_was_promised_to_want_nothing_of_it_ends_at_what_is_pruned() {
    let disk = filled(10);
    let log = open(&disk).expect("whole");
    log.prune_before(sequence(7), sequence(8)).expect("a healthy disk");
    let check = |log: &ShareLog| {
        for before in 1..=11 {
            let walked = folded(log, sequence(before));
            match before {
                1 => assert!(walked.expect("nothing is wanted").is_empty()),
                2..=8 => assert!(matches!(walked, Err(ReadError::Pruned { .. })), "{before}"),
                _ => assert_eq!(walked.expect("promised").len(), usize::try_from(before).expect("small") - 7),
            }
        }
    };
    check(&log);
    drop(log);
    let log = open(&disk).expect("whole");
    check(&log);
    // An older promise does not hold for what a newer one gave up.
    fill(&log, 11..=14);
    log.prune_before(sequence(10), sequence(12)).expect("a healthy disk");
    assert!(folded(&log, sequence(12)).is_err());
    assert_eq!(folded(&log, sequence(13)).expect("promised").len(), 3);
    // And an earlier place makes no old promise wider.
    fill(&log, 15..=17);
    log.prune_before(sequence(13), sequence(2)).expect("a healthy disk");
    assert!(folded(&log, sequence(12)).is_err());
}

#[test]
fn a_list_without_a_promise_is_read_and_promises_nothing() {
    let disk = filled(10);
    open(&disk).expect("whole").prune_before(sequence(7), sequence(8)).expect("a healthy disk");
    let path = Path::new(FOLDER).join(manifest::NAME);
    let mut bytes = disk.get(&path);
    // Magic, version 1, genesis, front end; then the promise, which version 1 has not.
    bytes[8] = 1;
    bytes.drain(46..54);
    bytes.truncate(bytes.len() - 4);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    disk.put(&path, bytes);
    let log = open(&disk).expect("an older list");
    assert_eq!(all(&log), numbered(7..=10));
    assert!(folded(&log, sequence(11)).is_err());
    // What was removed without a promise stays without one.
    fill(&log, 11..=14);
    log.prune_before(sequence(10), sequence(12)).expect("a healthy disk");
    assert!(folded(&log, sequence(15)).is_err());
}

#[test]
fn times_are_known_by_the_segment() {
    let disk = MemoryDisk::default();
    let log = open(&disk).expect("empty");
    assert_eq!((log.first_since(0), log.oldest_sealed_end()), (sequence(1), None));
    fill(&log, 1..=10);
    // Share n is of time 1,700,000,000,000 + n; segments begin with 1, 4, 7 and 10.
    let since = |time: u64| log.first_since(1_700_000_000_000 + time);
    let expected = [(0, 1), (1, 1), (3, 1), (4, 4), (6, 4), (7, 7), (10, 10), (99, 10)];
    for (time, first) in expected {
        assert_eq!(since(time), sequence(first), "{time}");
    }
    assert_eq!(log.oldest_sealed_end(), Some(sequence(4)));
    // A clock that starts in 1970 makes what came before it no older.
    let back = Share { time_ms: 5, ..share(1) };
    for _ in 0..3 {
        log.append(&back).expect("there is room");
    }
    assert_eq!([3, 6, 7].map(since), [sequence(1), sequence(4), sequence(7)]);
}
