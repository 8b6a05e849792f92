use std::num::NonZeroUsize;

use anyhow::{Context as _, bail};
use bq_pow::{EthashTask, PowConfig, PowVerifier, RandomXMode};
use bq_primitives::{BlockId, PowHash, PowValue};
use bq_stratum_client::{Found, FoundShare, Job, Proof, Work};

use crate::miner::Miner;

/// Makes shares before they are sent, so that only the server works while the clock runs.
pub(crate) struct Fletcher {
    pow: PowVerifier,
}

/// Shares that were made.
pub(crate) struct Quiver {
    pub(crate) submits: Vec<Vec<u8>>,
    /// From where on others of the same job are searched for.
    pub(crate) next: u64,
}

/// Hashes in lock step.
const RANDOMX_BATCH: usize = 8;
const ETHASH_BATCH: usize = 32;

impl Fletcher {
    pub(crate) fn new() -> Self {
        let config = PowConfig {
            randomx_mode: RandomXMode::Light,
            build_threads: NonZeroUsize::MIN,
            idle_vms_max: RANDOMX_BATCH,
        };
        Self { pow: PowVerifier::new(config) }
    }

    /// Submits of `count` shares of a miner's newest job, their ids from `first_id` on, searched for from number `from` on.
    pub(crate) fn submits(&self, miner: &Miner, first_id: u64, from: u64, count: usize) -> anyhow::Result<Quiver> {
        let job = &miner.job;
        let (found, next) = self.found(job, from, count)?;
        let submit = |(id, found): (u64, &Found)| {
            miner.dialect.submit(&FoundShare { job_id: &job.id, work: &job.work, found }, id).into_bytes()
        };
        Ok(Quiver { submits: (first_id..).zip(&found).map(submit).collect(), next })
    }

    /// Shares of a job, and the first number that was not tried. Of SHA-256d any hash is taken for one.
    fn found(&self, job: &Job, from: u64, count: usize) -> anyhow::Result<(Vec<Found>, u64)> {
        match &job.work {
            Work::Sha256d(template) => {
                let numbers = (from..).take(count);
                let found = numbers.map(|number| {
                    let extranonce2 = template.extranonce2(number).context("no room for an extranonce")?;
                    Ok(Found { proof: Proof::Sha256d { extranonce2, nonce: 0 }, value: PowHash([0; 32]) })
                });
                Ok((found.collect::<anyhow::Result<_>>()?, from + u64::try_from(count)?))
            }
            Work::RandomX { blob, key, .. } => {
                search(job, from, count, RANDOMX_BATCH, |numbers| self.randomx(blob, key, numbers))
            }
            Work::Ethash { work_hash, epoch, first_nonce, .. } => search(job, from, count, ETHASH_BATCH, |numbers| {
                let task = |number: &u64| EthashTask { work_hash: *work_hash, nonce: first_nonce + number };
                let tasks: Vec<_> = numbers.iter().map(task).collect();
                let proofs = self.pow.ethash_hash_batch(*epoch, &tasks)?;
                let proof = |nonce, mix| Proof::Ethash { nonce, mix };
                let each = tasks.iter().zip(proofs);
                Ok(each
                    .map(|(task, found)| Found { proof: proof(task.nonce, found.mix), value: found.value })
                    .collect())
            }),
        }
    }

    fn randomx(&self, blob: &[u8], key: &BlockId, numbers: &[u64]) -> anyhow::Result<Vec<Found>> {
        let with_nonce = |nonce: u32| -> anyhow::Result<Vec<u8>> {
            let mut blob = blob.to_vec();
            let Some(place) = blob.get_mut(39..43) else { bail!("a blob without a nonce") };
            place.copy_from_slice(&nonce.to_le_bytes());
            Ok(blob)
        };
        let nonces: Vec<u32> = numbers.iter().map(|number| u32::try_from(*number)).collect::<Result<_, _>>()?;
        let blobs: Vec<Vec<u8>> = nonces.iter().map(|nonce| with_nonce(*nonce)).collect::<anyhow::Result<_>>()?;
        let inputs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        let values = self.pow.randomx_hash_batch(key, &inputs)?;
        let found = |(nonce, value)| Found { proof: Proof::RandomX { nonce }, value };
        Ok(nonces.into_iter().zip(values).map(found).collect())
    }
}

/// Evaluates numbers from `from` on, so many at once, until `count` of them are shares of the job.
fn search(
    job: &Job,
    from: u64,
    count: usize,
    batch: usize,
    evaluate: impl Fn(&[u64]) -> anyhow::Result<Vec<Found>>,
) -> anyhow::Result<(Vec<Found>, u64)> {
    let (mut shares, mut next, algorithm) = (Vec::with_capacity(count), from, job.work.algorithm());
    while shares.len() < count {
        let numbers: Vec<u64> = (next..).take(batch.min(count)).collect();
        let evaluated = evaluate(&numbers)?;
        next += u64::try_from(numbers.len())?;
        shares.extend(evaluated.into_iter().filter(|found| PowValue::of(algorithm, &found.value).meets(&job.target)));
    }
    shares.truncate(count);
    Ok((shares, next))
}
