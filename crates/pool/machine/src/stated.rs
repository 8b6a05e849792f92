//! What the pool says of its books so that a stranger can be shown a part of them (SPEC 8.10.5, 8.10.6).

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use bq_ledger::LedgerAccount;
use bq_primitives::{AccountId, Amount, AmountError, BlockId, KeyHash, TaggedHasher, tagged_hash};
use serde::{Deserialize, Serialize};

use crate::{BlockState, Fault, LogNumber, PoolBlock, State};

static LEAF: LazyLock<TaggedHasher> = LazyLock::new(|| TaggedHasher::new("BQIP0002/credit"));
static NODE: LazyLock<TaggedHasher> = LazyLock::new(|| TaggedHasher::new("BQIP0002/credit-node"));

/// Something that follows from the books, in a form of which a part can be proved. `apply` computes it again, as far as that needs no
/// secret, and refuses what is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stated {
    /// What a block credited to each of its miners.
    Credits {
        /// The block, which is immature.
        block: BlockId,
        /// How often its credit was reversed before.
        generation: u32,
        /// How many miners.
        count: u32,
        /// Root of the tree over them.
        digest: CreditsDigest,
    },
    /// What is owed to all miners: root and sum of the tree of liabilities.
    Liabilities {
        /// Names the tree: the number of an older event.
        epoch: u64,
        /// Levels below the root.
        depth: u8,
        /// The root's hash.
        root: [u8; 32],
        /// The root's sum.
        sum: Amount,
    },
}

/// What a block credited to one miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// Hash of its key.
    pub payee: KeyHash,
    /// How much.
    pub amount: Amount,
}

/// Root of the binary tree over the credits of a block ([`credit_leaf`]), shaped as that of a frame.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditsDigest(pub [u8; 32]);

/// `T("BQIP0002/credit", key hash || amount u64)`.
#[must_use]
pub fn credit_leaf(credit: &Credit) -> [u8; 32] {
    LEAF.hash(&[&credit.payee.0, &credit.amount.atoms().to_le_bytes()])
}

impl CreditsDigest {
    /// The digest of a block's credits, in rising account number.
    #[must_use]
    pub fn of(block: &BlockId, generation: u32, credits: &[Credit]) -> Self {
        let count = u32::try_from(credits.len()).unwrap_or(u32::MAX);
        let mut level: Vec<[u8; 32]> = credits.iter().map(credit_leaf).collect();
        while level.len() > 1 {
            let above = |pair: &[[u8; 32]]| match pair {
                [left, right] => Self::node(left, right),
                alone => alone.first().copied().unwrap_or_default(),
            };
            level = level.chunks(2).map(above).collect();
        }
        Self::of_top(block, generation, count, &level.first().copied().unwrap_or_default())
    }

    /// A node above two others.
    #[must_use]
    pub fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
        NODE.hash(&[left, right])
    }

    /// `T("BQIP0002/credits", block id || generation u32 || count u32 || top)`.
    #[must_use]
    pub fn of_top(block: &BlockId, generation: u32, count: u32, top: &[u8; 32]) -> Self {
        let (generation, count) = (generation.to_le_bytes(), count.to_le_bytes());
        Self(tagged_hash("BQIP0002/credits", &[&block.0, &generation, &count, top]))
    }
}

impl fmt::Debug for CreditsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl State {
    /// What an immature block credited to its miners, in rising account number; nothing of one in another state, whose lines are gone.
    ///
    /// # Errors
    /// The sum of one leaves the range of amounts.
    pub fn credits_of(&self, id: &BlockId) -> Result<Option<Vec<Credit>>, AmountError> {
        let Some(block) = self.block(id).filter(|block| block.state == BlockState::Immature) else { return Ok(None) };
        let mut sums: BTreeMap<AccountId, Amount> = BTreeMap::new();
        for (account, amount) in credited(block) {
            let sum = sums.entry(account).or_default();
            *sum = sum.checked_add(amount)?;
        }
        let credit = |(account, amount)| Some(Credit { payee: self.accounts().key(account)?, amount });
        Ok(Some(sums.into_iter().filter_map(credit).collect()))
    }

    /// The event that binds what an immature block credited; nothing if that is nothing.
    ///
    /// # Errors
    /// As [`State::credits_of`].
    pub fn credits_event(&self, id: &BlockId) -> Result<Option<Stated>, AmountError> {
        let credits = self.credits_of(id)?.filter(|credits| !credits.is_empty());
        let (Some(credits), Some(block)) = (credits, self.block(id)) else { return Ok(None) };
        let generation = block.generation;
        let count = u32::try_from(credits.len()).unwrap_or(u32::MAX);
        let digest = CreditsDigest::of(id, generation, &credits);
        Ok(Some(Stated::Credits { block: *id, generation, count, digest }))
    }

    /// What each miner is owed, immature, payable, carried and in flight, whoever is owed anything.
    ///
    /// # Errors
    /// A sum leaves the range of amounts.
    pub fn owed(&self) -> Result<BTreeMap<KeyHash, Amount>, AmountError> {
        let kinds = [
            LedgerAccount::MinerImmature,
            LedgerAccount::MinerPayable,
            LedgerAccount::MinerInFlight,
            LedgerAccount::MinerCarried,
        ];
        let mut owed: BTreeMap<KeyHash, Amount> = BTreeMap::new();
        for (account, balance) in kinds.into_iter().flat_map(|kind| self.books().of_miners(kind)) {
            let Some(key) = self.accounts().key(account) else { continue };
            let sum = owed.entry(key).or_default();
            *sum = sum.checked_add(Amount::from_atoms(balance)?)?;
        }
        Ok(owed)
    }

    /// Refuses what does not follow from the books.
    pub(crate) fn check_stated(&self, number: LogNumber, stated: &Stated) -> Result<(), Fault> {
        match stated {
            Stated::Credits { block, .. } => match self.credits_event(block)? {
                Some(expected) if expected == *stated => Ok(()),
                Some(_) => Err(Fault::Stated("the block credited something else")),
                None => Err(Fault::Stated("the block is not immature, or credited nobody")),
            },
            Stated::Liabilities { epoch, sum, .. } => {
                if *epoch >= number.0 {
                    return Err(Fault::Stated("an epoch that is not yet"));
                }
                let owed = Amount::sum(self.owed()?.into_values())?;
                if owed == *sum { Ok(()) } else { Err(Fault::Stated("what is owed comes to another sum")) }
            }
        }
    }
}

/// Lines that credit a block's reward to miners (T10); those of its coinbase (T15) go the other way.
fn credited(block: &PoolBlock) -> impl Iterator<Item = (AccountId, Amount)> + '_ {
    block.lines.iter().filter_map(|line| match line.credit {
        LedgerAccount::MinerImmature(account) => Some((account, line.amount)),
        _ => None,
    })
}
