//! Books and shares are lost and the key is not: the chain tells what is there, and nobody what it was.

use std::{fs, time::Duration};

use bq_ledger::LedgerAccount;
use bq_pool_machine::{Decision, PayoutKind, Reason, Winning};
use bq_primitives::{Algorithm, Amount, TxId};

use super::{
    fake_node::MATURITY,
    world::{World, address, key},
};

fn reason() -> Reason {
    Reason { who: "ops".to_owned(), why: "the disk died".to_owned() }
}

fn atoms(amount: u64) -> Amount {
    Amount::from_atoms(amount).expect("in range")
}

impl World {
    fn decide(&self, decision: &Decision) -> String {
        self.keeper().decide(decision, &reason(), false).unwrap_or_else(|refusal| panic!("{decision:?}: {refusal}"))
    }

    /// Pays `miners` for a block, and buries the payout.
    fn pay(&self, miners: &[u8]) {
        for miner in miners {
            self.mine_share(*miner, 5000);
        }
        self.settle();
        self.find_block(miners[0], 5000);
        self.bury();
    }

    fn bury(&self) {
        for _ in 0..4 {
            self.node.mine_many(MATURITY);
            self.settle();
        }
    }

    fn lose_books_and_shares(&mut self) {
        self.close();
        for end in ["", "-wal", "-shm"] {
            // There may be no such file.
            let _ = fs::remove_file(self.folder.path().join(format!("books.sqlite{end}")));
        }
        fs::remove_dir_all(self.folder.path().join("share-log")).expect("lost");
    }

    fn own(&self) -> u64 {
        self.keeper().state.read().withdrawable().iter().map(|(_, amount)| amount).sum()
    }
}

#[test]
fn what_a_lost_log_owed_is_held_and_not_taken_for_a_gift() {
    let mut world = World::new();
    world.pay(&[1, 2]);
    let paid = [1, 2].map(|miner| world.paid(miner));
    assert!(paid.iter().all(|atoms| *atoms > 0), "{paid:?}");
    world.mine_share(1, 5000);
    world.find_block(1, 5000);
    world.node.mine_many(MATURITY);
    world.settle();
    world.lose_books_and_shares();

    world.restart();
    world.settle();
    let names = world.names();
    assert!(["log_behind_chain", "coins_missing"].iter().all(|name| names.contains(name)), "{names:?}");
    let withdrawal = Decision::Withdraw { amount: atoms(1_000_000), to: address(9) };
    assert!(world.keeper().decide(&withdrawal, &reason(), true).is_err());
    world.decide(&Decision::Recover);
    world.bury();

    // One payout was still under way when the log was lost.
    let received = [1, 2].map(|miner| world.node.received(key(miner)));
    assert_eq!([1, 2].map(|miner| world.paid(miner)), received, "payouts were recognised though nobody had an account");
    let fees: u64 = world
        .keeper()
        .state
        .read()
        .payouts()
        .filter(|payout| matches!(payout.planned.kind, PayoutKind::Miners(_)))
        .map(|payout| payout.planned.network_fee.atoms())
        .sum();
    assert_eq!(world.balance(LedgerAccount::GiftIncome), 0);
    assert_eq!(world.own(), 0, "nobody may take it");
    let (missing, held) = (world.balance(LedgerAccount::Missing), world.balance(LedgerAccount::Suspense));
    assert_eq!(missing, received.iter().sum::<u64>() + fees, "what was paid and is not owed, and no change");
    assert!(held > missing, "{held} {missing}");
    let more = Decision::WriteOffSuspense(atoms(missing + 1));
    assert!(world.keeper().decide(&more, &reason(), false).is_err());
    world.decide(&Decision::WriteOffSuspense(atoms(missing)));
    assert_eq!(world.balance(LedgerAccount::WriteOff), 0, "the pool bears nothing");
    assert_eq!(world.names(), ["suspense"]);
    let before = world.balance(LedgerAccount::Suspense);
    assert_eq!(before, held - missing);
    world.decide(&Decision::ReleaseSuspense(atoms(before)));
    world.pay(&[3, 1]);
    assert_eq!(world.names(), Vec::<&str>::new());
    world.check_books(&[1, 2, 3]);
    assert!(world.paid(3) > 0 && world.paid(1) > received[0]);
}

#[test]
fn a_log_that_is_lost_once_everything_was_paid_is_missed_all_the_same() {
    let mut world = World::new();
    world.pay(&[1, 2]);
    world.lose_books_and_shares();
    world.node.mine_many(MATURITY);
    for _ in 0..2 {
        world.restart();
        world.settle();
        assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
    }
}

