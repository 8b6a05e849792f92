use bq_primitives::Amount;

use crate::{FeeBasisPoints, LedgerError, ShareWeight};

/// What one share is worth where shares are paid for themselves, in 2^-60 atoms, below 2^113 (SPEC 8.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareValue(u128);

impl ShareValue {
    /// `w * (V - floor(V * bp / 10000))` for a block that counts for `block_value`: its subsidy with PPS, with FPPS the
    /// average of fees too ([`crate::PerShare::block_value`]).
    ///
    /// # Errors
    /// None in practice: a weight of at most 2^60 times an amount below 2^53 stays below 2^113.
    pub fn of(weight: ShareWeight, block_value: Amount, fee: FeeBasisPoints) -> Result<Self, LedgerError> {
        let net = block_value.checked_sub(fee.of(block_value)?)?;
        let parts = u128::from(weight.parts()).checked_mul(u128::from(net.atoms()));
        parts.map(Self).ok_or(LedgerError::Overflow)
    }

    /// The number of 2^-60 atoms.
    #[must_use]
    pub const fn parts(self) -> u128 {
        self.0
    }
}
