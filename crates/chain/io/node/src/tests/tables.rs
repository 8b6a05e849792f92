use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bq_consensus::Params;
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, Height, PowKey};

use super::rig::{Rig, key};

/// The first RandomX key after genesis is that of block 2048, in use from height 2113 on.
const KEY_CHANGE: u32 = 2113;

#[test]
fn a_table_is_ready_before_the_block_that_needs_it() {
    let pow = Arc::<PowVerifier>::default();
    let rig = Rig::with_pow(Params::regtest(), &pow);
    let owner = key(1);
    for _ in 1..KEY_CHANGE - 32 {
        rig.grow(Algorithm::Sha256d, &owner);
    }
    let builds = || pow.counters().randomx_cache_builds;
    let wait_for = |count: u64| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while builds() < count {
            assert!(Instant::now() < deadline, "{} tables of {count}", builds());
            std::thread::yield_now();
        }
    };
    wait_for(1);
    assert_eq!(builds(), 1);
    for _ in 0..32 {
        rig.grow(Algorithm::Sha256d, &owner);
    }
    wait_for(2);
    let template = rig.template(&owner);
    assert_eq!(template.height, Height(KEY_CHANGE));
    let key_block = bq_chain_api::NodeApi::block_id_at(rig.node.as_ref(), Height(2048)).unwrap().unwrap();
    assert_eq!(template.work(Algorithm::RandomX).unwrap().key, PowKey::RandomX(key_block));
    rig.grow(Algorithm::RandomX, &owner);
    assert_eq!((builds(), pow.counters().randomx_cache_evictions), (2, 0));
}
