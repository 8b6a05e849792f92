use bq_pool_machine::{Credit, CreditsDigest, Event, LogHead, LogNumber, Stated, credit_leaf};
use bq_primitives::BlockId;
use serde::{Deserialize, Serialize};

use crate::{
    Anchor, CoinbaseFault, CoinbaseProof, LogFault, LogProof, PoolIdentity,
    document::grown,
    path::{Side, path_len, sides},
};

/// Proof that a block credited an amount to a key (SPEC 8.10.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditProof {
    /// Whom and how much.
    pub credit: Credit,
    /// Its place among the block's credits, from 0.
    pub index: u32,
    /// What stands beside the way from its leaf to the top, from the bottom.
    #[serde(deserialize_with = "grown")]
    pub path: Vec<[u8; 32]>,
}

/// The same, with the event that binds it and the block that binds the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditReceipt {
    /// The credit, in the event that is the first of `log`.
    pub proof: CreditProof,
    /// From that event to the head that the coinbase names.
    pub log: LogProof,
    /// The block that names it.
    pub coinbase: CoinbaseProof,
}

/// What a credit's receipt proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credited {
    /// Whom and how much.
    pub credit: Credit,
    /// The block whose reward it is part of. A credit counts as long as that is on the best chain.
    pub block: BlockId,
    /// How often the block had left the chain before.
    pub generation: u32,
    /// The event.
    pub event: LogNumber,
    /// The block that names it, which counts once it is on the best chain.
    pub anchor: Anchor,
}

/// A receipt proves no credit. Which part is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreditFault {
    /// The events are no part of a log.
    #[error(transparent)]
    Log(#[from] LogFault),
    /// The first event binds no credits.
    #[error("event {0} states no credits")]
    NotCredits(LogNumber),
    /// The block credited fewer.
    #[error("event {event}: credit {index} of {count}")]
    Index {
        /// The event.
        event: LogNumber,
        /// The place that is claimed.
        index: u32,
        /// Credits of the block.
        count: u32,
    },
    /// A path of another length than its place asks for.
    #[error("event {event}: a path of {got} hashes, its place asks for {expected}")]
    PathLength {
        /// The event.
        event: LogNumber,
        /// Hashes in the proof.
        got: usize,
        /// Hashes for this index and count.
        expected: usize,
    },
    /// It leads to another digest: key, amount, place or path is not the event's.
    #[error("event {event}: it leads to another digest of credits")]
    Digest {
        /// The event.
        event: LogNumber,
    },
    /// The block names no head.
    #[error("coinbase: {0}")]
    Coinbase(#[from] CoinbaseFault),
    /// The block names another head than the events lead to.
    #[error("the events lead to another head than block {} names", .anchor.block)]
    Head {
        /// Where they lead.
        got: LogHead,
        /// What the block says.
        anchor: Anchor,
    },
}

impl CreditProof {
    /// Proof of the credit at a place, of all credits of a block in their order; nothing for a place that there is not.
    #[must_use]
    pub fn of(credits: &[Credit], index: usize) -> Option<Self> {
        let credit = *credits.get(index)?;
        let mut level: Vec<[u8; 32]> = credits.iter().map(credit_leaf).collect();
        let (mut place, mut path) = (index, Vec::new());
        while level.len() > 1 {
            path.extend(level.get(place ^ 1));
            let above = |pair: &[[u8; 32]]| match pair {
                [left, right] => CreditsDigest::node(left, right),
                alone => alone.first().copied().unwrap_or_default(),
            };
            level = level.chunks(2).map(above).collect();
            place >>= 1;
        }
        Some(Self { credit, index: u32::try_from(index).ok()?, path })
    }

    fn verify(&self, event: LogNumber, stated: &Stated) -> Result<(BlockId, u32), CreditFault> {
        let Stated::Credits { block, generation, count, digest } = stated else {
            return Err(CreditFault::NotCredits(event));
        };
        let (index, of) = (usize::try_from(self.index), usize::try_from(*count));
        let (Ok(index), Ok(of), true) = (index, of, self.index < *count) else {
            return Err(CreditFault::Index { event, index: self.index, count: *count });
        };
        let (got, expected) = (self.path.len(), path_len(index, of));
        if got != expected {
            return Err(CreditFault::PathLength { event, got, expected });
        }
        let leaf = credit_leaf(&self.credit);
        let top = sides(index, of).flatten().zip(&self.path).fold(leaf, |hash, (side, beside)| match side {
            Side::Left => CreditsDigest::node(beside, &hash),
            Side::Right => CreditsDigest::node(&hash, beside),
        });
        let is_there = CreditsDigest::of_top(block, *generation, *count, &top) == *digest;
        is_there.then_some((*block, *generation)).ok_or(CreditFault::Digest { event })
    }
}

impl CreditReceipt {
    /// What this receipt proves, once both of its blocks are found on the best chain.
    ///
    /// # Errors
    /// [`CreditFault`].
    pub fn verify(&self, pool: &PoolIdentity) -> Result<Credited, CreditFault> {
        let event = self.log.first;
        let stated = match self.log.events()?.next() {
            Some(Ok((_, Event::Stated(stated)))) => stated,
            Some(Err(fault)) => return Err(fault.into()),
            _ => return Err(CreditFault::NotCredits(event)),
        };
        let (got, anchor) = (self.log.verify()?, self.coinbase.verify(pool)?);
        if got != anchor.head {
            return Err(CreditFault::Head { got, anchor });
        }
        let (block, generation) = self.proof.verify(event, &stated)?;
        Ok(Credited { credit: self.proof.credit, block, generation, event, anchor })
    }
}
