use bq_chain_api::{AddHeadersError, NodeApi, SyncApi};
use bq_consensus::{Branch, Era, Params};
use bq_primitives::{Algorithm, Block, CompactTarget, Height, PowKey, SealedHeader, U256, Work};

use super::rig::{POW, Rig, key, quick_params, seal_at, sha256d_params, state};

fn headers(blocks: &[Block]) -> Vec<SealedHeader> {
    blocks.iter().map(|block| SealedHeader { header: block.header, seal: block.seal }).collect()
}

#[test]
fn a_second_node_syncs_headers_first_with_bodies_in_any_order() {
    let (here, there) = (Rig::new(quick_params()), Rig::new(quick_params()));
    let blocks = there.grow_by(9, &key(1));
    here.clock.advance(100_000);

    let run = there.node.headers_after(&here.node.locator(), 100).unwrap();
    assert_eq!(run, headers(&blocks));
    let added = here.node.add_headers(&run).unwrap();
    assert_eq!((added.new, added.best.id, added.best.height), (9, blocks[8].id(), blocks[8].header.height));
    assert_eq!(added.best, here.node.best_header());
    assert_eq!(here.node.add_headers(&run).unwrap().new, 0);
    assert_eq!(here.node.tip().height.0, 0);
    let missing: Vec<_> = blocks.iter().map(Block::id).collect();
    assert_eq!(here.node.missing_bodies(100), missing);
    assert_eq!(here.node.missing_bodies(2), missing[..2]);

    // Headers survive a restart; bodies come in reverse, so that the first to be connected is the last to arrive.
    let here = here.restart();
    assert_eq!(here.node.best_header(), added.best);
    for block in blocks.iter().rev() {
        assert_eq!(here.node.tip().height.0, 0);
        here.node.submit_block(block.clone()).unwrap();
    }
    assert_eq!(here.node.missing_bodies(100), []);
    assert_eq!(state(&here.node, &[key(1)]), state(&there.node, &[key(1)]));
    assert_eq!(there.node.headers_after(&here.node.locator(), 100).unwrap(), []);
    assert_eq!(there.node.headers_after(&[blocks[3].id()], 2).unwrap(), headers(&blocks[4..6]));
}

#[test]
fn a_run_with_a_bad_header_is_added_up_to_it() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let blocks = there.grow_by(6, &key(1));
    here.clock.advance(100_000);
    let run = headers(&blocks);

    let mut wrong_bits = run.clone();
    wrong_bits[4].header.bits = CompactTarget(0x2000_ffff);
    wrong_bits.truncate(5);
    let error = here.node.add_headers(&wrong_bits).unwrap_err();
    assert!(matches!(error, AddHeadersError::Invalid { .. }), "{error}");
    assert_eq!(error.misbehavior(), 100);
    assert_eq!(here.node.best_header().id, blocks[3].id());

    let mut bad_proof = run[..5].to_vec();
    let target = bad_proof[4].header.bits.decode().unwrap();
    bad_proof[4].seal = (0..)
        .map(|nonce| seal_at(&run[4].header, &PowKey::Sha256d, nonce))
        .find(|seal| POW.verify(&run[4].header, seal, &PowKey::Sha256d, &target).is_err())
        .unwrap();
    let error = here.node.add_headers(&bad_proof).unwrap_err();
    assert!(error.to_string().contains("proof of work"), "{error}");
    assert_eq!(here.node.best_header().id, blocks[3].id());

    let gap = [run[0], run[2]];
    assert!(matches!(here.node.add_headers(&gap), Err(AddHeadersError::NotAChain { position: 1 })));
    let error = here.node.add_headers(&run[5..]).unwrap_err();
    assert!(matches!(&error, AddHeadersError::UnknownParent(id) if *id == blocks[4].id()));
    assert_eq!(error.misbehavior(), 0);
    assert_eq!(here.node.add_headers(&[]).unwrap().new, 0);
    assert_eq!(here.node.add_headers(&run).unwrap().new, 2);
}

