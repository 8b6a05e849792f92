//! Every stop that the books know, and its way out (SPEC 8.7).

use bq_ledger::LedgerAccount;
use bq_primitives::{Algorithm, BlockId, OutPoint};

use super::world::{FINAL_DEPTH, MATURITY, POOL, REWARD, STRANGER, World, atoms, miner, terms};
use crate::{
    Act, BlockState, CommitmentCheck, ConditionName, Event, Fault, LogHash, LogHead, LogNumber, PayoutEvent,
    PayoutState, Terms, conditions, plan_withdrawal,
};

impl World {
    fn names(&self) -> Vec<ConditionName> {
        conditions(&self.state, &self.outside()).into_iter().map(|condition| condition.name).collect()
    }

    /// `count` blocks of miner 1, all matured, nothing paid yet.
    fn with_blocks(count: usize) -> Self {
        let mut world = Self::new();
        world.decide(Act::Pause).expect("not paused");
        for _ in 0..count {
            world.share(1, 1);
            world.mine(true);
        }
        for _ in 0..20 {
            world.mine(false);
        }
        world.settle();
        world.decide(Act::Resume).expect("paused");
        world
    }

    fn block_coin(&self) -> OutPoint {
        let free = self.state.coins().find(|(outpoint, coin)| self.state.is_spendable(outpoint, coin));
        free.expect("a coin").0
    }
}

#[test]
fn coins_spent_outside_stop_payouts_until_a_person_says_what_that_was() {
    let mut world = World::with_blocks(3);
    let taken = world.steal(&[world.block_coin()], REWARD - 60_000_000);
    world.mine(false);
    world.settle();
    assert_eq!(world.names(), [ConditionName::CoinsMissing]);
    assert!(world.state.payouts().next().is_none(), "nobody is paid");
    let txid = taken.txid();
    let early = world.decide(Act::AdoptWithdrawal { txid });
    assert!(matches!(early, Err(Fault::Operator(_))), "what came back is not buried: {early:?}");
    for _ in 0..10 {
        world.mine(false);
    }
    world.settle();
    let fees: u64 = Algorithm::ALL.into_iter().map(|lane| world.state.earned_fees(lane)).sum();
    assert_eq!(fees, 150_000_000);
    world.decide(Act::AdoptWithdrawal { txid }).expect("it took less than the pool earned");
    assert_eq!(world.balance(LedgerAccount::Missing), 0);
    assert!(world.decide(Act::AdoptWithdrawal { txid }).is_err(), "once");
    let fees: u64 = Algorithm::ALL.into_iter().map(|lane| world.state.earned_fees(lane)).sum();
    assert_eq!(fees, 90_000_000);
    world.calm_down();
    assert!(world.received_by(1) > 0 && world.payable(1) == 0);
}

/// Two miners seal the same template: both blocks make the same coin, and only one of them was ever on the chain.
#[test]
fn a_payout_whose_coin_is_gone_is_void_although_a_sibling_of_its_block_was_only_submitted() {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    let sibling = world.candidates.values().next().cloned().expect("a block");
    world.append(Event::Candidate(crate::Candidate { id: BlockId([9; 32]), ..sibling }));
    for _ in 0..10 {
        world.mine(false);
    }
    world.chain.mempool.clear();
    world.settle();
    assert_eq!(world.state.payouts().count(), 1);
    world.chain.mempool.clear();
    world.reorg(11, |_| false, false);
    world.calm_down();
    let states: Vec<PayoutState> = world.state.payouts().map(|payout| payout.state).collect();
    assert_eq!(states, [PayoutState::Void]);
    assert!(world.payable(1) > 0, "owed again");
}

