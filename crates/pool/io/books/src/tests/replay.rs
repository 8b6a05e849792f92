//! The stored ledger and the journal in memory take the same events and must agree to the byte.

use bq_ledger::{
    BlockCredit, Cause, Journal, LedgerAccount, PayoutPlan, Transfer, deep_orphan, deep_return, distribute, mature,
    reverse_credit,
};
use proptest::prelude::*;

use super::*;
use crate::{BlockState, LedgerStore, NewPayout, PayoutState, SqliteLedger};

#[derive(Clone, Debug)]
enum Step {
    Find(u16),
    Advance(usize),
    Orphan(usize),
    Pay,
    Settle(bool),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1_u16..).prop_map(Step::Find),
        5 => any::<usize>().prop_map(Step::Advance),
        2 => any::<usize>().prop_map(Step::Orphan),
        2 => Just(Step::Pay),
        2 => any::<bool>().prop_map(Step::Settle),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

struct Pair {
    folder: tempfile::TempDir,
    store: SqliteLedger,
    journal: Journal,
    blocks: u8,
    payouts: u8,
}

impl Pair {
    fn new() -> Self {
        let folder = tempdir().expect("a folder");
        let store = Self::open(&folder);
        for number in 1..=3 {
            store.account_for(&address(number), 0).expect("made");
        }
        Self { folder, store, journal: Journal::default(), blocks: 0, payouts: 0 }
    }

    fn open(folder: &tempfile::TempDir) -> SqliteLedger {
        SqliteLedger::open(&folder.path().join("ledger.sqlite"), NETWORK, &GENESIS).expect("a ledger")
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Find(reward) => {
                self.blocks += 1;
                self.store.add_candidate(&candidate(self.blocks, u64::from(*reward), None)).expect("written");
            }
            Step::Advance(which) => self.with_block(*which, Self::advance),
            Step::Orphan(which) => self.with_block(*which, Self::orphan),
            Step::Pay => self.pay(),
            Step::Settle(goes_through) => self.settle(*goes_through),
            Step::Reopen => self.store = Self::open(&self.folder),
        }
    }

    fn with_block(&mut self, which: usize, act: impl FnOnce(&mut Self, &crate::PoolBlock)) {
        let Some(index) = which.checked_rem(usize::from(self.blocks)) else { return };
        let id = block(u8::try_from(index + 1).expect("few"));
        let found = self.store.pool_block(&id).expect("readable").expect("there");
        act(self, &found);
    }

    fn lines(&self, cause: Cause) -> Vec<Transfer> {
        let lines = self.journal.lines().iter().map(|line| line.transfer);
        lines.filter(|line| line.cause == cause).collect()
    }

    fn balance(&self, account: LedgerAccount) -> Amount {
        atoms(self.journal.books().balance(account))
    }

    fn advance(&mut self, block: &crate::PoolBlock) {
        let (id, generation) = (block.id, block.generation);
        let batch = match block.state {
            BlockState::Found | BlockState::Orphaned => {
                let window = window(&[AccountId(1), AccountId(2), AccountId(3)]);
                let carry_in = self.balance(LedgerAccount::Carry(LANE));
                let split = distribute(block.reward, fee(150), carry_in, &window).expect("in range");
                self.store.credit_block(&id, &window, fee(150), 0).expect("credited");
                let (algorithm, reward) = (LANE, block.reward);
                BlockCredit { block: id, generation, algorithm, reward, carry_in, distribution: &split }
                    .transfers()
                    .expect("the split is whole")
            }
            BlockState::Immature => {
                self.store.mature_block(&id, 0).expect("matured");
                mature(id, generation, &self.lines(Cause::BlockCredited { block: id, generation })).expect("in range")
            }
            BlockState::Lost => {
                self.store.regain_block(&id, 0).expect("regained");
                deep_return(id, generation, &self.lines(Cause::BlockLost { block: id, generation }))
            }
            BlockState::Matured | BlockState::Rejected => return,
        };
        self.journal.post(&batch).expect("the journal agrees");
    }

    fn orphan(&mut self, block: &crate::PoolBlock) {
        let (id, generation) = (block.id, block.generation);
        let batch = match block.state {
            BlockState::Immature => {
                reverse_credit(id, generation, &self.lines(Cause::BlockCredited { block: id, generation }))
            }
            BlockState::Matured => {
                let spendable = self.balance(LedgerAccount::ChainSpendable);
                deep_orphan(id, generation, block.reward, spendable).expect("in range")
            }
            BlockState::Found | BlockState::Orphaned | BlockState::Lost | BlockState::Rejected => Vec::new(),
        };
        self.store.orphan_block(&id, 0).expect("orphaned");
        self.journal.post(&batch).expect("the journal agrees");
    }

    fn pay(&mut self) {
        let available = self.balance(LedgerAccount::ChainSpendable);
        let terms = bq_ledger::PayoutTerms { payout_min: atoms(1000), payees_max: 2, available };
        let due = PayoutPlan::select(self.store.payable(terms.payout_min).expect("readable"), &terms);
        if due.is_empty() {
            return;
        }
        self.payouts += 1;
        let number = self.payouts;
        let plan = PayoutPlan::new(due, atoms(3)).expect("amounts are above the fee");
        self.journal.post(&plan.reserve(u64::from(number)).expect("in range")).expect("the journal agrees");
        let inputs = vec![input(number, 5000)];
        let payout = NewPayout { plan, inputs, change: Amount::ZERO, txid: TxId([number; 32]), time_ms: 0 };
        let reserved = self.store.reserve_payout(&payout).expect("reserved");
        assert_eq!(reserved.planned, payout);
        self.store.store_signed(reserved.id, &[number]).expect("stored");
        self.store.mark_payout(reserved.id, PayoutState::Broadcast).expect("marked");
    }

    fn settle(&mut self, goes_through: bool) {
        let Some(payout) = self.store.open_payouts().expect("readable").into_iter().next() else { return };
        let plan = &payout.planned.plan;
        let batch = if goes_through {
            self.store.finalize_payout(payout.id, 0).expect("final");
            plan.finalize(payout.id.0)
        } else {
            self.store.void_payout(payout.id, 0).expect("void");
            plan.void(payout.id.0).expect("in range")
        };
        self.journal.post(&batch).expect("the journal agrees");
    }

    fn compare(&self) {
        assert_eq!(self.store.journal_head().expect("readable"), self.journal.head());
        for (account, balance) in self.journal.books().balances() {
            assert_eq!(self.store.balance(account).expect("readable"), balance, "{account}");
        }
        let report = self.store.audit().expect("sound at every step");
        assert_eq!(&report.books, self.journal.books());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn store_and_journal_agree_at_every_step(steps in steps()) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
            pair.compare();
        }
    }
}
