//! A log that lost its end: nobody is paid until every payout that it may have forgotten is found or impossible, and then
//! nobody is paid twice.

use bq_ledger::LedgerAccount;
use bq_primitives::{BlockId, Height, OutPoint};

use super::{
    storms::{Draw, happen},
    world::{FINAL_DEPTH, POOL, REWARD, STRANGER, World, atoms, miner},
};
use crate::{
    Act, BlockState, CommitmentCheck, Event, PayoutEvent, PayoutKind, PayoutState, plan_withdrawal, recognise,
};

impl World {
    /// The log as it was in `copy`, beside the chain and the share log of now.
    fn restore(&self, copy: &Self) -> Self {
        let seen = self.state.head();
        let mut restored = Self { chain: self.chain.clone(), shares: self.shares.clone(), ..copy.clone() };
        restored.now_ms = self.now_ms;
        restored.signs = true;
        if restored.state.head() != seen {
            restored.commitment = CommitmentCheck::Behind { seen };
        }
        restored.frame();
        let forgotten: Vec<_> = self
            .candidates
            .values()
            .filter(|candidate| !copy.candidates.contains_key(&candidate.id))
            .cloned()
            .collect();
        for candidate in forgotten {
            restored.append(Event::Candidate(candidate.clone()));
            restored.candidates.insert(candidate.id, candidate);
        }
        restored
    }

    fn payments(&self) -> usize {
        self.state.payouts().filter(|payout| matches!(payout.planned.kind, PayoutKind::Miners(_))).count()
    }

    fn go_on(&mut self, blocks: usize) {
        for _ in 0..blocks {
            self.now_ms += 60_000;
            self.follow();
            self.adopt_forgotten();
            self.settle();
            self.mine(false);
        }
        self.settle();
    }

    /// What a driver does while a recovery is open: payouts of the pool that the log does not know are taken over.
    fn adopt_forgotten(&mut self) {
        let transactions: Vec<_> = self
            .chain
            .best()
            .iter()
            .flat_map(|block| block.transactions[block.transactions.len().min(1)..].to_vec())
            .collect();
        for transaction in transactions {
            let is_known = self.state.payouts().any(|payout| payout.planned.txid == transaction.txid());
            let coins: Vec<OutPoint> = self.state.coins().map(|(outpoint, _)| outpoint).collect();
            if is_known || !transaction.inputs.iter().any(|input| coins.contains(input)) {
                continue;
            }
            if let Some(planned) = recognise(&self.state, &transaction, self.now_ms) {
                let id = planned.id;
                if self.decide(Act::AdoptPayout(planned)).is_ok() {
                    self.signed.insert(id, transaction);
                }
            }
        }
    }
}

#[test]
fn a_restored_log_pays_nobody_until_it_is_recovered_and_then_nobody_twice() {
    for seed in 1..=100 {
        let mut draw = Draw::new(seed);
        let mut world = World::new();
        let age = 1 + draw.below(140);
        let mut copy = world.clone();
        for left in (0..160).rev() {
            happen(&mut world, &mut draw);
            if !draw.one_in(3) {
                world.settle();
            }
            if left == age {
                copy = world.clone();
            }
        }
        world.frame();
        let mut restored = world.restore(&copy);
        let before = restored.state.newest_payout;
        restored.follow();
        let seen = world.state.head();
        if restored.commitment != CommitmentCheck::Fine {
            restored.now_ms += 1_000_000;
            restored.settle();
            assert_eq!(restored.state.newest_payout, before, "seed {seed}: nothing is planned");
            restored.decide(Act::Recover { seen }).expect("a lost end");
            restored.commitment = CommitmentCheck::Fine;
        }
        restored.go_on(60);
        // A reward that was paid out and then lost beyond maturity is a debt that only the lost end knew.
        let missing = restored.balance(LedgerAccount::Missing);
        if missing > 0 {
            let lost = world.balance(LedgerAccount::OrphanLoss) + world.blocks_in(BlockState::Lost) as u64;
            assert!(lost > 0, "seed {seed}: {missing} atoms are missing");
            restored.decide(Act::WriteOff { amount: atoms(missing) }).expect("missing");
        }
        restored.go_on(60);
        check_end(&restored, seed);
    }
}

