use std::sync::Arc;

use bq_consensus::Params;
use bq_primitives::Algorithm;
use bq_sync::RawBlock;

use super::{
    explain::Found,
    links::below,
    measure::NetworkBlock,
    mining::{forged, mined},
    node::Node,
    plan::{Conduct, NetworkPlan},
    world::{Event, World},
};
use crate::Rng;

/// How often a forger tries.
pub(super) const FORGERY_MS: u64 = 1_200_000;

impl World<'_> {
    pub(super) fn find(&mut self, at: usize, algorithm: Algorithm) {
        let node = &self.nodes[at];
        let block = mined(&node.chain, at, self.plan.honest, algorithm, node.clock(self.now));
        let (id, height) = (block.id(), block.header.height.0);
        let is_calm = self.unsettled.is_empty() && !self.is_partitioned();
        let reached_ms = vec![None; self.plan.honest];
        self.found.insert(id, Found { at_ms: self.now.0, height });
        self.places.insert(id, self.run.blocks.len());
        let found_ms = self.now.0;
        self.run.blocks.push(NetworkBlock {
            id,
            height,
            algorithm,
            finder: at,
            found_ms,
            reached_ms,
            is_stale: false,
            is_calm,
        });
        self.add_block(at, &RawBlock::from(&block));
    }

    /// Draws when a node finds its next block. Finds have no memory, so this may be done at any time.
    pub(super) fn mine_later(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.mining += 1;
        let mining = node.mining;
        let rates = node.rates(&self.setup.unit_hashes, &self.multiples);
        let total: f64 = rates.iter().sum();
        if total <= 0.0 {
            return;
        }
        let after_ms = (self.luck.exponential(total) * 1_000.0) as u64;
        let mut point = self.luck.unit() * total;
        let won = Algorithm::ALL.into_iter().find(|algorithm| {
            point -= rates[algorithm.index()];
            point <= 0.0
        });
        self.later(after_ms, Event::Find { at, mining, algorithm: won.unwrap_or(Algorithm::Ethash) });
    }

    pub(super) fn swap(&mut self) {
        let (a, b) = (below(&mut self.faults, self.plan.honest), below(&mut self.faults, self.plan.honest));
        let powers = self.nodes[a].powers;
        self.nodes[a].powers = std::mem::replace(&mut self.nodes[b].powers, powers);
        self.mine_later(a);
        self.mine_later(b);
        self.later(self.plan.swap_ms, Event::Swap);
    }

    pub(super) fn forge(&mut self, at: usize) {
        let algorithm = Algorithm::ALL[below(&mut self.faults, Algorithm::COUNT)];
        let node = &self.nodes[at];
        let header = forged(&node.chain, algorithm, node.clock(self.now));
        self.broadcast(at, header);
        self.later(FORGERY_MS, Event::Forge { at });
    }
}

/// Honest nodes with their hash rates and clocks, then hostile ones without any.
pub(super) fn drawn_nodes(plan: &NetworkPlan, params: &Arc<Params>, rng: &mut Rng) -> Vec<Node> {
    let conducts = vec![Conduct::Honest; plan.honest].into_iter().chain(plan.hostile.iter().copied());
    let mut nodes: Vec<Node> =
        conducts.map(|conduct| Node::new(params, conduct, rng.between(0, 10).cast_signed() - 5)).collect();
    for algorithm in Algorithm::ALL {
        let index = algorithm.index();
        // Nobody mines everything, and a few mine most.
        let weight = |at: usize, rng: &mut Rng| if at % Algorithm::COUNT == index { 0.0 } else { rng.unit().powi(2) };
        let weights: Vec<f64> = (0..plan.honest).map(|at| weight(at, rng)).collect();
        let sum: f64 = weights.iter().sum();
        for (node, weight) in nodes.iter_mut().zip(weights) {
            node.powers[index] = weight / sum;
        }
    }
    nodes
}
