use std::fs;

use bq_primitives::AccountId;

use super::*;
use crate::{
    Disk, RealDisk,
    v1::{ReadV1Error, ShareV1, read_v1},
};

/// Three segments with 20 shares, written by the software of version 1.
fn fixture() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    for name in RealDisk.list(&folder).expect("the fixture is there") {
        disk.put(&Path::new(FOLDER).join(&name), fs::read(folder.join(name)).expect("readable"));
    }
    disk
}

/// As the writer of the fixture made them.
fn old_share(number: u32) -> ShareV1 {
    let worker = format!("rig-{}", "x".repeat(usize::try_from(number % 50).expect("small")));
    ShareV1 {
        sequence: sequence(number),
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

fn read(disk: &MemoryDisk) -> Result<Vec<ShareV1>, ReadV1Error> {
    read_v1(Arc::new(disk.clone()), Path::new(FOLDER), IDENTITY.genesis)?.collect()
}

#[test]
fn an_old_log_is_read() {
    let expected: Vec<_> = (1..=20).map(old_share).collect();
    assert_eq!(read(&fixture()).expect("good"), expected);
    assert_eq!(fixture().segments(), [path_of(1), path_of(9), path_of(17)]);
}

#[test]
fn a_torn_tail_of_an_old_log_is_left_out() {
    let disk = fixture();
    let bytes = disk.get(&path_of(17));
    for cut in 1..60 {
        disk.put(&path_of(17), bytes[..bytes.len() - cut].to_vec());
        let mut shares = read_v1(Arc::new(disk.clone()), Path::new(FOLDER), IDENTITY.genesis).expect("good headers");
        assert_eq!(shares.by_ref().filter_map(Result::ok).count(), 19);
        assert!(shares.torn_bytes() > 0);
    }
    disk.put(&path_of(17), bytes[..20].to_vec());
    assert_eq!(read(&disk).expect("an unfinished segment").len(), 16);
}

#[test]
fn damage_of_an_old_log_is_named() {
    for path in fixture().segments() {
        let length = fixture().get(&path).len();
        // The last record of all may have been torn.
        let last = if path == path_of(17) { 150 } else { 0 };
        for at in 0..length - last {
            let disk = fixture();
            disk.flip(&path, at, at % 8);
            assert!(matches!(read(&disk), Err(ReadV1Error::Bad { path: named, .. }) if named == path), "byte {at}");
        }
    }
    let disk = fixture();
    disk.lose(&path_of(9));
    assert!(matches!(read(&disk), Err(ReadV1Error::Bad { path, .. }) if path == path_of(17)));
    let other = read_v1(Arc::new(fixture()), Path::new(FOLDER), BlockId([8; 32]));
    assert!(matches!(other, Err(ReadV1Error::Bad { .. })));
}

#[test]
fn the_new_log_says_that_a_log_is_old() {
    let error = refused(&fixture(), 1);
    assert!(matches!(error, OpenError::Version { version: 1, .. }) && named(&error) == path_of(1), "{error}");
}
