//! Coinbases pay a key that nobody has here, and a person fills the float (SPEC 8.13).

use bq_ledger::LedgerAccount;
use bq_primitives::{KeyHash, OutPoint, TxId, TxOut};

use super::{
    storms::{Draw, happen},
    world::{COLD, FINAL_DEPTH, MATURITY, POOL, REWARD, STRANGER, World, atoms, miner, plain},
};
use crate::{
    Act, ChainEvent, ColdEvent, Condition, ConditionName, Event, Fault, Fill, NewAccount, PayoutState, Upkeep,
    conditions, plan_withdrawal,
};

/// Miner 1 is due for a whole block, which lies with the cold key.
fn due() -> World {
    let mut world = World::with_cold_key();
    world.share(1, 1);
    world.mine(true);
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.settle();
    world
}

fn told(world: &World, name: ConditionName) -> Option<String> {
    let all = conditions(&world.state, &world.outside());
    all.into_iter().find(|condition| condition.name == name).map(|Condition { reason, .. }| reason)
}

fn held(world: &World) -> [u64; 4] {
    [
        LedgerAccount::ChainCold,
        LedgerAccount::ChainArriving,
        LedgerAccount::ChainSpendable,
        LedgerAccount::ChainInFlight,
    ]
    .map(|account| world.balance(account))
}

fn mine(world: &mut World, blocks: u32) {
    for _ in 0..blocks {
        world.mine(false);
    }
    world.settle();
}

#[test]
fn payouts_wait_for_the_float_and_go_out_of_it_once_it_is_filled() {
    let mut world = due();
    let owed = world.payable(1);
    assert_eq!(held(&world), [REWARD, 0, 0, 0]);
    assert_eq!(world.state.payouts().count(), 0, "there is nothing that could be signed for");
    let low = told(&world, ConditionName::FloatLow).expect("it is empty");
    assert!(low.contains(&format!("({owed} atoms) to ")) && low.contains("from the cold key"), "{low}");
    assert_eq!(told(&world, ConditionName::Short), None, "all of it is there");

    world.fill(owed).expect("it lies there");
    mine(&mut world, 1);
    let fee = 5_000;
    assert_eq!(held(&world), [REWARD - owed - fee, owed, 0, 0]);
    assert_eq!(world.balance(LedgerAccount::NetFeeExpense), fee, "the pool bears it");
    let low = told(&world, ConditionName::FloatLow).expect("it is not there yet");
    assert!(low.contains("nothing is to be done"), "{low}");
    mine(&mut world, FINAL_DEPTH - 2);
    assert_eq!(world.state.payouts().count(), 0, "it may still go back");
    mine(&mut world, 1);
    assert_eq!(held(&world), [REWARD - owed - fee, 0, 0, owed]);
    assert_eq!(told(&world, ConditionName::FloatLow), None);
    world.calm_down();
    assert_eq!((world.payable(1), held(&world)[3]), (0, 0));
    assert_eq!(world.received_by(1), world.state.paid(world.state.accounts().find(&miner(1)).expect("known")));
    assert!(world.received_by(1) > 0);
    assert_eq!(world.balance(LedgerAccount::Missing), 0);
}

#[test]
fn a_fill_that_leaves_the_chain_takes_nothing_with_it() {
    let mut world = due();
    let owed = world.payable(1);
    let before = held(&world);
    world.fill(owed).expect("it lies there");
    mine(&mut world, 2);
    // It is in no block of the new branch.
    world.reorg(3, |_| false, false);
    world.chain.mempool.clear();
    world.settle();
    assert_eq!((held(&world), world.balance(LedgerAccount::NetFeeExpense)), (before, 0));
    assert!(told(&world, ConditionName::FloatLow).expect("low").contains("send at least"));
    assert_eq!(world.balance(LedgerAccount::Missing), 0);
    world.fill(owed).expect("it lies there again");
    world.calm_down();
    assert_eq!(world.payable(1), 0);
}

