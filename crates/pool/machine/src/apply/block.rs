//! What happens to money when a block joins, matures or leaves (SPEC 8.3, 8.4).

use std::collections::{BTreeMap, BTreeSet};

use bq_ledger::{
    Cause, LedgerAccount, LedgerError, Transfer, lost_block, mature, mature_income, pay_in_coinbase, reverse_credit,
};
use bq_primitives::{AccountId, Algorithm, Amount, BlockId, Height, OutPoint};

use super::Step;
use crate::{BlockState, Candidate, Fault, Line, Origin, PoolBlock, PoolCoin, State};

impl State {
    /// A block is on the best chain: T10, or T14 when it had matured before it was lost.
    pub(super) fn join(&mut self, step: &mut Step<'_>, id: &BlockId) -> Result<(), Fault> {
        let block = self.blocks.get(id).cloned().ok_or(Fault::UnknownBlock(*id))?;
        match block.state {
            BlockState::Found | BlockState::Orphaned => self.credit(step, block)?,
            BlockState::Lost => self.regain(step, block)?,
            BlockState::Immature | BlockState::Matured => {
                let height = block.candidate.height;
                return Err(Fault::BlockPlace { block: *id, height, reason: "it is on the chain already" });
            }
        }
        step.applied.blocks.insert(*id);
        Ok(())
    }

    /// T10, or T21 where its shares are paid for already.
    fn credit(&mut self, step: &mut Step<'_>, mut block: PoolBlock) -> Result<(), Fault> {
        let mut lines = match self.award_of(step, &block.candidate)? {
            Some(award) => self.award(&block, award)?,
            None => vec![Transfer {
                cause: credited(&block),
                debit: LedgerAccount::ChainImmature(block.candidate.algorithm),
                credit: LedgerAccount::Suspense,
                amount: block.candidate.own()?,
            }],
        };
        lines.extend(self.pay_directly(&block, &lines)?);
        block.lines = lines.iter().map(Line::from).collect();
        block.state = BlockState::Immature;
        self.put_on_chain(block);
        step.book(self, lines)
    }

    /// T15 (SPEC 8.8.4): the coinbase paid what the credit of its block, or what earlier ones left over.
    fn pay_directly(&self, block: &PoolBlock, credited: &[Transfer]) -> Result<Vec<Transfer>, Fault> {
        let Candidate { id, algorithm, .. } = block.candidate;
        let Some(direct) = block.candidate.direct() else { return Ok(Vec::new()) };
        let mut credits: BTreeMap<LedgerAccount, Amount> = BTreeMap::new();
        for line in credited {
            let sum = credits.entry(line.credit).or_default();
            *sum = sum.checked_add(line.amount)?;
        }
        let owed = |account| {
            let immature = LedgerAccount::MinerImmature(account);
            let credit = (immature, credits.get(&immature).copied().unwrap_or_default());
            let others = [LedgerAccount::MinerCarried(account), LedgerAccount::MinerPayable(account)];
            let balance = |other| Ok::<_, LedgerError>((other, Amount::from_atoms(self.books.balance(other))?));
            let others = others.into_iter().map(balance).collect::<Result<Vec<_>, _>>()?;
            Ok([credit].into_iter().chain(others).collect())
        };
        Ok(pay_in_coinbase((id, block.generation), algorithm, &direct.by_account()?, owed)?)
    }

    /// T14: every T13 line backwards.
    fn regain(&mut self, step: &mut Step<'_>, mut block: PoolBlock) -> Result<(), Fault> {
        let cause = Cause::BlockRegained { block: block.candidate.id, generation: block.generation };
        let (owed, lost) = std::mem::take(&mut block.lines).into_iter().partition::<Vec<Line>, _>(is_owed_again);
        let mut lines = self.paid_again(&block, &owed)?;
        block.lines = taken_off(block.candidate.algorithm, &owed);
        block.state = BlockState::Matured;
        block.generation = block.generation.saturating_add(1);
        let coins: Vec<(OutPoint, Amount)> = block.candidate.coins().collect();
        self.note_sent(&block.candidate, u64::saturating_add);
        self.put_on_chain(block);
        // The coin may meanwhile be the input of another payout, or of none: its account is looked up, not remembered.
        let mut bearers = lost.into_iter().map(|line| (line.debit, line.amount));
        let mut bearer = bearers.next();
        for (outpoint, amount) in coins {
            let debit = self.account_of(&outpoint)?;
            let mut left = amount;
            while left > Amount::ZERO {
                let Some((credit, able)) = bearer else { break };
                let part = left.min(able);
                lines.push(Transfer { cause, debit, credit, amount: part });
                left = left.checked_sub(part)?;
                let rest = able.checked_sub(part)?;
                bearer = if rest > Amount::ZERO { Some((credit, rest)) } else { bearers.next() };
            }
        }
        step.book(self, merged(lines)?)
    }

