//! Payouts that take the place of payouts (SPEC 8.5.12): whichever confirms, once, and nobody is paid twice.

use bq_ledger::LedgerAccount;
use bq_primitives::Transaction;

use super::{
    storms::{Draw, happen},
    world::{FINAL_DEPTH, POOL, STRANGER, World, atoms},
};
use crate::{
    Act, Event, Fault, PayoutEvent, PayoutId, PayoutKind, PayoutState, PlannedPayout, Upkeep, plan_replacement,
    plan_withdrawal,
};

const UPKEEP: Upkeep = Upkeep { coins_max: 50, replace_after: 2, fees_max: 20, ..Upkeep::LEAST };
const FIRST: PayoutId = PayoutId(1);

/// A payout that blocks leave out.
fn stuck() -> World {
    let mut world = World::new();
    world.share(1, 1);
    world.share(2, 1);
    world.mine(true);
    for _ in 0..20 {
        world.settle();
        if world.state.payout(FIRST).is_some() {
            break;
        }
        world.mine(false);
    }
    assert_eq!(world.state.payout(FIRST).expect("planned").state, PayoutState::Signed);
    world.upkeep = UPKEEP;
    world
}

fn leave_out(world: &mut World, blocks: usize) {
    for _ in 0..blocks {
        let tip = world.chain.tip;
        world.chain.tip = world.foreign_block(tip, false);
        world.settle();
    }
}

fn versions(world: &World) -> Vec<PlannedPayout> {
    let payout = world.state.payout(FIRST).expect("kept");
    let mut all: Vec<PlannedPayout> = world.state.transactions_of(payout).cloned().collect();
    all.sort_unstable_by_key(|planned| planned.network_fee);
    all
}

fn transaction(world: &World, planned: &PlannedPayout) -> Transaction {
    planned.transaction(world.state.accounts(), POOL).expect("keys")
}

/// One block that has this transaction.
fn mine_with(world: &mut World, planned: &PlannedPayout) {
    world.chain.mempool = vec![transaction(world, planned)];
    world.mine(false);
    world.settle();
}

fn bury(world: &mut World) {
    for _ in 0..FINAL_DEPTH {
        world.mine(false);
        world.settle();
    }
}

#[test]
fn a_payout_that_waits_pays_more_out_of_the_same_coins_to_the_same_payees() {
    let mut world = stuck();
    leave_out(&mut world, 1);
    assert_eq!(versions(&world).len(), 1, "not yet");
    leave_out(&mut world, 6);
    let all = versions(&world);
    assert!(all.len() >= 3, "{}", all.len());
    for pair in all.windows(2) {
        assert!(pair[1].network_fee.atoms() >= pair[0].network_fee.atoms() * 3 / 2);
        assert_eq!((&pair[1].inputs, pair[1].change, pair[1].id), (&pair[0].inputs, pair[0].change, pair[0].id));
        let gross = |planned: &PlannedPayout| match &planned.kind {
            PayoutKind::Miners(plan) => {
                plan.payees.iter().map(|payee| (payee.account, payee.gross)).collect::<Vec<_>>()
            }
            _ => Vec::new(),
        };
        assert_eq!(gross(&pair[1]), gross(&pair[0]));
    }
    leave_out(&mut world, 100);
    let all = versions(&world);
    let by_terms = all[0].network_fee.atoms();
    assert!(all.len() <= 8 && all.iter().all(|planned| planned.network_fee.atoms() <= 20 * by_terms));
}

#[test]
fn whichever_confirms_is_the_payout_and_the_others_never_are() {
    for which in 0..3 {
        let mut world = stuck();
        leave_out(&mut world, 5);
        let all = versions(&world);
        mine_with(&mut world, &all[which]);
        assert_eq!(world.state.payout(FIRST).expect("kept").planned, all[which]);
        bury(&mut world);
        let payout = world.state.payout(FIRST).expect("kept");
        assert_eq!((payout.state, payout.planned.txid), (PayoutState::Final, all[which].txid));
        world.calm_down();
        world.compare();
        for (account, key) in world.state.accounts().iter() {
            assert_eq!(world.state.paid(account), world.received_by(key.0[0]));
        }
    }
}

#[test]
fn another_may_confirm_after_a_reorganisation_and_what_built_on_the_first_is_void() {
    let mut world = stuck();
    leave_out(&mut world, 5);
    let all = versions(&world);
    mine_with(&mut world, &all[0]);
    bury(&mut world);
    // A withdrawal of the change of the first.
    let change = all[0].change_outpoint().expect("change");
    world.gift(40_000_000).expect("a stranger has coins");
    for _ in 0..20 {
        world.mine(false);
        world.settle();
    }
    let own: u64 = world.state.withdrawable().iter().map(|(_, amount)| amount).sum();
    let planned = plan_withdrawal(&world.state, STRANGER, atoms(own), world.now_ms).expect("coins");
    let spends_change = planned.inputs.iter().any(|input| input.outpoint == change);
    world.append(Event::Payout(PayoutEvent::Planned(planned.clone())));
    // Deeper than final: the first leaves, the last takes its place.
    world.upkeep = Upkeep::LEAST;
    world.chain.mempool.clear();
    world.reorg(30, |_| false, false);
    world.chain.mempool = vec![transaction(&world, &all[2])];
    world.follow();
    assert_eq!(world.state.payout(FIRST).expect("kept").state, PayoutState::Signed);
    world.mine(false);
    world.follow();
    assert_eq!(world.state.payout(FIRST).expect("kept").planned.txid, all[2].txid);
    world.calm_down();
    world.compare();
    assert_eq!(world.state.payout(FIRST).map(|payout| payout.state), Some(PayoutState::Final));
    if spends_change {
        assert_eq!(world.state.payout(planned.id).map(|payout| payout.state), Some(PayoutState::Void));
    }
    for (account, key) in world.state.accounts().iter() {
        assert_eq!(world.state.paid(account), world.received_by(key.0[0]));
    }
}

