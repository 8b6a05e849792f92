use std::path::Path;

use bq_ledger::LedgerError;
use bq_primitives::AmountError;
use rusqlite::ErrorCode;

use crate::StoreError;

/// What goes wrong inside a transaction, before the file's name is put to it.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Ledger(LedgerError),
    /// A stored value that this software cannot have written.
    Content(String),
    /// The books do not hold what they must.
    Integrity(String),
    /// The caller asks for what the state does not allow.
    State(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<AmountError> for Fault {
    fn from(error: AmountError) -> Self {
        Self::Ledger(error.into())
    }
}

impl Fault {
    pub(super) fn into_error(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StoreError::DiskFull(path),
                Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt { path, reason: error.to_string() },
                Some(ErrorCode::NotADatabase) => {
                    StoreError::Foreign { path, reason: "it is not a SQLite database".to_owned() }
                }
                Some(ErrorCode::ConstraintViolation) => StoreError::Integrity { path, reason: error.to_string() },
                _ => StoreError::Database { path, reason: error.to_string() },
            },
            Self::Ledger(error) if error.is_integrity_fault() => {
                StoreError::Integrity { path, reason: error.to_string() }
            }
            Self::Ledger(error) => StoreError::State(error.to_string()),
            Self::Content(reason) => StoreError::Corrupt { path, reason },
            Self::Integrity(reason) => StoreError::Integrity { path, reason },
            Self::State(reason) => StoreError::State(reason),
        }
    }
}
