//! Whether a reorganisation was no deeper than what kept nodes from hearing of each other's blocks.

use std::collections::BTreeMap;

use bq_primitives::BlockId;

use super::plan::Partition;

/// What a block may take to every node that can hear of it, in milliseconds: one block request that nobody answers (60 s), the next
/// look at a peer's status (30 s), and the way there.
pub(super) const REACH_MS: u64 = 100_000;

/// Why a node could leave blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Each block left has a rival of its height, found before word of the other could be everywhere.
    Race,
    /// Each block left was found during this partition of the plan, or was in such a race.
    Partition(usize),
    /// Neither: the network failed.
    Nothing,
}

/// When a block was found, and its height.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) at_ms: u64,
    pub(super) height: u32,
}

pub(super) fn cause(
    found: &BTreeMap<BlockId, Found>,
    partitions: &[Partition],
    disconnected: &[BlockId],
    connected: &[BlockId],
) -> Cause {
    let of = |ids: &[BlockId]| ids.iter().filter_map(|id| found.get(id).copied()).collect::<Vec<_>>();
    let (left, taken) = (of(disconnected), of(connected));
    let raced = |block: &Found| {
        let mut rivals = taken.iter().filter(|rival| rival.height == block.height);
        rivals.any(|rival| rival.at_ms.abs_diff(block.at_ms) <= REACH_MS)
    };
    if left.len() == disconnected.len() && left.iter().all(raced) {
        return Cause::Race;
    }
    let during = |part: &Partition, block: &Found| {
        (part.from_ms.saturating_sub(REACH_MS)..=part.to_ms + REACH_MS).contains(&block.at_ms)
    };
    let explains = |part: &Partition| left.iter().all(|block| during(part, block) || raced(block));
    partitions.iter().position(explains).map_or(Cause::Nothing, Cause::Partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn races_partitions_and_failures_are_told_apart() {
        let id = |tag: u8| BlockId([tag; 32]);
        let part = Partition { from_ms: 1_000_000, to_ms: 2_000_000, nodes: 1 };
        let found: BTreeMap<_, _> = [(1, 0, 1), (2, 90_000, 1), (3, 500_000, 2), (4, 1_500_000, 2), (5, 600_000, 3)]
            .into_iter()
            .map(|(tag, at_ms, height)| (id(tag), Found { at_ms, height }))
            .collect();
        let cause = |left: &[u8], taken: &[u8]| {
            let ids = |tags: &[u8]| tags.iter().map(|tag| id(*tag)).collect::<Vec<_>>();
            cause(&found, &[part], &ids(left), &ids(taken))
        };
        assert_eq!(cause(&[1], &[2, 3]), Cause::Race);
        assert_eq!(cause(&[4, 1], &[2, 3, 5]), Cause::Partition(0));
        assert_eq!(cause(&[3], &[4, 5]), Cause::Nothing, "an hour before the partition");
        assert_eq!(cause(&[3, 1], &[2, 4]), Cause::Nothing);
    }
}
