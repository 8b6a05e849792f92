use bq_mining_message::TOKEN_PREFIX;
use bq_primitives::{ShareDifficulty, WorkerName};

/// Names one login that the session wants checked, for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginTicket(pub u64);

/// Who a miner says it is: `ADDRESS`, `ADDRESS.worker` or `ADDRESS/worker`. Whether the address is one is for the
/// caller to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Payout address, 1 to 128 printable ASCII characters.
    pub address: String,
    /// The machine, if it was named.
    pub worker: Option<WorkerName>,
    /// `+diff` after the login, as written.
    pub difficulty: Option<String>,
}

/// A login that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// No address, or one with characters that no address has.
    #[error("login is ADDRESS.worker")]
    Address,
    /// The worker's name could hurt a log or a page.
    #[error("worker name is 1 to 64 of A-Z a-z 0-9 . _ -")]
    Worker,
    /// A name that would be shown to everybody has a worker token in it.
    #[error("a worker token is no name: it stands in the password, or behind a comma where there is none")]
    Token,
    /// A fixed difficulty was asked for, in words that are none.
    #[error("d= in the password, or + in the login, is a difficulty such as 20, 0.5 or 2e3")]
    Difficulty,
}

const ADDRESS_CHARS_MAX: usize = 128;

impl Login {
    /// Reads a login.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn parse(text: &str) -> Result<Self, LoginError> {
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
            Some(worker) if worker.contains(TOKEN_PREFIX) => return Err(LoginError::Token),
            Some(worker) => Some(WorkerName::new(worker).map_err(|_| LoginError::Worker)?),
        };
        Ok(Self { address: address.to_owned(), worker, difficulty })
    }

    /// The machine: as the login names it, else as the dialect does beside it, else the one that nobody named.
    ///
    /// # Errors
    /// [`LoginError::Token`].
    pub fn machine(&self, beside: Option<&str>) -> Result<WorkerName, LoginError> {
        if let Some(worker) = &self.worker {
            return Ok(worker.clone());
        }
        match beside {
            Some(name) if name.contains(TOKEN_PREFIX) => Err(LoginError::Token),
            name => Ok(name.and_then(|name| WorkerName::new(name).ok()).unwrap_or_default()),
        }
    }

    /// The fixed difficulty that password or login ask for, in the port's own unit (SPEC 11.7).
    ///
    /// # Errors
    /// [`LoginError::Difficulty`]: one was asked for that cannot be read. Silence would look like consent.
    pub fn wanted(&self, password: &str, read: ReadDifficulty) -> Result<Option<ShareDifficulty>, LoginError> {
        let asked = password_difficulty(password).or(self.difficulty.as_deref());
        asked.map(|text| read(text).ok_or(LoginError::Difficulty)).transpose()
    }
}

/// How a port reads a difficulty.
pub type ReadDifficulty = fn(&str) -> Option<ShareDifficulty>;

/// The value of `d=` among the options of a password: `x`, `d=512`, `x,d=0.5`.
fn password_difficulty(password: &str) -> Option<&str> {
    password.split(PASSWORD_SEPARATORS).find_map(|option| option.trim().strip_prefix("d="))
}

/// The worker token among the options of a password, whether it is a good one or not (SPEC 11.11); of one that is too long, its
/// beginning. Of several all, which is none: one that is wrong must not pass beside a good one.
#[must_use]
pub fn password_token(password: &str) -> Option<String> {
    // Longer than any: what is wrong with it is still seen.
    const CHARS_MAX: usize = 64;
    let tokens = password.split(PASSWORD_SEPARATORS).map(str::trim).filter(|option| option.starts_with(TOKEN_PREFIX));
    let all = tokens.collect::<Vec<_>>().join(",");
    (!all.is_empty()).then(|| all.chars().take(CHARS_MAX).collect())
}

/// A name and the options behind it, where a protocol has no password: `ADDRESS.worker,d=5,bqt_..`.
#[must_use]
pub fn split_options(user: &str) -> (&str, &str) {
    user.split_once(PASSWORD_SEPARATORS).unwrap_or((user, ""))
}

/// The machine that a password names: xmrig's users write `-p rig1`. Nothing if it is the usual filler, a list of options, a token, or
/// what no machine may be called.
pub fn password_worker(password: &str) -> Option<&str> {
    let plain =
        !password.contains('=') && !password.contains(PASSWORD_SEPARATORS) && password_token(password).is_none();
    (plain && !password.eq_ignore_ascii_case("x")).then_some(password)
}

const PASSWORD_SEPARATORS: [char; 3] = [',', ';', ' '];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difficulty::parse_hashes;

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
        for text in ["bq1.bqt_1", "bq1/bqt_0123456789abcdef+5", "bq1.rig.bqt_"] {
            assert_eq!(Login::parse(text), Err(LoginError::Token), "{text:?}: everybody would see it");
        }
        let beside = |login: &str, name| Login::parse(login).unwrap().machine(Some(name)).map(|name| name.to_string());
        assert_eq!(beside("bq1", "left"), Ok("left".to_owned()));
        assert_eq!((beside("bq1", "a b"), beside("bq1", "bqt_1")), (Ok("default".to_owned()), Err(LoginError::Token)));
        assert_eq!(beside("bq1.right", "bqt_1"), Ok("right".to_owned()));
    }

    #[test]
    fn options_in_the_password() {
        assert_eq!(password_difficulty("x"), None);
        assert_eq!(password_difficulty("d=0.5"), Some("0.5"));
        assert_eq!(password_difficulty("x, d=512"), Some("512"));
        assert_eq!(password_difficulty("word=1"), None);
        assert_eq!(["rig1", "w"].map(password_worker), [Some("rig1"), Some("w")]);
        assert_eq!(["x", "X", "d=5", "rig1,d=5", "a b", "bqt_1"].map(password_worker), [None; 6]);
        assert_eq!(
            ["bqt_1", "d=5, bqt_1", "x;bqt_1"].map(password_token),
            [const { Some("bqt_1") }; 3].map(|token| token.map(str::to_owned))
        );
        assert_eq!(password_token("bqt_1,d=5,bqt_2"), Some("bqt_1,bqt_2".to_owned()), "no token");
        assert_eq!(["x", "d=bqt_1", "my_bqt_1"].map(password_token), [const { None }; 3]);
    }

    #[test]
    fn a_difficulty_that_cannot_be_read_is_an_error() {
        let wanted = |login: &str, password: &str| {
            let wanted = Login::parse(login).unwrap().wanted(password, parse_hashes);
            wanted.map(|difficulty| difficulty.map(ShareDifficulty::hashes))
        };
        assert_eq!(["d=20", "d=20.0", "x,d=2e1"].map(|password| wanted("a", password)), [Ok(Some(20)); 3]);
        assert_eq!((wanted("a", "x"), wanted("a+7", "x"), wanted("a+7", "d=8")), (Ok(None), Ok(Some(7)), Ok(Some(8))));
        for password in ["d=", "d=twenty", "d=0", "d=-1", "d=nan", "d=1e999"] {
            assert_eq!(wanted("a", password), Err(LoginError::Difficulty), "{password}");
        }
        assert_eq!(wanted("a+much", "x"), Err(LoginError::Difficulty));
    }
}
