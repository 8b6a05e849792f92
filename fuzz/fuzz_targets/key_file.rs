//! A wallet's key file, as far as it is read without its password.
#![no_main]

use bq_primitives::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in(bq_fuzz::scratch()).expect("a scratch folder");
    let path = folder.path().join("wallet.json");
    std::fs::write(&path, data).expect("a scratch file");
    let Ok(address) = bq_wallet::address_in_file(&path) else { return };
    assert_eq!(Address::parse(&address.to_string(), address.network), Ok(address));
});
