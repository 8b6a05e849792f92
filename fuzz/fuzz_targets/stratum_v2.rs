//! A V2 client's side of a connection.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bq_fuzz::fuzz_session_v2(data));
