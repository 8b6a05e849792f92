use bq_primitives::{Algorithm, KeyHash, WorkerName};

use crate::{HistoryError, codec::Reader};

/// Whose shares a series counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Everybody's.
    Pool,
    /// Those of one account.
    Account(KeyHash),
    /// Those of one machine of an account.
    Worker(KeyHash, WorkerName),
}

/// Names a series: somebody's shares on one lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// Whose.
    pub subject: Subject,
    /// Which lane.
    pub lane: Algorithm,
}

const POOL: u8 = 0;
const ACCOUNT: u8 = 1;
const WORKER: u8 = 2;

impl SeriesKey {
    /// The canonical encoding: kind, lane, and what the kind names.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![POOL, self.lane.id()];
        let (kind, account, worker) = match &self.subject {
            Subject::Pool => return bytes,
            Subject::Account(account) => (ACCOUNT, account, ""),
            Subject::Worker(account, worker) => (WORKER, account, worker.as_str()),
        };
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        bytes.extend(account.0);
        bytes.extend(worker.as_bytes());
        bytes
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`HistoryError`]: no writer made these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HistoryError> {
        let mut reader = Reader(bytes);
        let kind = reader.byte("kind")?;
        let id = reader.byte("lane")?;
        let lane = Algorithm::ALL.into_iter().find(|lane| lane.id() == id).ok_or(HistoryError::Field("lane"))?;
        let subject = match kind {
            POOL => Subject::Pool,
            ACCOUNT => Subject::Account(KeyHash(reader.array("account")?)),
            WORKER => {
                let account = KeyHash(reader.array("account")?);
                let name = reader.bytes(reader.0.len(), "worker")?;
                let name = std::str::from_utf8(name).ok().and_then(|name| WorkerName::new(name).ok());
                Subject::Worker(account, name.ok_or(HistoryError::Field("worker"))?)
            }
            _ => return Err(HistoryError::Field("kind")),
        };
        match reader.0.len() {
            0 => Ok(Self { subject, lane }),
            left => Err(HistoryError::Trailing(left)),
        }
    }
}
