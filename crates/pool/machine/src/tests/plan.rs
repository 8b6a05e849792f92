//! Who is in the next payout (SPEC 8.5).

use bq_ledger::LedgerAccount;
use bq_primitives::{AccountId, BlockId, Height, Network, OutPoint, TxId};

use super::world::{MATURITY, POOL, World, atoms, miner, terms};
use crate::{
    Event, Import, NewAccount, Opened, Origin, PayoutId, PayoutKind, PayoutTerms, PoolCoin, State, plan_payout,
};

/// Books that owe these amounts to accounts 1, 2, 3 .., in whose order they are due, and hold one coin.
fn owing(due: &[u64], coin: u64, payouts: PayoutTerms) -> State {
    let accounts: Vec<AccountId> = (1..).map(AccountId).take(due.len()).collect();
    let owed: u64 = due.iter().sum();
    let payable = accounts.iter().zip(due).map(|(account, amount)| (LedgerAccount::MinerPayable(*account), *amount));
    let rest = [
        (LedgerAccount::ChainSpendable, coin),
        (LedgerAccount::GiftIncome, coin.saturating_sub(owed)),
        (LedgerAccount::OrphanLoss, owed.saturating_sub(coin)),
    ];
    let (block, genesis) = (BlockId([2; 32]), BlockId([9; 32]));
    let origin = Origin::Block(block);
    let held = PoolCoin { amount: atoms(coin), height: Height(1), origin, payout: None, spent: None, suspect: false };
    let import = Import {
        opened: Opened { network: Network::Regtest, genesis, key: POOL, maturity: MATURITY, horizon: 1000 },
        journal: [3; 32],
        terms: crate::Terms { payouts, ..terms() },
        accounts: accounts.iter().map(|account| NewAccount { account: *account, key: key(*account) }).collect(),
        balances: payable.chain(rest).collect(),
        paid: Vec::new(),
        blocks: Vec::new(),
        payouts: Vec::new(),
        coins: vec![(OutPoint { txid: TxId([1; 32]), index: 0 }, held)],
        newest_payout: PayoutId(0),
        shares: Vec::new(),
    };
    let mut state = State::default();
    state.apply(&Event::Imported(Box::new(import)), &World::new().shares).expect("taken over");
    state
}

fn key(account: AccountId) -> bq_primitives::KeyHash {
    miner(u8::try_from(account.0).expect("few"))
}

fn free() -> PayoutTerms {
    PayoutTerms { payout_min: atoms(10), payees_max: 2, fee_rate: 0, ..terms().payouts }
}

/// Account and gross amount of every payee of the next payout.
fn planned(state: &State) -> Vec<(u32, u64)> {
    let Some(planned) = plan_payout(state, 1).expect("sound") else { return Vec::new() };
    let PayoutKind::Miners(plan) = planned.kind else { panic!("miners are due") };
    plan.payees.iter().map(|payee| (payee.account.0, payee.gross.atoms())).collect()
}

#[test]
fn who_has_the_minimum_is_paid_whole() {
    let terms = PayoutTerms { payout_min: atoms(100_000), ..free() };
    let state = owing(&[123_456_789, 50_000, 100_000, 99_999], 200_000_000, terms);
    assert_eq!(planned(&state), [(1, 123_456_789), (3, 100_000)]);
    assert_eq!(planned(&owing(&[99_999], 200_000_000, terms)), []);
}

#[test]
fn who_does_not_fit_is_passed_over_but_the_first_who_gets_all_there_is() {
    assert_eq!(planned(&owing(&[60, 50, 40, 10], 100, free())), [(1, 60), (3, 40)]);
    assert_eq!(planned(&owing(&[500, 40], 100, free())), [(1, 100)], "in part, when nothing fits");
    assert_eq!(planned(&owing(&[500, 40], 9, free())), [], "too little for anybody");
    assert_eq!(planned(&owing(&[20, 20, 20], 100, free())), [(1, 20), (2, 20)], "at most two");
}

#[test]
fn who_cannot_bear_his_part_of_the_fee_waits() {
    let terms = PayoutTerms { fee_rate: 1000, ..free() };
    let state = owing(&[20, 1_000_000], 2_000_000, terms);
    assert_eq!(planned(&state), [(2, 1_000_000)]);
    let payout = plan_payout(&state, 1).expect("sound").expect("one is due");
    let PayoutKind::Miners(plan) = payout.kind else { panic!("miners are due") };
    assert!(payout.network_fee > atoms(20));
    assert_eq!(plan.payees[0].fee, payout.network_fee, "alone with it");
}
