//! Only the chain moves a block.

use bq_chain_api::NodeApi;
use bq_ledger::LedgerAccount;
use bq_pool_store::BlockState;
use bq_primitives::{Block, BlockId};

use super::{
    fake_node::{MATURITY, SUBSIDY},
    world::{LANE, World},
};
use crate::core::Core;

fn state(world: &World, id: &BlockId) -> (BlockState, u32) {
    let block = world.core().store.pool_block(id).expect("readable").expect("stored");
    (block.state, block.generation)
}

/// Two shares, a block, and two blocks of others beside it.
fn block_beside_a_longer_branch(world: &World) -> (BlockId, BlockId) {
    let parent = world.node.tip().id;
    world.mine_share(1, 1000);
    world.mine_share(2, 1000);
    let ours = world.find_block(2, 100);
    world.settle();
    let beside = world.node.mine_on(parent);
    (ours, world.node.mine_on(beside))
}

#[test]
fn an_orphaned_block_gives_its_credit_back_and_a_returning_one_is_credited_anew() {
    let world = World::new();
    let (ours, others) = block_beside_a_longer_branch(&world);
    world.settle();
    assert_eq!(state(&world, &ours), (BlockState::Orphaned, 1));
    assert_eq!((world.immature(1), world.immature(2)), (0, 0));
    assert_eq!(world.balance(LedgerAccount::FeeIncome(LANE)), 0);
    assert_eq!(world.delta(), Some(0));

    world.node.reorganise_to(ours);
    world.settle();
    assert_eq!(state(&world, &ours), (BlockState::Immature, 1));
    let first = world.immature(1);
    world.node.reorganise_to(others);
    world.settle();
    world.node.reorganise_to(ours);
    world.settle();
    assert_eq!(state(&world, &ours), (BlockState::Immature, 2));
    assert_eq!(world.immature(1), first, "the same amounts under other keys");
    world.node.mine_many(MATURITY + 3);
    world.settle();
    world.node.mine_many(2);
    world.settle();
    assert_eq!(state(&world, &ours), (BlockState::Matured, 2));
    world.check_books(&[1, 2]);
}

#[test]
fn a_reorganisation_between_two_looks_is_settled_in_one_go() {
    let world = World::new();
    let (ours, others) = block_beside_a_longer_branch(&world);
    for tip in [ours, others, ours] {
        world.node.reorganise_to(tip);
    }
    world.node.mine_many(MATURITY);
    world.settle();
    assert_eq!(state(&world, &ours), (BlockState::Matured, 0));
    world.check_books(&[]);
}

#[test]
fn a_block_that_never_was_on_the_best_chain_pays_nobody() {
    let world = World::new();
    let parent = world.node.tip().id;
    world.mine_share(1, 1000);
    let ours = world.find_block(1, 100);
    // Nothing was settled before the branch was overtaken.
    let beside = world.node.mine_on(parent);
    world.node.reorganise_to(world.node.mine_on(beside));
    world.settle();
    assert_eq!(state(&world, &ours), (BlockState::Orphaned, 0));
    assert_eq!(world.core().store.journal_head().expect("readable"), bq_ledger::JournalHash::default());
    let view = world.core().blocks_view(10).expect("readable").blocks.remove(0);
    assert_eq!((view.state, view.confirmations), (bq_views::BlockStateView::Orphaned, 0));
}

#[test]
fn two_blocks_of_one_template_are_two_blocks_and_one_of_them_pays() {
    let world = World::new();
    world.mine_share(1, 1000);
    let request =
        bq_chain_api::TemplateRequest { payout: super::POOL_KEY, coinbase_data: world.config.pool_tag.clone() };
    let template = world.node.template(&request).expect("a template");
    let twins = [1, 2].map(|miner| {
        let block = world.node.seal(&template, LANE);
        let id = block.id();
        world.core().record(world.share(miner, 100), Some(block)).expect("booked");
        id
    });
    world.settle();
    assert_eq!(twins.map(|id| state(&world, &id).0), [BlockState::Immature, BlockState::Orphaned]);
    world.node.reorganise_to(twins[1]);
    world.settle();
    assert_eq!(twins.map(|id| state(&world, &id).0), [BlockState::Orphaned, BlockState::Immature]);
    assert_eq!(world.delta(), Some(0));
    world.node.mine_many(MATURITY + 1);
    world.settle();
    world.node.mine_many(2);
    world.settle();
    world.check_books(&[1, 2]);
}

