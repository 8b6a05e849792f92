//! Compact bits: decoding and encoding never ease a target.
#![no_main]

use bq_primitives::{CompactTarget, Target, U256, Work};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, [u8; 32])| {
    let (bits, bytes) = input;
    if let Ok(target) = CompactTarget(bits).decode() {
        assert_eq!(target.to_compact().decode(), Ok(target), "what was decoded is encoded exactly");
    }
    let target = Target(U256::from_be_bytes(bytes));
    let _ = Work::of_target(target);
    if let Ok(truncated) = target.to_compact().decode() {
        assert!(truncated <= target);
        assert_eq!(truncated.to_compact(), target.to_compact());
    }
});
