use bq_ledger::{LedgerAccount, ShareSequence, ShareWeight, Window, WindowUnits};
use bq_pool_store::PayoutState;
use bq_primitives::{Algorithm, NetworkDifficulty, ShareDifficulty};
use bq_views::Event;

use super::{
    POOL_KEY, atoms,
    fake_node::MATURITY,
    world::{D, LANE, World, share_of},
};

/// The young pool of the worked examples: A 500, B 250, then B 100 finds the block, of 1000.
fn young_pool(world: &World) {
    world.mine_share(1, 500);
    world.mine_share(2, 250);
    world.find_block(2, 100);
    world.settle();
}

#[test]
fn a_block_pays_its_window_to_the_atom_and_on_chain() {
    let world = World::new();
    young_pool(&world);
    assert_eq!((world.immature(1), world.immature(2)), (1_237_500_000, 742_499_999));
    assert_eq!(world.balance(LedgerAccount::Seed(LANE)), 2_970_000_000);
    assert_eq!(world.balance(LedgerAccount::FeeIncome(LANE)), 50_000_000);
    assert_eq!(world.delta(), Some(0));

    world.node.mine_many(MATURITY - 2);
    world.settle();
    assert_eq!(world.immature(1), 1_237_500_000, "one confirmation is missing");
    assert!(world.core().store.open_payouts().expect("readable").is_empty());

    world.node.mine();
    world.settle();
    assert_eq!(world.balance(LedgerAccount::Carry(LANE)), 1);
    let open = world.core().store.open_payouts().expect("readable");
    assert_eq!(open.iter().map(|payout| payout.state).collect::<Vec<_>>(), [PayoutState::Broadcast]);
    assert_eq!((world.payable(1), world.payable(2)), (0, 0));

    world.node.mine();
    world.settle();
    assert_eq!((world.paid(1), world.delta()), (0, Some(0)), "confirmed is not final");
    world.node.mine();
    world.settle();
    let plan = &open[0].planned.plan;
    let fees: Vec<_> = plan.payees.iter().map(|payee| payee.fee.atoms()).collect();
    assert_eq!(fees.iter().sum::<u64>(), plan.network_fee.atoms());
    assert!(fees[0] - fees[1] <= 1 && fees[0] > 0);
    assert_eq!((world.paid(1), world.paid(2)), (1_237_500_000 - fees[0], 742_499_999 - fees[1]));
    world.check_books(&[1, 2]);
    // What is left on the chain is the pool's own: seed, fee and carry.
    assert_eq!(world.balance(LedgerAccount::ChainSpendable), 2_970_000_000 + 50_000_000 + 1);
}

#[test]
fn small_balances_wait_and_add_up() {
    let world = World::with(|config| config.payout_min = atoms(1_000_000_000));
    young_pool(&world);
    world.node.mine_many(MATURITY);
    world.settle();
    let open = world.core().store.open_payouts().expect("readable");
    assert_eq!(open[0].planned.plan.payees.len(), 1);
    assert_eq!((world.payable(1), world.payable(2)), (0, 742_499_999));
    world.find_block(2, 100);
    world.node.mine_many(MATURITY + 2);
    world.settle();
    world.node.mine_many(2);
    world.settle();
    world.node.mine_many(2);
    world.settle();
    assert_eq!(world.payable(2), 0);
    assert!(world.paid(2) > 1_000_000_000);
    world.check_books(&[1, 2]);
}

#[test]
fn a_payout_spends_no_more_coins_than_allowed_and_large_balances_are_paid_in_parts() {
    let world = World::with(|config| config.payout_inputs_max = 1);
    for _ in 0..3 {
        world.mine_share(1, D);
        world.mine_share(1, D);
        world.find_block(1, 100);
    }
    world.node.mine_many(MATURITY);
    world.settle();
    for _ in 0..20 {
        world.node.mine();
        world.settle();
    }
    assert!(world.payable(1) < 1_000_000, "everything was paid in the end");
    let payouts = world.core().store.payouts_of(world.account(1), 100).expect("readable");
    assert!(payouts.len() >= 3);
    for payout in payouts {
        let payout = world.core().store.payout_of_txid(&payout.txid).expect("readable").expect("there");
        assert_eq!(payout.planned.inputs.len(), 1);
    }
    world.check_books(&[1]);
}

#[test]
fn lanes_do_not_mix() {
    let world = World::new();
    world.mine_share(1, 500);
    let mut share = share_of(world.account(2), 500);
    share.algorithm = Algorithm::Ethash;
    let (_, outcome) = world.try_block(share);
    outcome.expect("booked");
    world.settle();
    assert_eq!(world.immature(1), 0, "its share is of another lane");
    assert_eq!(world.immature(2), 618_750_000);
    assert_eq!(world.balance(LedgerAccount::Seed(Algorithm::Ethash)), 4_331_250_000);
}

