//! A header and its seal.
#![no_main]

use bq_primitives::{Decoder, Header, Seal, SealedHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(data);
    let Ok(header) = Header::decode(&mut decoder) else { return };
    assert_eq!(header.to_bytes(), data[..120]);
    let Ok(seal) = Seal::decode(header.algorithm, &mut decoder) else { return };
    let used = data.len() - decoder.remaining();
    assert_eq!(seal.to_bytes(), data[120..used]);
    let sealed = SealedHeader::decode(&mut Decoder::new(data)).expect("both parts decode");
    assert_eq!((sealed.header, sealed.seal), (header, seal));
    let _ = (header.seal_hash(), header.block_id(&seal), header.bits.parts());
});
