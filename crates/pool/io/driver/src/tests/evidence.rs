//! What a miner is given proves what it says, to who has nothing but the chain.

use std::time::Duration;

use bq_chain_api::NodeApi as _;
use bq_pool_proof::{Document as _, Evidence, Finding};
use bq_primitives::BlockId;

use super::{
    fake_node::SUBSIDY,
    world::{D, World, address, key},
};
use crate::{PayoutMode, PoolConfig, Wanted};

fn direct(config: &mut PoolConfig) {
    config.payout_mode = Some(PayoutMode::Direct);
    config.direct_min = super::atoms(SUBSIDY / 10);
    config.statement_interval = Duration::from_secs(60);
}

/// A pool that found some blocks, the first of which is returned.
fn busy() -> (World, BlockId) {
    let world = World::stating(direct);
    let mut first = None;
    for round in 0..4 {
        for miner in 1..=3 {
            // What the third earns is put off for a while.
            world.mine_share(miner, if miner == 3 { D / 50 } else { D / 4 });
            world.mine_share(miner, D / 50 + u64::from(miner));
        }
        world.settle();
        let id = world.find_block(1 + round % 2, D / 10);
        world.settle();
        first.get_or_insert(id);
        if round == 1 {
            world.keeper().state_liabilities().expect("stated");
        }
    }
    (world, first.expect("four"))
}

#[track_caller]
fn proved(world: &World, miner: u8, wanted: &Wanted) -> Option<Finding> {
    let evidence = world.keeper().evidence(key(miner), wanted).expect("readable")?;
    let evidence = Evidence::from_bytes(&evidence.to_bytes().expect("encodes")).expect("one encoding");
    let finding = evidence.verify(bq_signature::verify).expect("whole");
    let node = &world.node;
    let on_chain = finding.on_chain(evidence.pool(), node.network(), |height| node.block_id_at(height).expect("reads"));
    assert_eq!(on_chain, Ok(()));
    assert_eq!(finding.account(), key(miner));
    Some(finding)
}

#[test]
fn every_share_up_to_the_newest_block_is_proved() {
    let (world, _) = busy();
    let Some(Finding::Account(report)) = proved(&world, 2, &Wanted::Shares { upto: None }) else { panic!() };
    // Of the last round the block is made before its own share: what is on the chain is what came before.
    let of_second: u64 = report.lanes.iter().map(|lane| lane.shares).sum();
    assert_eq!(of_second, 4 * 2 + 1, "two in each round, and one that was a block before the last");
    assert!(report.is_gapless && report.terms.is_some());
    assert_eq!(report.runs.len(), 4);
    // The same up to an older block.
    let upto = Some(report.runs[1].anchor.head.number);
    let Some(Finding::Account(older)) = proved(&world, 2, &Wanted::Shares { upto }) else { panic!() };
    assert_eq!(older.runs, report.runs[..2]);
    assert_eq!(proved(&world, 9, &Wanted::Shares { upto: None }), None);
}

#[test]
fn bounds_cut_off_what_is_oldest() {
    let (mut world, _) = busy();
    world.config.proof_shares_max = 14;
    world.restart();
    world.settle();
    let Some(Finding::Account(report)) = proved(&world, 2, &Wanted::Shares { upto: None }) else { panic!() };
    assert!(report.lanes[0].shares < 6, "{report:?}");
    world.config.proof_events_max = 1;
    world.restart();
    assert_eq!(proved(&world, 2, &Wanted::Share { share: Some(bq_mining_message::ShareSequence(1)) }), None);
}

#[test]
fn one_share_is_proved_by_its_number_or_as_the_newest() {
    let (world, _) = busy();
    let shares = world.keeper().log.next().0;
    let mut proved_shares = 0;
    for number in 1..shares {
        let share = Some(bq_mining_message::ShareSequence(number));
        let whose: Vec<u8> =
            (1..=3).filter(|miner| proved(&world, *miner, &Wanted::Share { share }).is_some()).collect();
        assert!(whose.len() <= 1, "share {number} is of {whose:?}");
        proved_shares += whose.len();
    }
    assert_eq!(proved_shares + 1, usize::try_from(shares - 1).expect("small"), "all but the share of the last block");
    let Some(Finding::Share(newest)) = proved(&world, 2, &Wanted::Share { share: None }) else { panic!() };
    assert_eq!(newest.share.payee, key(2));
}

#[test]
fn what_a_block_credited_is_proved_once_another_block_names_it() {
    let (world, first) = busy();
    let state = world.keeper().state.read();
    let expected = state.credits_of(&first).expect("in range");
    drop(state);
    let Some(Finding::Credit(credited)) = proved(&world, 1, &Wanted::Credit { block: first }) else { panic!() };
    assert_eq!(credited.block, first);
    // It matured meanwhile, and what it credited is known no more from the state.
    assert!(expected.is_none_or(|credits| credits.contains(&credited.credit)));
    assert_eq!(proved(&world, 9, &Wanted::Credit { block: first }), None);
}

#[test]
fn what_is_owed_is_signed_counted_and_on_the_chain() {
    let (world, _) = busy();
    let Some(Finding::Owed(owed)) = proved(&world, 3, &Wanted::Owed { epoch: None }) else { panic!() };
    assert!(owed.anchor.is_some() && owed.balance > bq_primitives::Amount::ZERO);
    let view = world.keeper().liabilities_view().expect("readable");
    assert_eq!(view.statements.len(), 1);
    assert_eq!(view.statements[0].sum.0, owed.statement.sum.atoms().to_string());
    assert!(view.statements[0].block.is_some() && !view.statements[0].signature.is_empty());
    // A newer one, which no block names yet.
    world.clock.pass(Duration::from_secs(61));
    world.mine_share(1, D / 4);
    world.settle();
    world.keeper().state_liabilities().expect("stated");
    let Some(Finding::Owed(newer)) = proved(&world, 3, &Wanted::Owed { epoch: None }) else { panic!() };
    assert!(newer.anchor.is_none() && newer.statement.epoch > owed.statement.epoch);
    let epoch = Some(owed.statement.epoch.0);
    assert_eq!(proved(&world, 3, &Wanted::Owed { epoch }), Some(Finding::Owed(owed)));
    assert_eq!(proved(&world, 9, &Wanted::Owed { epoch: None }), None);
    assert_eq!(address(9).key_hash, key(9));
}

/// A crash between the event and what is kept of it costs no receipt.
#[test]
fn credits_that_were_told_and_not_kept_are_told_again() {
    let (mut world, _) = busy();
    let newest = world.find_block(2, D / 10);
    world.settle();
    world.close();
    let books = rusqlite::Connection::open(world.folder.path().join("books.sqlite")).expect("opens");
    books.execute_batch("DELETE FROM rows WHERE kind = 'credits'").expect("runs");
    drop(books);
    world.restart();
    world.settle();
    // The first of these pays so much of what was put off that nothing is left to the pool, and names nothing to a stranger.
    for _ in 0..3 {
        world.find_block(1, D / 10);
        world.settle();
    }
    assert!(proved(&world, 2, &Wanted::Credit { block: newest }).is_some());
}
