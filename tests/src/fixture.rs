use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::run_bq;

/// Targets at which the miners of this suite need about half a second per block on an ordinary core: 2^19 hashes of
/// SHA-256d, 2^4 of light RandomX, 2^7 of light Ethash.
const UNHURRIED: [(&str, &str); 3] = [("sha256d", "1e1fffff"), ("randomx", "200fffff"), ("ethash", "2001ffff")];
/// Targets for tests that want blocks as fast as they come: 2^12 hashes of SHA-256d, 2^2 of RandomX, 2^4 of Ethash.
const QUICK: [(&str, &str); 3] = [("sha256d", "1f0fffff"), ("randomx", "203fffff"), ("ethash", "200fffff")];

/// A regtest era table, as text of the configuration file.
#[derive(Clone, Debug)]
pub struct Eras {
    bits: [(&'static str, &'static str); 3],
    text: String,
}

impl Eras {
    /// Blocks take about half a second.
    #[must_use]
    pub const fn unhurried() -> Self {
        Self { bits: UNHURRIED, text: String::new() }
    }

    /// Blocks take milliseconds.
    #[must_use]
    pub const fn quick() -> Self {
        Self { bits: QUICK, text: String::new() }
    }

    /// From `start` on, these algorithms.
    #[must_use]
    pub fn then(mut self, start: u32, algorithms: &[&str]) -> Self {
        let bits = self.bits.iter().filter(|(name, _)| algorithms.contains(name));
        let bits: Vec<_> = bits.map(|(name, bits)| format!("{name} = \"{bits}\"")).collect();
        let era = format!("start = {start}\nalgorithms = {algorithms:?}\nbits = {{ {} }}", bits.join(", "));
        let _ = writeln!(self.text, "[[regtest.eras]]\n{era}");
        self
    }

    /// The configuration file: these eras, `extra` top-level and `[pool]` keys in front.
    #[must_use]
    pub fn config(&self, maturity: u32, extra: &str) -> String {
        format!("{extra}\n[regtest]\ncoinbase_maturity = {maturity}\n{}", self.text)
    }
}

/// Makes a wallet with the real program and returns its regtest address.
///
/// # Errors
/// The program refused.
pub fn new_address(folder: &Path, name: &str) -> Result<String> {
    let password_file = folder.join(format!("{name}.password"));
    std::fs::write(&password_file, "correct horse battery staple\n")?;
    let out = folder.join(format!("{name}.wallet.json"));
    let mut arguments = ["wallet", "new", "--network", "regtest", "--json", "--out"].map(Into::into).to_vec();
    arguments.extend([out.into_os_string(), "--password-file".into(), password_file.into_os_string()]);
    let finished = run_bq(&arguments)?;
    ensure!(finished.code == Some(0), "bq wallet new: {finished:?}");
    let answer: Value = serde_json::from_str(&finished.stdout)?;
    Ok(answer["address"].as_str().with_context(|| format!("no address in {answer}"))?.to_owned())
}

/// An amount of the API: atoms as a decimal text.
///
/// # Errors
/// It is not one.
pub fn atoms(amount: &Value) -> Result<u64> {
    Ok(amount.as_str().with_context(|| format!("not an amount: {amount}"))?.parse()?)
}
