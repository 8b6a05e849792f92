use bq_primitives::Amount;

use crate::{FeeAverage, LedgerError};

/// The schemes that pay each share for itself, out of a reserve (SPEC 8.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum PerShare {
    /// For subsidies; the fees of blocks are the pool's.
    Pps,
    /// For subsidies and the average of fees.
    Fpps,
}

impl PerShare {
    /// What a block counts for in the value of a share, V: `average` is [`FeeAverage::before`] the job's height. To be frozen
    /// when the job is sent.
    ///
    /// # Errors
    /// [`LedgerError::Amount`] when subsidy and average together leave the range of amounts.
    pub fn block_value(self, subsidy: Amount, average: Amount) -> Result<Amount, LedgerError> {
        match self {
            Self::Pps => Ok(subsidy),
            Self::Fpps => Ok(subsidy.checked_add(average)?),
        }
    }

    /// The most that a block brings to the reserve, J: fees are clipped there as they are in the average.
    ///
    /// # Errors
    /// [`LedgerError::Amount`] when subsidy and clip together leave the range of amounts.
    pub fn reserve_income_max(self, subsidy: Amount) -> Result<Amount, LedgerError> {
        self.block_value(subsidy, FeeAverage::clip(subsidy))
    }
}
