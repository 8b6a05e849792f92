#![no_main]
//! What the statistics file holds: bytes that can be read are those that would be written, and reading costs no more than they are long.

use bq_pool_history::{BlockEarnings, EndedRound, HistoryError, Ring, Round, Series, SeriesKey, Span};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 6 {
        0 => check(bytes, Series::from_bytes, Series::to_bytes),
        1 => Span::ALL.into_iter().for_each(|span| check(bytes, |bytes| Ring::from_bytes(span, bytes), Ring::to_bytes)),
        2 => check(bytes, SeriesKey::from_bytes, SeriesKey::to_bytes),
        3 => check(bytes, Round::from_bytes, Round::to_bytes),
        4 => check(bytes, EndedRound::from_bytes, EndedRound::to_bytes),
        _ => check(bytes, BlockEarnings::from_bytes, BlockEarnings::to_bytes),
    }
});

fn check<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, HistoryError>, write: impl Fn(&T) -> Vec<u8>) {
    if let Ok(value) = read(bytes) {
        assert_eq!(write(&value), bytes);
    }
}
