use std::sync::Arc;

use bq_primitives::PowHash;

use super::{
    cache::Cache,
    vm::{Table, Vm},
};
use crate::PowError;

/// RandomX v1 of each input under a key of any length, as published vectors have them: a cache is built for this call alone,
/// so it takes half a second and 256 MiB. The chain's own keys are block ids and stay in [`crate::PowVerifier`].
///
/// # Errors
/// [`PowError::Memory`].
pub fn randomx_hashes(key: &[u8], inputs: &[&[u8]]) -> Result<Vec<PowHash>, PowError> {
    let mut vm = Vm::new(Table::Light(Arc::new(Cache::build(key, None)?)))?;
    Ok(inputs.iter().map(|input| vm.hash(input)).collect())
}
