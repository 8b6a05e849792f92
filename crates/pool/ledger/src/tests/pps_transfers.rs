//! T20 and T21: the reserve between blocks that come at random and shares that are paid for certain.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{examples::REWARD, model::Journal, *};
use crate::{
    Accrual, Auditor, Books, LedgerAccount, LedgerError, PerShare, PpsIncome, ShareValue, Transfer, mature_income,
    pps_credit, reverse_credit,
};

fn income(number: u8, generation: u32, scheme: PerShare, reward: u64) -> Vec<Transfer> {
    let reserve_max = scheme.reserve_income_max(atoms(REWARD)).expect("in range");
    let income = PpsIncome { block: block(number), generation, algorithm: LANE, reward: atoms(reward), reserve_max };
    income.transfers().expect("parts of the reward")
}

fn lines_of(transfers: &[Transfer]) -> Vec<(String, String, u64)> {
    transfers.iter().map(|line| (line.debit.to_string(), line.credit.to_string(), line.amount.atoms())).collect()
}

fn line(debit: &str, credit: &str, amount: u64) -> (String, String, u64) {
    (debit.to_owned(), credit.to_owned(), amount)
}

#[test]
fn a_block_brings_the_reserve_what_shares_were_paid_for() {
    let to_reserve = |amount| line("chain_immature:sha256d", "pps_immature", amount);
    let to_pool = |amount| line("chain_immature:sha256d", "fee_income:sha256d", amount);
    let lines = |scheme, reward| lines_of(&income(1, 0, scheme, reward));
    assert_eq!(lines(PerShare::Pps, REWARD + 700), [to_reserve(REWARD), to_pool(700)]);
    assert_eq!(lines(PerShare::Pps, REWARD), [to_reserve(REWARD)]);
    assert_eq!(lines(PerShare::Fpps, REWARD + 700), [to_reserve(REWARD + 700)]);
    // Fees that no average counts are not the reserve's either.
    let stuffed = REWARD + REWARD / 10 + 3;
    assert_eq!(lines(PerShare::Fpps, stuffed), [to_reserve(REWARD + REWARD / 10), to_pool(3)]);
    // A coinbase that pays others too, or nothing at all.
    assert_eq!(lines(PerShare::Pps, 5), [to_reserve(5)]);
    assert_eq!(lines(PerShare::Pps, 0), []);
}

#[test]
fn income_matures_or_goes_back() {
    let joined = income(1, 0, PerShare::Pps, REWARD + 700);
    let matured = mature_income(block(1), 0, &joined).expect("in range");
    let expected =
        [line("pps_immature", "pps_reserve", REWARD), line("chain_spendable", "chain_immature:sha256d", REWARD + 700)];
    assert_eq!(lines_of(&matured), expected);

    let mut journal = Journal::default();
    journal.post(&joined).expect("a new block can be booked");
    assert_eq!(journal.books.balance(LedgerAccount::PpsReserve), 0, "only what matured is in the reserve");
    journal.post(&reverse_credit(block(1), 0, &joined)).expect("it can be taken back");
    assert_eq!(journal.books.balances().count(), 0);

    let again = income(1, 1, PerShare::Pps, REWARD + 700);
    journal.post(&again).expect("a block that is back can be booked");
    journal.post(&mature_income(block(1), 1, &again).expect("in range")).expect("and matures");
    assert_eq!(journal.books.balance(LedgerAccount::PpsReserve), REWARD);
    assert_eq!(journal.books.balance(LedgerAccount::FeeIncome(LANE)), 700);

    let keys: Vec<_> = journal.lines.iter().map(|line| line.transfer.key()).collect();
    let different: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len(), "each line has a key of its own");

    let mut auditor = Auditor::default();
    auditor.note_block(block(1), atoms(REWARD + 700), 0);
    journal.lines.iter().try_for_each(|line| auditor.line(line)).expect("every prefix is sound");
    assert_eq!(auditor.check().expect("the block nets to its coinbase").books, journal.books);
}

