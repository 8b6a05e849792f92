use bq_primitives::WorkerName;

/// Names one login that the session wants checked, for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginTicket(pub u64);

/// Who a miner says it is: `ADDRESS`, `ADDRESS.worker` or `ADDRESS/worker`. Whether the address is one is for the
/// caller to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// Payout address, 1 to 128 printable ASCII characters.
    pub(crate) address: String,
    /// The machine, if it was named.
    pub(crate) worker: Option<WorkerName>,
    /// `+diff` after the login, as written.
    pub(crate) difficulty: Option<String>,
}

/// A login that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// No address, or one with characters that no address has.
    #[error("login is ADDRESS.worker")]
    Address,
    /// The worker's name could hurt a log or a page.
    #[error("worker name is 1 to 64 of A-Z a-z 0-9 . _ -")]
    Worker,
}

const ADDRESS_CHARS_MAX: usize = 128;

impl Login {
    /// Reads a login.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub(crate) fn parse(text: &str) -> Result<Self, LoginError> {
        let (name, difficulty) = match text.split_once('+') {
            Some((name, difficulty)) => (name, Some(difficulty.to_owned())),
            None => (text, None),
        };
        let (address, worker) = match name.split_once(['.', '/']) {
            Some((address, worker)) => (address, Some(worker)),
            None => (name, None),
        };
        let plain = address.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if address.is_empty() || address.len() > ADDRESS_CHARS_MAX || !plain {
            return Err(LoginError::Address);
        }
        let worker = match worker {
            None | Some("") => None,
            Some(worker) => Some(WorkerName::new(worker).map_err(|_| LoginError::Worker)?),
        };
        Ok(Self { address: address.to_owned(), worker, difficulty })
    }
}

/// The value of `d=` among the options of a password: `x`, `d=512`, `x,d=0.5`.
pub(crate) fn password_difficulty(password: &str) -> Option<&str> {
    password.split([',', ';', ' ']).find_map(|option| option.trim().strip_prefix("d="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, address: &str, worker: Option<&str>, difficulty: Option<&str>) {
        let login = Login::parse(text).unwrap();
        assert_eq!(login.address, address);
        assert_eq!(login.worker.as_ref().map(WorkerName::as_str), worker);
        assert_eq!(login.difficulty.as_deref(), difficulty);
    }

    #[test]
    fn every_spelling_of_a_login() {
        check("bq1xyz.rig1", "bq1xyz", Some("rig1"), None);
        check("bq1xyz", "bq1xyz", None, None);
        check("bq1xyz.", "bq1xyz", None, None);
        check("bq1xyz/rig-2.left", "bq1xyz", Some("rig-2.left"), None);
        check("bq1xyz.rig1+20000", "bq1xyz", Some("rig1"), Some("20000"));
        check("bq1xyz+5", "bq1xyz", None, Some("5"));
    }

    #[test]
    fn what_is_not_a_login() {
        for text in ["", ".rig", "bq 1", "bq1\n", "bq1'--", "b\u{e4}1"] {
            assert_eq!(Login::parse(text), Err(LoginError::Address), "{text:?}");
        }
        for text in ["bq1.<script>", "bq1.a b", &format!("bq1.{}", "w".repeat(65))] {
            assert_eq!(Login::parse(text), Err(LoginError::Worker), "{text:?}");
        }
    }

    #[test]
    fn options_in_the_password() {
        assert_eq!(password_difficulty("x"), None);
        assert_eq!(password_difficulty("d=0.5"), Some("0.5"));
        assert_eq!(password_difficulty("x, d=512"), Some("512"));
        assert_eq!(password_difficulty("word=1"), None);
    }
}
