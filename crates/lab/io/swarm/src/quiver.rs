use std::num::NonZeroUsize;

use anyhow::{Context as _, bail};
use bq_pow::{EthashTask, PowConfig, PowVerifier, RandomXMode};
use bq_primitives::PowHash;
use bq_stratum_client::{Found, FoundShare, Proof, Work};

use crate::miner::Miner;

/// Makes shares before they are sent, so that only the server works while the clock runs.
pub(crate) struct Fletcher {
    pow: PowVerifier,
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

    /// Submits of `count` shares of a miner's newest job, their ids from `first_id` on; any hash is a share in the lab.
    pub(crate) fn submits(&self, miner: &Miner, first_id: u64, count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
        let job = &miner.job;
        let found = self.found(&job.work, first_id, count)?;
        let ids = first_id..;
        Ok(found
            .iter()
            .zip(ids)
            .map(|(found, id)| {
                miner.dialect.submit(&FoundShare { job_id: &job.id, work: &job.work, found }, id).into_bytes()
            })
            .collect())
    }

    /// `first` tells the shares of one job from each other, whenever they are made.
    fn found(&self, work: &Work, first: u64, count: usize) -> anyhow::Result<Vec<Found>> {
        match work {
            Work::Sha256d(template) => (first..)
                .take(count)
                .map(|number| {
                    let extranonce2 = template.extranonce2(number).context("no room for an extranonce")?;
                    Ok(Found { proof: Proof::Sha256d { extranonce2, nonce: 0 }, value: PowHash([0; 32]) })
                })
                .collect(),
            Work::RandomX { blob, key, .. } => self.randomx(blob, key, u32::try_from(first)?, count),
            Work::Ethash { work_hash, epoch, first_nonce, .. } => {
                let tasks: Vec<_> = (first_nonce + first..)
                    .take(count)
                    .map(|nonce| EthashTask { work_hash: *work_hash, nonce })
                    .collect();
                let mut found = Vec::with_capacity(count);
                for tasks in tasks.chunks(ETHASH_BATCH) {
                    let proofs = self.pow.ethash_hash_batch(*epoch, tasks)?;
                    found.extend(tasks.iter().zip(proofs).map(|(task, proof)| Found {
                        proof: Proof::Ethash { nonce: task.nonce, mix: proof.mix },
                        value: proof.value,
                    }));
                }
                Ok(found)
            }
        }
    }

    fn randomx(
        &self,
        blob: &[u8],
        key: &bq_primitives::BlockId,
        first: u32,
        count: usize,
    ) -> anyhow::Result<Vec<Found>> {
        let with_nonce = |nonce: u32| -> anyhow::Result<Vec<u8>> {
            let mut blob = blob.to_vec();
            let Some(place) = blob.get_mut(39..43) else { bail!("a blob without a nonce") };
            place.copy_from_slice(&nonce.to_le_bytes());
            Ok(blob)
        };
        let nonces: Vec<u32> = (first..).take(count).collect();
        let mut found = Vec::with_capacity(count);
        for nonces in nonces.chunks(RANDOMX_BATCH) {
            let blobs: Vec<Vec<u8>> = nonces.iter().map(|nonce| with_nonce(*nonce)).collect::<anyhow::Result<_>>()?;
            let inputs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
            let values = self.pow.randomx_hash_batch(key, &inputs)?;
            found.extend(
                nonces
                    .iter()
                    .zip(values)
                    .map(|(nonce, value)| Found { proof: Proof::RandomX { nonce: *nonce }, value }),
            );
        }
        Ok(found)
    }
}
