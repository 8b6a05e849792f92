use bq_primitives::{CompactTarget, Target, U256, Work};
use ruint::aliases::U512;

/// Blocks of one algorithm whose work and time the guard looks at (SPEC 3.4).
pub const BURST_WINDOW_BLOCKS: usize = 11;
/// How many times faster than its spacing an algorithm may run before the guard holds it back (SPEC 3.4).
pub const BURST_FACTOR: u64 = 3;

/// What an algorithm did in its latest [`BURST_WINDOW_BLOCKS`] blocks (SPEC 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstWindow {
    /// Sum of the work of their header targets.
    pub work: U512,
    /// Chain clock from the block before them up to the branch's tip, in seconds; at least 1.
    pub secs: u64,
}

impl BurstWindow {
    /// Adds up the header bits of a window's blocks.
    #[must_use]
    pub fn new(bits: impl IntoIterator<Item = CompactTarget>, secs: u64) -> Self {
        let works = bits.into_iter().filter_map(|bits| bits.decode().ok()).map(|t| U512::from(Work::of_target(t).0));
        Self { work: works.fold(U512::ZERO, U512::saturating_add), secs: secs.max(1) }
    }

    /// The target at which the hash rate seen in the window finds [`BURST_FACTOR`] blocks per spacing.
    pub(crate) fn cap(&self, spacing_secs: i64) -> Target {
        let spacing = U512::from(spacing_secs.unsigned_abs());
        let slowest = U512::from(self.secs).saturating_mul(U512::from(BURST_FACTOR));
        let hashes = self.work.saturating_mul(spacing).checked_div(slowest).unwrap_or(U512::MAX);
        if hashes <= U512::ONE {
            return Target::MAX;
        }
        // floor(2^256 / d) - 1 = floor((2^256 - d) / d); nothing is left of it when d needs more than 256 bits.
        let Ok(hashes) = u256(hashes) else { return Target(U256::ZERO) };
        Target(hashes.wrapping_neg().checked_div(hashes).unwrap_or(U256::ZERO))
    }
}

/// More than 256 bits.
struct TooWide;

fn u256(value: U512) -> Result<U256, TooWide> {
    if value.bit_len() > 256 { Err(TooWide) } else { Ok(U256::saturating_from(value)) }
}
