//! A share log as a crash or a bad disk may have left it: one or two segments and a list of removed ones. Headers are good ones;
//! checksums are made good where the input asks for it, because no fuzzer guesses a CRC.
#![no_main]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bq_mining_message::{BootEpoch, FrontEndId, Share, ShareSequence};
use bq_primitives::BlockId;
use bq_segments::{LogIdentity, LogOptions, OpenError, RealDisk, ShareLog, segment_name};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

const IDENTITY: LogIdentity = LogIdentity { genesis: BlockId([5; 32]), front_end: FrontEndId(1) };
const HEADER_BYTES: usize = 98;

fuzz_target!(|input: (bool, u8, Vec<u8>, Option<(u8, Vec<u8>)>, Option<Vec<u8>>)| {
    let (mend, at_least, records, newer, manifest) = input;
    let folder = tempfile::tempdir_in(scratch()).expect("a scratch folder");
    let older = segment(1, [0; 32], &records, mend);
    if let Some((first, records)) = newer {
        let newer = segment(first.into(), Sha256::digest(&older).into(), &records, mend);
        std::fs::write(folder.path().join(segment_name(ShareSequence(first.into()))), newer).expect("a scratch file");
    }
    std::fs::write(folder.path().join(segment_name(ShareSequence::FIRST)), older).expect("a scratch file");
    if let Some(mut bytes) = manifest {
        if mend {
            bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        }
        std::fs::write(folder.path().join("manifest"), bytes).expect("a scratch file");
    }
    let before = files(folder.path());
    match open(folder.path(), ShareSequence(at_least.into())) {
        Err(_) => assert_eq!(files(folder.path()), before, "a refused log is left as it is"),
        Ok(log) => check(folder.path(), log, ShareSequence(at_least.into())),
    }
});

/// What was opened lives: it can be read in every way or says where it is damaged, takes a share, and opens again.
fn check(folder: &Path, log: ShareLog, at_least: ShareSequence) {
    let status = log.status();
    assert!(status.next >= at_least);
    let read = |log: &ShareLog| log.read(log.status().pruned_before..log.next()).collect::<Result<Vec<_>, _>>();
    let frames = log.frames(status.pruned_before, BootEpoch(1), status.next).collect::<Result<Vec<_>, _>>();
    // A sealed segment is known by its hash alone: whoever wrote that hash may have sealed nonsense.
    let (Ok(shares), Ok(frames)) = (read(&log), frames) else { return };
    let holes: u64 = status.holes.iter().map(|hole| hole.end.0 - hole.start.0).sum();
    let count = u64::try_from(shares.len()).expect("small");
    assert_eq!(count + holes, status.next.0 - status.pruned_before.0, "no share too few or too many");
    log.verify(frames.iter().copied()).expect("frames of this very log");
    assert_eq!(frames.iter().map(|frame| u64::from(frame.count)).sum::<u64>(), count);
    let mut backwards = log.backwards(status.next, |payee| *payee).map_while(Result::ok);
    for (sequence, share) in shares.iter().rev() {
        let piece = backwards.next().expect("as many as forwards");
        assert_eq!((piece.sequence, piece.payee, piece.is_block), (*sequence, share.payee, share.block_id.is_some()));
    }
    assert!(backwards.next().is_none());

    let more = shares.last().map(|(_, share)| Share { time_ms: share.time_ms.wrapping_add(1 << 40), ..share.clone() });
    if let Some(share) = &more {
        assert_eq!(log.append(share).expect("a healthy disk"), status.next);
    }
    drop(log);
    let again = open(folder, status.next.after(u64::from(more.is_some()))).expect("opened before");
    assert!(again.torn_tail().is_none(), "a tail is cut once");
    let reread: Vec<_> = read(&again).expect("readable before").into_iter().map(|(_, share)| share).collect();
    assert_eq!(reread, shares.into_iter().map(|(_, share)| share).chain(more).collect::<Vec<_>>());
}

fn open(folder: &Path, at_least: ShareSequence) -> Result<ShareLog, OpenError> {
    let options = LogOptions { sync_interval: None, ..LogOptions::default() };
    ShareLog::open(Arc::new(RealDisk), folder, IDENTITY, at_least, options)
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let named = entries.filter(|path| !path.ends_with("lock"));
    named.map(|path| (path.display().to_string(), std::fs::read(path).expect("readable"))).collect()
}

/// Memory where there is any: thousands of files a second.
fn scratch() -> &'static str {
    if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }
}

/// Magic, version, genesis, front end, first sequence, base time, hash of the file before, CRC-32C; then the records.
fn segment(first: u64, previous: [u8; 32], records: &[u8], mend: bool) -> Vec<u8> {
    let mut bytes = b"BQSHARES".to_vec();
    bytes.extend(2_u32.to_le_bytes());
    bytes.extend(IDENTITY.genesis.0);
    bytes.extend(IDENTITY.front_end.0.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(1_700_000_000_000_u64.to_le_bytes());
    bytes.extend(previous);
    let salt = crc32c::crc32c(&bytes);
    bytes.extend(salt.to_le_bytes());
    bytes.extend(records);
    if mend {
        mend_checksums(&mut bytes, salt);
    }
    bytes
}

/// A record is as long as its kind says; its checksum starts from the salt and its place.
fn mend_checksums(bytes: &mut [u8], salt: u32) {
    let mut start = HEADER_BYTES;
    while let Some(kind) = bytes.get_mut(start) {
        *kind = kind.wrapping_sub(1) % 4 + 1;
        let end = start + [102, 22, 21, 53][usize::from(*kind) - 1];
        let is_miner = *kind == 1;
        let Some(covered) = bytes.get_mut(start..end - 4) else { return };
        // Every other worker gets a name that can be one.
        if is_miner && covered[33].is_multiple_of(2) {
            let length = usize::from(covered[33] / 4 % 64) + 1;
            covered[33] = u8::try_from(length).expect("at most 64");
            covered[34..34 + length].fill(b'a');
            covered[34 + length..].fill(0);
        }
        let place = u32::try_from(start).expect("a small file");
        let checksum = crc32c::crc32c_append(salt ^ place, covered).to_le_bytes();
        let Some(at) = bytes.get_mut(end - 4..end) else { return };
        at.copy_from_slice(&checksum);
        start = end;
    }
}
