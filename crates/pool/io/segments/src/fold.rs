use std::ops::ControlFlow;

use bq_ledger::ShareWeight;
use bq_mining_message::ShareSequence;
use bq_primitives::{Algorithm, KeyHash, NetworkDifficulty, ShareDifficulty};

use crate::{
    ReadError, ShareLog,
    cursor::{Cursor, Span},
    scan::{Content, position_in},
};

/// What a window needs of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<A> {
    /// Its place in the log.
    pub sequence: ShareSequence,
    /// What it was mined with.
    pub algorithm: Algorithm,
    /// Whom it is credited to, as the caller knows him.
    pub payee: A,
    /// What it is worth.
    pub weight: ShareWeight,
    /// Whether it is a block.
    pub is_block: bool,
}

impl ShareLog {
    /// Gives `each` the shares before a place, newest first, until it breaks or there are none. `resolve` says who a payee is; it is
    /// asked once for each machine that a segment names, also for those whose shares come later than the place. Forfeited shares
    /// are left out.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Pruned`] if `each` still wants more where the log was pruned.
    pub fn fold_back<A: Copy>(
        &self,
        before: ShareSequence,
        mut resolve: impl FnMut(&KeyHash) -> A,
        mut each: impl FnMut(Piece<A>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut cursor = Cursor::new(&self.shared);
        let mut payees = Vec::new();
        for index in (0..cursor.spans.len()).rev() {
            let Span { header, end, .. } = cursor.spans[index];
            if header.first >= before {
                continue;
            }
            cursor.load(index)?;
            payees.clear();
            payees.extend(cursor.content.miners.iter().map(|miner| resolve(&miner.payee)));
            let count = position_in(header.first, end.min(before));
            if fold_segment(&cursor.content, header.first, count, &payees, &mut each).is_break() {
                return Ok(());
            }
        }
        cursor.check_pruned(ShareSequence::FIRST)
    }
}

/// The first `count` shares of a segment, newest first.
fn fold_segment<A: Copy>(
    content: &Content,
    first: ShareSequence,
    count: usize,
    payees: &[A],
    each: &mut impl FnMut(Piece<A>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut weights = Weights::new();
    let rows = content.rows.get(..count).unwrap_or(&content.rows);
    let mut blocks = content.blocks.iter().rev().map(|(position, _)| *position).peekable();
    let mut sequence = first.after(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    for (position, row) in rows.iter().enumerate().rev() {
        sequence = ShareSequence(sequence.0.saturating_sub(1));
        // Scanning has checked both.
        let (Some(payee), Some(job)) = (payees.get(usize::from(row.miner)), content.jobs.get(usize::from(row.job)))
        else {
            continue;
        };
        while blocks.next_if(|block| *block > position).is_some() {}
        each(Piece {
            sequence,
            algorithm: job.algorithm,
            payee: *payee,
            weight: weights.of(row.difficulty, job.network_difficulty),
            is_block: blocks.next_if_eq(&position).is_some(),
        })?;
    }
    ControlFlow::Continue(())
}

/// Weights that were needed before: a weight is a division of 128 bits, and a segment has few different ones.
struct Weights {
    slots: Vec<Option<(ShareDifficulty, NetworkDifficulty, ShareWeight)>>,
}

/// Memory of one fold: some 100 KiB, so that it stays in the processor's cache.
const SLOTS_LOG2: u32 = 11;

impl Weights {
    fn new() -> Self {
        Self { slots: vec![None; 1 << SLOTS_LOG2] }
    }

    #[inline]
    fn of(&mut self, share: ShareDifficulty, network: NetworkDifficulty) -> ShareWeight {
        let low = u64::try_from(network.hashes() & u128::from(u64::MAX)).unwrap_or_default();
        // Multiplication spreads neighbours over the table (Fibonacci hashing).
        let mixed = (share.hashes() ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = usize::try_from(mixed >> (64 - SLOTS_LOG2)).unwrap_or_default();
        match self.slots.get_mut(slot) {
            Some(Some((d, n, weight))) if *d == share && *n == network => *weight,
            Some(slot) => {
                let weight = ShareWeight::of(share, network);
                *slot = Some((share, network, weight));
                weight
            }
            None => ShareWeight::of(share, network),
        }
    }
}
