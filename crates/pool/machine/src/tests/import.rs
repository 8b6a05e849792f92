//! What older books held begins a log.

use bq_ledger::LedgerAccount;
use bq_primitives::{AccountId, Algorithm, BlockId, Height, Network, OutPoint, TxId};

use super::world::{MATURITY, POOL, World, atoms, miner, terms};
use crate::{
    BlockState, Candidate, ChainBase, ChainEvent, ChainWay, Event, Import, LogHead, NewAccount, Opened, Origin,
    PayoutId, PoolBlock, PoolCoin, Received, Spent, State, Tip, Winning, plan_payout,
};

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

/// A block of height 3 that matured, whose coin paid miners by a payout that is known no more.
fn spent_long_ago() -> PoolBlock {
    let candidate = Candidate {
        id: BlockId([5; 32]),
        height: Height(3),
        algorithm: Algorithm::Sha256d,
        coinbase: TxId([6; 32]),
        outputs: vec![(0, atoms(900))],
        winning: Winning::NoShares,
        time: 0,
    };
    PoolBlock { state: BlockState::Matured, ..PoolBlock::new(candidate) }
}

#[test]
fn a_block_whose_coin_was_spent_long_ago_leaves_and_comes_back() {
    let shares = World::new().shares;
    let tip = |id: u8, height| Tip { id: BlockId([id; 32]), height: Height(height) };
    let block = spent_long_ago().candidate;
    let mut state = State::default();
    let imported = Import { blocks: vec![spent_long_ago()], ..import() };
    let outpoint = OutPoint { txid: TxId([1; 32]), index: 0 };
    let received = Received { outpoint, amount: atoms(500), height: Height(1), coinbase: true };
    let base = ChainBase { tip: tip(20, 20), joined: vec![block.id], received: vec![received], spent: vec![] };
    let spent = Spent { by: TxId([7; 32]), height: Height(10), explained: false };
    let spent = vec![(OutPoint { txid: block.coinbase, index: 0 }, spent)];
    let away = ChainWay { fork: tip(2, 2), tip: tip(21, 21), joined: vec![], received: vec![], spent: vec![] };
    let back = ChainWay { fork: tip(2, 2), tip: tip(22, 22), joined: vec![block.id], received: vec![], spent };
    let mut tell = |event: Event| {
        state.apply(&event, &shares).expect("it goes on");
        state.check().expect("sound");
        let books = state.books();
        assert_eq!(books.imbalance(), 0);
        [LedgerAccount::OrphanLoss, LedgerAccount::Suspense, LedgerAccount::Missing]
            .map(|account| books.balance(account))
    };
    tell(Event::Imported(Box::new(imported)));
    assert_eq!(tell(Event::Chain(ChainEvent::Base(base))), [0, 0, 0]);
    assert_eq!(tell(Event::Chain(ChainEvent::Way(away))), [900, 900, 0], "lost, and owed to whom nobody knows");
    assert_eq!(tell(Event::Chain(ChainEvent::Way(back))), [0, 900, 900], "spent by what nobody knows");
}