/// Whom the chain paid is what the books say was paid, and nobody got what was not credited.
#[track_caller]
fn check_end(world: &World, seed: u64) {
    world.compare();
    assert!(world.state.recovery().is_none_or(|recovery| !recovery.open), "seed {seed}: {:?}", world.state.recovery());
    assert_eq!(world.balance(LedgerAccount::Missing), 0, "seed {seed}");
    let loss = world.balance(LedgerAccount::OrphanLoss) + world.balance(LedgerAccount::WriteOff);
    for payout in world.state.payouts() {
        assert!(matches!(payout.state, PayoutState::Final | PayoutState::Void), "seed {seed}: {payout:?}");
    }
    for (account, key) in world.state.accounts().iter() {
        let number = key.0[0];
        assert_eq!(key, miner(number));
        assert_eq!(world.state.paid(account), world.received_by(number), "seed {seed}: miner {number}");
        assert!(world.payable(number) < 100_000_000 || loss > 0, "seed {seed}: miner {number}");
    }
}

#[test]
fn a_fence_makes_a_forgotten_payout_impossible() {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    for _ in 0..9 {
        world.mine(false);
    }
    world.follow();
    let copy = world.clone();
    world.settle();
    let forgotten = world.chain.mempool.clone();
    assert_eq!(forgotten.len(), 1, "a payout waits in the mempool");
    // The node that held it is gone too, and somebody else will send it again later.
    world.chain.mempool.clear();
    let mut restored = world.restore(&copy);
    restored.decide(Act::Recover { seen: world.state.head() }).expect("a lost end");
    restored.commitment = CommitmentCheck::Fine;
    restored.settle();
    restored.mine(false);
    restored.chain.mempool.extend(forgotten);
    restored.calm_down();
    assert_eq!(restored.chain.mempool.len(), 1, "no block can take it");
    restored.chain.mempool.clear();
    check_end(&restored, 0);
    assert!(restored.received_by(1) > 0);
}

/// A matured block of miner 1 that nobody was paid for yet, and what became of it in books that were lost later.
fn forgetful(happen: impl FnOnce(&mut World)) -> (World, World) {
    let mut world = World::new();
    world.share(1, 1);
    world.mine(true);
    for _ in 0..9 {
        world.mine(false);
    }
    world.follow();
    let copy = world.clone();
    happen(&mut world);
    let mut restored = world.restore(&copy);
    restored.follow();
    restored.decide(Act::Recover { seen: world.state.head() }).expect("a lost end");
    restored.commitment = CommitmentCheck::Fine;
    (world, restored)
}

#[test]
fn a_forgotten_payout_is_found_also_when_a_person_gave_up_some_of_what_it_took() {
    let (_, mut restored) = forgetful(|world| {
        world.settle();
        world.mine(false);
    });
    assert_eq!(restored.balance(LedgerAccount::Missing), REWARD);
    restored.decide(Act::WriteOff { amount: atoms(1_000_000_000) }).expect("it is missing");
    restored.go_on(20);
    assert_eq!(restored.payments(), 1, "it is not paid again");
    assert_eq!(restored.balance(LedgerAccount::WriteOff), 0, "nothing was lost");
    check_end(&restored, 0);
}

#[test]
fn a_forgotten_payout_is_found_also_when_it_spends_what_a_forgotten_withdrawal_left_over() {
    let (world, mut restored) = forgetful(|world| {
        let withdrawal = plan_withdrawal(&world.state, STRANGER, atoms(10_000_000), world.now_ms).expect("earned");
        world.append(Event::Payout(PayoutEvent::Planned(withdrawal)));
        world.settle();
        for _ in 0..FINAL_DEPTH {
            world.mine(false);
        }
        world.settle();
        world.mine(false);
    });
    restored.go_on(20);
    assert_eq!(restored.payments(), 1, "that to the miner, which is not paid again");
    let txid = world.state.payouts().next().expect("the withdrawal").planned.txid;
    restored.decide(Act::AdoptWithdrawal { txid }).expect("the pool had earned it");
    check_end(&restored, 0);
}

#[test]
fn recovering_twice_from_the_same_loss_is_refused() {
    let mut world = World::new();
    let seen = crate::LogHead { number: crate::LogNumber(2), ..world.state.head() };
    world.decide(Act::Recover { seen }).expect("once");
    assert!(world.decide(Act::Recover { seen }).is_err());
    // A later block says that the log which went on was lost too, before it was as long as the first.
    world.mine(false);
    world.follow();
    let shorter = crate::LogHead { number: crate::LogNumber(1), ..seen };
    world.decide(Act::Recover { seen: shorter }).expect("another loss");
    let recovery = world.state.recovery().expect("open");
    assert!(recovery.explains(seen.number, world.chain.tip().height), "what was explained stays so");
    assert!(!recovery.explains(seen.number, Height(world.chain.tip().height.0 + 1)));
    assert!(world.state.block(&BlockId([0; 32])).is_none());
    assert_eq!(world.state.opened().map(|opened| opened.key), Some(POOL));
}
