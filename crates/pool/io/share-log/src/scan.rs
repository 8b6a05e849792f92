use std::path::PathBuf;

use bq_ledger::ShareSequence;

use crate::record::{RECORD_BYTES_MIN, RecordFault, ShareRecord};

/// What was cut off the newest segment when the log was opened: the rest of a write that a crash interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where its last whole record ends.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// What stands in the body of a segment.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) records: Vec<ShareRecord>,
    /// How many bytes the whole records take.
    pub(crate) length: usize,
    pub(crate) end: ScanEnd,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ScanEnd {
    /// The last record ends where the bytes end.
    Whole,
    /// What follows the last whole record is no record, and none comes after it.
    Torn,
    /// A record is bad although a good one follows, or a good one is out of place.
    Corrupt(RecordFault),
}

/// Reads records from `bytes` until one is bad.
pub(crate) fn scan(bytes: &[u8], first: ShareSequence) -> Scan {
    let mut records = Vec::new();
    let mut length = 0;
    let mut expected = first;
    loop {
        let rest = &bytes[length..];
        if rest.is_empty() {
            return Scan { records, length, end: ScanEnd::Whole };
        }
        match decode_expected(rest, expected) {
            Ok((record, used)) => {
                records.push(record);
                length += used;
                expected = expected.next();
            }
            Err(fault) => {
                let end = if is_torn(rest, expected, fault) { ScanEnd::Torn } else { ScanEnd::Corrupt(fault) };
                return Scan { records, length, end };
            }
        }
    }
}

fn decode_expected(bytes: &[u8], expected: ShareSequence) -> Result<(ShareRecord, usize), RecordFault> {
    let (record, used) = ShareRecord::decode(bytes)?;
    let got = record.sequence;
    if got == expected { Ok((record, used)) } else { Err(RecordFault::Sequence { got, expected }) }
}

/// Writes go one after the other, so a crash leaves nothing whole behind an unfinished record. A whole record further on
/// means that this one was whole once.
fn is_torn(rest: &[u8], expected: ShareSequence, fault: RecordFault) -> bool {
    if matches!(fault, RecordFault::Content | RecordFault::Sequence { .. }) {
        return false;
    }
    let most = u64::try_from(rest.len() / RECORD_BYTES_MIN).unwrap_or(u64::MAX);
    let possible = expected.0..=expected.0.saturating_add(most);
    let whole_at = |offset: usize| {
        let bytes = &rest[offset..];
        // The sequence number rules out nearly every offset without a checksum.
        ShareRecord::peek_sequence(bytes).is_some_and(|sequence| possible.contains(&sequence.0))
            && ShareRecord::decode(bytes).is_ok()
    };
    !(1..rest.len()).any(whole_at)
}