#[test]
fn a_new_fee_holds_for_blocks_found_after_it() {
    let mut world = World::new();
    world.mine_share(1, D);
    let id = world.find_block(1, 100);
    world.config.fee_bp = 500;
    world.restart();
    world.settle();
    assert_eq!(world.balance(LedgerAccount::FeeIncome(LANE)), 50_000_000, "{id} was found under the old fee");
    world.find_block(1, 100);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::FeeIncome(LANE)), 50_000_000 + 250_000_000);
}

#[test]
fn windows_are_the_same_from_memory_from_the_log_and_after_a_restart() {
    let mut world = World::new();
    let mut oldest_first = Vec::new();
    // Differently heavy shares on two lanes, far more than a window.
    for number in 1..=300_u64 {
        let miner = u8::try_from(1 + number * number % 5).expect("small");
        let mut share = world.share(miner, 1 + number * 37 % 250);
        share.algorithm = if number.is_multiple_of(3) { Algorithm::RandomX } else { LANE };
        let weight = ShareWeight::of(share.difficulty, share.network_difficulty);
        oldest_first.push((share.algorithm, share.account, weight));
        world.core().record(share, None).expect("booked");
    }
    let expected = |lane: Algorithm, units: WindowUnits, newest: usize| {
        let shares = oldest_first[..newest].iter().rev().filter(|(algorithm, _, _)| *algorithm == lane);
        let Ok(window) = Window::walk(
            units,
            shares.map(|(_, account, weight)| Ok::<_, std::convert::Infallible>((*account, *weight))),
        );
        window
    };
    let compare = |world: &World| {
        for lane in [LANE, Algorithm::RandomX] {
            for newest in [1, 10, 150, 290, 299, 300] {
                for units in [1, 2, 5].map(|units| WindowUnits::new(units).expect("in range")) {
                    let sequence = ShareSequence(u64::try_from(newest).expect("small"));
                    let got = world.core().window_of(lane, units, sequence).expect("readable");
                    assert_eq!(got, expected(lane, units, newest), "{lane} {units:?} {newest}");
                }
            }
        }
    };
    compare(&world);
    let round = world.core().lane(LANE).lock().round();
    world.restart();
    compare(&world);
    assert_eq!(world.core().lane(LANE).lock().round(), round);
}

#[test]
fn effort_counts_the_work_since_the_last_block_also_after_a_restart() {
    let mut world = World::new();
    let effort = |world: &World| world.core().pool_view(0).expect("readable").algorithms["sha256d"].effort;
    world.mine_share(1, 500);
    assert!((effort(&world) - 0.5).abs() < 1e-9);
    world.find_block(1, 100);
    assert!(effort(&world) < 1e-9);
    world.mine_share(1, 250);
    assert!((effort(&world) - 0.25).abs() < 1e-9);
    world.restart();
    assert!((effort(&world) - 0.25).abs() < 1e-9);
}

#[test]
fn coins_from_outside_are_in_no_book_and_never_spent() {
    let world = World::new();
    young_pool(&world);
    world.node.mine_many(MATURITY);
    world.node.donate(POOL_KEY, 123_456);
    world.node.mine();
    world.settle();
    {
        let settling = world.core().settling.lock();
        let books = settling.reconciliation.as_ref().expect("compared");
        assert_eq!((books.delta, books.unknown), (0, 123_456));
    }
    world.node.mine_many(2);
    world.settle();
    assert!(world.paid(1) > 0, "nobody can stop payouts by sending coins");
    world.check_books(&[1, 2]);
    assert_eq!(world.core().settling.lock().reconciliation.as_ref().map(|books| books.unknown), Some(123_456));
}

#[test]
fn the_live_feed_tells_every_move_of_blocks_and_payouts() {
    let world = World::new();
    let mut events = world.core().events.subscribe();
    young_pool(&world);
    world.node.mine_many(MATURITY);
    world.settle();
    world.node.mine_many(2);
    world.settle();
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        match event {
            Event::Block(view) => told.push(format!("{:?}", view.state).to_lowercase()),
            Event::Payout { state, .. } => told.push(state),
            Event::Tip { .. } => {}
        }
    }
    assert_eq!(told, ["found", "immature", "matured", "reserved", "signed", "broadcast", "final"]);
}

#[test]
fn a_difficulty_above_the_networks_weighs_one_block() {
    let world = World::new();
    let mut share = world.share(1, u64::MAX);
    share.difficulty = ShareDifficulty::from_hashes(5000);
    share.network_difficulty = NetworkDifficulty::from_hashes(D.into());
    world.core().record(share, None).expect("booked");
    assert_eq!(world.core().lane(LANE).lock().round(), u128::from(ShareWeight::ONE.parts()));
}
