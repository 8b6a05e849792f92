//! The reserve: what is printed about it, and a slow model with 320 fraction bits that works another way.

use bq_primitives::U256;
use proptest::prelude::*;
use ruint::Uint;

use super::{examples::REWARD, *};
use crate::{EffectiveFee, LossRate, ReserveNeed, RuinBound, exponential};

/// Sums of plain series, with so many fraction bits that their rounding does not show.
mod model {
    use ruint::Uint;

    pub(super) type Wide = Uint<1024, 16>;
    pub(super) const BITS: usize = 320;

    pub(super) fn whole(number: u64) -> Wide {
        Wide::from(number) << BITS
    }

    /// e^x for x up to 200: the series as it stands, without halving.
    pub(super) fn exp(x: Wide) -> Wide {
        let (mut sum, mut term, mut n) = (whole(1), whole(1), 1);
        while !term.is_zero() {
            term = ((term * x) >> BITS) / Wide::from(n);
            sum += term;
            n += 1;
        }
        sum
    }

    pub(super) fn exp_of_minus(x: Wide) -> Wide {
        (whole(1) << BITS) / exp(x)
    }

    /// Where a function that does not fall passes a value.
    fn solve(mut low: Wide, mut high: Wide, is_above: impl Fn(Wide) -> bool) -> Wide {
        while high - low > Wide::from(1) {
            let middle = (low + high) >> 1;
            if is_above(middle) { high = middle } else { low = middle }
        }
        low
    }

    /// ln of 10^zeros.
    pub(super) fn logarithm(zeros: u32) -> Wide {
        let power = whole(10_u64.pow(zeros));
        solve(whole(0), whole(16), |x| exp(x) > power)
    }

    /// x by Newton's method on c * x + e^-x - 1, which is convex: from 1 / c on it falls to the root and stays above it.
    pub(super) fn exponent(paid: Wide, received: Wide) -> Wide {
        let ratio = (paid << BITS) / received;
        let mut x = (received << BITS) / paid;
        loop {
            let power = exp_of_minus(x);
            let above = (((ratio * x) >> BITS) + power).saturating_sub(whole(1));
            let step = (above << BITS) / (ratio - power);
            x -= step;
            if step < Wide::from(1) << 60 {
                return x;
            }
        }
    }
}

fn lost(basis_points: u16) -> LossRate {
    LossRate::new(basis_points).expect("test rates are in range")
}

fn need(fee: u16, orphan: u16, withheld: u16) -> ReserveNeed {
    let (orphan, withheld) = (lost(orphan), lost(withheld));
    ReserveNeed { block_reward: atoms(REWARD), fee: bp(fee), orphan, withheld, maturing_blocks: 0 }
}

/// In tenths of a block, to the nearest.
fn tenths(need: ReserveNeed, ruin: RuinBound) -> Option<u64> {
    need.needed(ruin).map(|amount| (amount.atoms() * 10 + REWARD / 2) / REWARD)
}

#[test]
fn blocks_needed_by_fee() {
    let rows =
        [(50, [4590, 6885, 13769]), (100, [2287, 3431, 6862]), (200, [1136, 1704, 3408]), (400, [560, 840, 1681])];
    for (fee, expected) in rows {
        let bounds = [RuinBound::OneInHundred, RuinBound::OneInThousand, RuinBound::OneInMillion];
        assert_eq!(bounds.map(|ruin| tenths(need(fee, 0, 0), ruin)), expected.map(Some), "{fee} basis points");
    }
}

#[test]
fn lost_blocks_eat_up_the_fee() {
    let ruin = RuinBound::OneInThousand;
    let orphans = need(200, 50, 0);
    assert_eq!((orphans.effective_fee(), tenths(orphans, ruin)), (Some(EffectiveFee(15_075)), Some(2268)));
    let both = need(200, 50, 100);
    assert_eq!((both.effective_fee(), tenths(both, ruin)), (Some(EffectiveFee(5_126)), Some(6714)));
    let certain = need(200, 0, 200);
    assert_eq!((certain.effective_fee(), certain.needed(ruin)), (None, None));
    assert_eq!(need(0, 0, 0).needed(RuinBound::OneInHundred), None, "without a fee ruin is certain");
    assert_eq!(need(9_999, 10_000, 0).needed(ruin), None, "nothing comes in");
    assert_eq!(need(10_000, 10_000, 0).needed(ruin), Some(Amount::ZERO), "nothing is paid");
    assert_eq!(LossRate::new(10_001), Err(crate::LossRateError(10_001)));
}

