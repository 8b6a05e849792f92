//! Runs a plan from many seeds and says which broke: `seeds pool-day 1..500`.
#![expect(clippy::print_stdout, reason = "its only output")]

use std::process::ExitCode;

use bq_pool_sim::{PoolPlan, run};

/// Sentences of a broken story that are shown.
const SHOWN: usize = 10;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let plan = arguments.next().and_then(|name| PoolPlan::find(&name));
    let seeds = arguments.next().and_then(|seeds| range(&seeds));
    let (Some(plan), Some((first, last))) = (plan, seeds) else {
        println!("seeds PLAN FIRST..LAST, where PLAN is one of {}", PoolPlan::ALL.map(|plan| plan.name).join(", "));
        return ExitCode::from(2);
    };
    let mut broken = 0_u32;
    let mut sums = std::collections::BTreeMap::new();
    for seed in first..=last {
        match run(plan, seed) {
            Ok(story) => story.figures.into_iter().for_each(|(name, value)| *sums.entry(name).or_insert(0) += value),
            Err(found) => {
                broken += 1;
                println!("{found}");
                for line in found.story.lines.iter().skip(found.story.lines.len().saturating_sub(SHOWN)) {
                    println!("    {line}");
                }
            }
        }
    }
    for (name, sum) in sums {
        println!("    {name} {sum}");
    }
    println!("{}: seeds {first} to {last}, {broken} broken", plan.name);
    ExitCode::from(u8::from(broken > 0))
}

fn range(seeds: &str) -> Option<(u64, u64)> {
    let (first, last) = seeds.split_once("..")?;
    Some((first.parse().ok()?, last.parse().ok()?))
}
