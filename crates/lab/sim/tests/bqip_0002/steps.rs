//! Tests 1 to 5 and 8: the hash rate changes.

use bq_primitives::Algorithm;
use bq_sim::{ChainPlan, Consensus, Rule, Scenario, Setup};

use crate::{
    controls::{AbsoluteAsert, Windowed},
    seeds::{Eight, mean},
};

fn is_steady(eight: &Eight) -> bool {
    println!("steady: mean {:.1} s, deviation {:.1} s", eight.mean_secs(), eight.deviation_secs());
    (591.0..=609.0).contains(&eight.mean_secs()) && (560.0..=660.0).contains(&eight.deviation_secs())
}

#[test]
fn test_01_a_steady_hash_rate_gives_steady_blocks() {
    for count in 1..=3 {
        assert!(is_steady(&Eight::of(&format!("steady-{count}"))));
    }
    assert!(!is_steady(&Eight::under("steady-1", &Windowed)));
}

#[test]
fn test_02_ten_times_the_hash_rate_is_absorbed() {
    let (one, three) = (Eight::of("x10-1"), Eight::of("x10-3"));
    println!("x10: recovery {} and {} blocks", one.recovery_blocks(), three.recovery_blocks());
    assert!(one.recovery_blocks() <= 260.0 && three.recovery_blocks() <= 260.0);
    let plain = Eight::under("x10-1", &AbsoluteAsert);
    println!("x10: most in an hour {}, plain ASERT {}", one.most_in_hour(), plain.most_in_hour());
    assert!(one.max(|summary| summary.most_in_hour as f64) <= 32.0);
    assert!(plain.most_in_hour() > 34.0);
}

fn survives_a_drop(eight: &Eight) -> bool {
    let gap_hours = eight.mean(|summary| summary.worst_gap_secs) / 3_600.0;
    println!("drop: recovery {} blocks, worst gap {gap_hours:.1} h", eight.recovery_blocks());
    eight.recovery_blocks() <= 110.0 && gap_hours <= 8.0
}

#[test]
fn test_03_a_tenth_of_the_hash_rate_is_enough() {
    for name in ["drop-1", "drop-3"] {
        assert!(survives_a_drop(&Eight::of(name)));
    }
    // A two-day half-life is right for a chain with more patience.
    let mut slow = Scenario::chain_plan("drop-1").unwrap();
    slow.setup.params.asert.half_life = 172_800;
    assert!(!survives_a_drop(&Eight::of_plan(slow, &Consensus)));
}

/// Part of the last 600 blocks that the two algorithms had whose hash rate did not change.
fn others(eight: &Eight) -> f64 {
    mean(eight.runs.iter().map(|run| {
        let last = &run.blocks[run.blocks.len() - 600..];
        last.iter().filter(|block| block.algorithm != Algorithm::Sha256d).count() as f64 / 600.0
    }))
}

fn contains_a_surge(eight: &Eight) -> bool {
    let (mean, most) = (eight.mean_secs(), eight.most_in_hour());
    println!("x100 of one: mean {mean:.1} s, most in an hour {most}, others {:.3}", others(eight));
    mean >= 560.0 && most <= 34.0 && others(eight) >= 0.45
}

#[test]
fn test_04_one_algorithm_cannot_take_the_chain() {
    assert!(contains_a_surge(&Eight::of("x100-of-one")));
    assert!(!contains_a_surge(&Eight::under("x100-of-one", &AbsoluteAsert)));
}

fn rides_the_wave(eight: &Eight) -> bool {
    println!("wave: mean {:.1} s", eight.mean_secs());
    (575.0..=625.0).contains(&eight.mean_secs())
}

#[test]
fn test_05_waves_do_not_move_the_mean() {
    for name in ["wave-1", "wave-3"] {
        assert!(rides_the_wave(&Eight::of(name)));
    }
    assert!(!rides_the_wave(&Eight::under("wave-1", &Windowed)));
}

fn outlives_an_algorithm(eight: &Eight) -> bool {
    let most = eight.max(|summary| summary.most_in_hour as f64);
    let gap_hours = eight.max(|summary| summary.worst_gap_secs) / 3_600.0;
    println!("dead: most in an hour {most}, worst gap {gap_hours:.1} h");
    most <= 60.0 && gap_hours < 4.0
}

/// How far below the limit the algorithm's difficulty was when it died decides how far it can ease in a week.
fn dead_with_headroom(bits: usize, rule: &dyn Rule) -> Eight {
    let plan = Scenario::chain_plan("dead").unwrap();
    Eight::of_plan(ChainPlan { setup: Setup::steady(3, bits), ..plan }, rule)
}

#[test]
fn test_08_a_dead_algorithm_returns_without_a_flood() {
    for headroom_bits in [5, 20, 60] {
        // Every block passed the range check of the rules: none is easier than the limit.
        assert!(outlives_an_algorithm(&dead_with_headroom(headroom_bits, &Consensus)));
    }
    assert!(!outlives_an_algorithm(&dead_with_headroom(20, &AbsoluteAsert)));
}