    /// A block is not on the best chain any more: T12, or T13 once it had matured.
    pub(super) fn leave(&mut self, step: &mut Step<'_>, id: &BlockId) -> Result<(), Fault> {
        let mut block = self.blocks.get(id).cloned().ok_or(Fault::UnknownBlock(*id))?;
        let generation = block.generation;
        let lines = match block.state {
            BlockState::Immature => {
                let credited = block.transfers(credited(&block));
                block.lines.clear();
                block.state = BlockState::Orphaned;
                block.generation = generation.saturating_add(1);
                self.not_more_than_written_off(reverse_credit(*id, generation, &credited))?
            }
            BlockState::Matured => {
                let lines = self.loss(&block)?;
                self.note_sent(&block.candidate, u64::saturating_sub);
                block.lines = lines.iter().map(Line::from).collect();
                block.state = BlockState::Lost;
                lines
            }
            BlockState::Found | BlockState::Orphaned | BlockState::Lost => return Ok(()),
        };
        for (outpoint, _) in block.candidate.coins() {
            self.coins.remove(&outpoint);
        }
        self.blocks.insert(*id, block);
        step.applied.blocks.insert(*id);
        step.book(self, lines)
    }

    /// What coinbases paid beyond what was owed is a loss, until a person made good for it: then it is a gift when such a block leaves.
    fn not_more_than_written_off(&self, lines: Vec<Transfer>) -> Result<Vec<Transfer>, Fault> {
        let mut left = Amount::from_atoms(self.books.balance(LedgerAccount::WriteOff))?;
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines {
            if line.credit != LedgerAccount::WriteOff {
                kept.push(line);
                continue;
            }
            let part = line.amount.min(left);
            left = left.checked_sub(part)?;
            let gift = Transfer { credit: LedgerAccount::GiftIncome, amount: line.amount.checked_sub(part)?, ..line };
            kept.extend(
                [Transfer { amount: part, ..line }, gift].into_iter().filter(|line| line.amount > Amount::ZERO),
            );
        }
        merged(kept)
    }

    /// T14 for what a lost coinbase had paid and was owed again meanwhile; what was paid otherwise since is the pool's loss.
    fn paid_again(&self, block: &PoolBlock, owed: &[Line]) -> Result<Vec<Transfer>, Fault> {
        let cause = Cause::BlockRegained { block: block.candidate.id, generation: block.generation };
        let mut left: BTreeMap<LedgerAccount, Amount> = BTreeMap::new();
        let mut lines = Vec::with_capacity(owed.len());
        for line in owed {
            let balance = Amount::from_atoms(self.books.balance(line.credit))?;
            let able = left.entry(line.credit).or_insert(balance);
            let part = line.amount.min(*able);
            *able = able.checked_sub(part)?;
            let rest = line.amount.checked_sub(part)?;
            let parts = [(line.credit, part), (LedgerAccount::WriteOff, rest)];
            let parts = parts.into_iter().filter(|(debit, amount)| *amount > Amount::ZERO && *debit != line.debit);
            lines.extend(parts.map(|(debit, amount)| Transfer { cause, debit, credit: line.debit, amount }));
        }
        Ok(lines)
    }

