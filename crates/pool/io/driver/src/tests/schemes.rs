//! Accounts that are paid by other schemes than their lanes (SPEC 8.9), from the template to the books.

use bq_ledger::LedgerAccount;
use bq_mining_message::{AccountScheme, Share, SharePay};
use bq_pool_machine::{BlockState, Decision, Reason, Winning};
use bq_primitives::Algorithm;

use super::{
    atoms,
    fake_node::{MATURITY, SUBSIDY},
    world::{D, Death, POOL_KEY, World, key, share_to},
};
use crate::{PayoutMode, PoolConfig};

const LANE: Algorithm = Algorithm::Sha256d;

fn offering(scheme: AccountScheme, mode: PayoutMode) -> impl FnOnce(&mut PoolConfig) {
    move |config| {
        config.payout_mode = Some(mode);
        config.scheme = scheme;
        config.pps_fee_bp = 9000;
        config.fpps_fee_bp = 9000;
    }
}

/// What a share that is sent now is paid by.
fn pay(world: &World, scheme: AccountScheme) -> SharePay {
    world.keeper().refresh_template().expect("a template");
    let template = world.keeper().template.borrow().clone().expect("a template");
    template.work(scheme, LANE).expect("active").1
}

fn reason() -> Reason {
    Reason { who: "a test".to_owned(), why: "to see it".to_owned() }
}

/// Coins come in, and the reserve gets them.
fn fund(world: &World) {
    world.node.mine_many(MATURITY + 1);
    world.node.donate(POOL_KEY, SUBSIDY - 1);
    world.node.mine_many(10);
    world.settle();
    let gift = world.balance(LedgerAccount::GiftIncome);
    world.keeper().decide(&Decision::FundReserve(atoms(gift)), &reason(), false).expect("it is the pool's");
    world.settle();
}

#[test]
fn a_block_found_solo_is_its_finders_whatever_pays_the_others() {
    for mode in [PayoutMode::Ledger, PayoutMode::Direct] {
        let world = World::with(offering(AccountScheme::Solo, mode));
        world.mine_share(1, D);
        world.settle();
        let pay = pay(&world, AccountScheme::Solo);
        assert_eq!(pay, SharePay::Solo);
        let (id, outcome) = world.try_block(Share { pay, ..share_to(key(2), D / 10) });
        outcome.expect("booked");
        world.settle();
        let winning = world.keeper().state.read().block(&id).map(|block| block.candidate.winning.clone());
        assert!(matches!(winning, Some(Winning::Share(_))), "{winning:?}");
        let fee = SUBSIDY / 100;
        assert_eq!((world.immature(1), world.immature(2)), (0, SUBSIDY - fee), "{mode:?}");
        world.node.mine_many(MATURITY + 10);
        world.settle();
        world.node.mine_many(MATURITY + 10);
        world.settle();
        assert!(world.node.received(key(2)) > SUBSIDY - fee - 10_000, "{mode:?}");
        world.check_books(&[1, 2]);
    }
}

/// Its share dies with the process after the node has it.
#[test]
fn a_block_of_work_that_no_window_pays_does_not_pay_the_window_where_its_share_was_lost() {
    for mode in [PayoutMode::Ledger, PayoutMode::Direct] {
        let world = World::with(offering(AccountScheme::Solo, mode));
        world.mine_share(1, D);
        world.settle();
        for (pay, suspense) in [(SharePay::Solo, SUBSIDY), (SharePay::Window, SUBSIDY)] {
            let (block, _) = world.sealed(Share { pay, ..share_to(key(2), D / 10) });
            let id = block.id();
            bq_chain_api::NodeApi::submit_block(world.node.as_ref(), block).expect("the node takes it");
            world.settle();
            let winning = world.keeper().state.read().block(&id).map(|block| block.candidate.winning.clone());
            assert_eq!(winning == Some(Winning::Lost), pay == SharePay::Solo, "{mode:?}: {winning:?}");
            assert_eq!(world.balance(LedgerAccount::Suspense), suspense, "{mode:?}");
            assert_eq!(world.immature(2), 0);
        }
        let paid = match mode {
            PayoutMode::Ledger => world.immature(1),
            PayoutMode::Direct => SUBSIDY,
        };
        assert!(paid > 0);
    }
}

