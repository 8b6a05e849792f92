use std::fmt;

/// A party that the pool pays: a small number that stands for one payout address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct AccountId(pub u32);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One machine under an account: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, so that it is harmless in logs, pages and
/// spreadsheets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerName(String);

/// A text that is not a [`WorkerName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker name is 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct WorkerNameError;

impl WorkerName {
    /// Characters at most.
    pub const CHARS_MAX: usize = 64;

    /// Checks length and characters.
    ///
    /// # Errors
    /// [`WorkerNameError`].
    pub fn new(name: &str) -> Result<Self, WorkerNameError> {
        let fits = (1..=Self::CHARS_MAX).contains(&name.len());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if fits && name.bytes().all(plain) { Ok(Self(name.to_owned())) } else { Err(WorkerNameError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WorkerName {
    type Error = WorkerNameError;

    fn try_from(name: String) -> Result<Self, WorkerNameError> {
        Self::new(&name)
    }
}

impl From<WorkerName> for String {
    fn from(name: WorkerName) -> Self {
        name.0
    }
}

impl Default for WorkerName {
    /// The name of a machine that gave none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
