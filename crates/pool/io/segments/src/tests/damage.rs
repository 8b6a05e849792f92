use super::*;
use crate::header::HEADER_BYTES;

/// Every bit of every file, with and without the knowledge of how far the log had come.
#[test]
fn every_flip_is_refused_with_the_file_named_or_cut_behind_what_is_known() {
    let disk = filled(8);
    let newest = path_of(7);
    let mut cut = 0;
    for path in disk.segments() {
        for at in 0..disk.get(&path).len() {
            for bit in 0..8 {
                let flipped = disk.killed();
                flipped.flip(&path, at, bit);
                let error = refused(&flipped, 9);
                assert_eq!(named(&error), path, "byte {at} bit {bit}: {error}");
                if path != newest {
                    assert_eq!(named(&refused(&flipped, 1)), path, "byte {at} bit {bit}");
                    continue;
                }
                match open_with(&flipped, 8, small()) {
                    Err(error) => assert_eq!(named(&error), path, "byte {at} bit {bit}: {error}"),
                    Ok(log) => {
                        // In the last record damage cannot be told from a torn write.
                        assert_eq!((all(&log), log.torn_tail().is_some()), (numbered(1..=7), true), "byte {at}");
                        cut += 1;
                    }
                }
            }
        }
    }
    // Share 8 brought its miner, its job and itself.
    assert!((21 * 8..=(102 + 22 + 21) * 8).contains(&cut), "{cut} flips were cut off");
}

#[test]
fn a_sealed_segment_cut_at_any_byte_is_refused_with_its_name() {
    let disk = filled(8);
    for first in [1, 4] {
        let whole = disk.get(&path_of(first));
        for kept in 0..whole.len() {
            let torn = disk.killed();
            torn.put(&path_of(first), whole[..kept].to_vec());
            let error = refused(&torn, 1);
            assert_eq!(named(&error), path_of(first), "{kept} bytes: {error}");
        }
        let longer = disk.killed();
        longer.put(&path_of(first), [&whole[..], &[0; 30]].concat());
        assert_eq!(named(&refused(&longer, 1)), path_of(first));
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let disk = filled(8);
    let lost = |first| {
        let disk = disk.killed();
        disk.lose(&path_of(first));
        disk
    };
    let error = refused(&lost(1), 1);
    assert!(matches!(&error, OpenError::Missing { before: ShareSequence(4), .. }), "{error}");
    assert_eq!(named(&error), path_of(1));
    let error = refused(&lost(4), 1);
    assert!(
        matches!(&error, OpenError::Gap { missing, next: ShareSequence(4), before: ShareSequence(7), .. } if *missing == path_of(4)),
        "{error}"
    );
    let error = refused(&lost(7), 9);
    let OpenError::Short { path, missing, next, at_least } = &error else { panic!("{error}") };
    assert_eq!((path, missing, next, at_least), (&path_of(4), &path_of(7), &sequence(7), &sequence(9)));
    let text = error.to_string();
    assert!(text.contains("share 7") && text.contains("share 9") && text.contains("0007.seg"), "{text}");

    // All of it: numbers must not begin at 1 again.
    let error = refused(&MemoryDisk::default(), 9);
    assert!(matches!(&error, OpenError::Short { missing, .. } if *missing == path_of(1)), "{error}");
}

/// Made good again, a checksum says nothing; the hash in the next segment does.
#[test]
fn a_rewritten_segment_is_refused_although_its_checksums_are_good() {
    let (disk, other) = (filled(8), MemoryDisk::default());
    let log = open(&other).expect("empty");
    for number in 1..=8 {
        log.append(&Share { payee: KeyHash([9; 32]), ..share(number) }).expect("there is room");
    }
    disk.put(&path_of(1), other.get(&path_of(1)));
    let error = refused(&disk, 1);
    assert!(matches!(&error, OpenError::Corrupt { offset: 0, .. }) && named(&error) == path_of(1), "{error}");
}

#[test]
fn a_foreign_file_is_refused_with_its_name() {
    let disk = filled(2);
    let open_as = |identity| ShareLog::open(Arc::new(disk.clone()), Path::new(FOLDER), identity, sequence(1), small());
    for identity in
        [LogIdentity { genesis: BlockId([8; 32]), ..IDENTITY }, LogIdentity { front_end: FrontEndId(4), ..IDENTITY }]
    {
        let error = open_as(identity).err().expect("another log");
        assert!(matches!(&error, OpenError::Foreign { .. }) && named(&error) == path_of(1), "{error}");
    }
    let at = |name: &str, bytes: Vec<u8>| {
        let disk = disk.killed();
        let path = Path::new(FOLDER).join(name);
        disk.put(&path, bytes);
        let error = refused(&disk, 1);
        assert_eq!(named(&error), path);
        error
    };
    assert!(matches!(at(&segment_name(sequence(3)), vec![b'x'; 4096]), OpenError::Foreign { .. }));
    assert!(matches!(at(&segment_name(sequence(3)), disk.get(&path_of(1))), OpenError::Foreign { .. }));
    assert!(matches!(at("shares-1.seg", disk.get(&path_of(1))), OpenError::Foreign { .. }));
}

#[test]
fn damage_that_comes_after_opening_is_seen_when_it_is_read() {
    let disk = filled(8);
    let log = open(&disk).expect("whole");
    disk.flip(&path_of(1), HEADER_BYTES + 3, 0);
    let read: Vec<_> = log.read(sequence(1)..sequence(9)).collect();
    assert!(matches!(&read[..], [Err(ReadError::Corrupt { path, .. })] if *path == path_of(1)));
    assert_eq!(log.read(sequence(4)..sequence(9)).filter_map(Result::ok).count(), 5);
    assert!(matches!(folded(&log, sequence(9)), Err(ReadError::Corrupt { .. })));
    assert!(log.find_block(&BlockId([5; 32]), sequence(1)).expect("not read so far").is_some());

    disk.lose(&path_of(4));
    assert!(matches!(folded(&log, sequence(9)), Err(ReadError::Io { path, .. }) if path == path_of(4)));
}
