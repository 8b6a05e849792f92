use bq_primitives::BlockWeight;

use crate::Density;

/// How much the pool holds and what it asks of a transaction. Policy, not consensus: every node may choose.
#[derive(Clone, Copy, Debug)]
pub struct MempoolLimits {
    /// Encoded bytes of all transactions together. Signatures (5,261 bytes per input) are nearly all of it.
    pub bytes_max: usize,
    /// Heaviest single transaction.
    pub transaction_weight_max: BlockWeight,
    /// Longest family: unconfirmed ancestors of a transaction, itself included, and likewise its descendants. It bounds
    /// the work of every update.
    pub family_max: usize,
    /// Least density that is admitted. A replacement pays as much for its own weight beyond what it replaces.
    pub density_min: Density,
    /// Most transactions that one replaces, those that build on them included.
    pub replaced_max: usize,
}

impl Default for MempoolLimits {
    /// 64 MiB (about 12,000 transactions of one input), a tenth of a block for one transaction, families of 16,
    /// 1 atom per 10 weight units, and as many replaced as a family has.
    fn default() -> Self {
        Self {
            bytes_max: 64 << 20,
            transaction_weight_max: BlockWeight::from_units(400_000),
            family_max: 16,
            density_min: Density::of_sums(1, 10),
            replaced_max: 16,
        }
    }
}