#[test]
fn a_forgotten_payment_to_one_new_key_is_what_a_person_says() {
    for is_payout in [true, false] {
        let mut world = World::new();
        world.pay(&[1]);
        let txid = world.keeper().state.read().payouts().next().expect("paid").planned.txid;
        world.lose_books_and_shares();
        world.restart();
        world.settle();
        world.decide(&Decision::Recover);
        world.bury();
        assert!(world.names().contains(&"coins_missing"));
        let named = |txid| if is_payout { Decision::AdoptPayout(txid) } else { Decision::AdoptWithdrawal(txid) };
        assert!(world.keeper().decide(&named(TxId([7; 32])), &reason(), false).is_err());
        let missing = world.balance(LedgerAccount::Missing);
        let would = world.keeper().decide(&named(txid), &reason(), true);
        if is_payout {
            let told = world.decide(&named(txid));
            assert_eq!(would.expect("it may"), format!("Would do: {told}"));
            assert!(world.paid(1) > 0);
            let left = world.balance(LedgerAccount::Missing);
            assert!(left < missing, "the change is found");
            assert_eq!(left, world.node.received(key(1)) + fee_of(&world));
            assert!(world.keeper().decide(&named(txid), &reason(), false).is_err(), "once");
        } else {
            // The new log earned nothing that it could have been taken from.
            assert!(would.is_err(), "{would:?}");
        }
    }
}

#[test]
fn a_new_log_that_began_as_the_lost_one_takes_nothing_of_it_for_its_own() {
    let mut world = World::new();
    // Before any share: all that the log holds is how it began.
    let early = [1, 2].map(|miner| world.find_block(miner, 5000));
    world.pay(&[1, 2]);
    world.lose_books_and_shares();
    world.clock.pass(Duration::from_secs(1));
    world.restart();
    world.settle();
    let state = world.keeper().state.read();
    for id in early {
        assert_eq!(state.block(&id).map(|block| block.candidate.winning.clone()), Some(Winning::Lost));
    }
    drop(state);
    assert_eq!(world.balance(LedgerAccount::FeeIncome(Algorithm::Sha256d)), 0);
}

#[test]
fn nobody_explains_what_a_recovery_is_to_find() {
    let mut world = World::new();
    world.pay(&[1, 2]);
    world.lose_books_and_shares();
    world.restart();
    world.settle();
    let txid = world.keeper().state.read().coins().find_map(|(_, coin)| coin.spent).expect("a spend").by;
    let all = [
        Decision::WriteOff(atoms(1)),
        Decision::WriteOffSuspense(atoms(1)),
        Decision::ReleaseSuspense(atoms(1)),
        Decision::AdoptWithdrawal(txid),
        Decision::AdoptRefill(txid),
        Decision::AdoptPayout(txid),
    ];
    let before = world.keeper().written();
    for decision in &all {
        assert!(world.keeper().decide(decision, &reason(), false).is_err(), "{decision:?}");
    }
    assert_eq!(world.keeper().written(), before);
    world.decide(&Decision::Recover);
    world.bury();
    assert!(
        world.keeper().decide(&Decision::ReleaseSuspense(atoms(1)), &reason(), false).is_err(),
        "coins are missing"
    );
    world.decide(&Decision::WriteOffSuspense(atoms(world.balance(LedgerAccount::Missing))));
    world.decide(&Decision::ReleaseSuspense(atoms(1)));
    world.check_books(&[1, 2]);
}

/// More blocks than the books can go back.
const PAST_HORIZON: u32 = 1200 + 10 * MATURITY;

#[test]
fn an_old_copy_finds_its_payouts_also_when_the_chain_has_left_its_horizon() {
    let mut world = World::new();
    world.mine_share(1, 5000);
    world.settle();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    world.pay(&[1, 2]);
    world.pay(&[2, 1]);
    let paid = [1, 2].map(|miner| world.paid(miner));
    world.node.mine_many(PAST_HORIZON);
    world.put_back(&copy);
    world.restart();
    assert!(world.keeper().decide(&Decision::Recover, &reason(), false).is_err(), "the chain is not followed yet");
    world.settle();
    world.decide(&Decision::Recover);
    world.bury();
    assert_eq!(world.names(), Vec::<&str>::new());
    assert_eq!([1, 2].map(|miner| world.paid(miner)), paid);
    world.check_books(&[1, 2]);
    world.pay(&[2, 1]);
    world.check_books(&[1, 2]);
}

#[test]
fn what_a_log_owed_that_was_lost_long_ago_is_held_as_well() {
    let mut world = World::new();
    world.pay(&[1, 2]);
    let fee = fee_of(&world);
    world.node.mine_many(PAST_HORIZON);
    world.settle();
    world.lose_books_and_shares();
    world.restart();
    world.settle();
    world.decide(&Decision::Recover);
    world.bury();
    assert_eq!((world.balance(LedgerAccount::GiftIncome), world.own()), (0, 0));
    let received: u64 = [1, 2].map(|miner| world.node.received(key(miner))).iter().sum();
    assert_eq!(world.balance(LedgerAccount::Missing), received + fee);
    world.check_books(&[1, 2]);
}

fn fee_of(world: &World) -> u64 {
    world.keeper().state.read().payouts().map(|payout| payout.planned.network_fee.atoms()).max().unwrap_or(0)
}
