use bq_chain_api::{ChainSteps, NodeApi, Route, SyncApi};
use bq_primitives::{Block, BlockId, Height, SealedHeader};

use super::rig::{Rig, key, sha256d_params};

fn headers(blocks: &[Block]) -> Vec<SealedHeader> {
    blocks.iter().map(|block| SealedHeader { header: block.header, seal: block.seal }).collect()
}

fn places(blocks: &[Block]) -> Vec<(Height, BlockId)> {
    blocks.iter().map(|block| (block.header.height, block.id())).collect()
}

fn steps(rig: &Rig, from: &BlockId, blocks_max: usize) -> ChainSteps {
    match rig.node.route(from, blocks_max).unwrap() {
        Route::Steps(steps) => steps,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reader_of_a_growing_chain_gets_every_block_once_and_in_order() {
    let rig = Rig::new(sha256d_params());
    let genesis = rig.node.genesis_id();
    let at_once = steps(&rig, &genesis, 10);
    assert_eq!(at_once, ChainSteps { fork: genesis, fork_height: Height(0), connected: vec![], reaches_tip: true });
    let blocks = rig.grow_by(7, &key(1));
    let (mut at, mut seen) = (genesis, Vec::new());
    loop {
        let ChainSteps { fork, connected, reaches_tip, .. } = steps(&rig, &at, 3);
        assert_eq!(fork, at, "on the best chain nothing left");
        at = connected.last().unwrap().1;
        seen.extend(connected);
        if reaches_tip {
            break;
        }
    }
    assert_eq!(seen, places(&blocks));
    assert!(!steps(&rig, &blocks[5].id(), 0).reaches_tip);
    assert!(steps(&rig, &blocks[6].id(), 0).reaches_tip);
}

#[test]
fn a_block_that_left_leads_down_to_the_fork_and_up_the_better_branch() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let shared = here.grow_by(2, &key(1));
    there.submit_all(&shared);
    let left = here.grow_by(3, &key(1));
    let branch = there.grow_by(5, &key(2));
    here.submit_all(&branch[..3]);
    // Not more work yet: who followed the rival is told to come back.
    let back = steps(&here, &branch[2].id(), 10);
    assert_eq!((back.fork, back.connected), (shared[1].id(), places(&left)));

    here.submit_all(&branch[3..]);
    for (from, blocks_max) in [(&left[2], 10), (&left[0], 5), (&left[2], 2)] {
        let steps = steps(&here, &from.id(), blocks_max);
        assert_eq!((steps.fork, steps.fork_height), (shared[1].id(), Height(2)));
        assert_eq!(steps.connected, places(&branch[..blocks_max.min(5)]));
        assert_eq!(steps.reaches_tip, blocks_max >= 5);
    }
}

#[test]
fn a_block_that_the_node_never_saw_has_no_way() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    here.grow_by(2, &key(1));
    let foreign = there.grow_by(1, &key(2));
    assert_eq!(here.node.route(&foreign[0].id(), 10).unwrap(), Route::Unknown);
}

/// The chain store was lost: the node syncs again from a peer, headers first.
#[test]
fn while_headers_lead_bodies_no_block_is_told_to_have_left() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let blocks = there.grow_by(6, &key(1));
    let remembered = blocks[3].id();
    here.clock.advance(100_000);
    assert_eq!(here.node.route(&remembered, 10).unwrap(), Route::Unknown);
    here.node.add_headers(&headers(&blocks)).unwrap();
    for height in 0..4 {
        let undecided = Route::HeadersAhead { tip: Height(height), best_header: Height(6) };
        assert_eq!(here.node.route(&remembered, 10).unwrap(), undecided);
        // What is on the best chain already has not left, whatever the headers say.
        let genesis = here.node.genesis_id();
        assert_eq!(steps(&here, &genesis, 10).connected, places(&blocks[..height as usize]));
        here.node.submit_block(blocks[height as usize].clone()).unwrap();
    }
    let ahead = steps(&here, &remembered, 10);
    assert_eq!((ahead.fork, ahead.connected, ahead.reaches_tip), (remembered, vec![], true));
}

/// A branch that wins by its headers, whose bodies then come: undecided first, left in the end.
#[test]
fn a_better_branch_is_undecided_until_its_bodies_are_here() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let ours = here.grow_by(2, &key(1));
    let branch = there.grow_by(3, &key(2));
    here.clock.advance(100_000);
    here.node.add_headers(&headers(&branch)).unwrap();
    assert!(steps(&here, &ours[1].id(), 10).reaches_tip, "on the best chain as long as that stands");
    let undecided = Route::HeadersAhead { tip: Height(2), best_header: Height(3) };
    assert_eq!(here.node.route(&branch[0].id(), 10).unwrap(), undecided);
    here.submit_all(&branch);
    let left = steps(&here, &ours[1].id(), 10);
    assert_eq!((left.fork_height, left.connected), (Height(0), places(&branch)));
}
