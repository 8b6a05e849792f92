use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::segment::HEADER_BYTES;

fn only_segment(folder: &Path) -> PathBuf {
    segments(folder).pop().expect("one segment")
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    paths.sort();
    paths
}

/// What a killed process leaves behind: the files as they are now, without a clean end.
fn killed(folder: &Path) -> TempDir {
    let copy = tempdir().expect("a folder");
    for path in segments(folder) {
        fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("copied");
    }
    copy
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let folder = tempdir().expect("a folder");
    let never = LogOptions { sync_interval: Duration::from_secs(3600), segment_records_max: 4, ..options() };
    let log = ShareLog::open(folder.path(), GENESIS, never).expect("empty");
    for count in 1..=10 {
        fill(&log, count..=count);
        let copy = killed(folder.path());
        let again = open(copy.path()).expect("whole");
        assert_eq!((again.torn_tail(), records(&again)), (None, numbered(count)));
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_log_goes_on() {
    let folder = tempdir().expect("a folder");
    fill(&open(folder.path()).expect("empty"), 1..=5);
    let path = only_segment(folder.path());
    let whole = fs::read(&path).expect("readable");
    let last = numbered(5)[4].to_bytes().len();
    let start = whole.len() - last;
    for kept in 0..last {
        fs::write(&path, &whole[..start + kept]).expect("written");
        let log = open(folder.path()).expect("a torn tail is no damage");
        let torn = log.torn_tail().map(|tail| (tail.offset, tail.bytes));
        let expected = (kept > 0).then(|| (u64::try_from(start).expect("small"), u64::try_from(kept).expect("small")));
        assert_eq!(torn, expected);
        assert_eq!(records(&log), numbered(4));
        fill(&log, 5..=6);
        assert_eq!(records(&log), numbered(6));
    }
}

#[test]
fn a_tail_of_zeros_or_noise_is_cut() {
    for tail in [vec![0; 500], vec![0xff; 3], (0..200_u8).collect()] {
        let folder = tempdir().expect("a folder");
        fill(&open(folder.path()).expect("empty"), 1..=3);
        let path = only_segment(folder.path());
        let mut bytes = fs::read(&path).expect("readable");
        bytes.extend(&tail);
        fs::write(&path, bytes).expect("written");
        let log = open(folder.path()).expect("a torn tail is no damage");
        assert_eq!(log.torn_tail().map(|torn| torn.bytes), Some(u64::try_from(tail.len()).expect("small")));
        assert_eq!(records(&log), numbered(3));
    }
}

#[test]
fn an_unfinished_segment_is_removed() {
    for kept in 0..HEADER_BYTES {
        let folder = tempdir().expect("a folder");
        let small = LogOptions { segment_records_max: 2, ..options() };
        fill(&ShareLog::open(folder.path(), GENESIS, small).expect("empty"), 1..=3);
        let newest = segments(folder.path()).pop().expect("two segments");
        let bytes = fs::read(&newest).expect("readable");
        fs::write(&newest, &bytes[..kept]).expect("written");
        let log = open(folder.path()).expect("an unfinished segment is no damage");
        assert_eq!(log.torn_tail().map(|torn| torn.offset), Some(0));
        assert_eq!(records(&log), numbered(2));
        fill(&log, 3..=4);
        assert_eq!(records(&log), numbered(4));
    }
}

#[test]
fn every_flipped_bit_before_the_tail_is_refused_with_the_file_named() {
    let folder = tempdir().expect("a folder");
    fill(&open(folder.path()).expect("empty"), 1..=3);
    let path = only_segment(folder.path());
    let whole = fs::read(&path).expect("readable");
    let tail = numbered(3)[2].to_bytes().len();
    for position in 0..whole.len() - tail {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (position % 8);
        fs::write(&path, bytes).expect("written");
        let error = open(folder.path()).err().expect("damage is refused");
        let named = match &error {
            OpenError::Corrupt { path, .. } | OpenError::Foreign { path, .. } => path.clone(),
            OpenError::Io { .. } | OpenError::InUse(_) => panic!("{error}"),
        };
        assert_eq!(named, path, "byte {position}");
        assert!(error.to_string().contains("shares-00000000000000000001.seg"));
    }
    // In the last record damage cannot be told from a torn write: it is seen all the same, and cut.
    for position in whole.len() - tail..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (position % 8);
        fs::write(&path, bytes).expect("written");
        let log = open(folder.path()).expect("cut");
        assert_eq!((log.torn_tail().is_some(), records(&log)), (true, numbered(2)));
    }
}

#[test]
fn damage_in_an_older_segment_is_refused_when_it_is_read() {
    let folder = tempdir().expect("a folder");
    let small = LogOptions { segment_records_max: 2, ..options() };
    fill(&ShareLog::open(folder.path(), GENESIS, small).expect("empty"), 1..=6);
    let oldest = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&oldest).expect("readable");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&oldest, bytes).expect("written");
    assert!(matches!(open(folder.path()), Err(OpenError::Corrupt { path, .. }) if path == oldest));

    let shallow = LogOptions { scan_segments: 1, ..small };
    let log = ShareLog::open(folder.path(), GENESIS, shallow).expect("the damage is not looked at");
    let read: Vec<_> = log.backwards_from(ShareSequence(6)).collect();
    assert_eq!(read.iter().filter(|share| share.is_ok()).count(), 4);
    assert!(matches!(read.last(), Some(Err(crate::ReadError::Corrupt { path, .. })) if *path == oldest));
}

#[test]
fn a_missing_segment_is_refused() {
    let folder = tempdir().expect("a folder");
    let small = LogOptions { segment_records_max: 2, ..options() };
    fill(&ShareLog::open(folder.path(), GENESIS, small).expect("empty"), 1..=6);
    fs::remove_file(&segments(folder.path())[1]).expect("removed");
    assert!(matches!(open(folder.path()), Err(OpenError::Corrupt { .. })));
}

#[test]
fn a_foreign_file_is_refused_with_its_name() {
    let folder = tempdir().expect("a folder");
    fill(&open(folder.path()).expect("empty"), 1..=3);
    let path = only_segment(folder.path());
    let other = ShareLog::open(folder.path(), BlockId([8; 32]), options()).err().expect("another chain");
    assert!(matches!(&other, OpenError::Foreign { path: named, .. } if *named == path), "{other}");

    fs::write(folder.path().join("shares-00000000000000000004.seg"), vec![b'x'; 4096]).expect("written");
    let error = open(folder.path()).err().expect("not a segment");
    assert!(error.to_string().contains("shares-00000000000000000004.seg"), "{error}");
}
