use bq_pool_machine::{LogHash, LogHead, LogNumber};
use bq_primitives::{Block, Height, Transaction, TxOut};

use super::world::{GENESIS, atoms, block, miner};
use crate::{Anchor, Bytes, CoinbaseFault, CoinbaseProof, PoolIdentity};

const HEAD: LogHead = LogHead { number: LogNumber(41), hash: LogHash([9; 32]) };

fn identity() -> PoolIdentity {
    PoolIdentity {
        network: bq_primitives::Network::Regtest,
        genesis: GENESIS,
        key: miner(0xee),
        tag: Bytes(b"/bq/".to_vec()),
    }
}

/// The block with another coinbase, sealed anew.
fn with(mut block: Block, change: impl FnOnce(&mut Transaction)) -> Block {
    change(&mut block.transactions[0]);
    block.header.tx_root = block.tx_root();
    block
}

#[test]
fn the_head_is_read_from_blocks_of_any_size() {
    for transactions in (1..40).chain([63, 64, 65, 500]) {
        let block = block(&identity(), HEAD, Height(7), transactions);
        let anchor = Anchor { block: block.id(), height: Height(7), head: HEAD };
        assert_eq!(CoinbaseProof::of(&block).verify(&identity()), Ok(anchor), "{transactions}");
    }
}

#[test]
fn what_the_root_binds_cannot_change() {
    for transactions in [1, 2, 5] {
        let block = block(&identity(), HEAD, Height(7), transactions);
        let proof = CoinbaseProof::of(&block);
        let anchor = proof.verify(&identity()).expect("whole");
        for bit in 0..proof.coinbase.0.len() * 8 {
            let mut other = proof.clone();
            other.coinbase.0[bit / 8] ^= 1 << (bit % 8);
            assert!(other.verify(&identity()).is_err(), "coinbase bit {bit}");
        }
        for (at, bit) in (0..proof.path.len()).flat_map(|at| (0..256).map(move |bit| (at, bit))) {
            let mut other = proof.clone();
            other.path[at][bit / 8] ^= 1 << (bit % 8);
            assert!(other.verify(&identity()).is_err(), "path bit {bit}");
        }
        // Header and seal are bound by the block's id alone, which the reader looks up.
        for bit in 0..proof.header.0.len() * 8 {
            let mut other = proof.clone();
            other.header.0[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = other.verify(&identity()) {
                assert_ne!(other.block, anchor.block, "header bit {bit}");
            }
        }
    }
}

#[test]
fn what_is_no_coinbase_of_the_pool_is_told_apart() {
    let pool = identity();
    let good = || block(&identity(), HEAD, Height(7), 3);
    let fault = |block: &Block| CoinbaseProof::of(block).verify(&pool).expect_err("wrong");
    let stranger = with(good(), |coinbase| coinbase.outputs[0].key_hash = miner(1));
    assert_eq!(fault(&stranger), CoinbaseFault::NotThePools { expected: pool.key });
    let nothing = with(good(), |coinbase| coinbase.outputs[0].amount = atoms(0));
    assert_eq!(fault(&nothing), CoinbaseFault::NotThePools { expected: pool.key });
    let beside = with(good(), |coinbase| {
        coinbase.outputs.insert(0, TxOut { amount: atoms(3), key_hash: miner(1) });
    });
    assert!(CoinbaseProof::of(&beside).verify(&pool).is_ok(), "one output of several is the pool's");
    let height = with(good(), |coinbase| coinbase.inputs[0].index = 8);
    assert_eq!(fault(&height), CoinbaseFault::Height { got: Height(8), expected: Height(7) });
    let changes: [fn(&mut Vec<u8>); 3] =
        [|data| data.push(0), |data| data.truncate(data.len() - 1), |data| data[0] ^= 1];
    for change in changes {
        let block = with(good(), |coinbase| change(&mut coinbase.coinbase_data));
        assert_eq!(fault(&block), CoinbaseFault::Data);
    }

    let mut plain = good();
    plain.transactions.swap(0, 1);
    plain.transactions[0].inputs.clear();
    plain.header.tx_root = plain.tx_root();
    assert_eq!(fault(&plain), CoinbaseFault::NotCoinbase);
    // A coinbase in another place of the block is not found there: all neighbours stand to the right.
    let mut second = good();
    second.transactions.swap(0, 1);
    second.header.tx_root = second.tx_root();
    let mut proof = CoinbaseProof::of(&second);
    proof.coinbase = Bytes(second.transactions[1].to_bytes());
    assert!(matches!(proof.verify(&pool), Err(CoinbaseFault::Root { .. })));

    let mut proof = CoinbaseProof::of(&good());
    proof.path.resize(33, [0; 32]);
    assert_eq!(proof.verify(&pool), Err(CoinbaseFault::PathLength { got: 33 }));
    let mut proof = CoinbaseProof::of(&good());
    proof.header.0.push(0);
    assert!(matches!(proof.verify(&pool), Err(CoinbaseFault::Header(_))));
    let mut proof = CoinbaseProof::of(&good());
    proof.coinbase.0.push(0);
    assert!(matches!(proof.verify(&pool), Err(CoinbaseFault::Transaction(_))));
}
