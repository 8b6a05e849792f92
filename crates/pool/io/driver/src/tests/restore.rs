//! Books that lost their end, and a node that lost its chain.

use std::{fs, path::Path};

use bq_chain_api::{NodeApi as _, TemplateRequest};
use bq_pool_machine::{Commitment, Decision, Reason};
use bq_primitives::{Algorithm, BlockId};

use super::{
    fake_node::MATURITY,
    world::{COMMITMENT_KEY, World},
};

impl World {
    /// The books are as they were in a copy, beside the shares and the chain of now.
    fn put_back(&mut self, copy: &Path) {
        self.close();
        for end in ["-wal", "-shm"] {
            // There may be none.
            let _ = fs::remove_file(self.folder.path().join(format!("books.sqlite{end}")));
        }
        fs::copy(copy, self.folder.path().join("books.sqlite")).expect("put back");
    }

    /// A block of the pool that reaches the node and not the books.
    fn lose_block(&self) -> BlockId {
        let mut coinbase_data = self.config.pool_tag.clone();
        coinbase_data.extend(Commitment(self.keeper().written()).to_bytes(&COMMITMENT_KEY));
        let template = self.node.template(&TemplateRequest { payout: self.key, coinbase_data }).expect("a template");
        let block = self.node.seal(&template, Algorithm::Sha256d);
        self.node.submit_block(block).expect("on the tip")
    }
}

#[test]
fn the_alarm_that_the_books_lost_their_end_does_not_end_with_the_process() {
    let mut world = World::new();
    world.mine_share(1, 500);
    world.settle();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    for _ in 0..3 {
        world.mine_share(2, 500);
        world.settle();
        world.find_block(1, 500);
    }
    world.settle();
    world.put_back(&copy);
    for _ in 0..2 {
        world.restart();
        world.settle();
        assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
    }
    let reason = Reason { who: "a person".to_owned(), why: "there is no newer copy".to_owned() };
    world.keeper().decide(&Decision::Recover, &reason, false).expect("behind");
    for _ in 0..2 {
        world.settle();
        assert!(!world.names().contains(&"log_behind_chain"), "{:?}", world.names());
        world.restart();
    }
}

#[test]
fn books_that_begin_hear_that_they_are_not_the_first() {
    let mut world = World::new();
    let copy = world.folder.path().join("copy.sqlite");
    world.keeper().store.back_up(&copy).expect("copied");
    assert!(world.keeper().state.read().tip().is_none());
    world.mine_share(1, 500);
    world.settle();
    world.find_block(1, 500);
    world.settle();
    world.put_back(&copy);
    world.restart();
    world.settle();
    assert!(world.names().contains(&"log_behind_chain"), "{:?}", world.names());
}

#[test]
fn a_block_that_the_books_were_not_told_of_is_found_also_on_a_chain_that_is_told_as_a_whole() {
    let world = World::new();
    world.mine_share(1, 500);
    world.node.mine_many(4);
    world.settle();
    world.node.forget_blocks(3);
    let id = world.lose_block();
    world.node.mine_many(MATURITY + 4);
    world.settle();
    assert!(world.keeper().state.read().block(&id).is_some(), "it is no gift");
    assert_eq!(world.keeper().node.tip().id, world.keeper().state.read().tip().expect("told").id);
    world.node.mine_many(4);
    world.settle();
    world.check_books(&[1]);
    assert!(world.paid(1) > 0);
}

#[test]
fn a_block_of_books_that_had_not_heard_of_the_chain_yet_is_theirs() {
    let world = World::new();
    world.mine_share(1, 500);
    world.keeper().tell_frames().expect("written");
    let id = world.lose_block();
    world.node.mine_many(MATURITY + 4);
    assert!(world.keeper().state.read().tip().is_none());
    world.settle();
    assert!(world.keeper().state.read().block(&id).is_some(), "it names an event of this log");
    assert!(!world.names().contains(&"log_behind_chain"));
    world.node.mine_many(4);
    world.settle();
    world.check_books(&[1]);
    assert!(world.paid(1) > 0);
}
