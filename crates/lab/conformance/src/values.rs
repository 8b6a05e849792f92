//! How values are written in vector files: hex with or without `0x`, numbers, decimal strings.

use std::fmt;

use bq_primitives::{CompactTarget, Target, U256};
use serde::{Deserialize, Deserializer, de};

/// A number that JSON may hold as a number or, when it is large, as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Unsigned(u64),
    Signed(i64),
    Text(String),
}

fn hex_digits(text: &str) -> &str {
    text.strip_prefix("0x").unwrap_or(text)
}

/// An unsigned integer: a JSON number or hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsigned(pub(crate) u64);

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Unsigned(value) => Ok(Self(value)),
            NumberOrText::Signed(value) => Err(de::Error::custom(format!("{value} is negative"))),
            NumberOrText::Text(text) => u64::from_str_radix(hex_digits(&text), 16)
                .map(Self)
                .map_err(|_| de::Error::custom(format!("{text:?} is not a number of up to 16 hex digits"))),
        }
    }
}

/// A signed integer: a JSON number or decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed(pub(crate) i128);

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Unsigned(value) => Ok(Self(value.into())),
            NumberOrText::Signed(value) => Ok(Self(value.into())),
            NumberOrText::Text(text) => {
                text.parse().map(Self).map_err(|_| de::Error::custom(format!("{text:?} is not an integer")))
            }
        }
    }
}

/// Compact bits: a JSON number or hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits(pub(crate) CompactTarget);

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Unsigned(value) = Unsigned::deserialize(deserializer)?;
        let bits = u32::try_from(value).map_err(|_| de::Error::custom(format!("{value:#x} is not 32 bits")))?;
        Ok(Self(CompactTarget(bits)))
    }
}

/// Compact bits that decode to a target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetBits(pub(crate) Target);

impl<'de> Deserialize<'de> for TargetBits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bits::deserialize(deserializer)?.0.decode().map(Self).map_err(de::Error::custom)
    }
}

/// A 256-bit number in hex digits, most significant first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wide(pub(crate) U256);

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = hex_digits(&text);
        let wrong = || de::Error::custom(format!("{text:?} is not a number of up to 64 hex digits"));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        U256::from_str_radix(digits, 16).map(Self).map_err(|_| wrong())
    }
}

/// A byte string in hex digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(hex_digits(&text)).map(Self).map_err(|error| de::Error::custom(format!("hex: {error}")))
    }
}

/// `N` bytes in hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Array<const N: usize>(pub(crate) [u8; N]);

impl<'de, const N: usize> Deserialize<'de> for Array<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bytes(bytes) = Bytes::deserialize(deserializer)?;
        let length = bytes.len();
        let wrong = |_| de::Error::custom(format!("{length} bytes, expected {N}"));
        bytes.try_into().map(Self).map_err(wrong)
    }
}

impl<const N: usize> fmt::Display for Array<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
