//! What older books held begins a log.

use bq_ledger::LedgerAccount;
use bq_primitives::{AccountId, BlockId, Height, Network, OutPoint, TxId};

use super::world::{MATURITY, POOL, World, atoms, miner, terms};
use crate::{Event, Import, LogHead, NewAccount, Opened, Origin, PayoutId, PoolCoin, State, plan_payout};

/// One matured coin, owed to a miner and to the pool's own key, which older software let in as an account.
fn import() -> Import {
    let outpoint = OutPoint { txid: TxId([1; 32]), index: 0 };
    let origin = Origin::Block(BlockId([2; 32]));
    let coin = PoolCoin { amount: atoms(500), height: Height(1), origin, payout: None, spent: None, suspect: false };
    let (genesis, horizon) = (BlockId([9; 32]), 1000);
    Import {
        opened: Opened { network: Network::Regtest, genesis, key: POOL, maturity: MATURITY, horizon },
        journal: [3; 32],
        terms: terms(),
        accounts: vec![
            NewAccount { account: AccountId(1), key: POOL },
            NewAccount { account: AccountId(4), key: miner(1) },
        ],
        balances: vec![
            (LedgerAccount::ChainSpendable, 500),
            (LedgerAccount::MinerPayable(AccountId(1)), 300),
            (LedgerAccount::MinerPayable(AccountId(4)), 200),
        ],
        paid: vec![(AccountId(4), 70)],
        blocks: Vec::new(),
        payouts: Vec::new(),
        coins: vec![(outpoint, coin)],
        newest_payout: PayoutId(12),
        shares: Vec::new(),
    }
}

#[test]
fn an_import_is_sound_before_the_chain_is_told() {
    let mut state = State::default();
    state.apply(&Event::Imported(Box::new(import())), &World::new().shares).expect("taken over");
    state.check().expect("sound");
    assert_eq!(state.paid(AccountId(4)), 70);
    assert_eq!(state.accounts().next(), Some(AccountId(5)));
    assert_ne!(state.head(), LogHead::default());
}

#[test]
fn the_pools_own_key_keeps_its_balance_and_is_never_paid() {
    let mut import = import();
    import.terms.payouts.payout_min = atoms(1);
    import.terms.payouts.fee_rate = 0;
    let mut state = State::default();
    state.apply(&Event::Imported(Box::new(import)), &World::new().shares).expect("taken over");
    state.check().expect("sound");
    assert_eq!(state.books().balance(LedgerAccount::MinerPayable(AccountId(1))), 300);
    assert_eq!(state.due().map(|(account, _)| account).collect::<Vec<_>>(), [AccountId(4)]);
    let planned = plan_payout(&state, 1).expect("sound").expect("somebody is due");
    let crate::PayoutKind::Miners(plan) = &planned.kind else { panic!("{planned:?}") };
    assert_eq!(plan.payees.iter().map(|payee| payee.account).collect::<Vec<_>>(), [AccountId(4)]);
    assert_eq!(planned.id, PayoutId(13));
}
