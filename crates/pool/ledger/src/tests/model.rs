//! Slow, obvious second implementations.

use std::collections::BTreeMap;

use super::*;
use crate::{Books, ChainedTransfer, Distribution, JournalHash, LedgerError, Transfer};

/// A window as a row of slots of 2^55 parts each: the newest share takes half its slots, every older one all of its
/// slots, until no slot is free. Weights must be multiples of 2^56.
pub(super) fn slots_of_accounts(
    units: WindowUnits,
    newest_first: &[(AccountId, ShareWeight)],
) -> Vec<Option<AccountId>> {
    let slots = usize::from(units.units()) * 32;
    let mut row = Vec::new();
    for (position, (account, weight)) in newest_first.iter().enumerate() {
        let whole = weight.parts() >> 55;
        let counted = if position == 0 { whole / 2 } else { whole };
        for _ in 0..counted {
            row.push(Some(*account));
        }
    }
    row.resize(slots.max(row.len()), None);
    row.truncate(slots);
    row
}

/// Where a block stands in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Immature,
    Matured,
    Orphaned,
    Lost,
}

/// Where a payout stands in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Reserved,
    Final,
    Void,
}

/// All blocks and payouts that ever were; every balance is summed up from scratch when it is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) blocks: Vec<ModelBlock>,
    pub(super) payouts: Vec<(Vec<(AccountId, Amount)>, Stage)>,
}

#[derive(Clone, Debug)]
pub(super) struct ModelBlock {
    pub(super) reward: Amount,
    pub(super) carry_in: Amount,
    pub(super) split: Distribution,
    pub(super) standing: Standing,
    pub(super) generation: u32,
}

impl Model {
    pub(super) fn immature(&self, account: AccountId) -> u64 {
        self.credits(account, |standing| standing == Standing::Immature)
    }

    pub(super) fn in_flight(&self, account: AccountId) -> u64 {
        self.paid(account, |stage| stage == Stage::Reserved)
    }

    pub(super) fn payable(&self, account: AccountId) -> u64 {
        let earned = self.credits(account, |standing| matches!(standing, Standing::Matured | Standing::Lost));
        earned - self.paid(account, |stage| stage != Stage::Void)
    }

    pub(super) fn fee_income(&self) -> u64 {
        self.credited_blocks().map(|block| block.split.fee.atoms()).sum()
    }

    pub(super) fn seed(&self) -> u64 {
        self.credited_blocks().map(|block| block.split.seed.atoms()).sum()
    }

    /// Residue of matured blocks less what later blocks took in.
    pub(super) fn carry(&self) -> u64 {
        let matured = |block: &&ModelBlock| matches!(block.standing, Standing::Matured | Standing::Lost);
        let left: u64 = self.blocks.iter().filter(matured).map(|block| block.split.carry.atoms()).sum();
        left - self.credited_blocks().map(|block| block.carry_in.atoms()).sum::<u64>()
    }

    pub(super) fn on_chain(&self) -> u64 {
        let there = |block: &&ModelBlock| matches!(block.standing, Standing::Immature | Standing::Matured);
        self.blocks.iter().filter(there).map(|block| block.reward.atoms()).sum()
    }

    pub(super) fn paid_out(&self) -> u64 {
        let done = self.payouts.iter().filter(|(_, stage)| *stage == Stage::Final);
        done.flat_map(|(payees, _)| payees).map(|(_, amount)| amount.atoms()).sum()
    }

    fn credited_blocks(&self) -> impl Iterator<Item = &ModelBlock> {
        self.blocks.iter().filter(|block| block.standing != Standing::Orphaned)
    }

    fn credits(&self, account: AccountId, counts: impl Fn(Standing) -> bool) -> u64 {
        let blocks = self.blocks.iter().filter(|block| counts(block.standing));
        blocks.flat_map(|block| &block.split.credits).filter(|(who, _)| *who == account).map(|(_, a)| a.atoms()).sum()
    }

    fn paid(&self, account: AccountId, counts: impl Fn(Stage) -> bool) -> u64 {
        let payouts = self.payouts.iter().filter(|(_, stage)| counts(*stage));
        payouts.flat_map(|(payees, _)| payees).filter(|(who, _)| *who == account).map(|(_, a)| a.atoms()).sum()
    }
}

/// Slots per account.
pub(super) fn count_slots(row: &[Option<AccountId>]) -> BTreeMap<Option<AccountId>, u128> {
    let mut counts = BTreeMap::new();
    for slot in row {
        *counts.entry(*slot).or_default() += 1;
    }
    counts
}

/// A journal as the books before the log of events kept it, for the audit to read.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    pub(super) lines: Vec<ChainedTransfer>,
    pub(super) books: Books,
    batches: u64,
}

impl Journal {
    pub(super) fn post(&mut self, batch: &[Transfer]) -> Result<(), LedgerError> {
        self.books.apply(batch)?;
        self.batches += 1;
        for transfer in batch {
            let id = u64::try_from(self.lines.len()).expect("few") + 1;
            self.lines.push(transfer.chained(id, self.batches, self.head()));
        }
        Ok(())
    }

    pub(super) fn head(&self) -> JournalHash {
        self.lines.last().map(|line| line.hash).unwrap_or_default()
    }
}
