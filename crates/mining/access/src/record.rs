use std::{fmt, str::FromStr};

use bq_primitives::{Address, WorkerName};
use bq_share::UnixMs;

use crate::{TokenDigest, TokenId};

/// What is kept of a token, and what it is for.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which one it is.
    pub id: TokenId,
    /// Of its text.
    pub digest: TokenDigest,
    /// Whom its shares pay.
    pub address: Address,
    /// What its miners may write instead of the address.
    pub username: Option<Username>,
    /// The only machine that it is for.
    pub worker: Option<WorkerName>,
    /// Who made it.
    pub made_by: MadeBy,
    /// When.
    pub made: UnixMs,
    /// When somebody logged in with it last.
    pub used: Option<UnixMs>,
}

/// Who made a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// Whoever runs the pool.
    Operator,
    /// Whoever holds the address's key.
    Owner,
}

/// What a miner may call itself instead of its address: 1 to 64 letters and digits, as they are allowed in an address too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Username(String);

/// A line that is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token's line is: token ID DIGEST ADDRESS USERNAME WORKER MAKER MADE USED")]
pub struct ParseRecordError;

const USERNAME_CHARS_MAX: usize = 64;
/// Where a record has no name, worker or time.
const NONE: &str = "*";

impl MadeBy {
    /// As it is shown and kept.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl Username {
    /// Nothing if it is none, or could be taken for an address.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = (1..=USERNAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        (plain && Address::parse_any(text).is_err()).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Record {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let username = self.username.as_ref().map_or(NONE, Username::as_str);
        let worker = self.worker.as_ref().map_or(NONE, WorkerName::as_str);
        let used = self.used.map_or_else(|| NONE.to_owned(), |used| used.0.to_string());
        let (id, address, made_by, made) = (self.id, self.address, self.made_by.name(), self.made.0);
        write!(f, "token {id} {} {address} {username} {worker} {made_by} {made} {used}", hex::encode(self.digest.0))
    }
}

impl FromStr for Record {
    type Err = ParseRecordError;

    fn from_str(line: &str) -> Result<Self, ParseRecordError> {
        let words: Vec<_> = line.split(' ').collect();
        let ["token", id, digest, address, username, worker, made_by, made, used] = *words.as_slice() else {
            return Err(ParseRecordError);
        };
        let mut bytes = [0; 32];
        hex::decode_to_slice(digest, &mut bytes).map_err(|_| ParseRecordError)?;
        let moment = |text: &str| text.parse().map(UnixMs).map_err(|_| ParseRecordError);
        let made_by = [MadeBy::Operator, MadeBy::Owner].into_iter().find(|known| known.name() == made_by);
        Ok(Self {
            id: id.parse().map_err(|_| ParseRecordError)?,
            digest: TokenDigest(bytes),
            address: Address::parse_any(address).map_err(|_| ParseRecordError)?,
            username: some(username).map(|name| Username::new(name).ok_or(ParseRecordError)).transpose()?,
            worker: some(worker).map(|name| WorkerName::new(name).map_err(|_| ParseRecordError)).transpose()?,
            made_by: made_by.ok_or(ParseRecordError)?,
            made: moment(made)?,
            used: some(used).map(moment).transpose()?,
        })
    }
}

fn some(text: &str) -> Option<&str> {
    (text != NONE).then_some(text)
}
