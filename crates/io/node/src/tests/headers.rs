use bq_api_types::{AddHeadersError, NodeApi, SyncApi};
use bq_primitives::{Block, CompactTarget, Header, PowKey, Seal};

use super::rig::{POW, Rig, key, params, seal_at, sha256d_params, state};

fn headers(blocks: &[Block]) -> Vec<(Header, Seal)> {
    blocks.iter().map(|block| (block.header, block.seal)).collect()
}

#[test]
fn a_second_node_syncs_headers_first_with_bodies_in_any_order() {
    let (here, there) = (Rig::new(params()), Rig::new(params()));
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
    wrong_bits[4].0.bits = CompactTarget(0x2000_ffff);
    wrong_bits.truncate(5);
    let error = here.node.add_headers(&wrong_bits).unwrap_err();
    assert!(matches!(error, AddHeadersError::Invalid { .. }), "{error}");
    assert_eq!(error.misbehavior(), 100);
    assert_eq!(here.node.best_header().id, blocks[3].id());

    let mut bad_proof = run[..5].to_vec();
    let target = bad_proof[4].0.bits.decode().unwrap();
    bad_proof[4].1 = (0..)
        .map(|nonce| seal_at(&run[4].0, &PowKey::Sha256d, nonce))
        .find(|seal| POW.verify(&run[4].0, seal, &PowKey::Sha256d, &target).is_err())
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
