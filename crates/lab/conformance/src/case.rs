use std::fmt::Display;

use bq_pow::PowError;
use serde::de::DeserializeOwned;

use crate::tables::Tables;

/// One form of case: its fields, and the rule that they test.
pub(crate) trait Case: DeserializeOwned {
    /// Runs the rule and compares.
    fn check(&self, tables: &mut Tables) -> Result<Outcome, Fault>;
}

/// A case that agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it was run.
    Ran,
    /// It was run, but for one value that nothing here computes, for this reason.
    RanInPart(&'static str),
    /// Nothing here computes any of it, for this reason.
    Skipped(&'static str),
}

/// Why a case does not agree.
pub(crate) enum Fault {
    /// Another value than expected.
    Mismatch { what: String, got: String, expected: String },
    /// The case makes no sense.
    Malformed(String),
    /// The machine failed.
    Machine(PowError),
}

impl From<PowError> for Fault {
    fn from(error: PowError) -> Self {
        match error {
            PowError::Memory { .. } | PowError::WrongDataset => Self::Machine(error),
            PowError::AlgorithmMismatch { .. }
            | PowError::AboveTarget { .. }
            | PowError::WrongMix { .. }
            | PowError::EpochTooHigh { .. } => Self::Malformed(error.to_string()),
        }
    }
}

/// Compares one value of a case.
#[expect(clippy::needless_pass_by_value, reason = "values are made in place, by the dozen, and small")]
pub(crate) fn same<T: PartialEq + Display>(what: impl Display, got: T, expected: T) -> Result<(), Fault> {
    if got == expected {
        return Ok(());
    }
    Err(Fault::Mismatch { what: what.to_string(), got: got.to_string(), expected: expected.to_string() })
}

/// Compares byte strings, written as hex.
pub(crate) fn same_bytes(what: impl Display, got: &[u8], expected: &[u8]) -> Result<(), Fault> {
    same(what, hex::encode(got), hex::encode(expected))
}

/// A case that makes no sense.
pub(crate) fn malformed(what: impl Display) -> Fault {
    Fault::Malformed(what.to_string())
}
