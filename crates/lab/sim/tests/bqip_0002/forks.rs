//! Tests 10 and 11: secret chains.

use bq_primitives::Algorithm;
use bq_sim::{Consensus, Miner, Power, Race, Rule, Scenario, Setup, Until};

use crate::{
    controls::{AbsoluteAsert, LongestChain, SummedWork},
    seeds::SEEDS,
};

const HABITS: [&str; 4] = ["private-honest", "private-pack", "private-ramp", "private-random"];

/// What came of many forks.
#[derive(Default)]
struct Forks {
    count: f64,
    wins: f64,
    honest_work: f64,
    attacker_work: f64,
}

impl Forks {
    fn mine(&mut self, race: &Race, forks: u64, rule: &dyn Rule) {
        for seed in 0..forks {
            let result = race.run(seed, rule);
            let end = result.points.last().unwrap();
            self.count += 1.0;
            self.wins += f64::from(u8::from(result.attacker_wins()));
            self.honest_work += end.honest_work;
            self.attacker_work += end.attacker_work;
        }
    }

    fn win_part(&self) -> f64 {
        self.wins / self.count
    }

    fn work_ratio(&self) -> f64 {
        self.attacker_work / self.honest_work
    }
}

/// A secret chain of the given power, released when the honest one is `depth` blocks past the fork.
fn private(habit: &str, count: usize, power: f64, depth: u32) -> Race {
    let race = Scenario::race_plan(habit).unwrap();
    let attacker = Miner { power: [(); Algorithm::COUNT].map(|()| Power::Steady(power)), ..race.attacker };
    Race { setup: Setup::steady(count, 20), until: Until::Blocks(depth), history_blocks: 60, attacker, ..race }
}

/// 500 forks of up to 200 blocks by someone with 0.9 times the hash rate of the rest.
fn gains_nothing(habit: &str, count: usize, rule: &dyn Rule) -> bool {
    let mut forks = Forks::default();
    for depth in [3, 12, 60, 200] {
        forks.mine(&private(habit, count, 0.9, depth), 125, rule);
    }
    println!("{habit}, k = {count}: wins {:.3}, work ratio {:.3}", forks.win_part(), forks.work_ratio());
    forks.work_ratio() <= 0.97 && forks.win_part() <= 0.45
}

#[test]
fn test_10_a_private_chain_gains_no_work_by_its_times() {
    for count in [1, 3] {
        for habit in HABITS {
            assert!(gains_nothing(habit, count, &Consensus));
        }
    }
    assert!(!gains_nothing("private-ramp", 1, &LongestChain(&AbsoluteAsert)));
}

/// Parts of 500 forks that someone with a fifth of the hash rate of the rest wins at depth 3 and at depth 60.
fn wins_of_a_fifth(habit: &str) -> (f64, f64) {
    let part = |depth| {
        let mut forks = Forks::default();
        forks.mine(&private(habit, 3, 0.2, depth), 500, &Consensus);
        forks.win_part()
    };
    let parts = (part(3), part(60));
    println!("{habit}, a fifth: {parts:.3?}");
    parts
}

#[test]
fn test_10_a_fifth_of_the_hash_rate_has_luck_for_a_few_blocks_only() {
    for habit in HABITS {
        let (at_3, at_60) = wins_of_a_fifth(habit);
        assert!(at_3 <= 0.05 && at_60 == 0.0);
    }
}

fn deepest_lead(name: &str, rule: &dyn Rule) -> u32 {
    let race = Scenario::race_plan(name).unwrap();
    let leads = SEEDS.map(|seed| race.run(seed, rule).deepest_lead_blocks());
    let deepest = leads.max().unwrap();
    println!("{name}: deepest lead {deepest} blocks");
    deepest
}

#[test]
fn test_11_one_algorithm_cannot_rewrite_the_chain() {
    for name in ["race-one-10", "race-one-100", "race-one-1000"] {
        assert!(deepest_lead(name, &Consensus) <= 12);
        assert!(deepest_lead(name, &SummedWork) > 12);
    }
}

#[test]
fn test_11_nor_does_luck_help_it_far() {
    let race = Race { luck: true, ..Scenario::race_plan("race-one-1000").unwrap() };
    let deepest = (1..=64).map(|seed| race.run(seed, &Consensus).deepest_lead_blocks()).max().unwrap();
    println!("race-one-1000 with luck: deepest lead {deepest} blocks");
    assert!(deepest <= 20);
}
