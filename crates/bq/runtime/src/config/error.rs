use std::{io, path::PathBuf};

use crate::Source;

/// The configuration cannot be used: the process ends with exit code 2. Every variant names the field or the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is of the wrong type or out of range.
    #[error("{field} = {got} ({from}): allowed is {allowed}")]
    Value {
        /// Dotted name of the field.
        field: &'static str,
        /// What it was set to.
        got: String,
        /// What may be set.
        allowed: String,
        /// Where it was set.
        from: Source,
    },
    /// A field that does not exist: a typing mistake that would otherwise be a default in silence.
    #[error("{field} ({from}): no such field; `bq config init` lists them all")]
    Unknown {
        /// Dotted name.
        field: String,
        /// Where it was set.
        from: Source,
    },
    /// Two fields contradict each other.
    #[error("{field}: {reason}")]
    Conflict {
        /// The field to change.
        field: &'static str,
        /// What it contradicts.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Line and fault.
        reason: String,
    },
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
