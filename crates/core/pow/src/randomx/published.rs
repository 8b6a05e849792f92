use std::sync::Arc;

use bq_primitives::PowHash;

use super::{
    cache::Cache,
    vm::{Table, Vm},
};
use crate::PowError;

/// RandomX v1 under a key of any length, as published vectors have them. The chain's own keys are block ids, and their
/// tables belong to [`crate::PowVerifier`].
pub struct RandomXOfKey {
    vm: Vm,
}

impl RandomXOfKey {
    /// Builds a cache of its own for `key`: half a second and 256 MiB.
    ///
    /// # Errors
    /// [`PowError::Memory`].
    pub fn new(key: &[u8]) -> Result<Self, PowError> {
        Ok(Self { vm: Vm::new(Table::Light(Arc::new(Cache::build(key, None)?)))? })
    }

    /// The value (little-endian) of any input.
    pub fn hash(&mut self, input: &[u8]) -> PowHash {
        self.vm.hash(input)
    }
}
