//! How long it takes to judge one seal.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use bq_pow::{PowConfig, PowVerifier, RandomXMode};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, ExtraNonce, Header, Height, MerkleRoot, PowKey, Seal, Target, Timestamp,
};

use super::table::Table;

/// Rate and latency of full verifications on one thread.
pub(super) fn verification(algorithm: Algorithm, time: Duration, table: &mut Table) -> anyhow::Result<()> {
    let pow = PowVerifier::new(PowConfig {
        randomx_mode: RandomXMode::Light,
        build_threads: NonZeroUsize::MIN,
        idle_vms_max: 1,
    });
    let key = key(algorithm);
    pow.prepare(&key)?;
    let header = header(algorithm);
    let mut samples_ms = Vec::new();
    let start = Instant::now();
    for nonce in 0_u32.. {
        let seal = seal(&pow, &header, algorithm, nonce)?;
        let begun = Instant::now();
        pow.verify(&header, &seal, &key, &Target::MAX)?;
        samples_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        if start.elapsed() >= time {
            break;
        }
    }
    let mean_ms = samples_ms.iter().sum::<f64>() / f64::from(u32::try_from(samples_ms.len())?);
    table.rate(&format!("{algorithm} verification, 1 thread"), 1e3 / mean_ms, "1/s");
    table.percentiles(&format!("{algorithm} verification"), samples_ms);
    Ok(())
}

fn key(algorithm: Algorithm) -> PowKey {
    match algorithm {
        Algorithm::Sha256d => PowKey::Sha256d,
        Algorithm::RandomX => PowKey::RandomX(BlockId([7; 32])),
        Algorithm::Ethash => PowKey::Ethash(0),
    }
}

fn header(algorithm: Algorithm) -> Header {
    Header {
        version: 1,
        parent_id: BlockId([1; 32]),
        tx_root: MerkleRoot([2; 32]),
        witness_root: MerkleRoot([3; 32]),
        time: Timestamp(1_800_000_000),
        height: Height(1),
        bits: CompactTarget(0x207f_ffff),
        algorithm,
    }
}

fn seal(pow: &PowVerifier, header: &Header, algorithm: Algorithm, nonce: u32) -> anyhow::Result<Seal> {
    let extranonce = ExtraNonce::default();
    Ok(match algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 0x2000_0000, ntime: 0, nonce },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce },
        Algorithm::Ethash => {
            let work_hash = bq_pow::ethash_work_hash(&header.seal_hash(), &extranonce);
            let mix = pow.ethash_hash(0, &work_hash, nonce.into())?.mix;
            Seal::Ethash { extranonce, nonce: nonce.into(), mix }
        }
    })
}
