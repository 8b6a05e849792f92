use std::{fmt, fs, path::Path};

use zeroize::Zeroizing;

use crate::WalletError;

/// A password, wiped from memory on drop and never printed.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes a password as it is. An empty one is refused where it would protect a new file.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// The first line of a file, without its line end, so that an editor's or `echo`'s newline does not matter.
    ///
    /// # Errors
    /// [`WalletError::Io`], or [`WalletError::EmptyPassword`] when the first line is empty.
    pub fn read_file(path: &Path) -> Result<Self, WalletError> {
        let io = |source| WalletError::Io { path: path.to_owned(), source };
        let bytes = Zeroizing::new(fs::read(path).map_err(io)?);
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(WalletError::EmptyPassword(path.to_owned()));
        }
        Ok(Self(Zeroizing::new(line.to_vec())))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for text in ["open sesame", "open sesame\n", "open sesame\r\n", "open sesame\nsecond line"] {
            fs::write(&path, text).unwrap();
            assert_eq!(Password::read_file(&path).unwrap().as_bytes(), b"open sesame");
        }
        for text in ["", "\n", "\r\nsecond"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Password::read_file(&path), Err(WalletError::EmptyPassword(_))));
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", Password::new("secret")), "Password(..)");
    }
}
