//! The name of a ledger account, as the books store it.
#![no_main]

use bq_ledger::LedgerAccount;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(account) = text.parse::<LedgerAccount>() else { return };
    assert_eq!(account.to_string(), text, "one account, one name");
});
