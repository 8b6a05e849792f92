use std::collections::BTreeMap;

use bq_primitives::{Amount, AmountError, KeyHash};
use serde::{Deserialize, Serialize};

use crate::{
    Document, LiabilityEpoch, LiabilitySecret, Pseudonym, Salt, Statement, SumNode, document::grown,
    statement::DEPTH_MAX,
};

/// What a pool owes, account by account, under one root (SPEC 8.10.6).
#[derive(Clone, Debug)]
pub struct LiabilityTree {
    epoch: LiabilityEpoch,
    /// The leaves of the accounts: salt, balance and place.
    places: BTreeMap<KeyHash, (Salt, Amount, u32)>,
    /// Every level but the top, the leaves with their padding first.
    levels: Vec<Vec<SumNode>>,
    depth: u8,
    root: SumNode,
}

/// Proof that a balance is part of what the pool says it owes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiabilityProof {
    /// The epoch.
    pub epoch: LiabilityEpoch,
    /// The account's in this epoch.
    pub salt: Salt,
    /// What the account is owed: immature, payable and in flight.
    pub balance: Amount,
    /// Place of its leaf, from 0.
    pub index: u32,
    /// What stands beside the way from the leaf to the root, from the bottom.
    #[serde(deserialize_with = "grown")]
    pub path: Vec<SumNode>,
}

/// A tree cannot be made, or a balance is not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiabilityFault {
    /// An account is named twice.
    #[error("account {0} is named twice")]
    Twice(KeyHash),
    /// More accounts than there are numbers for.
    #[error("more accounts than fit")]
    TooMany,
    /// Sums leave the range of amounts: the books, or the proof, are wrong.
    #[error("a sum: {0}")]
    Sum(#[from] AmountError),
    /// The proof is of another epoch than the statement.
    #[error("epoch {} of the proof, {} of the statement", .got.0, .expected.0)]
    Epoch {
        /// Of the proof.
        got: LiabilityEpoch,
        /// Of the statement.
        expected: LiabilityEpoch,
    },
    /// Not as many levels as the statement says.
    #[error("a path of {got} nodes in a tree of depth {expected}")]
    Depth {
        /// Nodes in the proof.
        got: usize,
        /// Of the statement.
        expected: u8,
    },
    /// The tree has no such place.
    #[error("place {0} is outside of the tree")]
    Index(u32),
    /// It leads to another root: this account, with this balance, is not in the tree.
    #[error("it does not lead to the stated root")]
    Root,
    /// It leads to the root with another sum.
    #[error("the tree sums to {got}, the statement says {expected}")]
    Total {
        /// As the proof adds up.
        got: Amount,
        /// In the statement.
        expected: Amount,
    },
}

impl Document for LiabilityProof {}

impl LiabilityTree {
    /// The tree of an epoch; the order of the balances does not matter.
    ///
    /// # Errors
    /// [`LiabilityFault::Twice`], [`LiabilityFault::TooMany`], [`LiabilityFault::Sum`].
    pub fn new(
        secret: &LiabilitySecret,
        epoch: LiabilityEpoch,
        balances: impl IntoIterator<Item = (KeyHash, Amount)>,
    ) -> Result<Self, LiabilityFault> {
        let mut ordered = BTreeMap::new();
        for (account, balance) in balances {
            // Two accounts share an order only if they are one.
            if ordered.insert((secret.order(epoch, &account), account), balance).is_some() {
                return Err(LiabilityFault::Twice(account));
            }
        }
        let (mut leaves, mut places) = (Vec::with_capacity(ordered.len()), BTreeMap::new());
        for ((_, account), balance) in ordered {
            let index = u32::try_from(leaves.len()).map_err(|_| LiabilityFault::TooMany)?;
            let salt = secret.salt(epoch, &account);
            leaves.push(SumNode::leaf(&Pseudonym::of(epoch, salt, &account), balance, salt));
            places.insert(account, (salt, balance, index));
        }
        let (levels, root) = sum_up(leaves)?;
        let depth = u8::try_from(levels.len()).map_err(|_| LiabilityFault::TooMany)?;
        Ok(Self { epoch, places, levels, depth, root })
    }

    /// The root: its sum is all that is owed.
    #[must_use]
    pub const fn root(&self) -> SumNode {
        self.root
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> LiabilityEpoch {
        self.epoch
    }

    /// Levels below the root.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// The proof for one account, which is for its eyes only; nothing for one that is not in the tree.
    #[must_use]
    pub fn proof(&self, account: &KeyHash) -> Option<LiabilityProof> {
        let (salt, balance, index) = *self.places.get(account)?;
        let mut place = usize::try_from(index).ok()?;
        let mut path = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            path.push(*level.get(place ^ 1)?);
            place >>= 1;
        }
        Some(LiabilityProof { epoch: self.epoch, salt, balance, index, path })
    }
}

/// Every level but the top, and the top.
pub(crate) fn sum_up(mut level: Vec<SumNode>) -> Result<(Vec<Vec<SumNode>>, SumNode), AmountError> {
    level.resize(level.len().max(1).next_power_of_two(), SumNode::PADDING);
    let mut levels = Vec::new();
    while level.len() > 1 {
        let above = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => SumNode::above(left, right),
                alone => Ok(alone.first().copied().unwrap_or(SumNode::PADDING)),
            })
            .collect::<Result<_, _>>()?;
        levels.push(std::mem::replace(&mut level, above));
    }
    Ok((levels, level.first().copied().unwrap_or(SumNode::PADDING)))
}

impl LiabilityProof {
    /// What the statement, whose signature was checked, says the pool owes to the holder of this key. Whether it is what he is owed
    /// is for him to say: less than that, or no proof, is how a pool that hides a debt is found out.
    ///
    /// # Errors
    /// [`LiabilityFault`].
    pub fn verify(&self, account: &KeyHash, statement: &Statement) -> Result<Amount, LiabilityFault> {
        if self.epoch != statement.epoch {
            return Err(LiabilityFault::Epoch { got: self.epoch, expected: statement.epoch });
        }
        let depth = u32::from(statement.depth.min(DEPTH_MAX));
        if self.path.len() != usize::from(statement.depth) || statement.depth > DEPTH_MAX {
            return Err(LiabilityFault::Depth { got: self.path.len(), expected: statement.depth });
        }
        if u64::from(self.index).checked_shr(depth) != Some(0) {
            return Err(LiabilityFault::Index(self.index));
        }
        let top = self.top(account)?;
        if top.hash != statement.root {
            return Err(LiabilityFault::Root);
        }
        if top.sum != statement.sum {
            return Err(LiabilityFault::Total { got: top.sum, expected: statement.sum });
        }
        Ok(self.balance)
    }

    fn top(&self, account: &KeyHash) -> Result<SumNode, AmountError> {
        let leaf = SumNode::leaf(&Pseudonym::of(self.epoch, self.salt, account), self.balance, self.salt);
        let mut place = self.index;
        self.path.iter().try_fold(leaf, |node, beside| {
            let is_right = place & 1 == 1;
            place >>= 1;
            if is_right { SumNode::above(beside, &node) } else { SumNode::above(&node, beside) }
        })
    }
}
