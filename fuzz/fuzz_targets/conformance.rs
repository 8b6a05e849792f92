//! A vector file from anywhere: an error names the place, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Real proofs cost seconds of table building; what is fuzzed here is the reading.
    let text = String::from_utf8_lossy(data);
    let needs_tables = ["randomx", "ethash", "hashimoto", "cache", "seal"].iter().any(|word| text.contains(word));
    if needs_tables {
        return;
    }
    match bq_conformance::run_bytes("fuzz", data) {
        Ok(report) => assert!(report.cases() + report.skipped() > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
