use bq_consensus::U512;
use bq_primitives::{CompactTarget, Target, U256};

/// How a chain counts the blocks since its anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeightCount {
    /// Anchor time is that of the anchor's parent, and one more block counts (aserti3-2d).
    FromAnchorParent,
    /// Anchor time is the anchor's own (DCP-0011).
    FromAnchor,
}

/// ASERT with an absolute anchor in 16.16 fixed point and a cubic 2^x, as other chains run it. Not a rule of this chain:
/// a double that puts the shared 256-bit arithmetic and compact encoding against their public data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CubicAsert {
    /// Target of the anchor.
    pub anchor: Target,
    /// The easiest target.
    pub limit: Target,
    /// Spacing of blocks, in seconds.
    pub spacing_secs: i64,
    /// Lag that doubles the target, in seconds.
    pub half_life_secs: i64,
    /// How blocks are counted.
    pub count: HeightCount,
}

impl CubicAsert {
    /// Bits of the block after one that lies `seconds` and `blocks` after the anchor. Nothing if the figures leave 128 bits
    /// or the half-life is zero.
    #[must_use]
    pub fn next_bits(&self, seconds: i128, blocks: i128) -> Option<CompactTarget> {
        let counted = match self.count {
            HeightCount::FromAnchorParent => blocks.checked_add(1)?,
            HeightCount::FromAnchor => blocks,
        };
        let schedule = counted.checked_mul(i128::from(self.spacing_secs))?;
        let lag = seconds.checked_sub(schedule)?.checked_mul(1 << 16)?;
        // These chains round toward zero where this one rounds down.
        let exponent = lag.checked_div(i128::from(self.half_life_secs))?;
        let factor = cubic(u64::try_from(exponent & 0xffff).ok()?)?;
        let product = U512::from(self.anchor.0).saturating_mul(U512::from(factor));
        let shift = (exponent >> 16).checked_sub(16)?;
        Some(self.bounded(shifted(product, shift)).to_compact())
    }

    fn bounded(&self, target: U512) -> Target {
        let limited = target.min(U512::from(self.limit.0)).max(U512::ONE);
        Target(U256::saturating_from(limited))
    }
}

/// `65536 * 2^(fraction / 65536)`, approximated by a cubic.
fn cubic(fraction: u64) -> Option<u64> {
    let x = u128::from(fraction);
    let square = x.checked_mul(x)?;
    let linear = x.checked_mul(195_766_423_245_049)?;
    let quadratic = square.checked_mul(971_821_376)?;
    let third = square.checked_mul(x)?.checked_mul(5_127)?;
    let sum = linear.checked_add(quadratic)?.checked_add(third)?.checked_add(1 << 47)?;
    u64::try_from(sum >> 48).ok()?.checked_add(65_536)
}

/// `value * 2^shift`, as large as it can be when it does not fit.
fn shifted(value: U512, shift: i128) -> U512 {
    let distance = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    if shift < 0 { value.wrapping_shr(distance) } else { value.saturating_shl(distance) }
}