#[test]
fn more_than_was_earned_is_no_withdrawal_and_can_be_made_good_or_written_off() {
    let mut world = World::with_blocks(2);
    let taken = world.steal(&[world.block_coin()], 0);
    world.mine(false);
    world.settle();
    let refused = world.decide(Act::AdoptWithdrawal { txid: taken.txid() });
    assert!(matches!(refused, Err(Fault::NotEarned { has: 100_000_000, .. })), "{refused:?}");
    let gift = world.gift(3_000_000_000).expect("a stranger has coins");
    assert!(world.decide(Act::AdoptRefill { txid: gift.txid() }).is_err(), "not there yet");
    for _ in 0..11 {
        world.mine(false);
    }
    world.settle();
    world.decide(Act::AdoptRefill { txid: gift.txid() }).expect("buried");
    assert_eq!(world.balance(LedgerAccount::Missing), 2_000_000_000);
    assert!(matches!(world.decide(Act::WriteOff { amount: atoms(2_000_000_001) }), Err(Fault::NotCovered { .. })));
    assert!(world.decide(Act::WriteOff { amount: atoms(0) }).is_err());
    world.decide(Act::WriteOff { amount: atoms(2_000_000_000) }).expect("missing");
    assert!(!world.names().contains(&ConditionName::CoinsMissing));
    world.calm_down();
    assert_eq!(world.names(), []);
    assert!(world.received_by(1) > 0 && world.payable(1) == 0);
}

#[test]
fn gifts_are_income_once_buried_and_never_a_fault() {
    let mut world = World::with_blocks(1);
    world.gift(49_999);
    world.mine(false);
    world.gift(70_000);
    world.mine(false);
    let parent = world.chain.tip;
    world.chain.tip =
        world.chain.mine_on(parent, vec![bq_primitives::TxOut { amount: atoms(REWARD), key_hash: POOL }], true);
    for _ in 0..8 {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), 70_000, "the dust is left alone, the coinbase is not buried");
    world.mine(false);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), 70_000 + REWARD);
    assert_eq!(world.names(), []);
    world.calm_down();
    assert_eq!(world.payable(1), 0);
    let spends_gift = world.signed.values().flat_map(|transaction| &transaction.inputs);
    let gifts: Vec<_> =
        world.state.coins().filter(|(_, coin)| coin.amount == atoms(70_000)).map(|(name, _)| name).collect();
    assert_eq!(spends_gift.filter(|input| gifts.contains(input)).count(), 0, "miners are not paid with gifts");
}

#[test]
fn the_operator_takes_what_was_earned_and_not_an_atom_more() {
    let mut world = World::with_blocks(3);
    world.share(2, 1);
    world.mine(true); // its fee is not earned before it matures
    world.settle();
    let over = plan_withdrawal(&world.state, STRANGER, atoms(150_000_001), world.now_ms).expect("coins are free");
    let refused = world.try_append(Event::Payout(PayoutEvent::Planned(over)));
    assert!(matches!(refused, Err(Fault::NotEarned { has: 150_000_000, needed: 150_000_001 })), "{refused:?}");
    let own = plan_withdrawal(&world.state, POOL, atoms(1_000_000), world.now_ms).expect("coins are free");
    assert_eq!(world.try_append(Event::Payout(PayoutEvent::Planned(own))), Err(Fault::OwnKey(POOL)));
    let all = plan_withdrawal(&world.state, STRANGER, atoms(150_000_000), world.now_ms).expect("coins are free");
    let fee = all.network_fee.atoms();
    world.append(Event::Payout(PayoutEvent::Planned(all)));
    world.calm_down();
    let sent = world.signed.values().flat_map(|transaction| &transaction.outputs);
    let sent: u64 = sent.filter(|output| output.key_hash == STRANGER).map(|output| output.amount.atoms()).sum();
    assert_eq!(sent, 150_000_000 - fee);
    assert_eq!(world.balance(LedgerAccount::WithdrawalInFlight), 0);
    assert_eq!(world.state.earned_fees(Algorithm::Sha256d), 50_000_000, "the last block's");
    assert_eq!(world.payable(2), 0);
}

#[test]
fn a_payout_that_lost_its_coin_is_void_once_that_is_buried_and_others_go_on() {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    let first = world.chain.tip;
    for _ in 0..9 {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.payouts().next().map(|payout| payout.state), Some(PayoutState::Signed));
    world.reorg(10, |_| false, false);
    world.follow();
    assert_eq!(world.blocks_in(BlockState::Lost), 1);
    assert!(world.names().contains(&ConditionName::PayoutBlocked));
    assert!(world.names().contains(&ConditionName::OrphanLoss), "one block had earned too little to bear it");
    world.chain.mempool.clear();
    for _ in 0..4 {
        world.share(2, 1);
        world.mine(true);
    }
    for _ in 0..12 {
        world.mine(false);
        world.now_ms += 10_000;
        world.settle();
    }
    let lost = world.state.payouts().next().expect("kept");
    assert_eq!(lost.state, PayoutState::Void);
    world.calm_down();
    assert!(world.received_by(2) > 0, "everybody else is paid");
    assert!(!world.names().contains(&ConditionName::PayoutBlocked));
    // The block comes back: the loss is undone.
    world.chain.tip = first;
    for _ in 0..100 {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.block(&first).map(|block| block.state), Some(BlockState::Matured));
    assert_eq!(world.blocks_in(BlockState::Lost), 4, "now the others are gone");
}

