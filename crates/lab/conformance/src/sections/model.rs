//! Single steps of the difficulty and weight rules (SPEC 3, SPEC 4).

use bq_consensus::{
    BURST_FACTOR, BURST_WINDOW_BLOCKS, BurstWindow, DifficultyState, EXP2_FACTORS, Params, TargetBounds, U512,
    UnitFraction, block_work, exp2_fraction, schedule_exponent,
};
use bq_primitives::{Algorithm, Network, Target, U256, Work};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    ConformanceError,
    case::{Case, Fault, Outcome, malformed, same},
    run::{Progress, Run},
    tables::Tables,
    values::{Bits, Signed, TargetBits, Unsigned, Wide},
};

/// The half-life of every vector that does not name its own.
const HALF_LIFE: u32 = 14_400;

/// Constants of the difficulty rule on mainnet. Missing ones are not compared.
#[derive(Deserialize)]
pub(super) struct Constants {
    half_life: Option<u64>,
    block: Option<u64>,
    burst_window: Option<u64>,
    burst_den: Option<u64>,
    drift_den: Option<u64>,
}

impl Case for Constants {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let asert = Params::of(Network::Mainnet).asert;
        let window = u64::try_from(BURST_WINDOW_BLOCKS).unwrap_or(u64::MAX);
        let drift = u64::from(asert.max_drift.denominator().get());
        for (what, got, expected) in [
            ("half_life", u64::from(asert.half_life), self.half_life),
            ("block", u64::from(asert.target_block_time), self.block),
            ("burst_window", window, self.burst_window),
            ("burst_den", BURST_FACTOR, self.burst_den),
            ("drift_den", drift, self.drift_den),
        ] {
            same(what, got, expected.unwrap_or(got))?;
        }
        Ok(Outcome::Ran)
    }
}

/// The factors of 2^x: a list whose position is part of the case.
pub(super) fn exp2_constants(run: &mut Run, section: &str, value: &Value) -> Result<(), ConformanceError> {
    let mut progress = Progress::new(section);
    for (index, value) in run.items(section, value)?.iter().enumerate() {
        let Unsigned(expected) = run.decode(section, index, value)?;
        let outcome = match EXP2_FACTORS.get(index) {
            Some(factor) => same("factor", format!("{factor:#x}"), format!("{expected:#x}")),
            None => Err(malformed("there are 32 factors")),
        };
        run.agreed(section, index, outcome)?;
        progress.add(Outcome::Ran);
    }
    run.add(progress);
    Ok(())
}

/// Fraction, value.
#[derive(Deserialize)]
pub(super) struct Exp2(Unsigned, Unsigned);

impl Case for Exp2 {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let Self(Unsigned(fraction), Unsigned(expected)) = self;
        let fraction = u32::try_from(*fraction).map_err(|_| malformed("the fraction has more than 32 bits"))?;
        same("2^x", format!("{:#x}", exp2_fraction(fraction)), format!("{expected:#x}"))?;
        Ok(Outcome::Ran)
    }
}

/// Lag in seconds, exponent.
#[derive(Deserialize)]
pub(super) struct Exponent(i64, Signed);

impl Case for Exponent {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let Self(lag, Signed(expected)) = self;
        same("exponent", schedule_exponent(*lag, HALF_LIFE), *expected)?;
        Ok(Outcome::Ran)
    }
}

/// One step of one algorithm.
#[derive(Deserialize)]
pub(super) struct Step {
    prev_base_bits: TargetBits,
    prev_bits: TargetBits,
    delta_clock: i64,
    spacing: i64,
    m: u32,
    limit_bits: TargetBits,
    hardest_bits: Option<TargetBits>,
    half_life: Option<u32>,
    window_work: Option<Wide>,
    window_secs: Option<u64>,
    expect_base: Option<Bits>,
    expect_bits: Option<Bits>,
}

impl Case for Step {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let burst = match (self.window_work, self.window_secs) {
            (Some(Wide(work)), Some(secs)) => Some(BurstWindow { work: U512::from(work), secs }),
            (None, None) => None,
            _ => return Err(malformed("window_work and window_secs belong together")),
        };
        let hardest = self.hardest_bits.map_or(Target(U256::ONE), |bits| bits.0);
        let required = DifficultyState {
            algorithm: Algorithm::Sha256d,
            base: self.prev_base_bits.0,
            previous: self.prev_bits.0,
            blocks_since: self.m,
            clock_since_secs: self.delta_clock,
            spacing_secs: self.spacing,
            half_life: self.half_life.unwrap_or(HALF_LIFE),
            max_drift: UnitFraction::QUARTER,
            bounds: TargetBounds { hardest, limit: self.limit_bits.0 },
            burst,
        }
        .required();
        if let Some(Bits(expected)) = self.expect_base {
            same("base bits", required.base_bits, expected)?;
        }
        if let Some(Bits(expected)) = self.expect_bits {
            same("bits", required.bits, expected)?;
        }
        Ok(Outcome::Ran)
    }
}

/// Weight of one block before the run discount.
#[derive(Deserialize)]
pub(super) struct BlockWork {
    bits: Vec<TargetBits>,
    ref_bits: Vec<TargetBits>,
    work: Wide,
}

impl Case for BlockWork {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        if self.bits.len() != self.ref_bits.len() || self.bits.is_empty() || self.bits.len() > Algorithm::COUNT {
            return Err(malformed("bits and ref_bits are one to three pairs"));
        }
        let pairs = self.bits.iter().zip(&self.ref_bits).map(|(bits, unit)| (bits.0, unit.0));
        same("work", block_work(pairs), Work(self.work.0))?;
        Ok(Outcome::Ran)
    }
}
