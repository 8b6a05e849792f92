use crate::BlockId;

/// What selects the table an algorithm works with. Depends on ancestors of a block only, never on the block (SPEC 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PowKey {
    /// SHA-256d has no table.
    Sha256d,
    /// The id of the key block; RandomX derives its cache and dataset from it.
    RandomX(BlockId),
    /// The Ethash epoch, at most 32,639.
    Ethash(u32),
}