#[test]
fn a_final_payout_that_left_the_chain_is_sent_again_as_it_was() {
    let mut world = World::with_blocks(1);
    world.settle();
    for _ in 0..7 {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.payouts().next().map(|payout| payout.state), Some(PayoutState::Final));
    let sent = world.signed.clone();
    world.reorg(9, |_| false, false);
    world.chain.mempool.clear();
    world.follow();
    assert_eq!(world.state.payouts().next().map(|payout| payout.state), Some(PayoutState::Signed));
    assert!(world.names().contains(&ConditionName::PayoutReturned));
    assert_eq!(world.state.paid_in_all(), 0);
    world.calm_down();
    assert_eq!(world.signed, sent, "the same transaction and no other");
    assert_eq!(world.state.payouts().next().map(|payout| payout.state), Some(PayoutState::Final));
    assert_eq!(world.state.paid_in_all(), world.received_by(1));
}

#[test]
fn a_log_that_the_chain_knows_longer_pays_nobody() {
    let mut world = World::with_blocks(1);
    let seen = LogHead { number: LogNumber(99), hash: LogHash([1; 32]) };
    for commitment in [CommitmentCheck::Behind { seen }, CommitmentCheck::Differs { seen }] {
        world.commitment = commitment;
        world.now_ms += 100_000;
        world.settle();
        assert_eq!(world.names(), [ConditionName::LogBehindChain]);
        assert_eq!(world.state.payouts().count(), 0);
    }
}

#[test]
fn all_who_are_due_are_paid_oldest_first_in_as_many_rounds_as_it_takes() {
    let mut world = World::new();
    world.decide(Act::Pause).expect("not paused");
    for number in 1..=40 {
        world.share(number, 1);
        world.mine(true);
    }
    for _ in 0..30 {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.due().count(), 40);
    let order: Vec<_> = {
        let mut queue: Vec<_> = world.state.due().map(|(account, since)| (since, account)).collect();
        queue.sort_unstable();
        queue.into_iter().map(|(_, account)| account).collect()
    };
    world.decide(Act::Resume).expect("paused");
    let mut paid = Vec::new();
    for round in 1..=7 {
        world.settle();
        let payouts: Vec<_> = world.state.payouts().skip(paid.len()).cloned().collect();
        assert_eq!(payouts.len(), 2, "round {round}");
        paid.extend(payouts);
        world.settle();
        assert_eq!(world.state.payouts().count(), paid.len(), "a round ends until its interval is over");
        world.now_ms += 10_000;
    }
    let accounts: Vec<_> = paid
        .iter()
        .flat_map(|payout| match &payout.planned.kind {
            crate::PayoutKind::Miners(plan) => plan.payees.iter().map(|payee| payee.account).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(accounts.len(), 40);
    for (chunk, expected) in accounts.chunks(3).zip(order.chunks(3)) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(chunk, expected, "those due longest come first");
    }
    assert_eq!(world.state.due().count(), 0);
}

#[test]
fn two_thousand_who_are_due_are_paid_in_four_rounds() {
    let mut world = World::new();
    let old = terms();
    let payouts =
        crate::PayoutTerms { payout_min: atoms(500_000), payees_max: 500, round_payouts_max: 1, ..old.payouts };
    world.append(Event::Terms(Terms { payouts, ..old }));
    for number in 0..2000_u16 {
        world.share(0, 2000);
        let share = world.shares.0.last_mut().expect("just made");
        share.payee.0[..2].copy_from_slice(&number.to_be_bytes());
        share.payee.0[2] = 1;
    }
    world.decide(Act::Pause).expect("not paused");
    world.mine(true);
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.due().count(), 2000);
    world.decide(Act::Resume).expect("paused");
    for round in 1..=4 {
        world.settle();
        assert_eq!(world.state.due().count(), 2000 - 500 * round, "round {round}");
        // The change of the only coin comes back once the payout is buried.
        for _ in 0..FINAL_DEPTH {
            world.mine(false);
        }
        world.now_ms += 10_000;
    }
    world.settle();
    let paid: Vec<u64> = world.state.accounts().iter().map(|(account, _)| world.state.paid(account)).collect();
    assert_eq!(paid.len(), 2000);
    assert!(paid.iter().all(|paid| *paid > 0), "everybody");
}

