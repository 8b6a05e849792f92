use super::*;
use crate::header::HEADER_BYTES;

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let disk = MemoryDisk::default();
    let log = open(&disk).expect("empty");
    for count in 1..=10 {
        fill(&log, count..=count);
        let again = open_with(&disk.killed(), count + 1, small()).expect("whole");
        assert_eq!((again.torn_tail(), all(&again)), (None, numbered(1..=count)));
    }
}

/// The newest file torn at every byte: whole shares stay, the rest is cut, unless it is known that there were more.
#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_log_goes_on() {
    let disk = MemoryDisk::default();
    let log = open_with(&disk, 1, options()).expect("empty");
    let mut lengths = Vec::new();
    for number in 1..=6 {
        lengths.push(disk.files().get(&path_of(1)).map_or(HEADER_BYTES, Vec::len));
        fill(&log, number..=number);
    }
    let whole = disk.get(&path_of(1));
    for kept in 0..=whole.len() {
        let torn = MemoryDisk::default();
        torn.put(&path_of(1), whole[..kept].to_vec());
        let count = u32::try_from(lengths[1..].iter().filter(|length| **length <= kept).count()).expect("small");
        let count = count + u32::from(kept == whole.len());
        if kept < whole.len() {
            let error = refused(&torn, 7);
            let expected = if kept < HEADER_BYTES { Path::new(FOLDER).to_owned() } else { path_of(1) };
            assert!(matches!(error, OpenError::Short { .. }) && named(&error) == expected, "{error}");
        }
        let log = open_with(&torn, count + 1, options()).expect("a torn tail is no damage");
        assert_eq!(all(&log), numbered(1..=count), "{kept} bytes");
        let cut = log.torn_tail().map_or(0, |torn| torn.bytes);
        let left = torn.files().get(&path_of(1)).map_or(0, Vec::len);
        assert_eq!(usize::try_from(cut).expect("small") + left, kept);
        fill(&log, count + 1..=8);
        drop(log);
        let again = open_with(&torn, 9, options()).expect("whole");
        assert_eq!((again.torn_tail(), all(&again)), (None, numbered(1..=8)));
    }
}

#[test]
fn a_tail_of_zeros_or_noise_is_cut() {
    for tail in [vec![0; 500], vec![0xff; 3], (0..200_u8).collect(), vec![3; 100]] {
        let disk = filled(2);
        let mut bytes = disk.get(&path_of(1));
        bytes.extend(&tail);
        disk.put(&path_of(1), bytes);
        let log = open_with(&disk, 3, small()).expect("a torn tail is no damage");
        assert_eq!(log.torn_tail().map(|torn| torn.bytes), Some(u64::try_from(tail.len()).expect("small")));
        assert_eq!(all(&log), numbered(1..=2));
    }
}

#[test]
fn an_unfinished_segment_is_removed() {
    for kept in 0..=HEADER_BYTES {
        let disk = filled(4);
        let mut bytes = disk.get(&path_of(4))[..kept].to_vec();
        // A file system may know the length of a file before its content.
        if kept == HEADER_BYTES {
            bytes.fill(0);
        }
        disk.put(&path_of(4), bytes);
        let error = refused(&disk, 5);
        assert!(matches!(&error, OpenError::Short { missing, .. } if *missing == path_of(4)), "{error}");
        let log = open_with(&disk, 4, small()).expect("an unfinished segment is no damage");
        assert_eq!(log.torn_tail().map(|torn| torn.offset), Some(0));
        assert_eq!(all(&log), numbered(1..=3));
        fill(&log, 4..=7);
        drop(log);
        assert_eq!(all(&open_with(&disk, 8, small()).expect("whole")), numbered(1..=7));
    }
}

/// A crash may leave a share's definitions without the share.
#[test]
fn definitions_without_a_share_are_used_again() {
    let disk = filled(1);
    let bytes = disk.get(&path_of(1));
    disk.put(&path_of(1), bytes[..bytes.len() - 21].to_vec());
    let log = open_with(&disk, 1, options()).expect("whole records");
    assert_eq!((log.torn_tail(), log.next()), (None, ShareSequence::FIRST));
    fill(&log, 1..=1);
    assert!(disk.get(&path_of(1)) == bytes);
}
