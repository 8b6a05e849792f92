use std::cmp::Ordering;

use bq_primitives::{Amount, BlockWeight};

/// Atoms per weight unit, kept as the exact fraction: two densities are compared by cross-multiplication, so that no
/// rounding ever decides who is mined first. Equal fractions are equal densities (1/2 = 2/4).
#[derive(Clone, Copy, Debug)]
pub struct Density {
    fee: u64,
    weight: u64,
}

impl Density {
    /// `fee` atoms for `weight` units. A weight of zero counts as one, for no transaction weighs nothing.
    #[must_use]
    pub fn new(fee: Amount, weight: BlockWeight) -> Self {
        Self::of_sums(fee.atoms(), weight.units())
    }

    /// A density of sums, which may lie above [`Amount::MAX`].
    pub(crate) const fn of_sums(fee: u64, weight: u64) -> Self {
        Self { fee, weight: if weight == 0 { 1 } else { weight } }
    }

    /// The least fee in atoms that gives `weight` this density, rounded up; saturates.
    #[must_use]
    pub fn fee_for(self, weight: BlockWeight) -> u64 {
        let product = u128::from(self.fee).saturating_mul(u128::from(weight.units()));
        u64::try_from(product.div_ceil(u128::from(self.weight))).unwrap_or(u64::MAX)
    }

    /// Atoms of the fraction.
    #[must_use]
    pub const fn atoms(self) -> u64 {
        self.fee
    }

    /// Weight units of the fraction, at least one.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.weight
    }
}

impl Ord for Density {
    fn cmp(&self, other: &Self) -> Ordering {
        // Two u64 factors always fit a u128, so saturation never happens.
        let cross = |fee: u64, weight: u64| u128::from(fee).saturating_mul(u128::from(weight));
        cross(self.fee, other.weight).cmp(&cross(other.fee, self.weight))
    }
}

impl PartialOrd for Density {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Density {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Density {}
