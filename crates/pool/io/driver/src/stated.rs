//! What the pool states of its books, so that a miner can be shown his part of it (SPEC 8.10): credits of each block, and what is owed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bq_books::{BookStore, Row, RowKind};
use bq_pool_machine::{BlockState, Credit, Event, Fault, LogHead, LogNumber, Stated};
use bq_pool_proof::{
    Bytes, Document, LiabilityEpoch, LiabilitySecret, LiabilityTree, PoolIdentity, SignedStatement, Statement, SumNode,
};
use bq_primitives::{Amount, BlockId, KeyHash, tagged_hash};
use serde::{Deserialize, Serialize};

use crate::{PoolError, keeper::Keeper};

/// Rows looked at to find which credits are told already: more blocks are not immature at a time.
const TOLD_LOOKED_AT: usize = 4096;

/// Trees that are kept in memory: the newest is asked for, and the one before it while no block names that.
const TREES_MAX: usize = 2;

/// What the keeper remembers of what it stated.
#[derive(Debug, Default)]
pub(crate) struct StatedSoFar {
    /// Blocks whose credits were told, with their generation; nothing until the log was asked.
    credits: Option<BTreeSet<(BlockId, u32)>>,
    /// When what is owed was stated last, on the keeper's clock.
    owed_at: Option<Duration>,
    /// Trees that were asked for, by epoch.
    trees: BTreeMap<u64, Arc<LiabilityTree>>,
}

/// What is kept of a block's credits (row `credits`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptCredits {
    pub(crate) event: LogNumber,
    pub(crate) generation: u32,
    pub(crate) credits: Vec<Credit>,
}

/// What is kept of a statement (row `liabilities`, by its epoch).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptLiabilities {
    pub(crate) event: LogHead,
    pub(crate) epoch: LiabilityEpoch,
    pub(crate) depth: u8,
    pub(crate) root: [u8; 32],
    pub(crate) sum: Amount,
    pub(crate) accounts: u32,
    /// Of the balances: the root binds them for the holder of the secret alone.
    pub(crate) balances: [u8; 32],
    /// Nothing until it is signed.
    pub(crate) signed: Option<SignedStatement>,
}

/// What its tree is made of (row `liabilities`, by its epoch and `:balances`): read only for a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptBalances(pub(crate) Vec<(KeyHash, Amount)>);

impl Document for KeptCredits {}
impl Document for KeptLiabilities {}
impl Document for KeptBalances {}

impl KeptLiabilities {
    /// Its signature is the pool's, and of what it says.
    pub(crate) fn is_signed_so(&self) -> bool {
        self.signed.as_ref().is_none_or(|signed| {
            let Statement { epoch, depth, root, sum, head, .. } = signed.statement;
            (epoch, depth, root, sum, head) == (self.epoch, self.depth, self.root, self.sum, self.event)
                && signed.verify(bq_signature::verify).is_ok()
        })
    }
}