#[test]
fn shares_are_paid_for_themselves_once_the_reserve_is_enough() {
    let mut world = World::with(offering(AccountScheme::Pps, PayoutMode::Direct));
    world.settle();
    assert_eq!(pay(&world, AccountScheme::Pps), SharePay::Window);
    world.settle();
    assert!(world.names().contains(&"reserve_low"), "{:?}", world.names());
    fund(&world);
    let pay = pay(&world, AccountScheme::Pps);
    let SharePay::PerShare(price) = pay else { panic!("{pay:?}: {:?}", world.keeper().conditions()) };
    assert_eq!((price.subsidy, price.fees, price.fee_bp), (atoms(SUBSIDY), None, 9000));
    let reserve = world.balance(LedgerAccount::PpsReserve);
    world.keeper().record(&Share { pay, ..share_to(key(1), D / 2) }, None).expect("booked");
    // What is earned survives whatever happens before it is credited.
    world.restart();
    world.node.mine();
    world.settle();
    let worth = SUBSIDY / 10 / 2;
    assert_eq!((world.payable(1), world.balance(LedgerAccount::PpsReserve)), (worth, reserve - worth));
    assert_eq!(world.carried(1), 0, "no coinbase pays it, for no window earned it");
    // A block of such a share refills the reserve.
    let (id, outcome) = world.try_block(Share { pay, ..share_to(key(1), D / 10) });
    outcome.expect("booked");
    world.settle();
    assert_eq!(world.balance(LedgerAccount::PpsImmature), SUBSIDY);
    world.node.mine_many(MATURITY + 10);
    world.settle();
    let state = world.keeper().state.read().block(&id).map(|block| block.state);
    assert_eq!(state, Some(BlockState::Matured));
    // A tenth of a block is no whole number of 2^-60.
    let all = worth + SUBSIDY / 10 / 10 - 1;
    assert_eq!(world.balance(LedgerAccount::PpsReserve), reserve + SUBSIDY - all);
    world.node.mine_many(MATURITY + 10);
    world.settle();
    assert!(world.node.received(key(1)) > all - 10_000);
    world.check_books(&[1]);
}

#[test]
fn a_share_that_a_pool_may_yet_have_to_settle_is_kept() {
    let world = World::with(offering(AccountScheme::Pps, PayoutMode::Ledger));
    world.settle();
    fund(&world);
    let pay = pay(&world, AccountScheme::Pps);
    let front_end = world.config.front_end;
    let unsettled = || world.keeper().state.read().unsettled_from(front_end);
    let before = unsettled();
    world.keeper().record(&Share { pay, ..share_to(key(1), D / 2) }, None).expect("booked");
    world.keeper().tell_frames().expect("told");
    let state = world.keeper().state.read();
    let kept = state.windows_from(front_end);
    assert_eq!(Some(kept), state.unsettled_from(front_end));
    assert!(before.is_none_or(|before| before == kept));
}

/// Shares of every kind, blocks by each, a funded reserve, payouts.
fn live(world: &mut World, death: &Death) {
    let revive = |world: &mut World| {
        if death.is_dead() && !world.revived {
            world.restart();
        }
    };
    let settle = |world: &mut World| {
        for _ in 0..2 {
            let _ = world.try_settle();
            revive(world);
        }
    };
    settle(world);
    world.node.mine_many(MATURITY + 1);
    world.node.donate(POOL_KEY, SUBSIDY - 1);
    world.node.mine_many(10);
    settle(world);
    let gift = world.balance(LedgerAccount::GiftIncome);
    let _ = world.keeper().decide(&Decision::FundReserve(atoms(gift)), &reason(), false);
    revive(world);
    settle(world);
    let schemes = [AccountScheme::Pps, AccountScheme::Pplns, AccountScheme::Solo, AccountScheme::Tides];
    for (miner, scheme) in (1..).zip(schemes) {
        let Ok(()) = world.keeper().refresh_template() else { continue };
        let paid = world.keeper().template.borrow().clone().and_then(|template| Some(template.work(scheme, LANE)?.1));
        let pay = paid.unwrap_or_default();
        let _ = world.keeper().record(&Share { pay, ..share_to(key(miner), 100) }, None);
        revive(world);
        let _ = world.try_block(Share { pay, ..share_to(key(miner), 50) });
        revive(world);
        settle(world);
        world.node.mine();
        settle(world);
    }
    world.node.mine_many(10);
    settle(world);
}

#[test]
fn whatever_the_moment_of_death_no_scheme_loses_or_doubles() {
    let change = |config: &mut PoolConfig| {
        offering(AccountScheme::Pplns, PayoutMode::Ledger)(config);
        config.schemes = vec![AccountScheme::Pps, AccountScheme::Solo, AccountScheme::Tides];
        config.payout_min = atoms(1_000);
    };
    let check = |effect: u32, world: &World| {
        for _ in 0..20 {
            world.node.mine();
            world.settle();
        }
        world.check_books(&[1, 2, 3, 4]);
        let names = world.names();
        // A block that no window pays, and whose share died before it was written, waits for a person.
        assert!(names.iter().all(|name| matches!(*name, "reserve_low" | "suspense")), "effect {effect}: {names:?}");
        let (state, front_end) = (world.keeper().state.read(), world.config.front_end);
        assert_eq!(
            state.unsettled_from(front_end),
            state.front_end(front_end).map(|head| head.next),
            "effect {effect}"
        );
    };
    let mut undisturbed = World::with(change);
    live(&mut undisturbed, &Death::default());
    check(0, &undisturbed);
    let got = [1, 2, 3, 4].map(|miner| undisturbed.node.received(key(miner)));
    assert!(got.iter().all(|received| *received > 0), "{got:?}");
    for effect in 0.. {
        let death = Death::at(effect, effect % 2 == 0);
        let mut world = World::dying(change, &death);
        live(&mut world, &death);
        if !death.is_dead() {
            assert!(effect > 30, "{effect}");
            return;
        }
        check(effect, &world);
    }
}
