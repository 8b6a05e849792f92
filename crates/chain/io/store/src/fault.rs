use std::{io::ErrorKind, path::Path};

use bq_primitives::DecodeError;

use crate::StoreError;

/// What went wrong inside the store, before the file's name is put to it.
#[derive(Debug)]
pub(crate) enum Fault {
    Engine(redb::Error),
    Corrupt(String),
    BadChange(String),
    /// The engine is not open.
    Stopped,
}

impl Fault {
    pub(crate) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Corrupt(what) | Self::Engine(redb::Error::Corrupted(what)) => StoreError::Corrupt { path, what },
            Self::BadChange(what) => StoreError::BadChange { path, what },
            Self::Stopped | Self::Engine(redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
                StoreError::Stopped { path }
            }
            Self::Engine(redb::Error::Io(error))
                if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                StoreError::Full { path }
            }
            Self::Engine(error) => StoreError::Engine { path, what: error.to_string() },
        }
    }
}

macro_rules! engine_faults {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Engine(error.into())
            }
        }
    )+};
}

engine_faults! {
    redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError, redb::SetDurabilityError,
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Corrupt(format!("a stored row: {error}"))
    }
}
