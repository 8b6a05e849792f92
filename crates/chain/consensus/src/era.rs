use bq_primitives::{Algorithm, CompactError, CompactTarget, Height};

use crate::TargetBounds;

/// Where an algorithm's difficulty starts in an era (SPEC 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartBits {
    /// At these bits.
    At(CompactTarget),
    /// Where the previous era left off, harder in proportion when the algorithm's share of the blocks shrinks.
    Continue,
}

/// One algorithm's constants in an era (SPEC 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EraAlgorithm {
    /// Which one.
    pub algorithm: Algorithm,
    /// Its difficulty in the first block of the era.
    pub start_bits: StartBits,
    /// Its easiest target.
    pub limit_bits: CompactTarget,
    /// Its hardest target.
    pub hardest_bits: CompactTarget,
    /// The target whose work counts as one unit (2^64) in fork choice (SPEC 4.2).
    pub ref_bits: CompactTarget,
}

impl EraAlgorithm {
    /// Hardest and easiest target, decoded.
    ///
    /// # Errors
    /// Bits that are no target; a checked [`crate::Params`] has none.
    pub fn bounds(&self) -> Result<TargetBounds, CompactError> {
        Ok(TargetBounds { hardest: self.hardest_bits.decode()?, limit: self.limit_bits.decode()? })
    }
}

/// A stretch of heights with one set of active algorithms (SPEC 1.3). It lasts until the next era starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Era {
    /// Its first height.
    pub start: Height,
    /// The active algorithms, in increasing id.
    pub algorithms: Vec<EraAlgorithm>,
}

impl Era {
    /// The constants of an algorithm, if it is active in this era.
    #[must_use]
    pub fn algorithm(&self, algorithm: Algorithm) -> Option<&EraAlgorithm> {
        self.algorithms.iter().find(|rule| rule.algorithm == algorithm)
    }

    /// How many algorithms share the blocks, as the arithmetic needs it.
    #[must_use]
    pub(crate) fn active_count(&self) -> u32 {
        u32::try_from(self.algorithms.len()).unwrap_or(u32::MAX)
    }
}

/// The table of eras (SPEC 1.3), in increasing order of start. The first starts at height 1: genesis is in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eras {
    /// The rows.
    pub table: Vec<Era>,
}

impl Eras {
    /// The era that `height` lies in; nothing for genesis.
    #[must_use]
    pub fn at(&self, height: Height) -> Option<&Era> {
        self.table.get(self.index_at(height)?)
    }

    /// The row of the era that `height` lies in.
    pub(crate) fn index_at(&self, height: Height) -> Option<usize> {
        self.table.iter().rposition(|era| era.start <= height)
    }

    /// The first height at which `algorithm` may seal a block, if there is one.
    #[must_use]
    pub fn first_activation(&self, algorithm: Algorithm) -> Option<Height> {
        self.table.iter().find(|era| era.algorithm(algorithm).is_some()).map(|era| era.start)
    }
}