#[test]
fn shares_are_paid_for_while_rewards_mature() {
    let ruin = RuinBound::OneInThousand;
    let at_once = need(200, 0, 0);
    let later = ReserveNeed { maturing_blocks: 30, ..at_once };
    let more = later.needed(ruin).expect("finite").atoms() - at_once.needed(ruin).expect("finite").atoms();
    assert_eq!(more, 30 * (REWARD / 100 * 98 + 2));
}

#[test]
fn a_need_above_every_amount_is_met_by_none() {
    let most = ReserveNeed { block_reward: Amount::MAX, ..need(50, 0, 0) };
    assert_eq!(most.needed(RuinBound::OneInHundred), None);
    let most = ReserveNeed { maturing_blocks: u32::MAX, block_reward: Amount::MAX, ..need(9_999, 0, 0) };
    assert_eq!(most.needed(RuinBound::OneInHundred), None);
    let nothing = ReserveNeed { block_reward: Amount::ZERO, ..need(50, 0, 0) };
    assert_eq!(nothing.needed(RuinBound::OneInHundred), Some(Amount::ZERO));
}

/// The reserve against luck alone, in atoms with the model's fraction bits.
fn model_of(need: &ReserveNeed, zeros: u32) -> model::Wide {
    let rest = |rate: u16| model::Wide::from(10_000 - rate);
    let block = model::Wide::from(need.block_reward.atoms());
    // A fee that is rounded down may be an atom less, of a block value that is more than half of what a block brings.
    let paid = rest(need.fee.get()) * model::Wide::from(10_000) * block + model::Wide::from(200_000_000);
    let received = rest(need.orphan.into()) * rest(need.withheld.into()) * block;
    ((model::logarithm(zeros) * block) << model::BITS) / model::exponent(paid, received)
}

fn check(need: &ReserveNeed, ruin: RuinBound, zeros: u32) {
    let exact = model_of(need, zeros);
    let got = model::whole(need.needed(ruin).expect("finite").atoms());
    assert!(got >= exact, "understated: {need:?}");
    assert!(got <= exact + (exact >> 30) + model::whole(1), "overstated: {need:?}");
}

#[test]
fn exponentials_keep_their_promise() {
    for quarters in 0_u64..=128 {
        let x = U256::from(quarters) * exponential::ONE / U256::from(4);
        let got = model::Wide::from(exponential::exp_of_minus(x).expect("in range")) << (model::BITS - 96);
        let exact = model::exp_of_minus(model::Wide::from(x) << (model::BITS - 96));
        assert!(got >= exact && got - exact <= model::whole(1) >> 84, "{quarters}/4");
    }
    let beyond = exponential::exp_of_minus(exponential::ONE * U256::from(9_999)).expect("in range");
    assert!(!beyond.is_zero() && beyond <= exponential::ONE >> 46);
    let ln_10 = model::Wide::from(exponential::LN_10) << (model::BITS - 96);
    let exact = model::logarithm(1);
    assert!(ln_10 >= exact && ln_10 - exact < Uint::from(1) << (model::BITS - 96));
}

#[test]
fn the_need_is_never_understated() {
    for fee in [1, 50, 100, 200, 400, 1000, 5000, 9000, 9950] {
        check(&need(fee, 0, 0), RuinBound::OneInMillion, 6);
    }
    // A fee that little is left of: 10^-4 and 10^-8.
    check(&need(3, 1, 1), RuinBound::OneInHundred, 2);
    let least = need(2, 1, 1);
    assert_eq!((least.effective_fee(), least.needed(RuinBound::OneInHundred)), (Some(EffectiveFee(0)), None));
}

