use std::{fmt, str::FromStr};

use crate::U256;

/// The 256-bit bound that a proof-of-work value must not exceed. Smaller is harder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(pub U256);

/// The 32-bit form of a target in a header, as in Bitcoin: an exponent byte and a 23-bit mantissa with a sign bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompactTarget(pub u32);

/// Everything Bitcoin's decoder says about a compact value, before a rule judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactParts {
    /// The magnitude, modulo 2^256.
    pub target: Target,
    /// Sign bit with a non-zero mantissa.
    pub negative: bool,
    /// The magnitude does not fit 256 bits.
    pub overflow: bool,
}

/// Why a compact value is not a target (SPEC 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// The target would be zero: no hash can meet it.
    #[error("compact target {0} is zero")]
    Zero(CompactTarget),
    /// Sign bit with a non-zero mantissa.
    #[error("compact target {0} is negative")]
    Negative(CompactTarget),
    /// More than 256 bits.
    #[error("compact target {0} overflows 256 bits")]
    Overflow(CompactTarget),
}

/// A text that is not the hex digits of a target: 8 of a compact one, else 64.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a target in hex digits")]
pub struct ParseTargetError(pub String);

const MANTISSA: u32 = 0x007f_ffff;
const SIGN: u32 = 0x0080_0000;

impl Target {
    /// The easiest target: every hash meets it.
    pub const MAX: Self = Self(U256::MAX);

    /// The compact form, truncated: it never decodes to an easier target (SPEC 3.1).
    #[must_use]
    pub fn to_compact(self) -> CompactTarget {
        let bytes: [u8; 32] = self.0.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut significant = bytes.iter().skip(zeros);
        let mut next = || u32::from(significant.next().copied().unwrap_or(0));
        let (high, middle, low) = (next(), next(), next());
        let mut mantissa = (high << 16) | (middle << 8) | low;
        let mut exponent = u32::try_from(bytes.len().saturating_sub(zeros)).unwrap_or(0);
        if mantissa & SIGN != 0 {
            mantissa >>= 8;
            exponent = exponent.saturating_add(1);
        }
        CompactTarget((exponent << 24) | mantissa)
    }
}

impl CompactTarget {
    /// What Bitcoin's decoder returns, flags included.
    #[must_use]
    pub fn parts(self) -> CompactParts {
        let exponent = self.0 >> 24;
        let mantissa = self.0 & MANTISSA;
        let (target, overflow) = if exponent <= 3 {
            let shift = 3_u32.saturating_sub(exponent).saturating_mul(8);
            (U256::from(mantissa >> shift), false)
        } else {
            let shift = exponent.saturating_sub(3).saturating_mul(8);
            let overflow = mantissa != 0
                && (exponent > 34 || (mantissa > 0xff && exponent > 33) || (mantissa > 0xffff && exponent > 32));
            let shift = usize::try_from(shift).unwrap_or(usize::MAX);
            (U256::from(mantissa).wrapping_shl(shift), overflow)
        };
        let significant = if exponent <= 3 { target != U256::ZERO } else { mantissa != 0 };
        CompactParts { target: Target(target), negative: self.0 & SIGN != 0 && significant, overflow }
    }

    /// The target, if this is one.
    ///
    /// # Errors
    /// Zero, negative and overflowing values are refused.
    pub fn decode(self) -> Result<Target, CompactError> {
        let parts = self.parts();
        if parts.negative {
            Err(CompactError::Negative(self))
        } else if parts.overflow {
            Err(CompactError::Overflow(self))
        } else if parts.target.0 == U256::ZERO {
            Err(CompactError::Zero(self))
        } else {
            Ok(parts.target)
        }
    }
}

impl fmt::Display for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Eight hex digits, as it is printed.
impl FromStr for CompactTarget {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        let mut bytes = [0; 4];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseTargetError(text.to_owned()))?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }
}

impl fmt::Debug for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompactTarget({self})")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:064x}", self.0)
    }
}

/// 64 hex digits, as it is printed.
impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseTargetError(text.to_owned()))?;
        Ok(Self(U256::from_be_bytes(bytes)))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}
