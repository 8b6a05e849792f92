//! Blocks whose coinbase pays the miners (SPEC 8.8), from the template to the books.

use bq_chain_api::NodeApi as _;
use bq_ledger::LedgerAccount;
use bq_pool_machine::{BlockState, DirectBlock, Winning};
use bq_primitives::{Algorithm, BlockId, KeyHash, TxOut};

use super::{
    atoms,
    fake_node::{MATURITY, SUBSIDY},
    world::{D, POOL_KEY, World, key, share_to},
};
use crate::{PayoutMode, PoolConfig};

fn direct(config: &mut PoolConfig) {
    config.payout_mode = Some(PayoutMode::Direct);
    config.direct_min = atoms(SUBSIDY / 10);
}

fn told(world: &World, id: &BlockId) -> DirectBlock {
    let state = world.keeper().state.read();
    match &state.block(id).expect("told").candidate.winning {
        Winning::Coinbase(direct) => direct.clone(),
        other => panic!("{other:?}"),
    }
}

/// Whom the newest template of a lane pays.
fn outputs(world: &World, lane: Algorithm) -> Vec<(KeyHash, u64)> {
    world.keeper().refresh_template().expect("a template");
    let template = world.keeper().shared_template();
    let coinbase = &template.work(lane).expect("active").body.coinbase;
    coinbase.outputs.iter().map(|output| (output.key_hash, output.amount.atoms())).collect()
}

#[test]
fn each_lane_pays_its_own_miners_in_its_own_coinbase() {
    let world = World::with(direct);
    world.mine_share(1, D / 2);
    let on = |algorithm, miner| bq_mining_message::Share { algorithm, ..share_to(key(miner), D) };
    world.keeper().record(&on(Algorithm::RandomX, 2), None).expect("booked");
    world.settle();
    let net = SUBSIDY - SUBSIDY / 100;
    assert_eq!(outputs(&world, Algorithm::Sha256d), [(key(1), net / 4), (POOL_KEY, SUBSIDY - net / 4)]);
    assert_eq!(outputs(&world, Algorithm::RandomX), [(key(2), net / 2), (POOL_KEY, SUBSIDY - net / 2)]);
    assert_eq!(outputs(&world, Algorithm::Ethash), [(POOL_KEY, SUBSIDY)]);
    let template = world.keeper().shared_template();
    let roots: Vec<_> = template.works.iter().map(|work| work.header.tx_root).collect();
    assert!(roots[0] != roots[1] && roots[1] != roots[2]);
}

#[test]
fn what_a_coinbase_pays_is_what_the_books_say_it_paid() {
    let mut world = World::with(direct);
    world.mine_share(1, D);
    world.mine_share(2, D / 8);
    world.settle();
    let id = world.find_block(3, D / 2);
    world.settle();
    let direct = told(&world, &id);
    // The share that found it counts in the next.
    assert_eq!(
        (direct.newest.map(|share| share.sequence.0), direct.share.map(|share| share.sequence.0)),
        (Some(2), Some(3))
    );
    let net = SUBSIDY - SUBSIDY / 100;
    assert_eq!(world.node.mined_to(key(1)), net / 2);
    assert_eq!((world.node.mined_to(key(2)), world.immature(2)), (0, net / 16));
    assert_eq!(world.balance(LedgerAccount::ChainImmature(Algorithm::Sha256d)), SUBSIDY - net / 2);
    world.check_books(&[1, 2, 3]);
    world.node.mine_many(MATURITY);
    world.settle();
    assert_eq!((world.carried(2), world.payable(1), world.payable(2)), (net / 16, 0, 0));
    assert!(outputs(&world, Algorithm::Sha256d).iter().any(|(to, _)| *to == key(3)));
    // The same coinbase after a start, when the windows are read anew.
    let before = outputs(&world, Algorithm::Sha256d);
    world.restart();
    world.settle();
    assert_eq!(outputs(&world, Algorithm::Sha256d), before);
    // Its part of this block and what it had bring the second to the minimum.
    assert!(before.contains(&(key(2), 2 * (net / 16))), "{before:?}");
    world.find_block(3, D / 2);
    world.settle();
    assert_eq!((world.carried(2), world.node.mined_to(key(2))), (0, 2 * (net / 16)));
    world.node.mine_many(MATURITY);
    world.settle();
    world.check_books(&[1, 2, 3]);
    assert_eq!(world.names(), Vec::<&str>::new());
    assert_eq!(world.node.received(key(1)), 0, "no payout pays anybody");
}

#[test]
fn a_block_that_the_log_was_not_told_of_is_booked_as_it_was_made() {
    let mut world = World::with(|config| {
        direct(config);
        // Nothing is left to the pool but the residue.
        config.fee_bp = 0;
        config.pplns_window_units = 1;
    });
    for miner in 1..=3 {
        world.mine_share(miner, D / 2);
    }
    world.settle();
    let (id, outcome) = world.try_block(share_to(key(1), D / 10));
    outcome.expect("booked");
    world.restart();
    world.settle();
    let direct = told(&world, &id);
    assert_eq!(
        (direct.newest.map(|share| share.sequence.0), direct.share.map(|share| share.sequence.0)),
        (Some(3), Some(4))
    );
    assert_eq!(direct.total, atoms(SUBSIDY));
    assert_eq!([1, 2, 3].map(|miner| world.node.mined_to(key(miner))), [0, SUBSIDY / 2, SUBSIDY / 2]);
    world.node.mine_many(MATURITY);
    world.settle();
    world.check_books(&[1, 2, 3]);
    assert_eq!(world.node.mined_to(POOL_KEY), 0);
}

