//! A share log as a crash or a bad disk may have left it: shares are written, then bytes are changed, added and cut off. Checksums of
//! the newest segment are made good where the input asks for it, because no fuzzer guesses a CRC. What is refused is forfeited.
#![no_main]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bq_mining_message::{BootEpoch, FrontEndId, Share, SharePay, ShareSequence};
use bq_primitives::{Algorithm, BlockId, Height, KeyHash, NetworkDifficulty, ShareDifficulty, WorkerName};
use bq_segments::{LogIdentity, LogOptions, OpenError, RealDisk, ShareLog, forfeit};
use libfuzzer_sys::fuzz_target;

const IDENTITY: LogIdentity = LogIdentity { genesis: BlockId([5; 32]), front_end: FrontEndId(1) };
const HEADER_BYTES: usize = 98;

/// A share in few bytes: payee, height, difficulty, time; every 16th payee finds a block.
type Seed = (u8, u8, u64, i16);

/// A byte of a file, counted from its end, and what it becomes.
type Edit = (u8, u16, u8);

fuzz_target!(|input: (u8, u8, Vec<Seed>, u8, Vec<Edit>, u16, Vec<u8>, bool)| {
    let (at_least, segment_shares, seeds, pruned, edits, cut, tail, mend) = input;
    let folder = tempfile::tempdir_in(scratch()).expect("a scratch folder");
    let (folder, at_least) = (folder.path(), ShareSequence(at_least.into()));
    write(folder, segment_shares % 8 + 1, &seeds, pruned.into());
    damage(folder, &edits, cut.into(), &tail, mend);
    for _ in 0..8 {
        let before = files(folder);
        match open(folder, at_least) {
            Ok(log) => return check(folder, log, at_least),
            Err(error) => {
                assert_eq!(files(folder), before, "a refused log is left as it is");
                let Some(name) = name_to_forfeit(&error) else { return };
                if forfeit(&RealDisk, folder, IDENTITY, &name, at_least).is_err() {
                    return;
                }
            }
        }
    }
});

fn write(folder: &Path, segment_shares: u8, seeds: &[Seed], pruned: u64) {
    let options =
        LogOptions { segment_shares_max: segment_shares.into(), sync_interval: None, ..LogOptions::default() };
    let log = ShareLog::open(Arc::new(RealDisk), folder, IDENTITY, ShareSequence::FIRST, options).expect("empty");
    let shares: Vec<_> = seeds.iter().take(64).map(share).collect();
    log.append_many(&shares).1.expect("a healthy disk");
    log.prune_before(ShareSequence(pruned), ShareSequence(pruned)).expect("a healthy disk");
}

fn share((payee, height, difficulty, time): &Seed) -> Share {
    Share {
        algorithm: Algorithm::ALL[usize::from(height % 3)],
        payee: KeyHash([payee % 4; 32]),
        worker: WorkerName::new(&format!("rig-{}", payee % 8)).expect("plain"),
        difficulty: ShareDifficulty::from_hashes(*difficulty),
        network_difficulty: NetworkDifficulty::from_hashes(u128::from(*height / 2) << 50),
        height: Height((*height).into()),
        // Up to some 30 years, so that some times do not fit into the segment.
        time_ms: 1_700_000_000_000_u64.saturating_add_signed(i64::from(*time) << 25),
        block_id: payee.is_multiple_of(16).then_some(BlockId([*payee; 32])),
        pay: if payee % 3 == 0 { SharePay::Tides } else { SharePay::Window },
    }
}

fn damage(folder: &Path, edits: &[Edit], cut: usize, tail: &[u8], mend: bool) {
    let mut files: Vec<_> = files(folder).into_iter().collect();
    let count = files.len();
    for (file, at, value) in edits.iter().filter(|_| count > 0) {
        let bytes = &mut files[usize::from(*file) % count].1;
        if let Some(at) = bytes.len().checked_sub(usize::from(*at) + 1) {
            bytes[at] = *value;
        }
    }
    if let Some((_, newest)) = files.last_mut() {
        newest.truncate(newest.len().saturating_sub(cut));
        newest.extend(tail);
        if mend {
            mend_checksums(newest);
        }
    }
    for (path, bytes) in files {
        std::fs::write(path, bytes).expect("a scratch file");
    }
}

/// What an operator would give up.
fn name_to_forfeit(error: &OpenError) -> Option<String> {
    let path = match error {
        OpenError::Corrupt { path, .. } | OpenError::Foreign { path, .. } | OpenError::Version { path, .. } => path,
        OpenError::Missing { path, .. } => path,
        OpenError::Gap { missing, .. } | OpenError::Short { missing, .. } => missing,
        OpenError::Io { .. } | OpenError::InUse(_) => panic!("a healthy disk: {error}"),
    };
    Some(path.file_name()?.to_str()?.to_owned())
}

/// What was opened lives: it can be read in every way, takes a share, and opens again.
fn check(folder: &Path, log: ShareLog, at_least: ShareSequence) {
    let status = log.status();
    assert!(status.next >= at_least);
    let read = |log: &ShareLog| {
        let shares = log.read(log.status().pruned_before..log.next());
        shares.collect::<Result<Vec<_>, _>>().expect("what was opened can be read")
    };
    let shares = read(&log);
    let holes: u64 = status.holes.iter().map(|hole| hole.end.0 - hole.start.0).sum();
    let count = u64::try_from(shares.len()).expect("small");
    assert_eq!(count + holes, status.next.0 - status.pruned_before.0, "no share too few or too many");

    let frames: Vec<_> =
        log.frames(status.pruned_before, BootEpoch(1), status.next).map(|frame| frame.expect("readable")).collect();
    log.verify(frames.iter().copied()).expect("frames of this very log");
    assert_eq!(frames.iter().map(|frame| u64::from(frame.count)).sum::<u64>(), count);
    let mut backwards = log.backwards(status.next, |payee| *payee).map_while(Result::ok);
    for (sequence, share) in shares.iter().rev() {
        let piece = backwards.next().expect("as many as forwards");
        assert_eq!((piece.sequence, piece.payee, piece.is_block), (*sequence, share.payee, share.block_id.is_some()));
    }
    assert!(backwards.next().is_none());

    let more = share(&(1, 2, 3, 4));
    assert_eq!(log.append(&more).expect("a healthy disk"), status.next);
    drop(log);
    let again = open(folder, status.next.next()).expect("opened before");
    assert!(again.torn_tail().is_none(), "a tail is cut once");
    let reread: Vec<_> = read(&again).into_iter().map(|(_, share)| share).collect();
    assert_eq!(reread, shares.into_iter().map(|(_, share)| share).chain([more]).collect::<Vec<_>>());
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

/// A record is as long as its kind says; its checksum starts from the header's and its place.
fn mend_checksums(bytes: &mut [u8]) {
    let Some(salt) = bytes.get(HEADER_BYTES - 4..HEADER_BYTES).and_then(<[u8]>::first_chunk) else { return };
    let salt = u32::from_le_bytes(*salt);
    let mut start = HEADER_BYTES;
    while let Some(kind) = bytes.get(start) {
        let end = start + [102, 22, 21, 53][usize::from(kind.wrapping_sub(1) % 4)];
        let Some(covered) = bytes.get(start..end - 4) else { return };
        let place = u32::try_from(start).expect("a small file");
        let checksum = crc32c::crc32c_append(salt ^ place, covered).to_le_bytes();
        let Some(at) = bytes.get_mut(end - 4..end) else { return };
        at.copy_from_slice(&checksum);
        start = end;
    }
}