#[test]
fn a_payout_whose_fill_left_the_chain_waits_until_it_is_back() {
    for is_lost in [false, true] {
        let mut world = due();
        let owed = world.payable(1);
        world.fill(owed).expect("it lies there");
        mine(&mut world, FINAL_DEPTH);
        assert_eq!(held(&world)[3], owed, "a payout spends it");
        world.chain.mempool.clear();
        world.reorg(FINAL_DEPTH as usize + 1, |_| false, false);
        world.follow();
        assert_eq!(held(&world), [REWARD, 0, 0, 0]);
        assert!(told(&world, ConditionName::PayoutBlocked).is_some());
        if is_lost {
            world.chain.mempool.clear();
            mine(&mut world, 2 * MATURITY);
            assert!(world.state.payouts().all(|payout| payout.state == PayoutState::Void));
            assert_eq!(world.payable(1), owed);
            world.fill(owed).expect("it lies there");
        }
        world.calm_down();
        assert_eq!(world.payable(1), 0, "lost: {is_lost}");
        assert_eq!(world.balance(LedgerAccount::Missing), 0);
        world.compare();
    }
}

#[test]
fn cold_coins_that_went_elsewhere_stop_payouts_by_that_name() {
    let mut world = due();
    let coin = world.state.coins().next().expect("one").0;
    let stolen = world.steal(&[coin], 1_000_000_000);
    mine(&mut world, 1);
    let reason = told(&world, ConditionName::ColdCoinsSpent).expect("an alarm");
    assert!(reason.contains(&stolen.txid().to_string()) && ConditionName::ColdCoinsSpent.stops_payouts(), "{reason}");
    assert_eq!(held(&world), [0; 4]);
    assert_eq!(world.balance(LedgerAccount::Missing), REWARD);
    mine(&mut world, MATURITY);
    assert_eq!(held(&world), [0, 0, 1_000_000_000, 0], "what came to the pool's own key is a gift");
    assert_eq!(world.state.payouts().count(), 0, "nobody is paid");
    world.decide(Act::WriteOff { amount: atoms(REWARD) }).expect("a person gives it up");
    assert_eq!(told(&world, ConditionName::ColdCoinsSpent), None);
    // Back where it was: the spend leaves the chain.
    let mut world = due();
    world.steal(&[coin], 0);
    mine(&mut world, 1);
    world.reorg(2, |_| false, false);
    world.chain.mempool.clear();
    world.settle();
    assert_eq!((held(&world), told(&world, ConditionName::ColdCoinsSpent)), ([REWARD, 0, 0, 0], None));
}

#[test]
fn what_pays_somebody_else_or_costs_too_much_is_no_fill() {
    let mut world = due();
    let coin = world.state.coins().next().expect("one").0;
    let to = |key_hash: KeyHash, amount: u64| TxOut { amount: atoms(amount), key_hash };
    let elsewhere = plain(vec![coin], vec![to(POOL, 1_000), to(STRANGER, 1_000)]);
    let refused = world.try_append(Event::Cold(ColdEvent::Fill(Fill::of(&elsewhere))));
    assert_eq!(refused.expect_err("pays a stranger"), Fault::Cold("it pays somebody else"));
    // A thousand coins for the miner of its block.
    let dear = plain(vec![coin], vec![to(POOL, 1_000)]);
    world.chain.mempool.insert(0, dear);
    mine(&mut world, 1);
    assert!(told(&world, ConditionName::ColdCoinsSpent).is_some());
    assert_eq!(world.balance(LedgerAccount::Missing), REWARD);
}

#[test]
fn an_event_that_cannot_be_is_refused_and_changes_nothing() {
    let mut world = due();
    let known = world.fill(1_000).expect("it lies there");
    world.append(Event::Cold(ColdEvent::Fill(Fill::of(&known))));
    let none = OutPoint { txid: TxId::ZERO, index: 0 };
    let fill = |inputs: Vec<OutPoint>, outputs: Vec<TxOut>| ColdEvent::Fill(Fill::of(&plain(inputs, outputs)));
    let to = TxOut { amount: atoms(1), key_hash: POOL };
    let account = world.state.accounts().next().expect("numbers left");
    let refused = [
        Event::Cold(ColdEvent::Key(Some(COLD))),
        Event::Cold(ColdEvent::Key(Some(POOL))),
        Event::Cold(ColdEvent::Key(Some(miner(1)))),
        Event::Cold(fill(Vec::new(), vec![to])),
        Event::Cold(fill(vec![none], Vec::new())),
        Event::Cold(fill(vec![none, none], vec![to])),
        Event::Cold(ColdEvent::Fill(Fill::of(&known))),
        Event::Account(NewAccount { account, key: COLD }),
    ];
    for event in refused {
        let before = world.state.clone();
        assert!(event.is_refused_whole());
        assert!(world.try_append(event.clone()).is_err(), "{event:?}");
        assert_eq!(world.state, before);
    }
    let to_cold = plan_withdrawal(&world.state, COLD, atoms(1), world.now_ms);
    assert!(to_cold.is_err(), "its own key is no place to withdraw to");
}

