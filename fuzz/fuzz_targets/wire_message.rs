//! A message from a peer.
#![no_main]

use bq_sync::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::from_bytes(data) else { return };
    assert_eq!(message.to_bytes(), data, "one message, one encoding");
    assert!(data.len() <= message.kind().bytes_max());
});
