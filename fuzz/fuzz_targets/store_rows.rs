//! Rows of the chain's database: coins, bodies, headers with what is indexed of them.
#![no_main]

use bq_store::NewHeader;
use libfuzzer_sys::fuzz_target;

// The rows are the store's own business; nothing outside it can name these functions.
#[allow(dead_code)]
#[path = "../../crates/chain/io/store/src/codec.rs"]
mod codec;

fuzz_target!(|data: &[u8]| {
    if let Ok(coin) = codec::decode_coin_row(data) {
        assert_eq!(codec::coin_bytes(&coin), data, "one coin, one row");
    }
    if let Ok(body) = codec::decode_body(data) {
        assert_eq!(codec::body_bytes(&body), data, "one body, one row");
    }
    if let Ok(row) = codec::decode_header_row(data) {
        let NewHeader { sealed, entry } = &row;
        assert_eq!((sealed.header.height, sealed.header.bits), (entry.height, entry.bits));
        assert_eq!(sealed.header.algorithm, sealed.seal.algorithm());
        let written = codec::header_row(&row);
        let again = codec::decode_header_row(&written).expect("what was written can be read");
        assert_eq!(codec::header_row(&again), written);
    }
});