#[test]
fn a_new_key_of_the_pool_leaves_the_cold_one_what_it_holds() {
    let mut world = due();
    world.share(2, 1);
    world.mine(true);
    world.fill(1_000_000).expect("it lies there");
    mine(&mut world, 2);
    let [cold, arriving, ..] = held(&world);
    assert_eq!(arriving, 1_000_000);
    world.decide(Act::NewKey { key: KeyHash([0xef; 32]) }).expect("another key");
    world.key = KeyHash([0xef; 32]);
    assert_eq!((held(&world)[0], world.balance(LedgerAccount::Missing)), (cold, arriving));
    world.decide(Act::WriteOff { amount: atoms(arriving) }).expect("nobody has that key");
    mine(&mut world, MATURITY);
    assert_eq!(held(&world)[0], cold + REWARD, "a block on its way matures all the same");
    let owed = world.payable(1) + world.payable(2);
    world.fill(owed).expect("it lies there");
    world.calm_down();
    assert_eq!(world.payable(1) + world.payable(2), 0);
}

#[test]
fn the_pools_own_key_is_paid_again_where_nobody_wants_a_cold_one() {
    let mut world = due();
    world.append(Event::Cold(ColdEvent::Key(None)));
    world.cold = None;
    assert_eq!(world.state.coinbase_key(), Some(POOL));
    world.share(1, 1);
    world.mine(true);
    world.calm_down();
    // The window counts both shares; what the first block paid still lies with the cold key.
    assert_eq!(held(&world)[0], REWARD);
    assert!(told(&world, ConditionName::FloatLow).is_none());
    assert!(world.received_by(1) > 0);
    world.fill(world.payable(1)).expect("it lies there, and is the pool's");
    world.calm_down();
    assert_eq!(world.payable(1), 0);
}

#[test]
fn more_than_some_intervals_earn_is_told() {
    let mut world = due();
    world.upkeep = Upkeep { float_intervals: 2, block_ms: 60_000, ..Upkeep::LEAST };
    world.share(1, 1);
    world.mine(true);
    world.settle();
    assert_eq!(told(&world, ConditionName::FloatHigh), None);
    let float = world.state.float(&world.upkeep).expect("a cold key");
    let most = float.most.expect("something is immature");
    // Two intervals of ten seconds are a thirtieth of what ten blocks of a minute bring.
    let immature = world.state.books().of_miners(LedgerAccount::MinerImmature).map(|(_, atoms)| atoms).sum::<u64>();
    assert_eq!(most, world.payable(1) + immature / 30);
    world.fill(most + 1).expect("it lies there");
    mine(&mut world, 1);
    let float = world.state.float(&world.upkeep).expect("a cold key");
    assert!(float.is_high() || float.most > Some(most));
    let mut float = float;
    float.held = 0;
    (float.arriving, float.most) = (most + 1, Some(most));
    assert!(float.is_high());
    float.arriving = most;
    assert!(!float.is_high());
}

#[test]
fn whatever_happens_everybody_is_paid_out_of_the_float_in_the_end() {
    for seed in 600..=640 {
        let mut world = World::with_cold_key();
        let mut draw = Draw::new(seed);
        for _ in 0..200 {
            happen(&mut world, &mut draw);
            if !draw.one_in(3) {
                world.settle();
            }
        }
        world.signs = true;
        world.frame();
        for _ in 0..6 {
            world.settle();
            let missing = world.state.float(&world.upkeep).expect("a cold key").missing();
            if missing > 0 {
                let there = world.balance(LedgerAccount::ChainCold);
                world.fill(missing.min(there.saturating_sub(5_000)).max(1));
            }
            world.calm_down();
        }
        world.compare();
        assert_eq!(world.balance(LedgerAccount::Missing), 0, "seed {seed}");
        let loss = world.balance(LedgerAccount::OrphanLoss);
        let accounts: Vec<_> = world.state.accounts().iter().collect();
        for (account, key) in accounts {
            let number = key.0[0];
            let (due, got) = (world.payable(number), world.received_by(number));
            assert!(due < 100_000_000 || loss > 0, "seed {seed}: miner {number} is still owed {due}");
            assert_eq!(world.state.paid(account), got, "seed {seed}: miner {number}");
        }
        let base = world.base();
        world.append(Event::Chain(ChainEvent::Base(base)));
        world.compare();
    }
}
