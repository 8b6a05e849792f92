use bq_primitives::{Algorithm, CompactTarget, Height, Target, Timestamp, U256};
use ruint::aliases::U512;

use crate::{
    BURST_WINDOW_BLOCKS, Branch, BurstWindow, Era, EraAlgorithm, IndexEntry, Params, StartBits, TargetBounds,
    UnitFraction,
    asert::{eased, hardened, scheduled},
};

/// What the next block needs if a given algorithm seals it (SPEC 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredBits {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What the header must carry, exactly.
    pub bits: CompactTarget,
    /// The base target before the burst cap; kept in the block index, not in the header.
    pub base_bits: CompactTarget,
    /// `bits`, decoded.
    pub target: Target,
}

/// The required bits of every algorithm that is active in the block after the branch's tip, in increasing id (SPEC 3.5).
/// Empty only when no era covers that height or the branch has holes.
#[must_use]
pub fn required_bits(params: &Params, branch: &dyn Branch) -> Vec<RequiredBits> {
    let states = difficulty_states(params, branch);
    states.iter().map(|state| if params.retarget { state.required() } else { state.at_limit() }).collect()
}

/// Everything the difficulty rule knows about each active algorithm, for the block after the branch's tip; in increasing
/// id. A pure function of the header chain: a reorganisation needs no rollback.
#[must_use]
pub fn difficulty_states(params: &Params, branch: &dyn Branch) -> Vec<DifficultyState> {
    let Some(loader) = Loader::for_next(params, branch) else { return Vec::new() };
    loader.era.algorithms.iter().map(|rule| loader.state(rule)).collect::<Option<_>>().unwrap_or_default()
}

/// One algorithm's difficulty on one branch (SPEC 3). P is the branch's tip, h the height after it, and L the latest block
/// of the algorithm in the era of h, or the start of the era while there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DifficultyState {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Base target of L.
    pub base: Target,
    /// Header target of L.
    pub previous: Target,
    /// `h - height(L)`, at least 1.
    pub blocks_since: u32,
    /// Chain clock from L's parent to P, in seconds.
    pub clock_since_secs: i64,
    /// Mean spacing of the algorithm's blocks, in seconds.
    pub spacing_secs: i64,
    /// Lag that doubles the target, in seconds.
    pub half_life: u32,
    /// The drift bound.
    pub max_drift: UnitFraction,
    /// Hardest and easiest target.
    pub bounds: TargetBounds,
    /// The algorithm's latest blocks, once there are enough in the era.
    pub burst: Option<BurstWindow>,
}

impl DifficultyState {
    /// Base and required bits (SPEC 3.3 to SPEC 3.5).
    #[must_use]
    pub fn required(&self) -> RequiredBits {
        let base = self.base_target();
        let bits = self.capped(base).to_compact();
        self.with(bits, base.to_compact())
    }

    /// The base target: the schedule's, within the drift bound and the era's limits (SPEC 3.3).
    #[must_use]
    pub fn base_target(&self) -> Target {
        let scheduled = scheduled(self.base, self.clock_since_secs, self.spacing_secs, self.half_life);
        let low = hardened(self.base, self.max_drift);
        let high = eased(self.base, self.blocks_since, self.max_drift, self.bounds.limit);
        self.bounds.clamp(scheduled.max(low).min(high))
    }

    /// The base target, held back while the algorithm bursts (SPEC 3.4) and released step by step (SPEC 3.5).
    fn capped(&self, base: Target) -> Target {
        let floor = hardened(self.previous, self.max_drift);
        let cap = self.burst.map_or(Target::MAX, |window| window.cap(self.spacing_secs).max(floor));
        let release = eased(self.previous, self.blocks_since, self.max_drift, self.bounds.limit);
        self.bounds.clamp(base.min(cap).min(release))
    }

    /// The easiest target, whatever happened: a network without retargeting (SPEC 1.2).
    fn at_limit(&self) -> RequiredBits {
        let bits = self.bounds.limit.to_compact();
        self.with(bits, bits)
    }

    fn with(&self, bits: CompactTarget, base_bits: CompactTarget) -> RequiredBits {
        // Truncation can only lose a target whose significant bits all vanish; no target in bounds has so few.
        let target = bits.decode().unwrap_or(self.bounds.hardest);
        RequiredBits { algorithm: self.algorithm, bits, base_bits, target }
    }
}

/// Reads difficulty states off a branch as seen from one parent and one era. Not always the tip and its era: where an era
/// continues a difficulty, the old era is asked what it would have required of the new era's first block.
struct Loader<'a> {
    params: &'a Params,
    branch: &'a dyn Branch,
    parent: &'a IndexEntry,
    next: Height,
    era_index: usize,
    era: &'a Era,
}

