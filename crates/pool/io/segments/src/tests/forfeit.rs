use bq_mining_message::BootEpoch;

use super::*;
use crate::{ForfeitError, Forfeited, FrameFault, forfeit};

fn give_up(disk: &MemoryDisk, first: u32, at_least: u32) -> Result<Forfeited, ForfeitError> {
    forfeit(disk, Path::new(FOLDER), IDENTITY, &segment_name(sequence(first)), sequence(at_least))
}

/// Shares 1 to 10 but those of the hole, and the log goes on with 11.
fn check_hole(disk: &MemoryDisk, hole: std::ops::Range<u32>) {
    let there = |number: &u32| !hole.contains(number);
    let log = open_with(disk, 11, small()).expect("with a hole");
    let next = u32::try_from(log.next().0).expect("small");
    assert_eq!(next, hole.end.max(11));
    assert_eq!(log.status().holes, [sequence(hole.start)..sequence(hole.end)]);
    assert_eq!(all(&log), numbered((1..=10).filter(there)));
    let backwards: Vec<_> = folded(&log, sequence(11)).expect("readable").iter().map(|piece| piece.sequence).collect();
    assert_eq!(backwards, (1..=10).rev().filter(there).map(sequence).collect::<Vec<_>>());
    let frames: Vec<_> =
        log.frames(sequence(1), BootEpoch(0), sequence(99)).map(|frame| frame.expect("readable")).collect();
    log.verify(frames.iter().copied()).expect("borne out");
    let framed: Vec<_> = frames.iter().flat_map(|frame| frame.first.0..frame.end().0).map(ShareSequence).collect();
    assert_eq!(framed, (1..=10).filter(there).map(sequence).collect::<Vec<_>>());
    for frame in frames {
        let long = bq_mining_message::FrameHeader { count: frame.count + 1, ..frame };
        let absent = log.verify([long]).expect_err("reaches into a hole or behind the end");
        assert!(matches!(absent.fault, FrameFault::Absent(_)));
    }
    // It lives on, and what comes is checked as ever.
    for number in next..next + 5 {
        assert_eq!(log.append(&share(number)).expect("there is room"), sequence(number));
    }
    drop(log);
    let log = open_with(disk, next + 5, small()).expect("whole");
    assert_eq!(all(&log), numbered((1..=10).filter(there).chain(next..next + 5)));
    for path in disk.segments() {
        let flipped = disk.killed();
        flipped.flip(&path, 120, 3);
        assert_eq!(named(&refused(&flipped, next + 5)), path);
    }
}

#[test]
fn a_trial_comes_to_the_same_and_changes_nothing() {
    for first in [1, 4, 7, 10] {
        let disk = filled(11);
        disk.flip(&path_of(first), 130, 1);
        let before = disk.files();
        let trial = Arc::new(crate::TrialDisk::over(Arc::new(disk.clone())));
        let name = segment_name(sequence(first));
        let tried = forfeit(trial.as_ref(), Path::new(FOLDER), IDENTITY, &name, sequence(12)).expect("given up");
        let log = ShareLog::open(trial, Path::new(FOLDER), IDENTITY, sequence(12), small()).expect("with a hole");
        let (status, shares) = (log.status(), all(&log));
        drop(log);
        assert_eq!(disk.files(), before);
        assert_eq!(give_up(&disk, first, 12).expect("given up"), tried);
        let log = open_with(&disk, 12, small()).expect("with a hole");
        assert_eq!((log.status(), all(&log)), (status, shares));
    }
}

#[test]
fn a_damaged_segment_is_given_up_and_kept() {
    for first in [1, 4, 7] {
        let disk = filled(10);
        disk.flip(&path_of(first), 130, 1);
        assert_eq!(named(&refused(&disk, 11)), path_of(first));
        let Forfeited { shares, kept } = give_up(&disk, first, 11).expect("given up");
        assert_eq!(shares, sequence(first)..sequence(first + 3));
        assert!(disk.files().contains_key(&kept.expect("the file was there")));
        check_hole(&disk, first..first + 3);
    }
}

#[test]
fn a_missing_segment_is_given_up() {
    for first in [1, 4, 7] {
        let disk = filled(10);
        disk.lose(&path_of(first));
        refused(&disk, 11);
        assert_eq!(give_up(&disk, first, 11).expect("given up").kept, None);
        check_hole(&disk, first..first + 3);
    }
}

#[test]
fn the_numbers_of_a_newest_segment_are_not_used_again() {
    // Missing, and damaged: then as many numbers as it can have held are left out.
    let disk = filled(10);
    disk.lose(&path_of(10));
    assert!(matches!(refused(&disk, 11), OpenError::Short { .. }));
    assert_eq!(give_up(&disk, 10, 11).expect("given up").shares, sequence(10)..sequence(11));
    check_hole(&disk, 10..11);

    let disk = filled(10);
    let length = disk.get(&path_of(10)).len();
    disk.flip(&path_of(10), 20, 1);
    let end = 10 + u32::try_from((length - crate::header::HEADER_BYTES).div_ceil(21)).expect("small");
    assert_eq!(give_up(&disk, 10, 11).expect("given up").shares, sequence(10)..sequence(end));
    check_hole(&disk, 10..end);
}

