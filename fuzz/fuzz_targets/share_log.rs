//! A share-log segment as a crash or a bad disk may have left it. The header is a good one; checksums of records are
//! made good where the input asks for it, because no fuzzer guesses a CRC.
#![no_main]

use bq_ledger::ShareSequence;
use bq_primitives::BlockId;
use bq_share_log::{LogOptions, ShareLog};
use libfuzzer_sys::fuzz_target;

const GENESIS: BlockId = BlockId([5; 32]);

fuzz_target!(|input: (bool, Vec<u8>)| {
    let (mend, mut records) = input;
    if mend {
        mend_checksums(&mut records);
    }
    let folder = tempfile::tempdir_in(bq_fuzz::scratch()).expect("a scratch folder");
    let first = ShareSequence::FIRST;
    let path = folder.path().join(format!("shares-{:020}.seg", first.0));
    std::fs::write(&path, [header(first), records].concat()).expect("a scratch file");
    let Ok(log) = ShareLog::open(folder.path(), GENESIS, LogOptions::default()) else { return };
    let next = log.status().next;
    let read: Vec<_> = log.backwards_from(next).collect();
    assert!(read.iter().all(Result::is_ok), "what was opened can be read");
    assert_eq!(u64::try_from(read.len()).ok(), Some(next.0 - first.0), "no gap");
    drop(log);
    let again = ShareLog::open(folder.path(), GENESIS, LogOptions::default()).expect("opened before");
    assert!(again.torn_tail().is_none(), "a tail is cut once");
    assert_eq!(again.status().next, next);
});

/// Magic, version, genesis, first sequence, hash of the previous header (none), CRC-32C.
fn header(first: ShareSequence) -> Vec<u8> {
    let mut bytes = b"BQSHARES".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(GENESIS.0);
    bytes.extend(first.0.to_le_bytes());
    bytes.extend([0; 32]);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Length, body, CRC-32C of both.
fn mend_checksums(bytes: &mut [u8]) {
    let mut start = 0;
    while let Some(length) = bytes.get(start..start + 2) {
        let end = start + 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
        let Some(covered) = bytes.get(start..end) else { return };
        let checksum = crc32c::crc32c(covered).to_le_bytes();
        let Some(place) = bytes.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&checksum);
        start = end + 4;
    }
}
