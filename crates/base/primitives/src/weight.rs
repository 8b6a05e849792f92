/// Size of a block in weight units: four per base byte and 384 per signature (SPEC 6.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockWeight(u64);

/// A weight does not fit a `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weight overflows 64 bits")]
pub struct WeightError;

impl BlockWeight {
    /// No weight.
    pub const ZERO: Self = Self(0);
    /// The most a block may weigh: 4,000,000 units.
    pub const MAX: Self = Self(4_000_000);
    /// Weight of one byte of the base part.
    pub const PER_BASE_BYTE: u64 = 4;
    /// Weight of one signature, whatever its bytes.
    pub const PER_SIGNATURE: u64 = 384;

    /// A known number of weight units.
    #[must_use]
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// `base_size * 4 + signature_count * 384`.
    ///
    /// # Errors
    /// [`WeightError`] when the product or the sum leaves 64 bits.
    pub fn of(base_size: usize, signature_count: usize) -> Result<Self, WeightError> {
        let units = |count: usize, each: u64| u64::try_from(count).ok()?.checked_mul(each);
        units(base_size, Self::PER_BASE_BYTE)
            .zip(units(signature_count, Self::PER_SIGNATURE))
            .and_then(|(base, signatures)| base.checked_add(signatures))
            .map(Self)
            .ok_or(WeightError)
    }

    /// The number of weight units.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// The sum of two weights.
    ///
    /// # Errors
    /// [`WeightError`] when it leaves 64 bits.
    pub fn checked_add(self, other: Self) -> Result<Self, WeightError> {
        self.0.checked_add(other.0).map(Self).ok_or(WeightError)
    }
}