#[test]
fn terms_hold_for_shares_after_them() {
    let mut world = World::new();
    world.share(1, 1);
    world.frame();
    let mut dear = terms();
    dear.lanes[0].fee = bq_ledger::FeeBasisPoints::new(5000).expect("half");
    let before = world.chain.tip;
    let free = Terms { payouts: crate::PayoutTerms { payout_min: atoms(0), ..dear.payouts }, ..dear.clone() };
    assert!(matches!(world.try_append(Event::Terms(free)), Err(Fault::Terms { field: "payout_min", .. })));
    // The block of the old share is found after the change.
    let old = world.find_block(before, true);
    world.append(Event::Terms(dear));
    world.chain.tip = old;
    world.settle();
    assert_eq!(world.balance(LedgerAccount::FeeIncome(Algorithm::Sha256d)), REWARD / 100);
    world.share(1, 1);
    world.mine(true);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::FeeIncome(Algorithm::Sha256d)), REWARD / 100 + REWARD / 2);
    assert_eq!(world.state.accounts().find(&miner(1)).map(|account| account.0), Some(1));
}

#[test]
fn a_found_block_that_the_chain_moved_past_is_given_up_and_credited_if_it_joins_all_the_same() {
    let mut world = World::new();
    world.share(1, 1);
    let parent = world.chain.tip;
    let stale = world.find_block(parent, true);
    for _ in 0..11 {
        world.mine(false);
    }
    world.settle();
    let submits = |world: &World| {
        let commands = crate::next(&world.state, &world.outside()).expect("sound");
        commands.contains(&crate::Command::Submit(stale))
    };
    assert!(submits(&world), "it may still join");
    world.mine(false);
    world.settle();
    assert!(!submits(&world));
    assert_eq!(world.state.block(&stale).map(|block| block.state), Some(BlockState::Orphaned));
    world.chain.tip = stale;
    for _ in 0..12 {
        world.mine(false);
    }
    world.settle();
    assert_eq!(world.state.block(&stale).map(|block| block.state), Some(BlockState::Matured));
}

#[test]
fn losses_are_borne_by_what_the_pool_earned_before_anything_is_withdrawn() {
    let mut world = World::new();
    world.decide(Act::Pause).expect("not paused");
    for _ in 0..4 {
        world.share(1, 1);
        world.mine(true);
    }
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.settle();
    let able = |world: &World| world.state.withdrawable().iter().map(|(_, amount)| *amount).sum::<u64>();
    let before = able(&world);
    assert!(before > 0);
    let stolen: Vec<_> = world.state.coins().map(|(outpoint, _)| outpoint).take(1).collect();
    world.steal(&stolen, 0);
    world.mine(false);
    world.settle();
    assert_eq!(able(&world), 0, "coins are missing");
    world.decide(Act::WriteOff { amount: atoms(REWARD) }).expect("missing");
    assert_eq!(able(&world), 0, "they were given up at the pool's cost");
    assert_eq!(world.state.shortfall(), REWARD - before);

    // A gift makes good for it, pays miners, and is not there to be withdrawn.
    world.chain.mempool.clear();
    let gift = world.gift(REWARD).expect("a stranger has coins").txid();
    for _ in 0..MATURITY {
        world.mine(false);
    }
    world.settle();
    assert_eq!((world.state.shortfall(), able(&world)), (0, before), "no line, and yet no more than was earned");
    world.decide(Act::AdoptRefill { txid: gift }).expect("a loss is open");
    assert_eq!((world.balance(LedgerAccount::WriteOff), able(&world)), (0, before));
    assert!(world.decide(Act::AdoptRefill { txid: gift }).is_err(), "once");
    world.decide(Act::Resume).expect("paused");
    world.calm_down();
    assert_eq!(world.payable(1), 0, "everybody is paid");
}
