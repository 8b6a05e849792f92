//! A share as it travels from the judge to the books.
#![no_main]

use bq_mining_message::Share;
use bq_primitives::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(data);
    let Ok(share) = Share::decode(&mut decoder) else { return };
    let used = data.len() - decoder.remaining();
    let mut again = Vec::new();
    share.encode(&mut again);
    assert_eq!(again, data[..used], "one share, one encoding");
    assert!(used <= Share::BYTES_MAX);
    assert!(share.difficulty.hashes() > 0);
});
