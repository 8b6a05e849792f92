mod crash;
mod full_disk;
mod round_trip;

use std::{path::Path, time::Duration};

use bq_ledger::ShareSequence;
use bq_primitives::{AccountId, Algorithm, BlockId, Height, NetworkDifficulty, ShareDifficulty, WorkerName};

use crate::{LogOptions, NewShare, OpenError, ShareLog, ShareRecord};

pub(crate) const GENESIS: BlockId = BlockId([7; 32]);

pub(crate) fn options() -> LogOptions {
    LogOptions { sync_interval: Duration::from_millis(1), ..LogOptions::default() }
}

/// Different in every field for different numbers.
pub(crate) fn share(number: u32) -> NewShare {
    let worker = format!("rig-{}", "x".repeat(usize::try_from(number % 50).expect("small")));
    NewShare {
        algorithm: Algorithm::ALL[usize::try_from(number % 3).expect("small")],
        account: AccountId(number),
        worker: WorkerName::new(&worker).expect("plain"),
        difficulty: ShareDifficulty::from_hashes(u64::from(number) * 1000 + 1),
        network_difficulty: NetworkDifficulty::from_hashes(u128::from(number) << 60),
        height: Height(number / 2),
        time_ms: 1_700_000_000_000 + u64::from(number),
        block_id: (number.is_multiple_of(5)).then_some(BlockId([1; 32])),
    }
}

pub(crate) fn open(folder: &Path) -> Result<ShareLog, OpenError> {
    ShareLog::open(folder, GENESIS, options())
}

/// Everything in the log, oldest first.
pub(crate) fn records(log: &ShareLog) -> Vec<ShareRecord> {
    let mut records: Vec<_> =
        log.backwards_from(ShareSequence(u64::MAX)).collect::<Result<_, _>>().expect("the log is readable");
    records.reverse();
    records
}

pub(crate) fn numbered(count: u32) -> Vec<ShareRecord> {
    (1..=count).map(|number| ShareRecord::new(ShareSequence(number.into()), share(number))).collect()
}

pub(crate) fn fill(log: &ShareLog, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let sequence = log.append(share(number)).expect("there is room");
        assert_eq!(sequence, ShareSequence(number.into()));
    }
}

/// In memory where the system has such a folder: a thousand syncs need no real disk to be tested.
pub(crate) fn tempdir() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}
