//! How long it takes to judge a seal or a signature.

use std::{
    hint::black_box,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use anyhow::bail;
use bq_pow::{EthashTask, EthashWorkHash, PowConfig, PowVerifier, RandomXMode};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, ExtraNonce, Header, Height, MerkleRoot, PowKey, Seal, SigHash, Target, Timestamp,
};
use bq_signature::{KeyPair, SEED_BYTES};

use super::table::Table;

/// Rate and latency of full verifications on one thread.
pub(super) fn proofs(algorithm: Algorithm, time: Duration, table: &Table<'_>) -> anyhow::Result<()> {
    let pow = verifier();
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

/// Shares judged together.
const SHARES: u8 = 8;

/// As the Stratum server judges under load: eight shares at a time.
pub(super) fn in_lock_step(time: Duration, table: &Table<'_>) -> anyhow::Result<()> {
    let pow = verifier();
    let shares = f64::from(SHARES);
    let randomx_key = BlockId([7; 32]);
    pow.prepare(&PowKey::RandomX(randomx_key))?;
    let blobs: Vec<_> = (0..SHARES).map(|nonce| [nonce; 76]).collect();
    let inputs: Vec<&[u8]> = blobs.iter().map(<[u8; 76]>::as_slice).collect();
    let rate = calls_per_second(time, || {
        black_box(pow.randomx_hash_batch(&randomx_key, &inputs)?);
        Ok(())
    })?;
    table.rate(&format!("randomx verification, {SHARES} in lock step"), rate * shares, "1/s");
    for epoch in [0, 400] {
        pow.prepare(&PowKey::Ethash(epoch))?;
        let task = |nonce| EthashTask { work_hash: EthashWorkHash([8; 32]), nonce };
        let mut nonces = 0_u64..;
        let rate = calls_per_second(time, || {
            let tasks: Vec<_> = nonces.by_ref().take(SHARES.into()).map(task).collect();
            black_box(pow.ethash_hash_batch(epoch, &tasks)?);
            Ok(())
        })?;
        table.rate(&format!("ethash verification, {SHARES} in lock step, epoch {epoch}"), rate * shares, "1/s");
    }
    Ok(())
}

/// ML-DSA-65 signatures on one thread, each by another key over another message, as most of a block's are.
pub(super) fn signatures(time: Duration, table: &Table<'_>) -> anyhow::Result<()> {
    let signed = (0..16_u8)
        .map(|index| {
            let (key, message) = (KeyPair::from_seed(&[index; SEED_BYTES])?, SigHash([index; 32]));
            Ok((*key.public_key(), message, key.sign(&message)?))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut next = signed.iter().cycle();
    let rate = calls_per_second(time, || {
        let good = next.next().is_some_and(|(key, message, signature)| bq_signature::verify(key, message, signature));
        if good { Ok(()) } else { bail!("a good signature was refused") }
    })?;
    table.rate("ML-DSA-65 signature verification, 1 thread", rate, "1/s");
    Ok(())
}

fn calls_per_second(time: Duration, mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut calls = 0.0;
    while start.elapsed() < time {
        call()?;
        calls += 1.0;
    }
    Ok(calls / start.elapsed().as_secs_f64())
}

fn verifier() -> PowVerifier {
    PowVerifier::new(PowConfig { randomx_mode: RandomXMode::Light, build_threads: NonZeroUsize::MIN, idle_vms_max: 1 })
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
