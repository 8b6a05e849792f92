use bq_primitives::Algorithm;

use crate::{BlockRecord, ChainPlan, Miner, Run};

/// One figure of an outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What it is, with its unit last.
    pub name: String,
    /// How much.
    pub value: f64,
}

impl Measure {
    /// A figure.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value }
    }
}

/// The figures of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Real time per block, in seconds.
    pub mean_secs: f64,
    /// Standard deviation of the time between blocks, in seconds.
    pub deviation_secs: f64,
    /// Longest time without a block, in seconds.
    pub worst_gap_secs: f64,
    /// Most blocks in any 3,600 seconds.
    pub most_in_hour: usize,
    /// Blocks and seconds from the event until block times are back ([`recovery_blocks`]); nothing if they never were.
    pub recovery: Option<(usize, f64)>,
    /// Part of the blocks that each algorithm sealed, by [`Algorithm::index`].
    pub algorithm_parts: [f64; Algorithm::COUNT],
    /// Part of the blocks that each miner found.
    pub miner_parts: Vec<f64>,
    /// Blocks of each miner for each block that its hashing would have found at the start's difficulty, in the first
    /// algorithm it mines; not a number for one who never mined.
    pub yields: Vec<f64>,
    /// Part of the blocks whose algorithm the burst guard held back.
    pub capped_part: f64,
    /// Mean weight of the 100 blocks from the first of the second era on, against the 100 before; nothing without one.
    pub weight_step: Option<f64>,
    /// Furthest above the bound of SPEC 3.6, in halvings; at most 0 when the rule holds.
    pub above_bound: f64,
}

impl Summary {
    /// Measures a run of a plan.
    #[must_use]
    pub fn of(plan: &ChainPlan, run: &Run) -> Self {
        let ChainPlan { setup, miners, event_secs, .. } = plan;
        let eras = &setup.params.eras.table;
        let spacing_secs = setup.spacing_secs(eras.first().map_or(1, |era| era.algorithms.len()));
        let blocks = &run.blocks;
        let count = blocks.len().max(1) as f64;
        let starts = std::iter::once(run.start_secs).chain(blocks.iter().map(|block| block.found_secs));
        let gaps: Vec<f64> = blocks.iter().zip(starts).map(|(block, start)| block.found_secs - start).collect();
        let mean_secs = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean_secs).powi(2)).sum::<f64>() / count;
        let part = |of: &dyn Fn(&BlockRecord) -> bool| blocks.iter().filter(|block| of(block)).count() as f64 / count;
        Self {
            mean_secs,
            deviation_secs: variance.sqrt(),
            worst_gap_secs: gaps.iter().copied().fold(0.0, f64::max),
            most_in_hour: most_in_any_hour(blocks),
            recovery: event_secs.and_then(|event| recovery_blocks(blocks, event)),
            algorithm_parts: Algorithm::ALL.map(|algorithm| part(&|block| block.algorithm == algorithm)),
            miner_parts: (0..miners.len()).map(|miner| part(&|block| block.miner == miner)).collect(),
            yields: (0..miners.len()).map(|miner| miner_yield(run, miner, spacing_secs)).collect(),
            capped_part: part(&|block| block.capped),
            weight_step: eras.get(1).and_then(|era| weight_step(blocks, era.start.0)),
            above_bound: blocks.iter().map(|block| block.above_bound).fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// As a list for tables.
    #[must_use]
    pub fn measures(&self, miners: &[Miner]) -> Vec<Measure> {
        let mut list = vec![
            Measure::new("mean_secs", self.mean_secs),
            Measure::new("deviation_secs", self.deviation_secs),
            Measure::new("worst_gap_hours", self.worst_gap_secs / 3_600.0),
            Measure::new("most_in_hour_blocks", self.most_in_hour as f64),
            Measure::new("capped_percent", self.capped_part * 100.0),
        ];
        if let Some((blocks, secs)) = self.recovery {
            list.push(Measure::new("recovery_blocks", blocks as f64));
            list.push(Measure::new("recovery_hours", secs / 3_600.0));
        }
        if let Some(step) = self.weight_step {
            list.push(Measure::new("weight_step", step));
        }
        for (algorithm, part) in Algorithm::ALL.into_iter().zip(self.algorithm_parts).filter(|(_, part)| *part > 0.0) {
            list.push(Measure::new(format!("{algorithm}_percent"), part * 100.0));
        }
        if miners.len() > 1 {
            for ((miner, part), gain) in miners.iter().zip(&self.miner_parts).zip(&self.yields) {
                list.push(Measure::new(format!("{}_percent", miner.name), part * 100.0));
                list.push(Measure::new(format!("{}_yield", miner.name), *gain));
            }
        }
        list
    }
}

/// How the weight of a block changes where an era starts.
fn weight_step(blocks: &[BlockRecord], start: u32) -> Option<f64> {
    const SPAN: usize = 100;
    let first = blocks.iter().position(|block| block.height == start)?;
    let mean = |part: &[BlockRecord]| part.iter().map(|block| block.weight).sum::<f64>() / part.len() as f64;
    Some(mean(blocks.get(first..first + SPAN)?) / mean(blocks.get(first.checked_sub(SPAN)?..first)?))
}

fn miner_yield(run: &Run, miner: usize, spacing_secs: f64) -> f64 {
    let spent = &run.spent[miner];
    let Some(algorithm) = Algorithm::ALL.into_iter().find(|algorithm| spent[algorithm.index()] > 0.0) else {
        return f64::NAN;
    };
    let found = run.blocks.iter().filter(|block| block.miner == miner && block.algorithm == algorithm).count();
    found as f64 / (spent[algorithm.index()] / spacing_secs)
}

/// The most blocks found in any 3,600 seconds.
#[must_use]
pub fn most_in_any_hour(blocks: &[BlockRecord]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, block) in blocks.iter().enumerate() {
        while block.found_secs - blocks[first].found_secs > 3_600.0 {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// How long after an event the first 24 blocks begin whose mean expected block time is within a tenth of 600 s: in blocks
/// and in seconds.
#[must_use]
pub fn recovery_blocks(blocks: &[BlockRecord], event_secs: f64) -> Option<(usize, f64)> {
    const WINDOW: usize = 24;
    let after: Vec<&BlockRecord> = blocks.iter().filter(|block| block.found_secs > event_secs).collect();
    let mean = |window: &[&BlockRecord]| window.iter().map(|block| block.expected_secs).sum::<f64>() / WINDOW as f64;
    let index = after.windows(WINDOW).position(|window| (540.0..=660.0).contains(&mean(window)))?;
    Some((index, after.get(index)?.found_secs - event_secs))
}
