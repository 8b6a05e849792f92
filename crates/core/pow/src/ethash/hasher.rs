use std::sync::Arc;

use super::{EthashCache, EthashDataset, EthashProof, EthashTask};

/// Evaluates many proofs of one epoch, from the full dataset if it is in memory, else from the light cache. Keep it for a
/// slice of work only, since its table stays in memory as long.
#[derive(Clone)]
pub struct EthashHasher(Table);

#[derive(Clone)]
enum Table {
    Light(Arc<EthashCache>),
    Full(Arc<EthashDataset>),
}

impl EthashHasher {
    pub(crate) const fn light(cache: Arc<EthashCache>) -> Self {
        Self(Table::Light(cache))
    }

    pub(crate) const fn full(dataset: Arc<EthashDataset>) -> Self {
        Self(Table::Full(dataset))
    }

    /// The epoch whose values this gives.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        match &self.0 {
            Table::Light(cache) => cache.epoch(),
            Table::Full(dataset) => dataset.epoch(),
        }
    }

    /// Reads the full dataset.
    #[must_use]
    pub const fn is_fast(&self) -> bool {
        matches!(self.0, Table::Full(_))
    }

    /// Evaluates `tasks`; results in their order. Best in groups of thirty-two from the cache (some 4 ms each), of many from the
    /// dataset (some 0.5 us a task).
    #[must_use]
    pub fn hash_batch(&self, tasks: &[EthashTask]) -> Vec<EthashProof> {
        match &self.0 {
            Table::Light(cache) => cache.hash_batch(tasks),
            Table::Full(dataset) => dataset.hash_batch(tasks),
        }
    }
}