impl KeptBalances {
    pub(crate) fn digest(&self) -> [u8; 32] {
        let bytes = |(key, amount): &(KeyHash, Amount)| key.0.into_iter().chain(amount.atoms().to_le_bytes());
        let all: Vec<u8> = self.0.iter().flat_map(bytes).collect();
        tagged_hash("BQIP0002/liability-balances", &[&all])
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
pub(crate) fn inconsistent(error: impl ToString) -> PoolError {
    PoolError::Inconsistent(error.to_string())
}

pub(crate) fn credits_row(block: &BlockId, kept: Option<&KeptCredits>, order: LogNumber) -> Result<Row, PoolError> {
    let value = kept.map(Document::to_bytes).transpose().map_err(inconsistent)?;
    Ok(Row { kind: RowKind::Credits, key: block.to_string(), group: String::new(), order: order.0, value })
}

/// Rows of all balances of a statement are listed apart.
const BALANCES: &str = "balances";

fn liabilities_row(kept: &KeptLiabilities) -> Result<Row, PoolError> {
    let (key, value) = (kept.epoch.0.to_string(), Some(kept.to_bytes().map_err(inconsistent)?));
    Ok(Row { kind: RowKind::Liabilities, key, group: String::new(), order: kept.epoch.0, value })
}

fn balances_row(epoch: u64, balances: Option<&KeptBalances>) -> Result<Row, PoolError> {
    let value = balances.map(Document::to_bytes).transpose().map_err(inconsistent)?;
    let (key, group) = (balances_key(epoch), BALANCES.to_owned());
    Ok(Row { kind: RowKind::Liabilities, key, group, order: epoch, value })
}

/// The key of the row with the balances of a statement.
pub(crate) fn balances_key(epoch: u64) -> String {
    format!("{epoch}:{BALANCES}")
}

impl Keeper {
    /// Which pool its proofs are of.
    pub(crate) fn identity(&self) -> PoolIdentity {
        PoolIdentity {
            network: self.config.network,
            genesis: self.node.genesis_id(),
            key: self.books_key(),
            tag: Bytes(self.config.pool_tag.clone()),
        }
    }

    /// Tells the log what each immature block credited, once. A crash in between forgets none: the log is asked what it was told.
    pub(crate) fn tell_credits(&self) -> Result<(), PoolError> {
        let immature: Vec<(BlockId, u32)> = {
            let state = self.state.read();
            let is_immature = |block: &&bq_pool_machine::PoolBlock| block.state == BlockState::Immature;
            state.blocks().filter(is_immature).map(|block| (block.candidate.id, block.generation)).collect()
        };
        let mut so_far = self.stated.lock();
        let told = match &mut so_far.credits {
            Some(told) => told,
            credits @ None => credits.insert(told_credits(self.store.as_ref())?),
        };
        told.retain(|block| immature.contains(block));
        let untold: Vec<_> = immature.into_iter().filter(|block| !told.contains(block)).collect();
        for (id, generation) in untold {
            self.tell_credits_of(&id)?;
            told.insert((id, generation));
        }
        Ok(())
    }

    fn tell_credits_of(&self, id: &BlockId) -> Result<(), PoolError> {
        let (stated, credits) = {
            let state = self.state.read();
            let stated = state.credits_event(id).map_err(Fault::from)?;
            (stated, state.credits_of(id).map_err(Fault::from)?)
        };
        // All of it may be the seed's.
        let (Some(stated @ Stated::Credits { generation, .. }), Some(credits)) = (stated, credits) else {
            return Ok(());
        };
        let applied = match self.tell(&Event::Stated(stated), Vec::new()) {
            // It left the chain just now: the next round looks again.
            Err(PoolError::Fault(Fault::Stated(_))) => return Ok(()),
            told => told?,
        };
        let event = applied.head.number;
        self.put_back(credits_row(id, Some(&KeptCredits { event, generation, credits }), event)?)?;
        let most = usize::try_from(self.config.credits_kept).unwrap_or(usize::MAX);
        for old in self.store.rows(RowKind::Credits, "", u64::MAX, usize::MAX)?.into_iter().skip(most) {
            let (key, order) = (old.key, old.order);
            self.put_back(Row { kind: RowKind::Credits, key, group: String::new(), order, value: None })?;
        }
        Ok(())
    }

    /// States what is owed, when it is time to.
    pub(crate) fn state_liabilities(&self) -> Result<(), PoolError> {
        let interval = self.config.statement_interval;
        let now = self.clock.running();
        {
            let mut so_far = self.stated.lock();
            let is_time = so_far.owed_at.is_none_or(|at| now.saturating_sub(at) >= interval);
            if interval.is_zero() || !is_time {
                return Ok(());
            }
            so_far.owed_at = Some(now);
        }
        self.sign_or_ask_statements()?;
        let (epoch, owed) = {
            let state = self.state.read();
            (LiabilityEpoch(state.head().number.0), state.owed().map_err(Fault::from)?)
        };
        if owed.is_empty() {
            return Ok(());
        }
        let balances = KeptBalances(owed.into_iter().collect());
        let secret = LiabilitySecret::of(&self.commitment_key);
        let tree = LiabilityTree::new(&secret, epoch, balances.0.iter().copied()).map_err(inconsistent)?;
        let (SumNode { hash: root, sum }, depth) = (tree.root(), tree.depth());
        let event = Event::Stated(Stated::Liabilities { epoch: epoch.0, depth, root, sum });
        let applied = match self.tell(&event, Vec::new()) {
            // The books moved meanwhile: the next round states them as they are then.
            Err(PoolError::Fault(Fault::Stated(_))) => {
                self.stated.lock().owed_at = None;
                return Ok(());
            }
            applied => applied?,
        };
        let (event, accounts) = (applied.head, u32::try_from(balances.0.len()).unwrap_or(u32::MAX));
        let digest = balances.digest();
        let kept = KeptLiabilities { event, epoch, depth, root, sum, accounts, balances: digest, signed: None };
        self.put_all_back(vec![balances_row(epoch.0, Some(&balances))?, liabilities_row(&kept)?])?;
        self.drop_old_statements()?;
        self.sign_or_ask_statements()
    }

    /// Signs at once, or has the thread do it that waits for the signer.
    fn sign_or_ask_statements(&self) -> Result<(), PoolError> {
        if !self.signer.is_remote() {
            return self.sign_statements();
        }
        self.signing.wants_statements.store(true, Ordering::Relaxed);
        self.signing.now.notify_one();
        Ok(())
    }

    /// A statement goes with its balances. Older ones without it, which a crash of an earlier version may have left, go too.
    fn drop_old_statements(&self) -> Result<(), PoolError> {
        let all = self.store.rows(RowKind::Liabilities, "", u64::MAX, usize::MAX)?;
        let (kept, old) = all.split_at(all.len().min(self.kept_max()));
        let mut rows = Vec::new();
        for old in old {
            let (key, group) = (old.key.clone(), String::new());
            rows.push(Row { kind: RowKind::Liabilities, key, group, order: old.order, value: None });
        }
        let oldest_kept = kept.last().map_or(0, |oldest| oldest.order);
        for old in self.store.rows(RowKind::Liabilities, BALANCES, oldest_kept, usize::MAX)? {
            rows.push(balances_row(old.order, None)?);
        }
        if rows.is_empty() { Ok(()) } else { self.put_all_back(rows) }
    }

    fn kept_max(&self) -> usize {
        usize::try_from(self.config.statements_kept).unwrap_or(usize::MAX).max(1)
    }

    /// Signs what was stated and is not signed yet; what the signer will not sign waits.
    pub(crate) fn sign_statements(&self) -> Result<(), PoolError> {
        let identity = self.identity();
        if identity.key != self.key_hash() {
            return Ok(());
        }
        for mut kept in self.kept_liabilities()?.into_iter().filter(|kept| kept.signed.is_none()) {
            let KeptLiabilities { epoch, depth, root, sum, event: head, .. } = kept;
            let (genesis, pool) = (identity.genesis, identity.key);
            match self.signer.sign_stated(&Statement { genesis, pool, epoch, depth, root, sum, head }, self) {
                Ok(signed) => {
                    kept.signed = Some(signed);
                    self.put_back(liabilities_row(&kept)?)?;
                }
                Err(error) => {
                    tracing::warn!(event = %kept.event.number, %error, "what is owed was stated and is not signed");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Statements that are kept, newest first.
    pub(crate) fn kept_liabilities(&self) -> Result<Vec<KeptLiabilities>, PoolError> {
        let rows = self.store.rows(RowKind::Liabilities, "", u64::MAX, self.kept_max())?;
        rows.iter().map(|row| KeptLiabilities::from_bytes(&row.value).map_err(inconsistent)).collect()
    }

    /// The tree of a statement that is kept.
    pub(crate) fn liability_tree(&self, kept: &KeptLiabilities) -> Result<Arc<LiabilityTree>, PoolError> {
        let epoch = kept.epoch.0;
        if let Some(tree) = self.stated.lock().trees.get(&epoch) {
            return Ok(Arc::clone(tree));
        }
        let missing = || inconsistent(format!("the balances of statement {epoch} are missing"));
        let row = self.store.row(RowKind::Liabilities, &balances_key(epoch))?.ok_or_else(missing)?;
        let balances = KeptBalances::from_bytes(&row).map_err(inconsistent)?;
        let secret = LiabilitySecret::of(&self.commitment_key);
        let tree = Arc::new(LiabilityTree::new(&secret, kept.epoch, balances.0).map_err(inconsistent)?);
        let mut so_far = self.stated.lock();
        // One is some 20 MB for a hundred thousand accounts.
        while so_far.trees.len() >= TREES_MAX {
            so_far.trees.pop_first();
        }
        so_far.trees.insert(epoch, Arc::clone(&tree));
        Ok(tree)
    }
}

/// Blocks whose credits the log was told lately, as far as what it was told is kept.
fn told_credits(store: &dyn BookStore) -> Result<BTreeSet<(BlockId, u32)>, PoolError> {
    let mut told = BTreeSet::new();
    for row in store.rows(RowKind::Credits, "", u64::MAX, TOLD_LOOKED_AT)? {
        let kept = KeptCredits::from_bytes(&row.value).map_err(inconsistent)?;
        told.extend(row.key.parse().ok().map(|block: BlockId| (block, kept.generation)));
    }
    Ok(told)
}
