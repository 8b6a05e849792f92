//! Puts together the event that takes the older books over.

use std::collections::{BTreeMap, BTreeSet};

use bq_chain_api::{NodeApi, TransactionStatus};
use bq_ledger::AuditReport;
use bq_mining_message::{BootEpoch, SharePosition, ShareSequence};
use bq_pool_machine::{
    Accounts, BlockState, Candidate, Import, LaneTerms, Opened, Origin, Payout, PayoutId, PayoutKind, PayoutState,
    PoolBlock, PoolCoin, Scheme, Spent, Winning,
};
use bq_primitives::{AccountId, Amount, Block, BlockId, Height, KeyHash, OutPoint, TxId};
use sha2::{Digest, Sha256};

use super::{
    Reason, balances,
    ledger::{Content, OldBlock, OldLedger, OldPayout},
    shares::Converted,
};
use crate::{PoolConfig, PoolError};

/// What the new books begin with.
pub(super) struct TakenOver {
    pub(super) import: Import,
    /// Every block, for the rows.
    pub(super) blocks: Vec<PoolBlock>,
    /// Every payout, for the rows.
    pub(super) payouts: Vec<Payout>,
    /// Bytes of blocks that may be needed.
    pub(super) block_bytes: Vec<(BlockId, Vec<u8>)>,
    /// Signed bytes of payouts that may be sent again.
    pub(super) signed: Vec<(PayoutId, Vec<u8>)>,
}

/// Builds the event, or refuses the older books.
pub(super) fn import(
    config: &PoolConfig,
    node: &dyn NodeApi,
    opened: Opened,
    ledger: &OldLedger,
    content: Content,
    audited: &AuditReport,
    shares: &Converted,
) -> Result<TakenOver, PoolError> {
    let folder = config.data_dir.join("ledger.sqlite");
    let refused = |reason| super::refused(&folder, reason);
    check_payouts(&content, opened.key).map_err(refused)?;
    let builder = Builder { config, node, opened, ledger, shares, spent_by: spent_by(&content.payouts) };
    builder.build(content, audited).map_err(|stop| match stop {
        Stop::Refused(reason) => refused(reason),
        Stop::Node(error) => error.into(),
    })
}

/// A payout whose transaction is not the one that its parts make was changed, or is another key's.
fn check_payouts(content: &Content, key: KeyHash) -> Result<(), Reason> {
    let keys: BTreeMap<AccountId, KeyHash> =
        content.accounts.values().map(|account| (account.account, account.key)).collect();
    if keys.values().collect::<BTreeSet<_>>().len() < keys.len() {
        return Err(Reason("two accounts have one key".to_owned()));
    }
    let accounts = Accounts::from(keys);
    for payout in &content.payouts {
        let planned = &payout.planned;
        let transaction = planned.transaction(&accounts, key);
        let transaction =
            transaction.ok_or_else(|| Reason(format!("payout {} pays an account that is missing", planned.id)))?;
        if transaction.txid() != planned.txid {
            return Err(Reason(format!(
                "payout {} is not the transaction that it names, or the key file holds another key",
                planned.id
            )));
        }
    }
    Ok(())
}

/// Which payout that is not void spends a coin.
fn spent_by(payouts: &[OldPayout]) -> BTreeMap<OutPoint, (PayoutId, TxId, PayoutState)> {
    let real = payouts.iter().filter(|payout| payout.state != PayoutState::Void);
    real.flat_map(|payout| {
        let by = (payout.planned.id, payout.planned.txid, payout.state);
        payout.planned.inputs.iter().map(move |input| (input.outpoint, by))
    })
    .collect()
}

enum Stop {
    Refused(Reason),
    Node(bq_chain_api::NodeError),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<bq_chain_api::NodeError> for Stop {
    fn from(error: bq_chain_api::NodeError) -> Self {
        Self::Node(error)
    }
}

struct Builder<'a> {
    config: &'a PoolConfig,
    node: &'a dyn NodeApi,
    opened: Opened,
    ledger: &'a OldLedger,
    shares: &'a Converted,
    spent_by: BTreeMap<OutPoint, (PayoutId, TxId, PayoutState)>,
}

