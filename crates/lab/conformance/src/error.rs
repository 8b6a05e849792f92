use std::fmt;

/// Why a vector file did not pass.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// The file could not be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than any vector file.
    #[error("{file}: {bytes} bytes, at most {max} are read")]
    TooLarge {
        /// The file.
        file: String,
        /// Its length.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The file as a whole is neither JSON nor a run file.
    #[error("{file}: {what}")]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// There is no section that this program knows, or all are empty.
    #[error("{file}: no known section with cases in it; found: {}", if found.is_empty() { "nothing".to_owned() } else { found.join(", ") })]
    NothingKnown {
        /// The file.
        file: String,
        /// Names of its sections.
        found: Vec<String>,
    },
    /// A case is not of the form that its section needs.
    #[error("{place}: {what}")]
    Malformed {
        /// Which case.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// The rules give something else than the file.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// This machine could not run the case, for instance for want of memory.
    #[error("{place}: could not be run: {what}")]
    Machine {
        /// Which case.
        place: Place,
        /// What is wrong.
        what: String,
    },
}

/// A case in a vector file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The section.
    pub section: String,
    /// The case, counted from 0.
    pub index: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}[{}]", self.file, self.section, self.index)
    }
}

/// A value on which the rules and a file differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}: got {got}, expected {expected}")]
pub struct Mismatch {
    /// Which case.
    pub place: Place,
    /// Which value of the case.
    pub what: String,
    /// From the rules.
    pub got: String,
    /// From the file.
    pub expected: String,
}
