//! Rules that are wrong on purpose. None of them is ever offered outside these tests.

use bq_consensus::{
    Branch, IndexEntry, LinearBranch, Params, RequiredBits, SealedHeader, StartBits, TargetBounds, U512,
    difficulty_states, extend, median_time_past, mul_exp2, schedule_exponent,
};
use bq_primitives::{Algorithm, Height, Target, Timestamp, U256, Work};
use bq_sim::{Consensus, Rule, View};

/// Plain ASERT: one absolute anchor per algorithm, the parent's own time, no guard, no drift bound.
pub(crate) struct AbsoluteAsert;

impl Rule for AbsoluteAsert {
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits> {
        each(view, |algorithm, start, _| {
            let count = view.params.eras.table[0].algorithms.len() as u32;
            let due = view.params.asert.spacing_secs(count) * i64::from(view.found[algorithm.index()]);
            let passed = secs(view.tip().time) - secs(view.params.genesis_time);
            Target(mul_exp2(start.0, schedule_exponent(passed - due, view.params.asert.half_life)))
        })
    }

    fn entry(&self, view: &View<'_>, sealed: SealedHeader, _: Timestamp) -> IndexEntry {
        unjudged(self, view, &sealed)
    }
}

/// The shape of DigiByte's MultiShield V4: the time of the last ten blocks of each algorithm between medians, damped by
/// four and limited, times 1.04 for each block that an algorithm is early or late.
pub(crate) struct Windowed;

impl Rule for Windowed {
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits> {
        each(view, |algorithm, start, _| {
            let count = view.params.eras.table[0].algorithms.len().cast_signed() as i64;
            let window = 10 * count;
            let tip = i64::from(view.tip().height.0);
            let (Some(last), true) = (view.tip().last_of(algorithm), tip > window) else { return start };
            let nominal = window * 600;
            let span = median_at(view, tip) - median_at(view, tip - window);
            let span = (nominal + (span - nominal) / 4).clamp(nominal * 92 / 100, nominal * 116 / 100);
            let early = i64::from(last.0) + count - 1 - tip;
            let (mut up, mut down) = (span as u64, nominal as u64);
            for _ in 0..early.unsigned_abs().min(8) {
                let (more, less) = if early < 0 { (104, 100) } else { (100, 104) };
                up *= more;
                down *= less;
            }
            let previous = view.branch.entry(last).unwrap().bits.decode().unwrap();
            Target(U256::saturating_from(U512::from(previous.0) * U512::from(up) / U512::from(down)))
        })
    }

    fn entry(&self, view: &View<'_>, sealed: SealedHeader, _: Timestamp) -> IndexEntry {
        unjudged(self, view, &sealed)
    }
}

/// ASERT on the times themselves, where a step back counts as no time at all: the one-sided clip behind several attacks.
pub(crate) struct ClippedSpan;

impl Rule for ClippedSpan {
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits> {
        let era = &view.params.eras.table[0];
        let spacing = view.params.asert.spacing_secs(era.algorithms.len() as u32);
        each(view, |algorithm, start, _| {
            let Some(last) = view.tip().last_of(algorithm) else { return start };
            let block = view.branch.entry(last).unwrap();
            let below = view.branch.entry(last.previous().unwrap()).unwrap();
            let passed = (secs(view.tip().time) - secs(below.time)).max(0);
            let previous = block.bits.decode().unwrap();
            Target(mul_exp2(previous.0, schedule_exponent(passed - spacing, view.params.asert.half_life)))
        })
    }

    fn entry(&self, view: &View<'_>, sealed: SealedHeader, _: Timestamp) -> IndexEntry {
        unjudged(self, view, &sealed)
    }
}

/// The real rule with an emergency exit: whoever waits three spacings gets a quarter on top.
pub(crate) struct EasingGuard;

