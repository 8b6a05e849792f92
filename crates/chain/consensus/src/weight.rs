use bq_primitives::{Algorithm, BlockWeight, Transaction};

use crate::BlockError;

/// The weight of a block that `algorithm` seals, if it is allowed (SPEC 6.5): `4 * base bytes + 384 * signatures`, at most 4,000,000.
///
/// # Errors
/// [`BlockError::TooHeavy`]; a sum that leaves 64 bits is one too.
pub fn block_weight(algorithm: Algorithm, transactions: &[Transaction]) -> Result<BlockWeight, BlockError> {
    let weight = bq_primitives::block_weight(algorithm, transactions).unwrap_or(BlockWeight::from_units(u64::MAX));
    if weight > BlockWeight::MAX {
        return Err(BlockError::TooHeavy { got: weight.units(), max: BlockWeight::MAX.units() });
    }
    Ok(weight)
}
