mod any;
mod crash;
mod damage;
mod disk;
mod forfeit;
mod frames;
mod full_disk;
mod power;
mod prune;
mod round_trip;
mod v1;

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_mining_message::{FrontEndId, Share, SharePay, SharePrice, ShareSequence};
use bq_primitives::{Algorithm, Amount, BlockId, Height, KeyHash, NetworkDifficulty, ShareDifficulty, WorkerName};
use disk::MemoryDisk;

use crate::{LogIdentity, LogOptions, OpenError, Piece, ReadError, ShareLog, segment_name};

const IDENTITY: LogIdentity = LogIdentity { genesis: BlockId([7; 32]), front_end: FrontEndId(3) };
const FOLDER: &str = "shares";

/// Three shares a segment, no thread.
fn small() -> LogOptions {
    LogOptions { segment_shares_max: 3, ..options() }
}

fn options() -> LogOptions {
    LogOptions { sync_interval: None, ..LogOptions::default() }
}

/// Different in every field for different numbers; some miners and jobs come again.
fn share(number: u32) -> Share {
    let miner = number % 4;
    let worker = format!("rig-{}", "x".repeat(usize::try_from(miner * 20).expect("small")));
    Share {
        algorithm: Algorithm::ALL[usize::try_from(number / 2 % 3).expect("small")],
        payee: KeyHash([u8::try_from(miner).expect("small"); 32]),
        worker: WorkerName::new(&worker).expect("plain"),
        difficulty: ShareDifficulty::from_hashes(u64::from(number) * 1000 + 1),
        network_difficulty: NetworkDifficulty::from_hashes(1 << (60 + number / 2 % 3)),
        height: Height(number / 2),
        time_ms: 1_700_000_000_000 + u64::from(number),
        block_id: (number.is_multiple_of(5)).then_some(BlockId([u8::try_from(number % 256).expect("a byte"); 32])),
        pay: pay_of(number),
    }
}

/// Half are paid by windows.
fn pay_of(number: u32) -> SharePay {
    let price = |fees| {
        let amount = |atoms| Amount::from_atoms(atoms).expect("small");
        SharePay::PerShare(SharePrice { subsidy: amount(5_000_000_000), fees, fee_bp: 400 })
    };
    match number % 8 {
        1 => price(None),
        3 => price(Amount::from_atoms(17).ok()),
        5 => SharePay::Solo,
        7 => SharePay::Tides,
        _ => SharePay::Window,
    }
}

fn sequence(number: u32) -> ShareSequence {
    ShareSequence(number.into())
}

fn open_with(disk: &MemoryDisk, at_least: u32, options: LogOptions) -> Result<ShareLog, OpenError> {
    ShareLog::open(Arc::new(disk.clone()), Path::new(FOLDER), IDENTITY, sequence(at_least), options)
}

fn open(disk: &MemoryDisk) -> Result<ShareLog, OpenError> {
    open_with(disk, 1, small())
}

/// A disk with so many shares, three a segment.
fn filled(count: u32) -> MemoryDisk {
    let disk = MemoryDisk::default();
    fill(&open(&disk).expect("empty"), 1..=count);
    disk
}

fn fill(log: &ShareLog, numbers: RangeInclusive<u32>) {
    for number in numbers {
        assert_eq!(log.append(&share(number)).expect("there is room"), sequence(number));
    }
}

/// Everything in the log, oldest first.
fn all(log: &ShareLog) -> Vec<(ShareSequence, Share)> {
    let from = log.status().pruned_before;
    log.read(from..ShareSequence(u64::MAX)).collect::<Result<_, _>>().expect("the log is readable")
}

fn numbered(numbers: impl IntoIterator<Item = u32>) -> Vec<(ShareSequence, Share)> {
    numbers.into_iter().map(|number| (sequence(number), share(number))).collect()
}

/// Everything before a share, newest first.
fn folded(log: &ShareLog, before: ShareSequence) -> Result<Vec<Piece<KeyHash>>, ReadError> {
    log.backwards(before, |payee| *payee).collect()
}

fn path_of(first: u32) -> PathBuf {
    Path::new(FOLDER).join(segment_name(sequence(first)))
}

/// The file that an error names.
fn named(error: &OpenError) -> &Path {
    match error {
        OpenError::Io { path, .. }
        | OpenError::InUse(path)
        | OpenError::Version { path, .. }
        | OpenError::Foreign { path, .. }
        | OpenError::Corrupt { path, .. }
        | OpenError::Missing { path, .. }
        | OpenError::Gap { path, .. }
        | OpenError::Short { path, .. } => path,
    }
}

fn refused(disk: &MemoryDisk, at_least: u32) -> OpenError {
    let before = disk.files();
    let error = open_with(disk, at_least, small()).err().expect("refused");
    assert!(disk.files() == before, "a refused log is left as it is");
    error
}
