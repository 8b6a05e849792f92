use std::collections::BTreeSet;

use bq_primitives::{Algorithm, BlockId};
use bq_sync::DisconnectReason;

use super::explain::Cause;
use crate::Measure;

/// A block that somebody found.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkBlock {
    /// Its name.
    pub id: BlockId,
    /// Its height.
    pub height: u32,
    /// What sealed it.
    pub algorithm: Algorithm,
    /// Which node found it.
    pub finder: usize,
    /// When.
    pub found_ms: u64,
    /// When each honest node had it, checked and stored.
    pub reached_ms: Vec<Option<u64>>,
    /// Not on the chain that all agreed on in the end.
    pub is_stale: bool,
    /// Found while all honest nodes could hear each other and had agreed since they last could not.
    pub is_calm: bool,
}

impl NetworkBlock {
    /// Seconds from its find until this part of the other honest nodes had it; nothing if they never did.
    #[must_use]
    pub fn reach_secs(&self, part: f64) -> Option<f64> {
        let others = self.reached_ms.iter().enumerate().filter(|(node, _)| *node != self.finder);
        let mut times: Vec<Option<u64>> = others.map(|(_, reached_ms)| *reached_ms).collect();
        // Those that never had it come last.
        times.sort_unstable_by_key(|reached_ms| reached_ms.unwrap_or(u64::MAX));
        let rank = (times.len() as f64 * part).ceil() as usize;
        let reached_ms = times.get(rank.max(1) - 1).copied().flatten()?;
        Some(reached_ms.saturating_sub(self.found_ms) as f64 / 1_000.0)
    }
}

/// A node left blocks for others.
#[derive(Clone, Debug, PartialEq)]
pub struct Reorg {
    /// Which node.
    pub node: usize,
    /// When.
    pub at_ms: u64,
    /// What it left, the tip first.
    pub disconnected: Vec<BlockId>,
    /// What it took, the lowest first.
    pub connected: Vec<BlockId>,
    /// Why that could happen.
    pub cause: Cause,
}

/// A node closed a connection to another for what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// Who closed it.
    pub by: usize,
    /// Who was cut off.
    pub whom: usize,
    /// When.
    pub at_ms: u64,
    /// Why.
    pub reason: DisconnectReason,
    /// Whether its address is refused for an hour.
    pub is_refused: bool,
}

/// A partition that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Healed {
    /// Which one of the plan.
    pub partition: usize,
    /// From its end to the first moment at which no honest node had a better tip than another; nothing if that never came.
    pub converged_after_ms: Option<u64>,
    /// Blocks found between its start and its end that did not stay: what the side with less work lost.
    pub lost_blocks: usize,
}

/// What a network did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkRun {
    /// Honest nodes.
    pub honest: usize,
    /// Every block, in the order found.
    pub blocks: Vec<NetworkBlock>,
    /// Every change that left a block, in order.
    pub reorgs: Vec<Reorg>,
    /// Every connection closed for bad conduct, in order.
    pub cut_offs: Vec<CutOff>,
    /// The partitions.
    pub healed: Vec<Healed>,
    /// Whether all honest nodes ended with one tip.
    pub has_converged: bool,
    /// Whether all honest nodes ended with the same blocks and the same coins.
    pub has_one_state: bool,
    /// How many events were played.
    pub events: u64,
}

impl NetworkRun {
    /// Milliseconds from a block's find until honest nodes had it, sorted; calm blocks only, finders excepted.
    #[must_use]
    pub fn reach_ms(&self) -> Vec<u64> {
        let calm = self.blocks.iter().filter(|block| block.is_calm);
        let times = calm.flat_map(|block| {
            let others = block.reached_ms.iter().enumerate().filter(|(node, _)| *node != block.finder);
            others.filter_map(|(_, reached_ms)| Some(reached_ms.as_ref()?.saturating_sub(block.found_ms)))
        });
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        times
    }

    /// Most blocks that one node left at once, over all causes or for one.
    #[must_use]
    pub fn deepest_reorg(&self, of: impl Fn(&Cause) -> bool) -> usize {
        let reorgs = self.reorgs.iter().filter(|reorg| of(&reorg.cause));
        reorgs.map(|reorg| reorg.disconnected.len()).max().unwrap_or(0)
    }

    /// Honest nodes that honest nodes refused to talk to for a while.
    #[must_use]
    pub fn honest_refused(&self) -> Vec<&CutOff> {
        let between = |cut: &&CutOff| cut.by < self.honest && cut.whom < self.honest && cut.is_refused;
        self.cut_offs.iter().filter(between).collect()
    }

    /// Its figures.
    #[must_use]
    pub fn measures(&self) -> Vec<Measure> {
        let reach_ms = self.reach_ms();
        let reach = |percent: usize| reach_ms.get((reach_ms.len() * percent / 100).min(reach_ms.len().max(1) - 1));
        let seconds = |ms: Option<&u64>| ms.map_or(f64::NAN, |ms| *ms as f64 / 1_000.0);
        let hostile: BTreeSet<usize> =
            self.cut_offs.iter().map(|cut| cut.whom).filter(|whom| *whom >= self.honest).collect();
        let mut measures = vec![
            Measure::new("blocks", self.blocks.len() as f64),
            Measure::new("stale_part", part(self.blocks.iter())),
            Measure::new("calm_stale_part", part(self.blocks.iter().filter(|block| block.is_calm))),
        ];
        for algorithm in Algorithm::ALL {
            let of = self.blocks.iter().filter(|block| block.algorithm == algorithm);
            measures.push(Measure::new(format!("stale_part_{algorithm}"), part(of)));
        }
        measures.extend([
            Measure::new("reach_p50_secs", seconds(reach(50))),
            Measure::new("reach_p99_secs", seconds(reach(99))),
            Measure::new("reorgs", self.reorgs.len() as f64),
            Measure::new("deepest_race", self.deepest_reorg(|cause| *cause == Cause::Race) as f64),
            Measure::new("deepest_reorg", self.deepest_reorg(|_| true) as f64),
            Measure::new(
                "unexplained",
                self.reorgs.iter().filter(|reorg| reorg.cause == Cause::Nothing).count() as f64,
            ),
            Measure::new("honest_refused", self.honest_refused().len() as f64),
            Measure::new("hostile_cut_off", hostile.len() as f64),
            Measure::new("converged", f64::from(u8::from(self.has_converged && self.has_one_state))),
        ]);
        for healed in &self.healed {
            let converged_ms = healed.converged_after_ms.unwrap_or(u64::MAX);
            measures.push(Measure::new(format!("heal_{}_secs", healed.partition + 1), converged_ms as f64 / 1_000.0));
            measures.push(Measure::new(format!("lost_{}", healed.partition + 1), healed.lost_blocks as f64));
        }
        measures
    }
}

/// The stale part of some blocks.
fn part<'a>(blocks: impl Iterator<Item = &'a NetworkBlock>) -> f64 {
    let (mut all, mut stale) = (0_u32, 0_u32);
    for block in blocks {
        all += 1;
        stale += u32::from(block.is_stale);
    }
    f64::from(stale) / f64::from(all.max(1))
}
