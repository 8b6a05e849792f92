//! An address as people type it.
#![no_main]

use bq_primitives::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(address) = Address::parse_any(text) else { return };
    let written = address.to_string();
    assert!(written.eq_ignore_ascii_case(text), "{written} from {text}");
    assert_eq!(Address::parse(&written, address.network), Ok(address));
});
