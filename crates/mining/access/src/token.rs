use std::{fmt, str::FromStr};

use bq_mining_message::TOKEN_PREFIX;
use bq_primitives::tagged_hash;
use subtle::ConstantTimeEq as _;

/// What a miner writes as its password where one is wanted: `bqt_`, 16 hex digits that name it, and 32 that nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Which one it is.
    pub id: TokenId,
    secret: [u8; 16],
}

/// Names a token. It opens nothing and may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TokenId(pub u64);

/// The pool's own secret, without which digests cannot be tried out.
#[derive(Clone, Copy)]
pub struct TokenKey(pub [u8; 32]);

/// What is kept of a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenDigest(pub [u8; 32]);

/// Text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is bqt_ and 48 hex digits, as it was shown when it was made")]
pub struct ParseTokenError;

const ID_DIGITS: usize = 16;

impl Token {
    /// A token of 24 random bytes.
    #[must_use]
    pub fn new(random: [u8; 24]) -> Self {
        let [a, b, c, d, e, f, g, h, secret @ ..] = random;
        Self { id: TokenId(u64::from_be_bytes([a, b, c, d, e, f, g, h])), secret }
    }

    /// What is kept of it under `key`.
    #[must_use]
    pub fn digest(&self, key: &TokenKey) -> TokenDigest {
        TokenDigest(tagged_hash("BQ/worker-token", &[&key.0, &self.id.0.to_be_bytes(), &self.secret]))
    }
}

impl TokenDigest {
    /// Whether both are the same; takes as long either way.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOKEN_PREFIX}{}{}", self.id, hex::encode(self.secret))
    }
}

/// A log must not show it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let digits = text.strip_prefix(TOKEN_PREFIX).ok_or(ParseTokenError)?;
        let (id, secret) = digits.split_at_checked(ID_DIGITS).ok_or(ParseTokenError)?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(secret, &mut bytes).map_err(|_| ParseTokenError)?;
        Ok(Self { id: id.parse()?, secret: bytes })
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for TokenId {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseTokenError)?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_was_shown() {
        let token = Token::new(std::array::from_fn(|n| u8::try_from(n).unwrap()));
        let text = token.to_string();
        assert_eq!(text, "bqt_000102030405060708090a0b0c0d0e0f1011121314151617");
        assert_eq!(text.parse(), Ok(token));
        assert_eq!(format!("{token:?}"), "Token(0001020304050607)", "its secret is in no log");
        for bad in [&text[..51], &text[4..], &format!("{text}0"), &text.replace('0', "g"), "bqt_\u{e4}", "bqt_", ""] {
            assert_eq!(bad.parse::<Token>(), Err(ParseTokenError), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_of_key_id_and_secret() {
        let (a, b) = (TokenKey([1; 32]), TokenKey([2; 32]));
        let digest = Token::new([3; 24]).digest(&a);
        assert!(digest.equals(&Token::new([3; 24]).digest(&a)));
        assert!(!digest.equals(&Token::new([3; 24]).digest(&b)));
        for at in [0, 7, 8, 23] {
            let mut other = [3; 24];
            other[at] ^= 1;
            assert!(!digest.equals(&Token::new(other).digest(&a)), "{at}");
        }
    }
}
