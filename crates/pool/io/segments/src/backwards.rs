use bq_ledger::ShareWeight;
use bq_mining_message::{SharePay, ShareSequence};
use bq_primitives::{Algorithm, KeyHash, NetworkDifficulty, ShareDifficulty};

use crate::{
    ReadError, ShareLog,
    cursor::{Cursor, Span},
    scan::position_in,
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
    /// The same in hashes.
    pub difficulty: ShareDifficulty,
    /// Those of a block then.
    pub network_difficulty: NetworkDifficulty,
    /// What it is paid by.
    pub pay: SharePay,
    /// Whether it is a block.
    pub is_block: bool,
}

impl ShareLog {
    /// The shares before a place, newest first; forfeited ones are left out. `resolve` says who a payee is: it is asked once for each
    /// machine that a segment names, also for those whose shares come later than the place. Reads one segment at a time; later
    /// appends do not show. The last item is [`ReadError::Pruned`] if more was wanted than is left, see [`ShareLog::prune_before`].
    pub fn backwards<A: Copy, R: FnMut(&KeyHash) -> A>(&self, before: ShareSequence, resolve: R) -> Backwards<A, R> {
        let cursor = Cursor::new(&self.shared);
        let spans_left = cursor.spans.len();
        Backwards {
            cursor,
            before,
            resolve,
            spans_left,
            first: ShareSequence::FIRST,
            rows_left: 0,
            blocks_left: 0,
            payees: Vec::new(),
            weights: Weights::new(),
        }
    }
}

/// Shares of a log, newest first.
pub struct Backwards<A, R> {
    cursor: Cursor,
    before: ShareSequence,
    resolve: R,
    spans_left: usize,
    /// First share of the segment that is read.
    first: ShareSequence,
    /// How many of its shares are to come.
    rows_left: usize,
    /// How many of its blocks are to come.
    blocks_left: usize,
    /// Of its miners.
    payees: Vec<A>,
    weights: Weights,
}

impl<A: Copy, R: FnMut(&KeyHash) -> A> Iterator for Backwards<A, R> {
    type Item = Result<Piece<A>, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.rows_left == 0 {
            if let Err(error) = self.load()? {
                (self.spans_left, self.rows_left) = (0, 0);
                self.before = ShareSequence::FIRST;
                return Some(Err(error));
            }
        }
        self.rows_left -= 1;
        self.piece(self.rows_left).map(Ok)
    }
}

impl<A: Copy, R: FnMut(&KeyHash) -> A> Backwards<A, R> {
    /// Reads the next older segment; nothing if there is none.
    fn load(&mut self) -> Option<Result<(), ReadError>> {
        let Some(index) = self.spans_left.checked_sub(1) else {
            let is_done = self.before <= ShareSequence::FIRST;
            let pruned = self.cursor.check_walked(self.before).err().filter(|_| !is_done);
            return pruned.map(Err);
        };
        self.spans_left = index;
        let Span { header, end, .. } = self.cursor.spans[index];
        if header.first >= self.before {
            return Some(Ok(()));
        }
        if let Err(error) = self.cursor.load(index) {
            return Some(Err(error));
        }
        let content = &self.cursor.content;
        self.payees.clear();
        self.payees.extend(content.miners.iter().map(|miner| (self.resolve)(&miner.payee)));
        self.first = header.first;
        self.rows_left = position_in(header.first, end.min(self.before));
        self.blocks_left = content.blocks.partition_point(|(position, _)| *position < self.rows_left);
        Some(Ok(()))
    }

    /// The share at a position among the rows, which scanning has checked.
    #[inline]
    fn piece(&mut self, position: usize) -> Option<Piece<A>> {
        let content = &self.cursor.content;
        let row = content.rows.get(position)?;
        let job = content.jobs.get(usize::from(row.job))?;
        let is_block = self.blocks_left.checked_sub(1).and_then(|last| content.blocks.get(last)).map(|(at, _)| *at)
            == Some(position);
        self.blocks_left -= usize::from(is_block);
        Some(Piece {
            sequence: self.first.after(u64::try_from(position).unwrap_or(u64::MAX)),
            algorithm: job.algorithm,
            payee: *self.payees.get(usize::from(row.miner))?,
            weight: self.weights.of(row.difficulty, job.network_difficulty),
            difficulty: row.difficulty,
            network_difficulty: job.network_difficulty,
            pay: job.pay,
            is_block,
        })
    }
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
