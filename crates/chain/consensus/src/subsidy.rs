use bq_primitives::{Amount, Height};

/// New coins per block before the first halving, in atoms: 50 coins (SPEC 6.3).
pub const SUBSIDY_START: u64 = 50 * Amount::ATOMS_PER_COIN;
/// Blocks from one halving to the next (SPEC 6.3).
pub const HALVING_BLOCKS: u32 = 210_000;

/// The new coins that the block at `height` may create (SPEC 6.3). Genesis creates none.
#[must_use]
pub fn subsidy(height: Height) -> Amount {
    if height == Height::GENESIS {
        return Amount::ZERO;
    }
    let halvings = height.0 / HALVING_BLOCKS;
    let atoms = SUBSIDY_START.checked_shr(halvings).unwrap_or(0);
    Amount::from_atoms(atoms).unwrap_or(Amount::ZERO)
}
