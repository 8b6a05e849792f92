use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bq_chain_api::{NodeApi, SubmitBlockError, SyncApi, TransactionStatus};
use bq_consensus::Params;
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, Amount, Height, Network};

use super::rig::{Rig, key, next_now, seal, sha256d_params, spend, state};

#[test]
fn every_network_starts_with_a_template() {
    let pow = Arc::<PowVerifier>::default();
    for network in Network::ALL {
        let rig = Rig::with_pow(Params::of(network), &pow);
        let template = rig.template(&key(1));
        let active = rig.node.tip().next_bits;
        assert!(template.works.iter().map(|work| (work.header.algorithm, work.header.bits)).eq(active));
        assert_eq!((rig.node.network(), template.height), (network, Height(1)));
        assert_eq!(rig.node.genesis_id(), template.parent_id);
    }
}

/// Miners race on one node while others pay, read and relay. Every block that the node took is on one of its branches,
/// and a second node that is given them all agrees with it.
#[test]
fn many_threads_use_one_node() {
    const HEIGHT: u32 = 40;
    let rig = Rig::new(sha256d_params());
    let owner = key(1);
    rig.grow_by(20, &owner);
    rig.clock.advance(1_000_000);
    let is_done = AtomicBool::new(false);
    let mut announcements = rig.node.announcements();
    thread::scope(|scope| {
        let miners: Vec<_> = (10..13_u8)
            .map(|number| {
                let rig = &rig;
                scope.spawn(move || {
                    let payout = key(number);
                    while rig.node.tip().height < Height(HEIGHT) {
                        match rig.node.submit_block(seal(&rig.template(&payout), Algorithm::Sha256d)) {
                            Ok(_) | Err(SubmitBlockError::Duplicate) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for coin in rig.node.coins_of(&owner.key_hash()).unwrap().into_iter().take(15) {
                let coin = (coin.outpoint, coin.output);
                let payment = spend(&rig.node, &owner, coin, &key(2), Amount::ATOMS_PER_COIN, 10_000);
                rig.node.submit_transaction(payment.clone()).unwrap();
                assert_ne!(rig.node.transaction_status(&payment.txid()).unwrap(), TransactionStatus::Unknown);
                assert_eq!(rig.node.spender_of(&coin.0).unwrap(), Some(payment.txid()));
            }
        });
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let info = rig.node.mining_info().unwrap();
                let id = rig.node.block_id_at(info.tip.height).unwrap();
                assert!(id.is_none_or(|id| rig.node.block_summary(&id).unwrap().is_some()));
                let after = rig.node.headers_after(&rig.node.locator(), 10).unwrap();
                assert!(after.len() <= 10);
            }
        });
        for miner in miners {
            miner.join().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(next_now(&mut announcements).is_some());
    // What the race left unconfirmed gets its block.
    rig.grow_by(1, &owner);
    assert_eq!(rig.node.mining_info().unwrap().mempool_transactions, 0);
    assert_eq!(rig.balance(&key(2)), Amount::from_atoms(15 * Amount::ATOMS_PER_COIN).unwrap());

    let other = Rig::new(sha256d_params());
    other.clock.advance(10_000_000);
    let (tip, ids, coins) = state(&rig.node, &[key(1), key(2), key(10), key(11), key(12)]);
    for id in &ids[1..] {
        other.node.submit_block(rig.node.block(id).unwrap().unwrap()).unwrap();
    }
    assert_eq!(state(&other.node, &[key(1), key(2), key(10), key(11), key(12)]), (tip, ids, coins));
}