    /// T13: the reserve bears it, then what the pool earned, then it is shown as a loss. A coin that was spent so long ago that the books
    /// know it no more paid somebody whom they know no more either: what is owed to him again is in suspense.
    fn loss(&self, block: &PoolBlock) -> Result<Vec<Transfer>, Fault> {
        let own = block.candidate.algorithm;
        let others = Algorithm::ALL.into_iter().filter(|lane| *lane != own);
        let fees = [own].into_iter().chain(others).map(|lane| (LedgerAccount::FeeIncome(lane), self.earned_fees(lane)));
        let reserve = (LedgerAccount::PpsReserve, self.books.balance(LedgerAccount::PpsReserve));
        let mut bearers: Vec<(LedgerAccount, u64)> = [reserve].into_iter().chain(fees).collect();
        let mut lines = Vec::new();
        let mut gone = Vec::new();
        for (outpoint, amount) in block.candidate.coins() {
            let is_known = self.coins.contains_key(&outpoint);
            gone.push((if is_known { self.account_of(&outpoint)? } else { LedgerAccount::Suspense }, amount));
        }
        // What its coinbase paid of older balances is owed again.
        gone.extend(block.lines.iter().map(|line| (line.debit, line.amount)));
        for (coin, amount) in gone {
            let able = bearers.iter().map(|(account, able)| Ok((*account, Amount::from_atoms(*able)?)));
            let able = able.collect::<Result<Vec<_>, Fault>>()?;
            let part = lost_block(block.candidate.id, block.generation, amount, &able, coin)?;
            for line in &part {
                for (account, able) in &mut bearers {
                    if *account == line.debit {
                        *able = able.saturating_sub(line.amount.atoms());
                    }
                }
            }
            lines.extend(part);
        }
        merged(lines)
    }

    /// T11 for every block whose reward may be spent in the block after `height` (SPEC 6.6).
    pub(super) fn mature_blocks(&mut self, step: &mut Step<'_>, height: Height) -> Result<(), Fault> {
        let maturity = self.opened.map_or(u32::MAX, |opened| opened.maturity);
        let is_deep = |block: &PoolBlock| {
            let confirmations = height.above(block.candidate.height).map(|above| above.saturating_add(1));
            block.state == BlockState::Immature && confirmations.is_some_and(|depth| depth >= maturity)
        };
        self.mature_each(step, is_deep, LedgerAccount::ChainSpendable)
    }

    /// The key of these rewards is gone: T11 at once, with the coins missing. Whether those blocks mature changes nothing of what
    /// the pool lost, and must not hold up the work for another key.
    pub(super) fn credit_unspendable(&mut self, step: &mut Step<'_>) -> Result<(), Fault> {
        let lost =
            self.blocks.values().filter(|block| block.state == BlockState::Immature && !self.is_cold_block(block));
        let lost: BTreeSet<BlockId> = lost.map(|block| block.candidate.id).collect();
        self.mature_each(step, |block| lost.contains(&block.candidate.id), LedgerAccount::Missing)
    }

    fn mature_each(
        &mut self,
        step: &mut Step<'_>,
        is_due: impl Fn(&PoolBlock) -> bool,
        free: LedgerAccount,
    ) -> Result<(), Fault> {
        let due = self.blocks.values().filter(|block| is_due(block));
        let mut due: Vec<(Height, BlockId)> = due.map(|block| (block.candidate.height, block.candidate.id)).collect();
        due.sort_unstable();
        due.into_iter().try_for_each(|(_, id)| self.mature_block(step, id, free))
    }

    /// T11; coins that no payout spends yet go to `free`.
    fn mature_block(&mut self, step: &mut Step<'_>, id: BlockId, free: LedgerAccount) -> Result<(), Fault> {
        let Some(block) = self.blocks.get_mut(&id) else { return Ok(()) };
        let credited = block.transfers(credited(block));
        block.state = BlockState::Matured;
        block.lines.retain(is_of_balance);
        let (generation, mut due) = (block.generation, LedgerAccount::MinerPayable as fn(AccountId) -> LedgerAccount);
        let candidate = block.candidate.clone();
        if candidate.direct().is_some() {
            due = LedgerAccount::MinerCarried;
        }
        self.note_sent(&candidate, u64::saturating_add);
        let is_income = credited.iter().any(|line| line.credit == LedgerAccount::PpsImmature);
        let mut lines = match is_income {
            true => mature_income(id, generation, &credited)?,
            false => mature(id, generation, &credited, due)?,
        };
        self.split_in_flight(&id, &mut lines)?;
        self.split_cold(&candidate, &mut lines)?;
        for line in lines.iter_mut().filter(|line| line.debit == LedgerAccount::ChainSpendable) {
            line.debit = free;
        }
        step.applied.blocks.insert(id);
        step.book(self, lines)
    }

