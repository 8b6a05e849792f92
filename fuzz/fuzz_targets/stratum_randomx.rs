//! A randomx miner's side of a connection.
#![no_main]

use bq_primitives::Algorithm;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bq_fuzz::fuzz_session(Algorithm::RandomX, data));
