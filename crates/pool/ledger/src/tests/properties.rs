use proptest::prelude::*;

use super::{
    model::{Journal, Model, ModelBlock, Stage, Standing, count_slots, slots_of_accounts},
    *,
};
use crate::{
    Auditor, BlockCredit, Distribution, LedgerAccount, PayoutPlan, distribute, lost_block, mature, reverse_credit, solo,
};

fn accounts() -> impl Strategy<Value = AccountId> {
    (1_u32..6).prop_map(AccountId)
}

fn share_weights() -> impl Strategy<Value = ShareWeight> {
    (0..=ShareWeight::ONE.parts()).prop_map(|parts| ShareWeight::from_parts(parts).expect("in range"))
}

fn windows() -> impl Strategy<Value = Window> {
    (1_u8..4, prop::collection::vec((accounts(), share_weights()), 0..12))
        .prop_map(|(length, shares)| window_of(units(length), &shares))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn weight_is_the_floor_of_the_ratio(share in 1_u64.., network in 1_u128..1 << 96) {
        let parts = u128::from(weight(share, network).parts());
        if u128::from(share) >= network {
            prop_assert_eq!(parts, ONE);
        } else {
            // q <= d * 2^60 / D < q + 1, in 256 bits.
            let wide = bq_primitives::U256::from(share) << 60_usize;
            let (q, d) = (bq_primitives::U256::from(parts), bq_primitives::U256::from(network));
            prop_assert!(q * d <= wide && wide < (q + bq_primitives::U256::ONE) * d);
        }
    }

    #[test]
    fn the_walk_fills_the_slots_of_the_model(
        length in 1_u8..5,
        shares in prop::collection::vec((accounts(), 0_u64..=16), 0..20),
    ) {
        let newest_first: Vec<_> = shares
            .into_iter()
            .map(|(account, sixteenths)| (account, ShareWeight::from_parts(sixteenths << 56).expect("at most one")))
            .collect();
        let oldest_first: Vec<_> = newest_first.iter().rev().copied().collect();
        let window = window_of(units(length), &oldest_first);
        let model = count_slots(&slots_of_accounts(units(length), &newest_first));
        let mut got: std::collections::BTreeMap<_, _> =
            window.weights().map(|(account, parts)| (Some(account), parts >> 55)).collect();
        if window.seed() > 0 {
            got.insert(None, window.seed() >> 55);
        }
        prop_assert_eq!(got, model);
    }

    #[test]
    fn a_window_sums_to_its_length(window in windows()) {
        let sum: u128 = window.weights().map(|(_, parts)| parts).sum();
        prop_assert_eq!(sum + window.seed(), window.whole());
        let length = u8::try_from(window.whole() >> 60).expect("short");
        let again = Window::from_parts(units(length), window.weights(), window.seed());
        prop_assert_eq!(again, Ok(window));
    }

    #[test]
    fn no_atom_is_made_or_lost_in_a_split(
        window in windows(),
        reward in 0..1_u64 << 52,
        fee in 0_u16..=10_000,
        carry_in in 0_u64..1000,
    ) {
        let split = distribute(atoms(reward), bp(fee), atoms(carry_in), &window).expect("in range");
        let credits: u64 = split.credits.iter().map(|(_, amount)| amount.atoms()).sum();
        let out = split.fee.atoms() + credits + split.seed.atoms() + split.carry.atoms();
        prop_assert_eq!(out, reward + carry_in);
        prop_assert!(split.carry.atoms() < u64::from(split.payees.max(1)));
        prop_assert!(split.fee.atoms() <= reward);
        // More weight never pays less.
        let mut by_weight: Vec<_> = window.weights().collect();
        by_weight.sort_by_key(|(_, parts)| *parts);
        let paid = |account| split.credits.iter().find(|(who, _)| *who == account).map_or(0, |(_, a)| a.atoms());
        prop_assert!(by_weight.is_sorted_by_key(|(account, _)| paid(*account)));
    }

    #[test]
    fn splitting_an_account_gains_less_than_an_atom_per_part(reward in 0..1_u64 << 50, cut in 1_u64..1 << 60) {
        let whole = Window::from_parts(units(2), [(A, ONE)], ONE).expect("sums");
        let cut = u128::from(cut);
        let parts = Window::from_parts(units(2), [(A, cut), (B, ONE - cut)], ONE).expect("sums");
        let paid = |window| -> u64 {
            let split = distribute(atoms(reward), bp(100), Amount::ZERO, window).expect("in range");
            split.credits.iter().map(|(_, amount)| amount.atoms()).sum()
        };
        prop_assert!(paid(&parts) <= paid(&whole) && paid(&whole) - paid(&parts) < 2);
    }

    #[test]
    fn solo_pays_the_finder_all_but_the_fee(reward in 0..1_u64 << 53, more in 0..1_u64 << 53, fee in 0_u16..=10_000) {
        let split = solo(atoms(reward), bp(fee), A).expect("in range");
        let paid: u64 = split.credits.iter().map(|(_, amount)| amount.atoms()).sum();
        prop_assert_eq!((paid + split.fee.atoms(), split.seed, split.carry), (reward, Amount::ZERO, Amount::ZERO));
        prop_assert!(split.credits.iter().all(|(account, amount)| *account == A && *amount > Amount::ZERO));
        // Whoever finds it, and the more the better.
        let other = solo(atoms(reward), bp(fee), B).expect("in range");
        prop_assert_eq!(other.credits, split.credits.iter().map(|(_, amount)| (B, *amount)).collect::<Vec<_>>());
        let larger = solo(atoms(reward.max(more)), bp(fee), A).expect("in range");
        prop_assert!(larger.credits.iter().map(|(_, amount)| amount.atoms()).sum::<u64>() >= paid);
        // It is booked like any other split, and leaves the lane's residue alone.
        let (block, reward, carry_in) = (block(1), atoms(reward), Amount::ZERO);
        let credit = BlockCredit { block, generation: 0, algorithm: LANE, reward, carry_in, distribution: &split };
        let lines = credit.transfers().expect("the split is whole");
        prop_assert_eq!(lines.iter().map(|line| line.amount.atoms()).sum::<u64>(), reward.atoms());
    }

    #[test]
    fn a_fee_split_adds_up(gross in prop::collection::vec(2000_u64..1 << 40, 1..20), fee in 0_u64..20_000) {
        let due: Vec<_> = (1..).map(AccountId).zip(gross.iter().map(|amount| atoms(*amount))).collect();
        prop_assume!(fee / u64::try_from(gross.len()).expect("small") < 1999);
        let plan = PayoutPlan::new(due, atoms(fee)).expect("fees are below amounts");
        let nets: u64 = plan.payees.iter().map(|payee| payee.net.atoms()).sum();
        prop_assert_eq!(nets + fee, gross.iter().sum::<u64>());
        let fees: Vec<_> = plan.payees.iter().map(|payee| payee.fee.atoms()).collect();
        prop_assert!(fees.iter().max().expect("one") - fees.iter().min().expect("one") <= 1);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Credit { window: Window, reward: u64, fee: u16 },
    Advance(usize),
    Retreat(usize),
    Pay(u64),
    Settle(usize, bool),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (windows(), 1_u64..100_000, 0_u16..2000)
            .prop_map(|(window, reward, fee)| Step::Credit { window, reward, fee }),
        5 => any::<usize>().prop_map(Step::Advance),
        2 => any::<usize>().prop_map(Step::Retreat),
        2 => (1_u64..10_000).prop_map(Step::Pay),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, goes_through)| Step::Settle(which, goes_through)),
    ]
}

