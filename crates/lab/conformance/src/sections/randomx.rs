//! RandomX v1 by its published vectors, and the key schedule (SPEC 5.4).

use bq_pow::randomx_key_height;
use bq_primitives::Height;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    ConformanceError,
    case::{Case, Fault, Outcome, malformed, same, same_bytes},
    run::{Progress, Run},
    tables::Tables,
    values::{Array, Bytes},
};

#[derive(Deserialize)]
pub(super) struct Hash {
    key_hex: Option<Bytes>,
    key_ascii: Option<String>,
    input_hex: Option<Bytes>,
    input_ascii: Option<String>,
    hash_v1: Option<Array<32>>,
    hash_v2: Option<Array<32>>,
}

impl Case for Hash {
    fn check(&self, tables: &mut Tables) -> Result<Outcome, Fault> {
        const NO_V2: &str = "RandomX v2 is not an algorithm of this chain";
        let Some(Array(expected)) = self.hash_v1 else {
            return match self.hash_v2 {
                Some(_) => Ok(Outcome::Skipped(NO_V2)),
                None => Err(malformed("neither hash_v1 nor hash_v2")),
            };
        };
        let key = either("key", self.key_hex.as_ref(), self.key_ascii.as_deref())?;
        let input = either("input", self.input_hex.as_ref(), self.input_ascii.as_deref())?;
        same_bytes("hash_v1", &tables.randomx(key, input)?.0, &expected)?;
        Ok(self.hash_v2.map_or(Outcome::Ran, |_| Outcome::RanInPart(NO_V2)))
    }
}

fn either<'a>(what: &str, hex: Option<&'a Bytes>, ascii: Option<&'a str>) -> Result<&'a [u8], Fault> {
    let bytes = hex.map(|Bytes(bytes)| bytes.as_slice()).or(ascii.map(str::as_bytes));
    bytes.ok_or_else(|| malformed(format!("no {what}_hex and no {what}_ascii")))
}

/// Height, height of the key block.
#[derive(Deserialize)]
struct SeedHeight(u32, u32);

/// An object with a list of cases in it.
#[derive(Deserialize)]
struct SeedHeights {
    cases: Vec<Value>,
}

pub(super) fn seed_heights(run: &mut Run, section: &str, value: &Value) -> Result<(), ConformanceError> {
    let SeedHeights { cases } = run.decode(section, 0, value)?;
    let mut progress = Progress::new(section);
    for (index, value) in cases.iter().enumerate() {
        let SeedHeight(height, expected) = run.decode(section, index, value)?;
        let outcome = same("key height", randomx_key_height(Height(height)), Height(expected));
        run.agreed(section, index, outcome)?;
        progress.add(Outcome::Ran);
    }
    run.add(progress);
    Ok(())
}
