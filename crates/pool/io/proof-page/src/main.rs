//! Reads a file that a pool gave a miner (SPEC 8.10.10) from its input, and writes what it proves as JSON: `bq audit verify` for a page.
//! Built for WebAssembly it needs a page and nothing else (`make proof-page`, `web/proof.js`).
//!
//! What this program is not: it asks no node. A file proves nothing before its blocks are found on the chain: they are listed. Read
//! [`Told`] first.

mod told;

use std::{
    io::{Read as _, Write as _},
    process::ExitCode,
};

use self::told::Told;

/// The largest file that is read: what is read allocates up to some fifty times as much, and a page has 4 GiB.
const FILE_BYTES_MAX: u64 = 1 << 25;

fn main() -> ExitCode {
    let told = read().map_or_else(Told::unreadable, |bytes| Told::of(&bytes));
    let mut text = told.to_json();
    text.push('\n');
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) if told.proves() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn read() -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= FILE_BYTES_MAX => Ok(bytes),
        _ => Err(format!("it is larger than {FILE_BYTES_MAX} bytes")),
    }
}