#[test]
fn a_template_that_is_ahead_of_the_books_pays_no_older_balance() {
    let world = World::with(direct);
    world.mine_share(1, D);
    world.mine_share(2, D / 8);
    world.settle();
    for _ in 0..2 {
        world.find_block(1, 1);
        world.settle();
    }
    world.node.mine_many(MATURITY);
    world.settle();
    assert!(world.carried(2) > 0);
    let pays_second = |world: &World| outputs(world, Algorithm::Sha256d).iter().any(|(to, _)| *to == key(2));
    assert!(pays_second(&world) && !world.keeper().owes_a_template());
    // The block that pays it is there, and the books have not heard of it.
    let parent = world.find_block(1, 1);
    assert_eq!(world.node.tip().id, parent);
    assert!(!pays_second(&world));
    // A block of a stranger: its balance is still there, and the next template after the books followed pays it.
    world.settle();
    assert_eq!(world.carried(2), 0);
    world.node.mine_many(MATURITY + 1);
    world.settle();
    world.node.mine();
    let blind = pays_second(&world);
    world.settle();
    assert_eq!(world.keeper().owes_a_template(), world.carried(2) > 0 && !blind);
    world.check_books(&[1, 2]);
}

/// Templates are public. Whoever copies what a coinbase says of the log, and pays himself, brings the pool nothing and owes nobody.
#[test]
fn a_copied_seal_over_other_outputs_is_a_strangers_block() {
    let world = World::with(direct);
    world.mine_share(1, D);
    world.mine_share(2, D);
    world.settle();
    world.keeper().refresh_template().expect("a template");
    let template = world.keeper().shared_template();
    let mut forged = template.as_ref().clone();
    let work = template.work(Algorithm::Sha256d).expect("active");
    let (data, reward) = (work.body.coinbase.coinbase_data.clone(), template.reward);
    let outputs = vec![TxOut { amount: reward, key_hash: key(2) }];
    forged.set_coinbase(Algorithm::Sha256d, outputs, data).expect("it pays the reward");
    let id = world.node.submit_block(world.node.seal(&forged, Algorithm::Sha256d)).expect("valid");
    world.settle();
    assert!(world.keeper().state.read().block(&id).is_none(), "no block of the pool");
    world.node.mine_many(MATURITY);
    world.settle();
    assert_eq!([world.carried(1), world.carried(2), world.balance(LedgerAccount::WriteOff)], [0; 3]);
    // As it was made, it is the pool's, whoever found it.
    world.keeper().refresh_template().expect("a template");
    let template = world.keeper().shared_template();
    let own = world.node.submit_block(world.node.seal(&template, Algorithm::Sha256d)).expect("valid");
    world.settle();
    assert_eq!(told(&world, &own).paid.len(), 2);
    world.node.mine_many(MATURITY);
    world.settle();
    assert_eq!(world.balance(LedgerAccount::WriteOff), 0);
}

#[test]
fn a_pool_keeps_its_mode_unless_it_is_told_another() {
    let mut world = World::with(|config| config.payout_mode = None);
    let is_direct = |world: &World| world.keeper().state.read().terms().is_some_and(bq_pool_machine::Terms::is_direct);
    assert!(is_direct(&world), "new books pay in the coinbase");
    world.config.payout_mode = Some(PayoutMode::Ledger);
    world.restart();
    assert!(!is_direct(&world));
    world.config.payout_mode = None;
    world.restart();
    assert!(!is_direct(&world), "and keep what they were told");
}

#[test]
fn a_mode_that_changes_between_two_blocks_pays_each_by_its_own() {
    let mut world = World::with(direct);
    world.mine_share(1, D);
    world.mine_share(2, D / 8);
    world.settle();
    let first = world.find_block(1, D / 10);
    world.settle();
    world.config.payout_mode = Some(PayoutMode::Ledger);
    world.restart();
    world.settle();
    world.mine_share(2, D);
    world.settle();
    let second = world.find_block(2, D / 10);
    world.settle();
    assert_eq!(told(&world, &first).paid.len(), 1);
    let state =
        |id| world.keeper().state.read().block(id).map(|block| (block.state, block.candidate.direct().is_some()));
    assert_eq!(state(&second), Some((BlockState::Immature, false)));
    world.node.mine_many(MATURITY + 10);
    world.settle();
    world.node.mine_many(10);
    world.settle();
    assert_eq!((world.carried(1), world.carried(2)), (0, 0));
    assert!(world.node.received(key(2)) > 0);
    world.check_books(&[1, 2]);
}

/// The books are an old copy, the shares are all there: what the blocks since then paid is on the chain, and not credited once more.
#[test]
fn blocks_that_paid_by_a_lost_log_credit_nobody_again() {
    let mut world = World::with(direct);
    world.mine_share(1, D);
    world.settle();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    for _ in 0..3 {
        world.mine_share(2, D);
        world.settle();
        world.find_block(1, D / 10);
        world.settle();
    }
    let (owed, paid) = ([world.immature(1), world.immature(2)], world.node.mined_to(key(2)));
    assert!(paid > 0);
    world.put_back(&copy);
    world.restart();
    world.settle();
    assert!([world.immature(1), world.immature(2)].iter().zip(owed).all(|(now, before)| *now <= before));
    assert!(world.balance(LedgerAccount::Suspense) > 0, "the pool's part is held");
}
