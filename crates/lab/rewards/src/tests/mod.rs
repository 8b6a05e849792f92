//! The short form of what `bq sim --scenario rewards` runs: seconds, wider intervals, the same verdicts.

use bq_ledger::{FeeBasisPoints, WindowUnits};
use bq_primitives::Amount;

use crate::{
    Difficulties, Estimate, HeadRule, Hopping, Plan, RuinCase, Scheme, Start, Strategy, Z_OF_FOUR, early_gain, hopping,
    ruin, share_size_bias, splitting, withholding,
};

const SHORT: Plan = Plan::SHORT;
const TWO: WindowUnits = WindowUnits::DEFAULT;

fn gain(scheme: Scheme, strategy: Strategy, difficulties: Difficulties, stream: u64) -> Estimate {
    hopping(&SHORT, Hopping { scheme, strategy, difficulties }, stream).expect("in range")
}

#[test]
fn no_strategy_of_hopping_gains_on_a_window() {
    for (number, strategy) in (0..).zip(Strategy::HOPPERS) {
        for (column, scheme) in (0..).zip([Scheme::Pplns(TWO), Scheme::Direct(TWO)]) {
            let gain = gain(scheme, strategy, Difficulties::Constant, 10 * number + column);
            assert!(gain.holds(0.0, Z_OF_FOUR), "{strategy:?} {scheme:?} {gain:?}");
            assert!(gain.half_width(Z_OF_FOUR) < 0.02, "{strategy:?} {scheme:?} {gain:?}");
        }
    }
}

/// The positive control: were there a gain, this would find it.
#[test]
fn hopping_off_gains_four_fifths_where_rounds_are_paid() {
    let gain = gain(Scheme::Prop, Strategy::HopOff, Difficulties::Constant, 50);
    assert!((gain.mean - 0.789).abs() < 0.02, "{gain:?}");
    let late = self::gain(Scheme::Prop, Strategy::AfterDrought, Difficulties::Constant, 51);
    assert!((late.mean + 0.596).abs() < 0.02, "{late:?}");
}

#[test]
fn who_mines_while_blocks_are_hard_gains_nothing_by_weights_and_something_by_hashes() {
    let pplns = gain(Scheme::Pplns(TWO), Strategy::WhileHard, Difficulties::Steps, 60);
    assert!(pplns.holds(0.0, Z_OF_FOUR), "{pplns:?}");
    let eight = WindowUnits::new(8).expect("8");
    let tides = gain(Scheme::Tides(eight), Strategy::WhileHard, Difficulties::Steps, 61);
    assert!(tides.mean > tides.half_width(Z_OF_FOUR), "{tides:?}");
}

#[test]
fn large_shares_earn_what_small_ones_do() {
    for (times, most) in [(10, 1e-4), (100, 1e-4)] {
        let bias = share_size_bias(HeadRule::Half, 1000, times);
        assert!(bias.large.abs() < most && bias.small.abs() < most, "{times} {bias:?}");
    }
    // Both other rules are off, by what was computed in floating point before.
    let near = |got: f64, expected: f64| (got * 100.0 - expected).abs() < 0.03;
    let whole = share_size_bias(HeadRule::Whole, 1000, 100);
    assert!(near(whole.large, 0.804) && near(whole.small, -1.681), "{whole:?}");
    let excluded = share_size_bias(HeadRule::Excluded, 1000, 100);
    assert!(near(excluded.large, -0.789) && near(excluded.small, 1.659), "{excluded:?}");
}

#[test]
fn withheld_blocks_cost_every_miner_of_a_window_the_same_and_a_pool_that_pays_per_share_its_fee() {
    let window = withholding(&SHORT, Scheme::Pplns(TWO), 70).expect("in range");
    assert!(window.honest.holds(-0.01, Z_OF_FOUR) && window.honest.half_width(Z_OF_FOUR) < 0.02, "{window:?}");
    let per_share = withholding(&SHORT, Scheme::Pps, 71).expect("in range");
    assert!(per_share.honest.mean.abs() < 1e-4, "{per_share:?}");
    assert!(per_share.pool.holds(0.0, Z_OF_FOUR), "{per_share:?}");
}

#[test]
fn a_reserve_runs_out_as_often_as_the_formula_says() {
    let reward = Amount::from_atoms(5_000_000_000).expect("small");
    let fee = FeeBasisPoints::new(400).expect("4 %");
    let case = RuinCase { fee, reserve: 20 * reward.atoms(), reward };
    let ruin = ruin(case, SHORT.ruin_runs, SHORT.seed, 80).expect("in range");
    assert!((ruin.formula - 0.1932).abs() < 1e-4, "{ruin:?}");
    assert!(ruin.measured.holds(ruin.formula, 2.0), "{ruin:?}");
}

#[test]
fn the_first_miners_gain_only_where_no_seed_takes_what_they_did_not_earn() {
    let seeded = early_gain(&SHORT, Start::Seeded, 90).expect("in range");
    assert!(seeded.holds(0.0, Z_OF_FOUR) && seeded.half_width(Z_OF_FOUR) < 0.02, "{seeded:?}");
    let unseeded = early_gain(&SHORT, Start::Unseeded, 91).expect("in range");
    assert!(unseeded.mean > 0.1, "{unseeded:?}");
}

#[test]
fn a_miner_under_many_names_earns_no_more_than_roundings() {
    for scheme in [Scheme::Pplns(TWO), Scheme::Pps] {
        let cost = splitting(scheme, 100, 250_000, SHORT.seed).expect("in range");
        assert!(cost.parted <= cost.whole + cost.blocks, "{cost:?}");
        assert!(cost.whole - cost.parted.min(cost.whole) <= 101 * cost.blocks.max(1), "{cost:?}");
    }
}

#[test]
fn the_same_plan_gives_the_same_figures() {
    let plan = Plan { batches: 2, shares: 5_000, ..SHORT };
    let case = Hopping { scheme: Scheme::Pplns(TWO), strategy: Strategy::HopOff, difficulties: Difficulties::Constant };
    assert_eq!(hopping(&plan, case, 1).unwrap(), hopping(&plan, case, 1).unwrap());
    assert_ne!(hopping(&plan, case, 1).unwrap(), hopping(&plan, case, 2).unwrap());
}

#[test]
fn a_ratio_over_all_batches_is_that_of_the_sums_and_its_error_that_of_many_draws() {
    let mut rng = bq_random::Rng::seeded(1, 2);
    let mut draw = |mean: f64| mean * (0.5 + rng.unit());
    let mut means = Vec::new();
    let mut errors = Vec::new();
    for _ in 0..400 {
        let batches: Vec<[f64; 4]> = (0..40).map(|_| [draw(3.0), draw(2.0), draw(5.0), draw(4.0)]).collect();
        let estimate = Estimate::of_ratios(&batches);
        means.push(estimate.mean);
        errors.push(estimate.error);
    }
    let of_means = Estimate::of(&means);
    assert!((of_means.mean - 0.2).abs() < 0.01, "{of_means:?}");
    let spread = of_means.error * (means.len() as f64).sqrt();
    let told = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!((told / spread - 1.0).abs() < 0.15, "{told} {spread}");
}
