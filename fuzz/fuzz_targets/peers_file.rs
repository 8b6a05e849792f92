//! The file that remembers peers, and what happens to the addresses in it afterwards.
#![no_main]

use bq_primitives::Timestamp;
use bq_sync::{BOOK_ADDRESSES_MAX, PeerMemory, Scope};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The checksum is not what is tried here: half of the inputs get a right one.
    let sealed = data.split_first().filter(|(first, _)| **first & 1 == 1).map(|(_, content)| {
        let mut bytes = b"bqpeers1".to_vec();
        bytes.extend(content);
        let sum = bq_primitives::double_sha256(&bytes);
        bytes.extend(&sum[..4]);
        bytes
    });
    let bytes = sealed.as_deref().unwrap_or(data);
    let Ok(mut memory) = PeerMemory::from_bytes(bytes, Scope::Any) else { return };
    let (heard, tried) = memory.book.counts();
    assert!(heard + tried <= BOOK_ADDRESSES_MAX);
    let again = PeerMemory::from_bytes(&memory.to_bytes(), Scope::Any).expect("what was written can be read");
    assert_eq!(again.to_bytes(), memory.to_bytes(), "one memory, one encoding");

    let known: Vec<_> = memory.book.addresses().collect();
    for (turn, endpoint) in known.into_iter().enumerate() {
        let now = Timestamp(turn as u64 * 60);
        match turn % 3 {
            0 => memory.book.attempted(now, &endpoint),
            1 => memory.book.good(now, endpoint),
            _ => memory.book.forget(&endpoint),
        }
        let _ = memory.book.pick(now, turn as u64, |_| true);
        let _ = memory.book.pick_unsure(now, turn as u64, |_| true);
    }
    let sample = memory.book.sample(7, 256);
    assert!(sample.len() <= 256);
});
