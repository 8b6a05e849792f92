use std::time::Duration;

use bq_chain_api::{NodeApi, SubmitBlockError, SyncApi, TemplateRequest};
use bq_consensus::Params;
use bq_primitives::{Algorithm, Amount, BlockId, Height};
use tokio_stream::StreamExt as _;

use super::rig::{Rig, key, next_now, quick_params, seal, sha256d_params};

#[test]
fn a_chain_grows_through_three_eras() {
    let rig = Rig::new(quick_params());
    let owner = key(1);
    let mut tip_changes = rig.node.tip_changes();
    let blocks = rig.grow_by(9, &owner);
    let algorithms: Vec<_> = blocks.iter().map(|block| block.header.algorithm.id()).collect();
    assert_eq!(algorithms, [0, 0, 0, 0, 1, 2, 1, 2, 1]);

    let tip = next_now(&mut tip_changes).unwrap();
    assert_eq!(next_now(&mut tip_changes), None, "one look tells the newest");
    assert_eq!((tip.height, tip.id), (Height(9), blocks[8].id()));
    assert_eq!(tip, rig.node.tip());
    assert_eq!(rig.balance(&owner), Amount::from_atoms(9 * 5_000_000_000).unwrap());
    let coins = rig.node.coins_of(&owner.key_hash()).unwrap();
    assert!(coins.iter().map(|coin| coin.height.0).eq(1..=9), "oldest first");

    let summary = rig.node.block_summary(&blocks[2].id()).unwrap().unwrap();
    assert_eq!((summary.header, summary.confirmations), (blocks[2].header, Some(7)));
    assert_eq!(rig.node.block(&blocks[4].id()).unwrap(), Some(blocks[4].clone()));
    assert_eq!(rig.node.block_id_at(Height(5)).unwrap(), Some(blocks[4].id()));
    assert_eq!(rig.node.block_id_at(Height(10)).unwrap(), None);
    assert_eq!(rig.node.block_summary(&BlockId::ZERO).unwrap(), None);
}

#[test]
fn every_template_on_a_default_regtest_chain_seals_with_every_algorithm() {
    let rig = Rig::new(Params::regtest());
    let owner = key(1);
    for algorithm in Algorithm::ALL {
        let template = rig.template(&owner);
        assert_eq!(template.works.len(), 3);
        rig.node.submit_block(seal(&template, algorithm)).unwrap();
    }
    let info = rig.node.mining_info().unwrap();
    assert_eq!(info.tip.height, Height(3));
    assert_eq!(info.network_hashrate.len(), 3);
    assert!(info.network_hashrate.iter().all(|(_, hashrate)| *hashrate > 0.0), "{:?}", info.network_hashrate);
    assert_eq!((info.mempool_transactions, info.mempool_weight, info.peers), (0, 0, 0));
    rig.node.set_peers(3);
    assert_eq!(rig.node.mining_info().unwrap().peers, 3);
}

#[test]
fn difficulty_is_explained_for_the_tip_and_worked_out_once() {
    let mut params = Params::devnet();
    params.eras = Params::regtest().eras;
    params.asert.min_difficulty = Params::regtest().asert.min_difficulty;
    let rig = Rig::new(params);
    let owner = key(1);
    let genesis = rig.node.difficulty().unwrap();
    assert_eq!((genesis.height, genesis.algorithms.len()), (Height(0), 3));
    for algorithm in Algorithm::ALL {
        rig.node.submit_block(seal(&rig.template(&owner), algorithm)).unwrap();
    }
    let view = rig.node.difficulty().unwrap();
    let tip = rig.node.tip();
    assert_eq!((view.height, view.tip_id), (Height(3), tip.id));
    for (algorithm, bits) in &tip.next_bits {
        let of = &view.algorithms[algorithm];
        assert_eq!(of.bits, *bits);
        assert!(of.state.contains("burst cap not armed"), "{}", of.state);
        assert!(of.hashrate_1h > 0.0 && of.hashrate_24h > 0.0 && !of.burst_active);
        assert!(of.forecast.len() <= 6);
    }
    assert_eq!(rig.node.difficulty().unwrap(), view);
}

#[test]
fn a_template_request_that_cannot_succeed_is_refused() {
    let rig = Rig::new(sha256d_params());
    let request = TemplateRequest::new(key(1).key_hash(), vec![0; 97]);
    assert!(rig.node.template(&request).is_err());
}

#[test]
fn a_block_is_added_once() {
    let rig = Rig::new(sha256d_params());
    let block = rig.grow(Algorithm::Sha256d, &key(1));
    assert!(matches!(rig.node.submit_block(block), Err(SubmitBlockError::Duplicate)));
}

#[test]
fn a_block_with_an_unknown_parent_is_not_stored() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    let blocks = there.grow_by(2, &key(1));
    here.clock.advance(6_000);
    let error = here.node.submit_block(blocks[1].clone()).unwrap_err();
    assert!(matches!(&error, SubmitBlockError::UnknownParent(id) if *id == blocks[0].id()));
    assert_eq!(error.misbehavior(), 0);
    assert!(!here.node.has_header(&blocks[1].id()));
    here.submit_all(&blocks);
    assert_eq!(here.node.tip().id, blocks[1].id());
}

#[test]
fn an_early_block_is_held_and_added_when_its_time_comes() {
    let (here, there) = (Rig::new(sha256d_params()), Rig::new(sha256d_params()));
    there.clock.advance(500);
    let block = there.grow(Algorithm::Sha256d, &key(1));
    let error = here.node.submit_block(block.clone()).unwrap_err();
    assert!(matches!(error, SubmitBlockError::TooEarly(_)));
    assert_eq!(here.node.tip().height, Height(0));

    let mut tip_changes = here.node.tip_changes();
    here.clock.advance(500);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let changed = tokio::time::timeout(Duration::from_secs(60), tip_changes.next()).await;
        changed.expect("the held block arrives").unwrap();
    });
    assert_eq!(here.node.tip().id, block.id());
}

#[test]
fn a_new_tip_is_announced() {
    let rig = Rig::new(sha256d_params());
    let mut announcements = rig.node.announcements();
    let block = rig.grow(Algorithm::Sha256d, &key(1));
    match next_now(&mut announcements).unwrap() {
        bq_chain_api::Announcement::Block(sealed) => {
            assert_eq!((sealed.header, sealed.seal), (block.header, block.seal));
        }
        other => panic!("{other:?}"),
    }
}