impl Rule for EasingGuard {
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits> {
        let states = difficulty_states(view.params, view.branch);
        let eased = |state: &bq_consensus::DifficultyState| {
            let required = state.required();
            if state.clock_since_secs <= 3 * state.spacing_secs {
                return required;
            }
            let target = state.bounds.clamp(Target(required.target.0 + required.target.0 / U256::from(4)));
            RequiredBits { bits: target.to_compact(), target: target.to_compact().decode().unwrap(), ..required }
        };
        states.iter().map(eased).collect()
    }

    fn entry(&self, view: &View<'_>, sealed: SealedHeader, _: Timestamp) -> IndexEntry {
        extend(view.params, view.branch, &sealed.header, sealed.id()).unwrap()
    }
}

/// The real difficulty, but chain work is a sum of hashes in units of each algorithm's reference.
pub(crate) struct SummedWork;

impl Rule for SummedWork {
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits> {
        Consensus.required(view)
    }

    fn entry(&self, view: &View<'_>, sealed: SealedHeader, now: Timestamp) -> IndexEntry {
        let era = view.params.eras.at(sealed.header.height).unwrap();
        let unit = era.algorithm(sealed.header.algorithm).unwrap().ref_bits.decode().unwrap();
        let hashes = Work::of_target(sealed.header.bits.decode().unwrap()).0;
        let weight = hashes.wrapping_shl(64) / Work::of_target(unit).0;
        let chain_work = Work(view.tip().chain_work.0 + weight);
        IndexEntry { chain_work, ..Consensus.entry(view, sealed, now) }
    }
}

/// Some difficulty rule, but the longest chain wins, however easy its blocks were.
pub(crate) struct LongestChain<'a>(pub(crate) &'a dyn Rule);

impl Rule for LongestChain<'_> {
    fn required(&self, view: &View<'_>) -> Vec<RequiredBits> {
        self.0.required(view)
    }

    fn entry(&self, view: &View<'_>, sealed: SealedHeader, now: Timestamp) -> IndexEntry {
        let chain_work = Work(view.tip().chain_work.0 + U256::ONE.wrapping_shl(64));
        IndexEntry { chain_work, ..self.0.entry(view, sealed, now) }
    }
}

/// Targets by algorithm, within the limits; base and required are one.
fn each(view: &View<'_>, target: impl Fn(Algorithm, Target, TargetBounds) -> Target) -> Vec<RequiredBits> {
    let era = &view.params.eras.table[0];
    let required = era.algorithms.iter().map(|rule| {
        let StartBits::At(start) = rule.start_bits else { panic!("controls know one era") };
        let bounds = rule.bounds().unwrap();
        let bits = bounds.clamp(target(rule.algorithm, start.decode().unwrap(), bounds)).to_compact();
        RequiredBits { algorithm: rule.algorithm, bits, base_bits: bits, target: bits.decode().unwrap() }
    });
    required.collect()
}

/// An entry whose difficulty nobody checks.
fn unjudged(rule: &dyn Rule, view: &View<'_>, sealed: &SealedHeader) -> IndexEntry {
    let mut entry = extend(view.params, view.branch, &sealed.header, sealed.id()).unwrap();
    for required in rule.required(view) {
        entry.base_bits[required.algorithm.index()] = Some(required.bits);
    }
    entry
}

/// A branch cut off at a height, for the median there.
struct Prefix<'a> {
    branch: &'a LinearBranch,
    tip: Height,
}

impl Branch for Prefix<'_> {
    fn entry(&self, height: Height) -> Option<&IndexEntry> {
        self.branch.entry(height)
    }

    fn tip(&self) -> &IndexEntry {
        self.branch.entry(self.tip).unwrap()
    }
}

fn median_at(view: &View<'_>, height: i64) -> i64 {
    let params: &Params = view.params;
    secs(median_time_past(params, &Prefix { branch: view.branch, tip: Height(height as u32) }))
}

fn secs(time: Timestamp) -> i64 {
    time.0.cast_signed()
}
