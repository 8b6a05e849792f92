//! Tests 6, 7 and 9: miners who hop, and miners who lie about the time.

use bq_sim::Scenario;

use crate::{
    controls::{ClippedSpan, Windowed},
    seeds::Eight,
};

fn bears_a_hopper(eight: &Eight) -> bool {
    let gain = eight.gain("hopper") / eight.gain("steady");
    println!("hopper: mean {:.1} s, gain {gain:.3}", eight.mean_secs());
    (585.0..=615.0).contains(&eight.mean_secs()) && gain <= 1.2
}

#[test]
fn test_06_hopping_hurts_nobody_much() {
    for name in ["hopper-1", "hopper-3"] {
        assert!(bears_a_hopper(&Eight::of(name)));
    }
    assert!(!bears_a_hopper(&Eight::under("hopper-1", &Windowed)));
}

fn shrugs_off(eight: &Eight) -> bool {
    let fair = |name: &str| {
        let part = eight.plan.miners.iter().any(|miner| miner.name == name).then(|| eight.part(name));
        println!("  part of {name}: {part:.4?}");
        part.is_none_or(|part| (0.29..=0.31).contains(&part))
    };
    println!("stamps: mean {:.1} s", eight.mean_secs());
    (591.0..=611.0).contains(&eight.mean_secs()) && fair("future") && fair("past")
}

#[test]
fn test_07_a_third_of_liars_gain_nothing() {
    for name in ["future", "past", "mixed"] {
        for count in [1, 3] {
            assert!(shrugs_off(&Eight::of(&format!("{name}-{count}"))));
        }
    }
    assert!(!shrugs_off(&Eight::under("past-1", &Windowed)));
}

fn withstands_the_verge_pattern(eight: &Eight) -> bool {
    let above = eight.max(|summary| summary.above_bound);
    println!("verge: mean {:.1} s, above the bound by {above:.2e} halvings", eight.mean_secs());
    // 1e-9 is what the logarithms of the measurement may be off.
    (590.0..=611.0).contains(&eight.mean_secs()) && above <= 1e-9
}

#[test]
fn test_09_the_verge_pattern_makes_no_time() {
    for name in ["verge-1", "verge-3"] {
        assert!(withstands_the_verge_pattern(&Eight::of(name)));
    }
    assert!(!withstands_the_verge_pattern(&Eight::under("verge-1", &ClippedSpan)));
    assert!(!withstands_the_verge_pattern(&Eight::under("verge-1", &Windowed)));
    assert_eq!(Scenario::chain_plan("verge-1").unwrap().blocks, 3_000);
}