#[test]
fn of_a_segment_that_was_cut_off_the_rest_is_kept() {
    // A sealed one, and the newest; at a record and within one.
    for (first, cut, lost, end) in [(4, 21, 6, 7), (10, 1, 10, 11), (10, 21, 10, 11)] {
        let disk = filled(10);
        let whole = disk.get(&path_of(first));
        disk.put(&path_of(first), whole[..whole.len() - cut].to_vec());
        let error = refused(&disk, 11);
        let missing = match &error {
            OpenError::Gap { missing, .. } | OpenError::Short { missing, .. } => missing.clone(),
            _ => panic!("{error}"),
        };
        assert_eq!(missing, path_of(lost));
        give_up(&disk, lost, 11).expect("given up");
        if lost == first {
            continue;
        }
        check_hole(&disk, lost..end);
    }
}

/// One bad record costs the newest segment what is behind it, and no more.
#[test]
fn of_a_newest_segment_with_a_bad_record_what_is_before_it_is_kept() {
    let disk = MemoryDisk::default();
    fill(&open_with(&disk, 1, LogOptions { segment_shares_max: 7, ..options() }).expect("empty"), 1..=10);
    let whole = disk.get(&path_of(8));
    // In share 9: share 10 brought its miner and its job and is a block.
    disk.flip(&path_of(8), whole.len() - (102 + 22 + 53) - 10, 2);
    let error = refused(&disk, 10);
    assert!(error.to_string().contains(&segment_name(sequence(9))), "{error}");
    assert!(matches!(give_up(&disk, 10, 10), Err(ForfeitError::Unknown(_))), "the hole begins earlier");
    let untold = open_with(&disk.killed(), 9, small()).expect("no frame names share 9: it may never have been synced");
    assert_eq!(all(&untold), numbered(1..=8));
    give_up(&disk, 9, 10).expect("given up");
    assert!(disk.files().into_values().any(|bytes| bytes.len() == whole.len()), "all of it is kept aside");
    let log = open_with(&disk, 11, small()).expect("with a hole");
    assert!(log.next() > sequence(10), "numbers that can have been given are not used again");
    assert_eq!(all(&log), numbered(1..=8));
}

#[test]
fn several_can_be_given_up_and_all_of_them() {
    for order in [[1, 4, 7, 10], [10, 7, 4, 1], [4, 1, 10, 7]] {
        let disk = filled(10);
        for first in [1, 4, 7, 10] {
            disk.lose(&path_of(first));
        }
        // Without any file only the whole can be given up at once.
        give_up(&disk, 1, 11).expect("given up");
        assert_eq!(open_with(&disk, 11, small()).expect("a hole").status().holes, [sequence(1)..sequence(11)]);

        let disk = filled(10);
        for first in order {
            disk.flip(&path_of(first), 110, 0);
        }
        for first in order {
            give_up(&disk, first, 11).expect("given up");
        }
        let log = open_with(&disk, 11, small()).expect("only holes");
        assert!(all(&log).is_empty() && log.status().holes.len() == 4);
    }
}

#[test]
fn nothing_else_is_given_up() {
    let disk = filled(10);
    let before = disk.files();
    for first in [2, 11, 12] {
        assert!(matches!(give_up(&disk, first, 11), Err(ForfeitError::Unknown(_))), "{first}");
    }
    let named = forfeit(&disk, Path::new(FOLDER), IDENTITY, "shares-4.seg", sequence(11));
    assert!(matches!(named, Err(ForfeitError::Name(_))));
    assert!(disk.files() == before);
    give_up(&disk, 4, 11).expect("an operator may give up a good one");
    assert!(matches!(give_up(&disk, 4, 11), Err(ForfeitError::Gone(_))));
    // Put back, it is not taken: the books have forfeited its shares.
    disk.put(&path_of(4), before[&path_of(4)].clone());
    assert!(matches!(refused(&disk, 11), OpenError::Foreign { .. }));
}

/// Giving one up must not make a hash of its damaged predecessor.
#[test]
fn damage_before_one_that_is_given_up_is_not_covered_up() {
    for kept_header in [false, true] {
        let disk = filled(10);
        disk.flip(&path_of(4), 150, 0);
        disk.flip(&path_of(7), if kept_header { 150 } else { 30 }, 0);
        // Whatever the order, both are named in the end.
        give_up(&disk, 7, 11).expect("given up");
        assert_eq!(named(&refused(&disk, 11)), path_of(4));
        give_up(&disk, 4, 11).expect("given up");
        let log = open_with(&disk, 11, small()).expect("two holes");
        assert_eq!(all(&log), numbered([1, 2, 3, 10]));
    }
}