#[test]
fn a_fee_of_less_than_an_atom_is_no_fee() {
    // Of a reward of 24 atoms 4 % are none, so that every block of work costs all that a block brings.
    let small = ReserveNeed { block_reward: atoms(24), ..need(400, 0, 0) };
    assert_eq!(bp(400).of(atoms(24)), Ok(Amount::ZERO));
    assert_eq!(small.needed(RuinBound::OneInHundred), None);
    // The rounding of the fee of any value between half of what a block brings and all of it is covered.
    for (fee, most) in [(50, 1000), (400, 333), (9_999, 50)] {
        for value in most / 2 + 1..=most {
            let net = value - bp(fee).of(atoms(value)).expect("in range").atoms();
            assert!(net * 10_000 * most <= value * (u64::from(10_000 - fee) * most + 20_000), "{fee} {value}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_need_is_the_models(fee in 200_u16..9900, orphan in 0_u16..100, withheld in 0_u16..100, reward in 1_u64 << 24..1 << 38) {
        let need = ReserveNeed { block_reward: atoms(reward), ..need(fee, orphan, withheld) };
        check(&need, RuinBound::OneInHundred, 2);
        check(&need, RuinBound::OneInThousand, 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn less_income_or_less_ruin_needs_more(
        fee in 0_u16..=10_000, orphan in 0_u16..=9999, withheld in 0_u16..=9999, reward in 0_u64..1 << 50,
    ) {
        // Nothing is more than every amount.
        let of = |need: ReserveNeed, ruin| need.needed(ruin).map_or(u64::MAX, Amount::atoms);
        let need = ReserveNeed { block_reward: atoms(reward), ..need(fee, orphan, withheld) };
        let ruin = RuinBound::OneInThousand;
        let base = of(need, ruin);
        prop_assert!(of(need, RuinBound::OneInHundred) <= base && base <= of(need, RuinBound::OneInMillion));

        let safer = [
            ReserveNeed { fee: bp((fee + 1).min(10_000)), ..need },
            ReserveNeed { orphan: LossRate::NONE, ..need },
            ReserveNeed { withheld: LossRate::NONE, ..need },
        ];
        // Within what may be added to either.
        let most = base.saturating_add(base >> 30).saturating_add(2);
        prop_assert!(safer.iter().all(|other| of(*other, ruin) <= most));
        let maturing = ReserveNeed { maturing_blocks: 1, ..need };
        prop_assert!(of(maturing, ruin) >= base);

        let rest = |rate: u16| u64::from(10_000 - rate);
        let is_certain = rest(fee) * 10_000 >= rest(orphan) * rest(withheld);
        prop_assert!(!is_certain || need.effective_fee().is_none());
        prop_assert!(!is_certain || base == u64::MAX || reward == 0);
    }
}

/// Of 4,000 pools that start with this reserve, how many run out of it: expected work between blocks is exponential, `paid`
/// is what one block of work costs, and each block brings what `block` makes of a number between 0 and 1. A pool that
/// doubles its reserve is taken to last: its ruin is as likely as that bound squared.
fn ruined(reserve: f64, paid: f64, block: impl Fn(f64) -> f64) -> u32 {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut uniform = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        f64::from(u32::try_from(seed >> 32).expect("32 bits")).mul_add(2_f64.powi(-32), 2_f64.powi(-33))
    };
    let mut runs_out = || {
        let mut held = reserve;
        while held < 2.0 * reserve {
            held += paid * uniform().ln();
            if held < 0.0 {
                return true;
            }
            held += block(uniform());
        }
        false
    };
    (0..4000).map(|_| u32::from(runs_out())).sum()
}

/// In blocks of [`REWARD`].
fn blocks_needed(need: ReserveNeed, ruin: RuinBound) -> f64 {
    let atoms = need.needed(ruin).expect("finite").atoms();
    f64::from(u32::try_from(atoms / 1_000_000).expect("small"))
        / f64::from(u32::try_from(REWARD / 1_000_000).expect("small"))
}

#[test]
fn pools_with_the_needed_reserve_are_ruined_as_often_as_promised() {
    // 40 of 4,000 expected, with a standard deviation of 6.3.
    let pps = ruined(blocks_needed(need(400, 0, 0), RuinBound::OneInHundred), 0.96, |_| 1.0);
    assert!((15..=65).contains(&pps), "{pps}");
    // One block in ten is lost, which the fee is raised for.
    let lossy = blocks_needed(need(1400, 1000, 0), RuinBound::OneInHundred);
    let lossy = ruined(lossy, 0.86, |luck| if luck < 0.1 { 0.0 } else { 1.0 });
    assert!((15..=65).contains(&lossy), "{lossy}");
    // Fees of 0 or a tenth, half and half, paid for at their average: fewer than promised, for J is above the average.
    let fpps = ReserveNeed { block_reward: atoms(REWARD + REWARD / 10), ..need(400, 0, 0) };
    let fpps =
        ruined(blocks_needed(fpps, RuinBound::OneInHundred), 0.96 * 1.05, |luck| if luck < 0.5 { 1.0 } else { 1.1 });
    assert!((1..=65).contains(&fpps), "{fpps}");
    // With half of it the ruin is its root: one in ten.
    let half = ruined(blocks_needed(need(400, 0, 0), RuinBound::OneInHundred) / 2.0, 0.96, |_| 1.0);
    assert!(half > 300, "the control: {half}");
}
