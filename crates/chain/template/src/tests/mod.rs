mod chain;

use std::sync::Arc;

use bq_mempool::{Candidate, Mempool, MempoolLimits, PooledTransaction};
use bq_primitives::{
    Algorithm, Amount, AmountError, Block, BlockId, BlockWeight, CompactTarget, ExtraNonce, Height, KeyHash, OutPoint,
    PUBLIC_KEY_BYTES, PowKey, SIGNATURE_BYTES, Seal, Timestamp, Transaction, TxId, TxOut, Witness,
};
use proptest::prelude::*;

use crate::{AlgorithmFacts, ParentFacts, TemplateError, TemplateRequest, assemble, room_for_transactions};

const NOW: Timestamp = Timestamp(1_800_000_000);

fn facts(algorithms: &[Algorithm]) -> ParentFacts {
    let bits = CompactTarget(0x207f_ffff);
    let target = bits.decode().unwrap();
    let algorithms = algorithms.iter().map(|algorithm| {
        let key = match algorithm {
            Algorithm::Sha256d => PowKey::Sha256d,
            Algorithm::RandomX => PowKey::RandomX(BlockId([9; 32])),
            Algorithm::Ethash => PowKey::Ethash(0),
        };
        AlgorithmFacts { algorithm: *algorithm, bits, target, key }
    });
    ParentFacts {
        parent_id: BlockId([7; 32]),
        height: Height(70_000),
        min_time: Timestamp(NOW.0 - 50),
        future_limit_secs: 600,
        subsidy: Amount::from_atoms(5_000_000_000).unwrap(),
        algorithms: algorithms.collect(),
    }
}

fn request(data_len: usize) -> TemplateRequest {
    TemplateRequest { payout: KeyHash([3; 32]), coinbase_data: vec![0xaa; data_len], outputs_max: 1 }
}

/// Transactions with these (inputs, outputs, fee), through a real pool.
fn pooled(shapes: &[(usize, usize, u64)]) -> Vec<PooledTransaction> {
    let limits = MempoolLimits { transaction_weight_max: BlockWeight::MAX, ..MempoolLimits::default() };
    let mut pool = Mempool::new(limits);
    for (salt, (inputs, outputs, fee)) in shapes.iter().enumerate() {
        let salt = u8::try_from(salt).unwrap();
        let inputs: Vec<_> = (0..*inputs)
            .map(|index| OutPoint { txid: TxId([salt + 1; 32]), index: index.try_into().unwrap() })
            .collect();
        let witness =
            Witness { public_key: Box::new([0; PUBLIC_KEY_BYTES]), signature: Box::new([0; SIGNATURE_BYTES]) };
        let transaction = Transaction {
            version: 1,
            witnesses: vec![witness; inputs.len()],
            inputs,
            outputs: vec![TxOut { amount: Amount::ZERO, key_hash: KeyHash::ZERO }; *outputs],
            lock_height: Height::GENESIS,
            coinbase_data: Vec::new(),
        };
        let fee = Amount::from_atoms(*fee).unwrap();
        let candidate = Candidate { transaction: Arc::new(transaction), fee, valid_from: Height::GENESIS };
        pool.admit(candidate, Height(1)).unwrap();
    }
    pool.select(BlockWeight::from_units(u64::MAX), Height(1)).transactions
}

fn seal(algorithm: Algorithm) -> Seal {
    let extranonce = ExtraNonce::default();
    match algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 0, ntime: 0, nonce: 0 },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce: 0 },
        Algorithm::Ethash => Seal::Ethash { extranonce, nonce: 0, mix: [0; 32] },
    }
}

fn sealed(template: &crate::BlockTemplate, algorithm: Algorithm) -> Block {
    template.seal(seal(algorithm)).unwrap()
}

#[test]
fn one_body_and_a_header_for_every_algorithm() {
    let selected = pooled(&[(1, 2, 9_000), (2, 1, 4_000)]);
    let template = assemble(&facts(&Algorithm::ALL), &request(96), &selected, NOW).unwrap();
    assert_eq!((template.fees.atoms(), template.reward.atoms()), (13_000, 5_000_013_000));
    let algorithms: Vec<_> = template.candidates.iter().map(|candidate| candidate.header.algorithm).collect();
    assert_eq!(algorithms, Algorithm::ALL);
    let coinbase = &template.transactions[0];
    assert!(coinbase.is_coinbase());
    assert_eq!(coinbase.inputs[0].index, 70_000);
    assert_eq!(coinbase.outputs, [TxOut { amount: template.reward, key_hash: KeyHash([3; 32]) }]);
    for algorithm in Algorithm::ALL {
        let block = sealed(&template, algorithm);
        assert_eq!((block.header.tx_root, block.header.witness_root), (block.tx_root(), block.witness_root()));
        assert_eq!((block.header.parent_id, block.header.time), (BlockId([7; 32]), NOW));
        assert!(block.weight().unwrap() <= template.weight);
    }
    assert_eq!(sealed(&template, Algorithm::Ethash).weight().unwrap(), template.weight, "ethash has the longest seal");
}