#[test]
fn nobody_is_credited_more_than_the_reserve_holds() {
    let mut books =
        Books::from_balances([(LedgerAccount::ChainSpendable, 10), (LedgerAccount::PpsReserve, 10)]).expect("balanced");
    let lines = pps_credit(LANE, 3, [(A, atoms(4)), (B, Amount::ZERO), (C, atoms(7))]);
    assert_eq!(
        lines_of(&lines),
        [line("pps_reserve", "miner_payable:1", 4), line("pps_reserve", "miner_payable:3", 7)]
    );
    let (account, needed) = (LedgerAccount::PpsReserve, 11);
    assert_eq!(books.apply(&lines), Err(LedgerError::Insufficient { account, balance: 10, needed }));
    books.apply(&pps_credit(LANE, 3, [(A, atoms(4)), (C, atoms(6))])).expect("all there is");
    assert_eq!(books.balance(LedgerAccount::PpsReserve), 0);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Share(AccountId, u64),
    Credit,
    Join(bool, u64),
    Mature(usize),
    Orphan(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => ((1_u32..5).prop_map(AccountId), 0..1_u64 << 59).prop_map(|(account, weight)| Step::Share(account, weight)),
        2 => Just(Step::Credit),
        2 => (any::<bool>(), 0..2 * REWARD).prop_map(|(clips, reward)| Step::Join(clips, reward)),
        2 => any::<usize>().prop_map(Step::Mature),
        1 => any::<usize>().prop_map(Step::Orphan),
    ]
}

/// Books, accruals, and beside them the sums that they must come to.
#[derive(Default)]
struct Pool {
    books: Books,
    accruals: BTreeMap<AccountId, Accrual>,
    segment: u64,
    /// T21 lines and reward of blocks that may still mature or go.
    immature: Vec<(Vec<Transfer>, u64)>,
    earned: BTreeMap<AccountId, u128>,
    matured: u64,
}

impl Pool {
    fn step(&mut self, number: usize, step: Step) {
        match step {
            Step::Share(account, parts) => {
                let weight = ShareWeight::from_parts(parts).expect("below one");
                let value = ShareValue::of(weight, atoms(REWARD), bp(100)).expect("in range");
                let accrual = self.accruals.entry(account).or_default();
                *accrual = accrual.added(value).expect("in range");
                *self.earned.entry(account).or_default() += u128::from(parts) * 4_950_000_000;
            }
            Step::Credit => self.credit(),
            Step::Join(clips, reward) => {
                let scheme = if clips { PerShare::Fpps } else { PerShare::Pps };
                let lines = income(u8::try_from(number).expect("few"), 0, scheme, reward);
                self.books.apply(&lines).expect("a new block can be booked");
                self.immature.push((lines, reward));
            }
            Step::Mature(which) => {
                let Some(index) = which.checked_rem(self.immature.len()) else { return };
                let (lines, reward) = self.immature.remove(index);
                let matured = mature_income(block(0), 0, &lines).expect("in range");
                self.books.apply(&matured).expect("what joined can mature");
                self.matured += reward;
            }
            Step::Orphan(which) => {
                let Some(index) = which.checked_rem(self.immature.len()) else { return };
                let (lines, _) = self.immature.remove(index);
                self.books.apply(&reverse_credit(block(0), 0, &lines)).expect("what joined can go");
            }
        }
    }

    /// As far as the reserve goes.
    fn credit(&mut self) {
        let mut left = atoms(self.books.balance(LedgerAccount::PpsReserve));
        let mut credits = Vec::new();
        for (account, accrual) in &mut self.accruals {
            let (credit, rest) = accrual.flush_up_to(left);
            left = left.checked_sub(credit).expect("no more than is left");
            *accrual = rest;
            credits.push((*account, credit));
        }
        self.segment += 1;
        self.books.apply(&pps_credit(LANE, self.segment, credits)).expect("the reserve covers it");
    }

    fn check(&self) {
        let balance = |account| self.books.balance(account);
        assert_eq!(self.books.imbalance(), 0);
        let mut credited = 0;
        for (account, earned) in &self.earned {
            let payable = balance(LedgerAccount::MinerPayable(*account));
            let owed = self.accruals.get(account).copied().unwrap_or_default();
            assert_eq!(u128::from(payable) * ONE + owed.parts(), *earned);
            credited += payable;
        }
        let immature: u64 = self.immature.iter().map(|(_, reward)| reward).sum();
        assert_eq!(balance(LedgerAccount::ChainImmature(LANE)), immature);
        assert_eq!(balance(LedgerAccount::ChainSpendable), self.matured);
        let pool = [LedgerAccount::PpsImmature, LedgerAccount::PpsReserve, LedgerAccount::FeeIncome(LANE)];
        let held: u64 = pool.into_iter().map(balance).sum();
        assert_eq!(held + credited, immature + self.matured, "what blocks brought is somewhere");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_blocks_bring_is_credited_kept_or_earned(steps in prop::collection::vec(steps(), 0..60)) {
        let mut pool = Pool::default();
        for (number, step) in steps.into_iter().enumerate() {
            pool.step(number, step);
            pool.check();
        }
    }
}