#[test]
fn a_matured_block_that_is_lost_costs_the_pool_and_not_the_miners() {
    let world = World::with(|config| config.payout_min = super::atoms(SUBSIDY * 10));
    let (ours, others) = block_beside_a_longer_branch(&world);
    world.node.reorganise_to(ours);
    world.node.mine_many(MATURITY);
    let deep = world.node.tip().id;
    world.settle();
    let payable = world.payable(1);
    assert!(payable > 0);
    world.node.reorganise_to(others);
    world.settle();
    assert_eq!(state(&world, &ours).0, BlockState::Lost);
    assert_eq!(world.payable(1), payable);
    assert_eq!(world.balance(LedgerAccount::OrphanLoss), SUBSIDY);
    assert_eq!(world.delta(), Some(0));
    world.node.reorganise_to(deep);
    world.settle();
    assert_eq!(state(&world, &ours).0, BlockState::Matured);
    assert_eq!(world.balance(LedgerAccount::OrphanLoss), 0);
    world.check_books(&[]);
}

#[test]
fn a_block_that_breaks_a_rule_is_rejected_and_its_share_counts_all_the_same() {
    let world = World::new();
    let template = world
        .node
        .template(&bq_chain_api::TemplateRequest { payout: super::POOL_KEY, coinbase_data: vec![] })
        .expect("a template");
    let mut block: Block = world.node.seal(&template, LANE);
    block.header.version = 0;
    let id = block.id();
    world.core().record(world.share(1, 100), Some(block)).expect("the share is good");
    assert_eq!(state(&world, &id).0, BlockState::Rejected);
    world.settle();
    assert_eq!(state(&world, &id).0, BlockState::Rejected);
    assert_eq!(world.shares_in_log(), 1);
    assert_eq!(world.core().pool_view(0).expect("readable").blocks_found, 0);
}

#[test]
fn a_block_on_the_chain_with_our_tag_is_adopted_at_start() {
    let mut world = World::new();
    world.mine_share(1, 1000);
    world.mine_share(1, 1000);
    let core: &Core = world.core();
    core.refresh_template().expect("a template");
    let template = core.template.borrow().clone().expect("a template");
    let tagged = world.node.seal(&template, LANE);
    world.node.submit_block(tagged.clone()).expect("valid");
    world.settle();
    assert!(world.core().store.pool_block(&tagged.id()).expect("readable").is_none());
    let request = bq_chain_api::TemplateRequest { payout: super::POOL_KEY, coinbase_data: b"/other/".to_vec() };
    let untagged = world.node.seal(&world.node.template(&request).expect("a template"), LANE);
    world.node.submit_block(untagged.clone()).expect("valid");

    world.restart();
    world.settle();
    assert_eq!(state(&world, &tagged.id()).0, BlockState::Immature);
    assert!(world.core().store.pool_block(&untagged.id()).expect("readable").is_none());
    assert!(world.immature(1) > 0, "it pays the window of its lane");
    let view = world.core().blocks_view(1).expect("readable").blocks.remove(0);
    assert_eq!(view.finder, "");
    world.check_books(&[]);
}

#[test]
fn a_node_that_forgot_its_newest_blocks_gets_ours_back_and_nothing_is_booked() {
    let world = World::new();
    world.mine_share(1, 1000);
    world.mine_share(1, 1000);
    let ours = world.find_block(1, 100);
    world.settle();
    let head = world.core().store.journal_head().expect("readable");
    world.node.forget_blocks(1);
    world.settle();
    assert!(world.node.block(&ours).expect("readable").is_some());

    world.node.mine_many(MATURITY);
    let gone = world.node.forget_blocks(usize::try_from(MATURITY).expect("small") + 1);
    assert!(world.core().settle_once().is_ok());
    assert_eq!(state(&world, &ours), (BlockState::Immature, 0));
    assert_eq!(world.core().store.journal_head().expect("readable"), head, "nothing was booked");
    for block in gone {
        drop(world.node.submit_block(block));
    }
    world.settle();
    assert_eq!(state(&world, &ours), (BlockState::Matured, 0));
    world.node.mine_many(2);
    world.settle();
    world.check_books(&[1]);
}
