//! A configuration file as an operator may have edited it.
#![no_main]

use bq_runtime::{Layers, RawConfig, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(flags) = toml::from_str::<RawConfig>(text) else { return };
    let layers = Layers { flags, environment: Vec::new(), file: None };
    match load(&layers) {
        Ok(loaded) => assert!(loaded.explained.iter().all(|line| !line.value.is_empty())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