impl<'a> Loader<'a> {
    fn for_next(params: &'a Params, branch: &'a dyn Branch) -> Option<Self> {
        let parent = branch.tip();
        let next = parent.height.next()?;
        Self::new(params, branch, parent, params.eras.index_at(next)?)
    }

    fn new(params: &'a Params, branch: &'a dyn Branch, parent: &'a IndexEntry, era_index: usize) -> Option<Self> {
        let era = params.eras.table.get(era_index)?;
        Some(Self { params, branch, parent, next: parent.height.next()?, era_index, era })
    }

    fn state(&self, rule: &EraAlgorithm) -> Option<DifficultyState> {
        let asert = &self.params.asert;
        let spacing_secs = asert.spacing_secs(self.era.active_count());
        let anchor = self.anchor(rule, spacing_secs)?;
        Some(DifficultyState {
            algorithm: rule.algorithm,
            base: anchor.base,
            previous: anchor.previous,
            blocks_since: self.next.above(anchor.height)?,
            clock_since_secs: clock_secs(self.parent.clock).saturating_sub(anchor.parent_clock_secs),
            spacing_secs,
            half_life: asert.half_life,
            max_drift: asert.max_drift,
            bounds: rule.bounds().ok()?,
            burst: self.burst_window(rule.algorithm),
        })
    }

    fn anchor(&self, rule: &EraAlgorithm, spacing_secs: i64) -> Option<Anchor> {
        let Some(height) = self.last_in_era(self.parent, rule.algorithm) else {
            return self.era_anchor(rule, spacing_secs);
        };
        let block = self.branch.entry(height)?;
        Some(Anchor {
            height,
            base: block.base_bits_of(rule.algorithm)?.decode().ok()?,
            previous: block.bits.decode().ok()?,
            parent_clock_secs: clock_secs(self.branch.entry(height.previous()?)?.clock),
        })
    }

    /// The virtual block below an era's first (SPEC 3.3): one spacing after its parent, so that the first real block is
    /// required to meet the start target exactly.
    fn era_anchor(&self, rule: &EraAlgorithm, spacing_secs: i64) -> Option<Anchor> {
        let height = self.era.start.previous()?;
        let start = self.start_target(rule)?;
        let clock = clock_secs(self.branch.entry(height)?.clock);
        let parent_clock_secs = clock.saturating_sub(spacing_secs);
        Some(Anchor { height, base: start, previous: start, parent_clock_secs })
    }

    fn start_target(&self, rule: &EraAlgorithm) -> Option<Target> {
        match rule.start_bits {
            StartBits::At(bits) => bits.decode().ok(),
            StartBits::Continue => {
                let below = self.branch.entry(self.era.start.previous()?)?;
                let old = Self::new(self.params, self.branch, below, self.era_index.checked_sub(1)?)?;
                // Each step goes one era down the table, and the first era cannot continue anything.
                // What continues is what that block's index entry would have held: the base after truncation.
                let base = old.state(old.era.algorithm(rule.algorithm)?)?.required().base_bits.decode().ok()?;
                Some(rule.bounds().ok()?.clamp(rescaled(base, old.era.active_count(), self.era.active_count())))
            }
        }
    }

    /// The latest [`BURST_WINDOW_BLOCKS`] blocks of an algorithm in this era, if there are that many.
    fn burst_window(&self, algorithm: Algorithm) -> Option<BurstWindow> {
        let mut bits = [CompactTarget(0); BURST_WINDOW_BLOCKS];
        let mut at = self.last_in_era(self.parent, algorithm);
        for bits in &mut bits {
            let height = at?;
            *bits = self.branch.entry(height)?.bits;
            at = self.last_in_era(self.branch.entry(height.previous()?)?, algorithm);
        }
        let before = at.or_else(|| self.era.start.previous())?;
        let since = self.branch.entry(before)?.clock;
        Some(BurstWindow::new(bits, self.parent.clock.0.saturating_sub(since.0)))
    }

    fn last_in_era(&self, entry: &IndexEntry, algorithm: Algorithm) -> Option<Height> {
        entry.last_of(algorithm).filter(|height| *height >= self.era.start)
    }
}

/// The block L that a difficulty step starts from.
struct Anchor {
    height: Height,
    base: Target,
    previous: Target,
    parent_clock_secs: i64,
}

/// `floor(base * old / new)`: half the share of the blocks, half the target.
fn rescaled(base: Target, old_count: u32, new_count: u32) -> Target {
    let scaled = U512::from(base.0).saturating_mul(U512::from(old_count)).checked_div(U512::from(new_count));
    Target(U256::saturating_from(scaled.unwrap_or(U512::ZERO)))
}

fn clock_secs(clock: Timestamp) -> i64 {
    // Times are below 2^40.
    i64::try_from(clock.0).unwrap_or(i64::MAX)
}
