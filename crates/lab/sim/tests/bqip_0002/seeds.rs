//! Eight runs of one plan, and what to make of them.

use bq_sim::{ChainPlan, Consensus, Rule, Run, Scenario, Summary};

pub(crate) const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

/// Eight runs of a scenario under the real rules.
pub(crate) struct Eight {
    pub(crate) plan: ChainPlan,
    pub(crate) runs: Vec<Run>,
    pub(crate) summaries: Vec<Summary>,
}

impl Eight {
    pub(crate) fn of(scenario: &str) -> Self {
        Self::under(scenario, &Consensus)
    }

    pub(crate) fn under(scenario: &str, rule: &dyn Rule) -> Self {
        Self::of_plan(Scenario::chain_plan(scenario).unwrap(), rule)
    }

    pub(crate) fn of_plan(plan: ChainPlan, rule: &dyn Rule) -> Self {
        let runs: Vec<Run> = SEEDS.map(|seed| plan.run(seed, rule)).collect();
        let summaries = runs.iter().map(|run| plan.summary(run)).collect();
        Self { plan, runs, summaries }
    }

    pub(crate) fn mean(&self, of: impl Fn(&Summary) -> f64) -> f64 {
        mean(self.summaries.iter().map(of))
    }

    pub(crate) fn max(&self, of: impl Fn(&Summary) -> f64) -> f64 {
        self.summaries.iter().map(of).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Mean block time over all seeds.
    pub(crate) fn mean_secs(&self) -> f64 {
        self.mean(|summary| summary.mean_secs)
    }

    pub(crate) fn deviation_secs(&self) -> f64 {
        self.mean(|summary| summary.deviation_secs)
    }

    pub(crate) fn most_in_hour(&self) -> f64 {
        self.mean(|summary| summary.most_in_hour as f64)
    }

    /// Median of the blocks until recovery; a run that never recovers counts as endless.
    pub(crate) fn recovery_blocks(&self) -> f64 {
        median(self.summaries.iter().map(|summary| summary.recovery.map_or(f64::INFINITY, |(blocks, _)| blocks as f64)))
    }

    /// Part of the blocks that one miner found, over all seeds.
    pub(crate) fn part(&self, name: &str) -> f64 {
        let index = self.miner(name);
        self.mean(|summary| summary.miner_parts[index])
    }

    /// What one miner's hashing earned, over all seeds.
    pub(crate) fn gain(&self, name: &str) -> f64 {
        let index = self.miner(name);
        self.mean(|summary| summary.yields[index])
    }

    fn miner(&self, name: &str) -> usize {
        self.plan.miners.iter().position(|miner| miner.name == name).unwrap()
    }
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