/// Journal and model side by side.
#[derive(Default)]
struct Pair {
    journal: Journal,
    model: Model,
}

impl Pair {
    fn credit_lines(&self, index: usize) -> Vec<crate::Transfer> {
        let block = &self.model.blocks[index];
        BlockCredit {
            block: id(index),
            generation: block.generation,
            algorithm: LANE,
            reward: block.reward,
            carry_in: block.carry_in,
            distribution: &block.split,
        }
        .transfers()
        .expect("the split is whole")
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Credit { window, reward, fee } => {
                let carry_in = atoms(self.journal.books.balance(LedgerAccount::Carry(LANE)));
                let split = distribute(atoms(reward), bp(fee), carry_in, &window).expect("in range");
                let (reward, standing) = (atoms(reward), Standing::Immature);
                self.model.blocks.push(ModelBlock { reward, carry_in, split, standing, generation: 0 });
                let lines = self.credit_lines(self.model.blocks.len() - 1);
                self.journal.post(&lines).expect("a new block can be credited");
            }
            Step::Advance(which) => self.advance(which),
            Step::Retreat(which) => self.retreat(which),
            Step::Pay(payout_min) => self.pay(payout_min),
            Step::Settle(which, goes_through) => self.settle(which, goes_through),
        }
    }

    /// A block gains depth, or comes back.
    fn advance(&mut self, which: usize) {
        let Some(index) = which.checked_rem(self.model.blocks.len()) else { return };
        let block = self.model.blocks[index].clone();
        match block.standing {
            Standing::Immature => {
                let lines = mature(id(index), block.generation, &self.credit_lines(index), LedgerAccount::MinerPayable)
                    .expect("in range");
                self.journal.post(&lines).expect("what was credited can mature");
                self.model.blocks[index].standing = Standing::Matured;
            }
            Standing::Orphaned => {
                // The lane's residue may have changed since, so the returning block is split anew.
                let carry_in = atoms(self.journal.books.balance(LedgerAccount::Carry(LANE)));
                let old = &block.split;
                let net = block.reward.atoms() - old.fee.atoms() + carry_in.atoms();
                let split = Distribution {
                    credits: vec![(A, atoms(net))],
                    seed: Amount::ZERO,
                    carry: Amount::ZERO,
                    ..old.clone()
                };
                let (generation, standing) = (block.generation + 1, Standing::Immature);
                self.model.blocks[index] = ModelBlock { carry_in, split, generation, standing, ..block };
                let lines = self.credit_lines(index);
                self.journal.post(&lines).expect("a block that is back can be credited");
            }
            Standing::Lost => {
                let cause = crate::Cause::BlockRegained { block: id(index), generation: block.generation };
                let lines: Vec<_> = self.loss_lines(index).iter().map(|line| line.reversed(cause)).collect();
                self.journal.post(&lines).expect("a loss can be undone");
                self.model.blocks[index].standing = Standing::Matured;
                self.model.blocks[index].generation += 1;
            }
            Standing::Matured => {}
        }
    }

    /// A block leaves the best chain.
    fn retreat(&mut self, which: usize) {
        let Some(index) = which.checked_rem(self.model.blocks.len()) else { return };
        let block = self.model.blocks[index].clone();
        match block.standing {
            Standing::Immature => {
                let lines = reverse_credit(id(index), block.generation, &self.credit_lines(index));
                self.journal.post(&lines).expect("a credit can be reversed");
                self.model.blocks[index].standing = Standing::Orphaned;
            }
            Standing::Matured => {
                // A coin that was spent long ago is in no chain account.
                let spendable = self.journal.books.balance(LedgerAccount::ChainSpendable);
                let is_there = spendable >= block.reward.atoms();
                let coin = if is_there { LedgerAccount::ChainSpendable } else { LedgerAccount::Suspense };
                let lines = lost_block(id(index), block.generation, block.reward, &[], coin).expect("in range");
                self.journal.post(&lines).expect("a loss can be booked");
                self.model.blocks[index].standing = Standing::Lost;
            }
            Standing::Orphaned | Standing::Lost => {}
        }
    }

    fn loss_lines(&self, index: usize) -> Vec<crate::Transfer> {
        let cause = crate::Cause::BlockLost { block: id(index), generation: self.model.blocks[index].generation };
        let lines = self.journal.lines.iter().map(|line| line.transfer);
        lines.filter(|line| line.cause == cause).collect()
    }

    fn pay(&mut self, payout_min: u64) {
        let mut left = self.journal.books.balance(LedgerAccount::ChainSpendable);
        let payable = (1..6).map(AccountId).map(|account| (account, self.model.payable(account)));
        let due = payable.filter(|(_, amount)| *amount >= payout_min);
        let due = due.filter(|(_, amount)| left.checked_sub(*amount).map(|rest| left = rest).is_some());
        let due = due.map(|(account, amount)| (account, atoms(amount))).collect();
        if let Ok(plan) = PayoutPlan::new(due, Amount::ZERO) {
            let number = u64::try_from(self.model.payouts.len()).expect("few");
            self.journal.post(&plan.reserve(number).expect("in range")).expect("payable and spendable");
            let payees = plan.payees.iter().map(|payee| (payee.account, payee.gross)).collect();
            self.model.payouts.push((payees, Stage::Reserved));
        }
    }

    fn settle(&mut self, which: usize, goes_through: bool) {
        let Some(index) = which.checked_rem(self.model.payouts.len()) else { return };
        let (payees, stage) = self.model.payouts[index].clone();
        if stage == Stage::Reserved {
            let number = u64::try_from(index).expect("few");
            let plan = PayoutPlan::new(payees, Amount::ZERO).expect("was planned");
            let lines = if goes_through { plan.finalize(number) } else { plan.void(number).expect("in range") };
            self.journal.post(&lines).expect("what was reserved can be settled");
            self.model.payouts[index].1 = if goes_through { Stage::Final } else { Stage::Void };
        }
    }

    fn compare(&self) {
        let books = &self.journal.books;
        for account in (1..6).map(AccountId) {
            assert_eq!(books.balance(LedgerAccount::MinerImmature(account)), self.model.immature(account));
            assert_eq!(books.balance(LedgerAccount::MinerPayable(account)), self.model.payable(account));
            assert_eq!(books.balance(LedgerAccount::MinerInFlight(account)), self.model.in_flight(account));
        }
        assert_eq!(books.balance(LedgerAccount::FeeIncome(LANE)), self.model.fee_income());
        assert_eq!(books.balance(LedgerAccount::Seed(LANE)), self.model.seed());
        assert_eq!(books.balance(LedgerAccount::Carry(LANE)), self.model.carry());
        let coins = [LedgerAccount::ChainImmature(LANE), LedgerAccount::ChainSpendable, LedgerAccount::ChainInFlight];
        let held: u64 = coins.into_iter().map(|account| books.balance(account)).sum();
        let suspense = books.balance(LedgerAccount::Suspense);
        assert_eq!(held, self.model.on_chain() + suspense - self.model.paid_out());
        assert_eq!(books.imbalance(), 0);
    }

    fn audit(&self) {
        let mut auditor = Auditor::default();
        for (index, block) in self.model.blocks.iter().enumerate() {
            auditor.note_block(id(index), block.reward, block.split.payees);
        }
        for line in &self.journal.lines {
            auditor.line(line).expect("every prefix is sound");
        }
        let report = auditor.check().expect("the books are sound");
        assert_eq!(report.books, self.journal.books);
        assert_eq!(report.head, self.journal.head());
    }
}

fn id(index: usize) -> BlockId {
    block(u8::try_from(index).expect("few"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_books_agree_with_the_model_at_every_step(steps in prop::collection::vec(steps(), 0..40)) {
        let mut pair = Pair::default();
        for step in steps {
            pair.step(step);
            pair.compare();
        }
        pair.audit();
    }
}
