use std::collections::BTreeSet;

use super::plan::{NetworkPlan, Partition};
use crate::Rng;

/// Bytes that a link carries in a millisecond: 10 Mbit/s.
const BYTES_PER_MS: u64 = 1_250;
/// One-way delays of links lie between these, in milliseconds.
const DELAY_MS: (u64, u64) = (5, 150);
/// Mean of what a message takes longer than its link's delay, in milliseconds.
const JITTER_MS: f64 = 10.0;

/// Two nodes that stay connected if they can. The first one dials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) nodes: [usize; 2],
    delay_ms: u64,
    /// A dial is in the event queue.
    pub(super) is_dialing: bool,
    /// Until the next dial, doubled each time.
    pub(super) backoff_ms: u64,
}

/// Who can be connected to whom, how slow that is, and who cannot hear whom now.
pub(super) struct Links {
    pub(super) pairs: Vec<Pair>,
    partitions: Vec<(Partition, BTreeSet<usize>)>,
    rng: Rng,
}

impl Links {
    /// Every node dials the next one, which keeps the network in one piece, and others by lot.
    pub(super) fn drawn(plan: &NetworkPlan, seed: u64) -> Self {
        let mut rng = Rng::seeded(seed, 11);
        let count = plan.honest + plan.hostile.len();
        let mut known = BTreeSet::new();
        for from in 0..count {
            let next = (from + 1) % count;
            let others = (1..plan.dials).map(|_| below(&mut rng, count));
            let dialed: Vec<_> = std::iter::once(next).chain(others).filter(|to| *to != from).collect();
            known.extend(dialed.into_iter().map(|to| [from.min(to), from.max(to)]));
        }
        let pair = |nodes| Pair {
            nodes,
            delay_ms: rng.between(DELAY_MS.0, DELAY_MS.1),
            is_dialing: false,
            backoff_ms: BACKOFF_MS.0,
        };
        let pairs = known.into_iter().map(pair).collect();
        let partitions = plan.partitions.iter().map(|part| (*part, some_of(plan.honest, part.nodes, &mut rng)));
        Self { partitions: partitions.collect(), pairs, rng: Rng::seeded(seed, 12) }
    }

    /// Whether nothing gets from one to the other now.
    pub(super) fn is_cut(&self, a: usize, b: usize, now_ms: u64) -> bool {
        let mut active = self.partitions.iter().filter(|(part, _)| (part.from_ms..part.to_ms).contains(&now_ms));
        active.any(|(_, inside)| inside.contains(&a) != inside.contains(&b))
    }

    /// How long a message takes.
    pub(super) fn travel_ms(&mut self, a: usize, b: usize, bytes: usize) -> u64 {
        let nodes = [a.min(b), a.max(b)];
        let delay_ms = self.pairs.iter().find(|pair| pair.nodes == nodes).map_or(DELAY_MS.1, |pair| pair.delay_ms);
        let jitter_ms = self.rng.exponential(1.0 / JITTER_MS) as u64;
        delay_ms + jitter_ms + bytes as u64 / BYTES_PER_MS
    }
}

/// First and longest pause between two dials (as `bq-net` does it).
pub(super) const BACKOFF_MS: (u64, u64) = (500, 60_000);

/// A number below `end`.
pub(super) fn below(rng: &mut Rng, end: usize) -> usize {
    rng.between(0, end.max(1) as u64 - 1) as usize
}

/// So many of the first `of` numbers.
fn some_of(of: usize, count: usize, rng: &mut Rng) -> BTreeSet<usize> {
    let mut left: Vec<usize> = (0..of).collect();
    (0..count.min(of)).map(|_| left.swap_remove(below(rng, left.len()))).collect()
}