#[test]
fn nothing_else_takes_the_place_of_a_payout() {
    let mut world = stuck();
    leave_out(&mut world, 1);
    let payout = world.state.payout(FIRST).expect("kept").clone();
    world.upkeep.replace_after = 1;
    let good = plan_replacement(&world.state, &payout, &world.upkeep).expect("sound").expect("it waited");
    let refused = |change: &dyn Fn(&mut PlannedPayout)| {
        let mut planned = good.clone();
        change(&mut planned);
        planned.txid = transaction(&world, &planned).txid();
        let fault = world.clone().try_append(Event::Payout(PayoutEvent::Replaced(planned))).expect_err("refused");
        assert!(matches!(fault, Fault::Payout { .. } | Fault::UnknownPayout(_)), "{fault}");
    };
    refused(&|planned| planned.id = PayoutId(9));
    refused(&|planned| planned.inputs.clear());
    refused(&|planned| planned.change = atoms(1));
    refused(&|planned| planned.kind = PayoutKind::Fence);
    refused(&|planned| planned.kind = PayoutKind::Withdrawal { to: STRANGER, gross: atoms(1_000_000) });
    refused(&|planned| planned.network_fee = payout.planned.network_fee);
    refused(&|planned| *planned = payout.planned.clone());
    refused(&|planned| {
        let PayoutKind::Miners(plan) = &mut planned.kind else { panic!("miners") };
        plan.payees.reverse();
    });
    refused(&|planned| {
        let PayoutKind::Miners(plan) = &mut planned.kind else { panic!("miners") };
        plan.payees[0].net = atoms(plan.payees[0].net.atoms() - 1);
    });
    let mut other = good.clone();
    other.txid.0[0] ^= 1;
    assert!(world.clone().try_append(Event::Payout(PayoutEvent::Replaced(other))).is_err());
    // Nor in the place of one that a block has.
    let mut confirmed = world.clone();
    mine_with(&mut confirmed, &payout.planned);
    assert!(confirmed.try_append(Event::Payout(PayoutEvent::Replaced(good.clone()))).is_err());
    world.append(Event::Payout(PayoutEvent::Replaced(good)));
}

#[test]
fn a_key_that_is_lost_leaves_the_transaction_that_it_signed() {
    let mut world = stuck();
    world.signs = false;
    leave_out(&mut world, 4);
    let all = versions(&world);
    assert_eq!(world.state.payout(FIRST).expect("kept").state, PayoutState::Planned);
    world.decide(Act::NewKey { key: bq_primitives::KeyHash([0xdd; 32]) }).expect("a new key");
    let payout = world.state.payout(FIRST).expect("kept");
    assert_eq!((payout.state, payout.planned.txid), (PayoutState::Signed, all[0].txid));
}

#[test]
fn days_with_replacements_leave_everybody_paid_once() {
    let (mut replaced, mut by_an_older) = (0, 0);
    for seed in 900..=960 {
        let mut world = World::new();
        world.upkeep = Upkeep { coins_max: 4, replace_after: 1, fees_max: 50, ..Upkeep::LEAST };
        let mut draw = Draw::new(seed);
        for _ in 0..250 {
            happen(&mut world, &mut draw);
            if draw.one_in(3) {
                let blocks = usize::try_from(draw.below(4)).expect("small");
                leave_out(&mut world, blocks);
            }
            // Other nodes know other transactions.
            match draw.below(3) {
                0 => world.chain.mempool.reverse(),
                1 => world.chain.mempool.sort_by_key(Transaction::txid),
                _ => {}
            }
            if !draw.one_in(3) {
                world.settle();
            }
        }
        world.signs = true;
        world.frame();
        world.calm_down();
        world.compare();
        for payout in world.state.payouts() {
            let state = payout.state;
            assert!(
                matches!(state, PayoutState::Final | PayoutState::Void),
                "seed {seed}: payout {} {state:?}",
                payout.planned.id
            );
            let highest = world.state.transactions_of(payout).map(|planned| planned.network_fee).max();
            replaced += u32::from(world.state.transactions_of(payout).count() > 1);
            by_an_older += u32::from(state == PayoutState::Final && Some(payout.planned.network_fee) != highest);
        }
        let loss = world.balance(LedgerAccount::OrphanLoss);
        for (account, key) in world.state.accounts().iter() {
            let number = key.0[0];
            assert_eq!(world.state.paid(account), world.received_by(number), "seed {seed}: miner {number}");
            assert!(world.payable(number) < 100_000_000 || loss > 0, "seed {seed}: miner {number} is still owed");
        }
        assert_eq!(world.balance(LedgerAccount::Missing), 0, "seed {seed}");
    }
    assert!(replaced > 50 && by_an_older > 10, "{replaced} replaced, {by_an_older} older ones confirmed");
}
