#![no_main]
//! An event of a pool's log, and a state of it: bytes that can be read are those that would be written.

use bq_pool_machine::{Event, State};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(event) = Event::from_bytes(bytes) {
        assert_eq!(event.to_bytes().expect("encodes"), bytes);
    }
    drop(State::from_bytes(bytes));
});