#[test]
fn an_inactive_algorithm_has_no_block() {
    let template = assemble(&facts(&[Algorithm::RandomX]), &request(0), &[], NOW).unwrap();
    assert!(template.seal(seal(Algorithm::Sha256d)).is_none());
    assert!(template.candidate(Algorithm::RandomX).is_some());
    assert_eq!(assemble(&facts(&[]), &request(0), &[], NOW).unwrap_err(), TemplateError::NoAlgorithm);
}

#[test]
fn the_time_is_the_clock_unless_the_chain_is_ahead() {
    let mut facts = facts(&Algorithm::ALL);
    let time =
        |facts: &ParentFacts| assemble(facts, &request(0), &[], NOW).map(|template| template.candidates[0].header.time);
    facts.min_time = Timestamp(NOW.0 + 600);
    assert_eq!(time(&facts), Ok(facts.min_time));
    facts.min_time = Timestamp(NOW.0 + 601);
    let (earliest, latest) = (facts.min_time, Timestamp(NOW.0 + 600));
    assert_eq!(time(&facts), Err(TemplateError::ClockBehind { earliest, latest }));
}

#[test]
fn free_data_and_the_reward_are_bounded() {
    let facts = facts(&Algorithm::ALL);
    let too_long = TemplateError::CoinbaseDataTooLong { got: 97, max: 96 };
    assert_eq!(assemble(&facts, &request(97), &[], NOW).unwrap_err(), too_long);
    assert_eq!(room_for_transactions(&facts, &request(97)), Err(too_long));
    let selected = pooled(&[(1, 1, Amount::MAX.atoms())]);
    let overflow = assemble(&facts, &request(0), &selected, NOW).unwrap_err();
    assert_eq!(overflow, TemplateError::Reward(AmountError::TooLarge));
}

#[test]
fn a_block_may_weigh_exactly_the_cap_and_one_unit_over_is_refused() {
    let facts = facts(&Algorithm::ALL);
    // Base bytes weigh 4 and signatures 384, so every weight is a multiple of 4: fill to 4,000,000 with outputs of 160
    // units and make up the rest with free data, 4 units a byte.
    let room = room_for_transactions(&facts, &request(0)).unwrap().units();
    let base = pooled(&[(1, 20_000, 1_000_000)])[0].weight.units();
    let more = usize::try_from((room - base) / 160).unwrap();
    let selected = pooled(&[(1, 20_000 + more, 1_000_000)]);
    let data = usize::try_from((room - selected[0].weight.units()) / 4).unwrap();
    let full = assemble(&facts, &request(data), &selected, NOW).unwrap();
    assert_eq!(full.weight, BlockWeight::MAX);
    assert_eq!(sealed(&full, Algorithm::Ethash).weight().unwrap(), BlockWeight::MAX);
    let over = assemble(&facts, &request(data + 1), &selected, NOW).unwrap_err();
    assert_eq!(over, TemplateError::TooHeavy { got: 4_000_004, max: 4_000_000 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the pool selects for the room there is, the template is inside the cap and pays what it should.
    #[test]
    fn what_fits_the_room_fits_the_block(
        shapes in prop::collection::vec((1..40_usize, 1..2_000_usize, 200_000..900_000_u64), 1..20),
        data in 0..=96_usize,
    ) {
        let facts = facts(&Algorithm::ALL);
        let room = room_for_transactions(&facts, &request(data)).unwrap();
        let mut selected = pooled(&shapes);
        let mut weight = 0;
        selected.retain(|tx| {
            let fits = weight + tx.weight.units() <= room.units();
            weight += if fits { tx.weight.units() } else { 0 };
            fits
        });
        let template = assemble(&facts, &request(data), &selected, NOW).unwrap();
        prop_assert!(template.weight <= BlockWeight::MAX);
        prop_assert_eq!(template.weight, sealed(&template, Algorithm::Ethash).weight().unwrap());
        prop_assert_eq!(template.weight.units() - weight, BlockWeight::MAX.units() - room.units());
        let fees: u64 = selected.iter().map(|tx| tx.fee.atoms()).sum();
        prop_assert_eq!(template.reward.atoms(), 5_000_000_000 + fees);
    }
}