#[test]
fn an_early_header_is_refused_without_blame() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let blocks = there.grow_by(3, &key(1));
    let error = here.node.add_headers(&headers(&blocks)).unwrap_err();
    assert!(matches!(error, AddHeadersError::TooEarly { .. }), "{error}");
    assert_eq!(error.misbehavior(), 0);
}

#[test]
fn a_branch_that_is_far_behind_is_not_stored_until_it_catches_up() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    here.grow_by(400, &key(1));
    here.clock.advance(20 * 600);
    let run = headers(&there.grow_by(420, &key(2)));
    let known = here.node.tree.read().len();
    let kept = || here.node.low_work.lock().len();
    // The best branch had 111 blocks 288 blocks ago.
    for portion in run[..100].chunks(64) {
        assert_eq!(here.node.add_headers(portion).unwrap().new, portion.len());
        assert_eq!(here.node.add_headers(portion).unwrap().new, 0, "known, wherever it is kept");
    }
    assert_eq!((here.node.tree.read().len(), kept()), (known, 100));
    assert!(!here.node.has_header(&run[50].id()));
    // The first header in reach takes the whole branch with it.
    here.node.add_headers(&run[100..150]).unwrap();
    assert_eq!((here.node.tree.read().len(), kept()), (known + 150, 0));
    let added = here.node.add_headers(&run[150..]).unwrap();
    assert_eq!(added.best.id, there.node.tip().id);
    let fork_choice = here.node.tree.read().best_header().chain_work;
    assert_eq!(fork_choice, there.node.tree.read().tip_branch().tip().chain_work);
    let here = here.restart();
    assert_eq!(here.node.best_header().id, there.node.tip().id);
}

#[test]
fn no_body_is_fetched_for_less_work_than_the_network_is_known_to_have() {
    let there = Rig::new(sha256d_params());
    let run = headers(&there.grow_by(6, &key(1)));
    let enough = there.node.tip().chain_work;
    for (asked, expected) in [(enough, 6), (Work(enough.0 + U256::ONE), 0)] {
        let here = Rig::new(Params { min_chain_work: asked, ..sha256d_params() });
        here.clock.advance(100_000);
        here.node.add_headers(&run).unwrap();
        assert_eq!(here.node.missing_bodies(100).len(), expected);
    }
}

/// The best chain has left RandomX behind, so its table is foreign. A stranger's header that needs one is not looked at
/// while a header before it, however cheap, may be bad.
#[test]
fn no_table_is_built_for_what_stands_behind_a_bad_proof() {
    let mut params = quick_params();
    let all_three = params.eras.table[1].algorithms.clone();
    params.eras.table.truncate(1);
    params.eras.table.push(Era { start: Height(60), algorithms: params.eras.table[0].algorithms.clone() });
    params.eras.table[0].algorithms = all_three;
    let (here, there) = (Rig::new(params.clone()), Rig::new(params));
    (0..100).for_each(|_| drop(here.grow(Algorithm::Sha256d, &key(1))));
    let foreign = PowKey::RandomX(there.node.tip().id);

    let blocks = [Algorithm::Sha256d, Algorithm::RandomX].map(|algorithm| there.grow(algorithm, &key(2)));
    let run = headers(&blocks);
    let target = run[0].header.bits.decode().unwrap();
    let bad = (0..)
        .map(|nonce| seal_at(&run[0].header, &PowKey::Sha256d, nonce))
        .find(|seal| POW.verify(&run[0].header, seal, &PowKey::Sha256d, &target).is_err())
        .unwrap();
    let mut behind = run[1];
    behind.header.parent_id = run[0].header.block_id(&bad);
    let error = here.node.add_headers(&[SealedHeader { header: run[0].header, seal: bad }, behind]).unwrap_err();
    assert!(error.to_string().contains("proof of work"), "{error}");
    assert!(!here.node.keys.is_current(&foreign));
    assert_eq!(here.node.add_headers(&run).unwrap().new, 2);
    assert!(here.node.keys.is_current(&foreign));
}