impl Builder<'_> {
    fn build(&self, content: Content, audited: &AuditReport) -> Result<TakenOver, Stop> {
        let newest = content.blocks.iter().map(|block| block.height).max().unwrap_or_default();
        let mut blocks = Vec::with_capacity(content.blocks.len());
        let (mut kept, mut block_bytes) = (Vec::new(), Vec::new());
        for old in &content.blocks {
            let bytes = self.ledger.block_bytes(&old.id)?;
            let is_kept = self.is_kept(old, newest);
            let block = self.block(old, bytes.as_deref(), is_kept)?;
            if is_kept {
                kept.push(block.clone());
                block_bytes.extend(bytes.map(|bytes| (old.id, bytes)));
            }
            blocks.push(block);
        }
        let recent: BTreeSet<TxId> = kept.iter().map(|block| block.candidate.coinbase).collect();
        let (mut payouts, mut kept_payouts, mut signed) = (Vec::new(), Vec::new(), Vec::new());
        for old in content.payouts {
            let is_kept = self.is_kept_payout(&old, &recent);
            let (payout, bytes) = self.payout(old, is_kept)?;
            if is_kept {
                signed.extend(bytes.map(|bytes| (payout.planned.id, bytes)));
                kept_payouts.push(payout.clone());
            }
            payouts.push(payout);
        }
        let coins = self.coins(&kept, &kept_payouts)?;
        let balances = balances::on_coins(&audited.books, &kept, &kept_payouts, &coins)?;
        let mut terms = self.config.terms(None).map_err(|error| Reason(error.to_string()))?;
        if let Some((fee, window)) = content.scheme {
            terms.lanes = [LaneTerms { scheme: Scheme::Pplns { window }, fee }; 3];
        }
        let newest_payout = payouts.last().map_or(PayoutId(0), |payout| payout.planned.id);
        // The older software counted no starts. Frames of these shares are never told: the log begins behind them.
        let head = (self.config.front_end, BootEpoch(0), self.shares.next);
        let import = Import {
            opened: self.opened,
            journal: audited.head.0,
            terms,
            accounts: content.accounts.values().copied().collect(),
            balances,
            paid: paid(&payouts),
            blocks: kept,
            payouts: kept_payouts.into_iter().map(forget_confirmation).collect(),
            coins: coins.into_iter().collect(),
            newest_payout,
            shares: (self.shares.next > ShareSequence::FIRST).then_some(head).into_iter().collect(),
        };
        Ok(TakenOver { import, blocks, payouts, block_bytes, signed })
    }

    /// What the chain may still move, and what has coins that are not spent for good.
    fn is_kept(&self, block: &OldBlock, newest: Height) -> bool {
        // As far back as the older software watched.
        let watched = self.opened.maturity.saturating_mul(2).saturating_add(100);
        let is_recent = newest.above(block.height).is_none_or(|above| above <= watched);
        match block.state {
            BlockState::Found | BlockState::Immature => true,
            BlockState::Orphaned | BlockState::Lost => is_recent,
            BlockState::Matured => {
                let spends = self.spent_by.iter().filter(|(outpoint, _)| outpoint.txid == block.coinbase);
                let mut spends = spends.map(|(_, (_, _, state))| *state);
                is_recent || !spends.any(|state| state == PayoutState::Final)
            }
        }
    }

    fn is_kept_payout(&self, old: &OldPayout, recent: &BTreeSet<TxId>) -> bool {
        let is_spent =
            |outpoint: OutPoint| self.spent_by.get(&outpoint).is_some_and(|(_, _, state)| *state == PayoutState::Final);
        match old.state {
            PayoutState::Planned | PayoutState::Signed => true,
            PayoutState::Void => false,
            PayoutState::Final => {
                let has_change = old.planned.change_outpoint().is_some_and(|outpoint| !is_spent(outpoint));
                has_change || old.planned.inputs.iter().any(|input| recent.contains(&input.outpoint.txid))
            }
        }
    }

    fn block(&self, old: &OldBlock, bytes: Option<&[u8]>, is_kept: bool) -> Result<PoolBlock, Stop> {
        let block = match bytes {
            Some(bytes) => {
                let unreadable = |error| Reason(format!("bytes of block {}: {error}", old.id));
                Some(Block::from_bytes(bytes).map_err(unreadable)?)
            }
            None if is_kept => self.node.block(&old.id)?,
            None => None,
        };
        let outputs = match &block {
            Some(block) => self.outputs(old, block)?,
            // The older software paid itself with one output, the first.
            None => vec![(0, old.reward)],
        };
        let candidate = Candidate {
            id: old.id,
            height: old.height,
            algorithm: old.algorithm,
            coinbase: old.coinbase,
            outputs: outputs.into_iter().filter(|(_, amount)| *amount > Amount::ZERO).collect(),
            winning: self.winning(old),
            time: old.time,
        };
        Ok(PoolBlock { candidate, state: old.state, generation: old.generation, lines: self.ledger.block_lines(old)? })
    }

    /// The outputs that are the pool's: they must be worth what the books say, or the key is not the one that was paid.
    fn outputs(&self, old: &OldBlock, block: &Block) -> Result<Vec<(u32, Amount)>, Reason> {
        let coinbase = block.transactions.first();
        let coinbase = coinbase.filter(|coinbase| block.id() == old.id && coinbase.txid() == old.coinbase);
        let coinbase = coinbase.ok_or_else(|| Reason(format!("the bytes of block {} are another block's", old.id)))?;
        let ours = (0_u32..).zip(&coinbase.outputs).filter(|(_, output)| output.key_hash == self.opened.key);
        let ours: Vec<(u32, Amount)> = ours.map(|(index, output)| (index, output.amount)).collect();
        let sum = Amount::sum(ours.iter().map(|(_, amount)| *amount))?;
        if sum == old.reward {
            return Ok(ours);
        }
        let key = self.opened.key;
        Err(Reason(format!(
            "block {} pays {sum} to key {key} of the key file, the books say {}: restore the key file that belongs to them",
            old.id, old.reward
        )))
    }

    fn winning(&self, old: &OldBlock) -> Winning {
        let at = |sequence| SharePosition { front_end: self.config.front_end, sequence };
        let newest = ShareSequence(self.shares.next.0.saturating_sub(1));
        match old.winning {
            None | Some(ShareSequence(0)) => Winning::NoShares,
            Some(sequence) if sequence < self.shares.first => Winning::Lost,
            // Books that survived a power cut which took the newest shares.
            Some(sequence) if sequence > newest => Winning::After(at(newest)),
            Some(sequence) => Winning::Share(at(sequence)),
        }
    }

    fn payout(&self, old: OldPayout, is_kept: bool) -> Result<(Payout, Option<Vec<u8>>), Stop> {
        let id = old.planned.id;
        let bytes = if is_kept { self.ledger.signed_bytes(id)? } else { None };
        if is_kept && old.state != PayoutState::Planned && bytes.is_none() {
            return Err(Reason(format!("payout {id} was sent and its signed bytes are missing")).into());
        }
        let confirmed = if is_kept { self.confirmed_at(&old.planned.txid)? } else { None };
        let signed = bytes.as_ref().map(|bytes| Sha256::digest(bytes).into());
        let (planned, state) = (old.planned, old.state);
        let payout = Payout { planned, state, sources: Vec::new(), signed, confirmed, voided: None, returned: 0 };
        Ok((payout, bytes))
    }

    fn confirmed_at(&self, txid: &TxId) -> Result<Option<Height>, Stop> {
        Ok(match self.node.transaction_status(txid)? {
            TransactionStatus::Confirmed { height, .. } => Some(height),
            TransactionStatus::Unknown | TransactionStatus::InMempool => None,
        })
    }

    /// Coins that the books hold, and those that final payouts spent and a reorganisation could bring back.
    fn coins(&self, blocks: &[PoolBlock], payouts: &[Payout]) -> Result<BTreeMap<OutPoint, PoolCoin>, Stop> {
        let mut coins = BTreeMap::new();
        let on_chain = blocks.iter().filter(|block| block.is_on_chain());
        let of_blocks = on_chain.flat_map(|block| {
            let (height, origin) = (block.candidate.height, Origin::Block(block.candidate.id));
            block.candidate.coins().map(move |(outpoint, amount)| (outpoint, amount, height, origin))
        });
        // Change of an open payout is there once that is in a block. Where a final one was buried long ago, the node may not tell.
        let there = payouts.iter().filter(|payout| payout.state == PayoutState::Final || payout.is_confirmed());
        let of_payouts = there.filter_map(|payout| {
            let outpoint = payout.planned.change_outpoint()?;
            let (height, origin) = (payout.confirmed.unwrap_or_default(), Origin::Change(payout.planned.id));
            Some((outpoint, payout.planned.change, height, origin))
        });
        for (outpoint, amount, height, origin) in of_blocks.chain(of_payouts) {
            let spender = self.spent_by.get(&outpoint).copied();
            let spent = match spender {
                Some((id, by, PayoutState::Final)) => {
                    let payout = payouts.iter().find(|payout| payout.planned.id == id);
                    let Some(height) = payout.and_then(|payout| payout.confirmed) else { continue };
                    Some(Spent { by, height, explained: false })
                }
                _ => None,
            };
            let payout = spender.map(|(id, _, _)| id);
            coins.insert(outpoint, PoolCoin { amount, height, origin, payout, spent, suspect: false });
        }
        Ok(coins)
    }
}

/// That an open payout is in a block, the first event of the chain tells.
fn forget_confirmation(payout: Payout) -> Payout {
    if payout.is_open() { Payout { confirmed: None, ..payout } } else { payout }
}

fn paid(payouts: &[Payout]) -> Vec<(AccountId, u64)> {
    let mut sums: BTreeMap<AccountId, u64> = BTreeMap::new();
    for payout in payouts.iter().filter(|payout| payout.state == PayoutState::Final) {
        if let PayoutKind::Miners(plan) = &payout.planned.kind {
            for payee in &plan.payees {
                let sum = sums.entry(payee.account).or_default();
                *sum = sum.saturating_add(payee.net.atoms());
            }
        }
    }
    sums.into_iter().collect()
}