    /// Coins that an open payout spends are in flight as soon as they mature: it was planned on a lost block of the same
    /// template, which made the same coins.
    fn split_in_flight(&self, id: &BlockId, lines: &mut Vec<Transfer>) -> Result<(), Fault> {
        let Some(block) = self.blocks.get(id) else { return Ok(()) };
        let is_taken = |outpoint: &OutPoint| {
            let coin = self.coins.get(outpoint);
            coin.is_some_and(|coin| self.books_as(outpoint, coin) == Some(LedgerAccount::ChainInFlight))
        };
        let taken = block.candidate.coins().filter(|(outpoint, _)| is_taken(outpoint)).map(|(_, amount)| amount);
        let taken = Amount::sum(taken)?;
        if let Some(line) = lines.iter_mut().find(|line| line.debit == LedgerAccount::ChainSpendable) {
            line.amount = line.amount.checked_sub(taken)?;
            let in_flight = Transfer { debit: LedgerAccount::ChainInFlight, amount: taken, ..*line };
            lines.push(in_flight);
        }
        lines.retain(|line| line.amount > Amount::ZERO);
        Ok(())
    }

    /// What the cold key was paid matures where it lies.
    fn split_cold(&self, candidate: &Candidate, lines: &mut Vec<Transfer>) -> Result<(), Fault> {
        let cold = candidate.coins().filter(|(outpoint, _)| self.is_cold(outpoint)).map(|(_, amount)| amount);
        let cold = Amount::sum(cold)?;
        if let Some(line) = lines.iter_mut().find(|line| line.debit == LedgerAccount::ChainSpendable) {
            line.amount = line.amount.checked_sub(cold)?;
            let cold = Transfer { debit: LedgerAccount::ChainCold, amount: cold, ..*line };
            lines.push(cold);
        }
        lines.retain(|line| line.amount > Amount::ZERO);
        Ok(())
    }

    /// What a coinbase sent counts as paid while its block is matured.
    fn note_sent(&mut self, candidate: &Candidate, change: fn(u64, u64) -> u64) {
        for output in candidate.direct().iter().flat_map(|direct| &direct.paid) {
            let paid = self.paid.entry(output.account).or_default();
            *paid = change(*paid, output.amount.atoms());
        }
    }

    fn put_on_chain(&mut self, block: PoolBlock) {
        let id = block.candidate.id;
        let coins: Vec<(OutPoint, Amount)> = block.candidate.coins().collect();
        self.blocks.insert(id, block);
        for (outpoint, amount) in coins {
            self.add_block_coin(&id, outpoint, amount);
        }
    }

    pub(super) fn add_block_coin(&mut self, id: &BlockId, outpoint: OutPoint, amount: Amount) {
        let Some(height) = self.blocks.get(id).map(|block| block.candidate.height) else { return };
        let payout = self.reserved_by(&outpoint);
        let coin = PoolCoin { amount, height, origin: Origin::Block(*id), payout, spent: None, suspect: false };
        self.coins.insert(outpoint, coin);
    }

    fn account_of(&self, outpoint: &OutPoint) -> Result<LedgerAccount, Fault> {
        let coin = self.coins.get(outpoint).ok_or(Fault::Coin(*outpoint))?;
        self.books_as(outpoint, coin).ok_or(Fault::Coin(*outpoint))
    }
}

/// A T15 line that took off what the books owed before the block.
const fn is_of_balance(line: &Line) -> bool {
    matches!(line.debit, LedgerAccount::MinerCarried(_) | LedgerAccount::MinerPayable(_))
        && matches!(line.credit, LedgerAccount::ChainImmature(_))
}

/// A T13 line for what a lost coinbase had paid of older balances.
const fn is_owed_again(line: &Line) -> bool {
    matches!(line.credit, LedgerAccount::MinerCarried(_) | LedgerAccount::MinerPayable(_))
}

/// The T15 lines that those of T13 undid.
fn taken_off(lane: Algorithm, owed: &[Line]) -> Vec<Line> {
    let credit = LedgerAccount::ChainImmature(lane);
    owed.iter().map(|line| Line { debit: line.credit, credit, amount: line.amount }).collect()
}

const fn credited(block: &PoolBlock) -> Cause {
    Cause::BlockCredited { block: block.candidate.id, generation: block.generation }
}

/// One line per pair of accounts: two coins of a block may be lost from one account to another.
fn merged(lines: Vec<Transfer>) -> Result<Vec<Transfer>, Fault> {
    let mut sums: Vec<Transfer> = Vec::with_capacity(lines.len());
    for line in lines {
        match sums.iter_mut().find(|sum| sum.key() == line.key()) {
            Some(sum) => sum.amount = sum.amount.checked_add(line.amount)?,
            None => sums.push(line),
        }
    }
    Ok(sums)
}
