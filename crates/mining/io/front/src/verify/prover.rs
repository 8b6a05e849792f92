use std::sync::Arc;

use bq_mining_message::{PoolApi, Share};
use bq_pow::{EthashTask, PowError, PowVerifier, ethash_work_hash, randomx_blob};
use bq_primitives::{Block, PowKey, Seal};
use bq_share::{Evaluation, Proven, Reject, ShareCandidate, Verdict, prove};

use super::supervised::Watch;
use crate::{
    clock::Clock,
    conditions::{Conditions, SHARES_NOT_BOOKED},
    metrics::StratumMetrics,
};

/// Hashes candidates and takes what they prove to the books. Called on verification threads.
pub(crate) struct Prover {
    pool: Arc<dyn PoolApi>,
    verifier: Arc<PowVerifier>,
    clock: Clock,
    metrics: Arc<StratumMetrics>,
    conditions: Arc<Conditions>,
}

impl Prover {
    pub(crate) fn new(
        pool: Arc<dyn PoolApi>,
        verifier: Arc<PowVerifier>,
        clock: Clock,
        metrics: Arc<StratumMetrics>,
        conditions: Arc<Conditions>,
    ) -> Self {
        Self { pool, verifier, clock, metrics, conditions }
    }

    pub(super) fn metrics(&self) -> &StratumMetrics {
        &self.metrics
    }

    pub(super) fn watch(&self) -> Watch {
        let (conditions, metrics) = (Arc::clone(&self.conditions), Arc::clone(&self.metrics));
        Watch { clock: self.clock, conditions, metrics }
    }

    /// What each candidate has proved, in order. All are of one algorithm.
    pub(super) fn prove_all<'a>(
        &self,
        candidates: impl Iterator<Item = &'a ShareCandidate>,
    ) -> Vec<Result<Proven, Reject>> {
        let candidates: Vec<&ShareCandidate> = candidates.collect();
        let evaluations = self.evaluate_all(&candidates);
        let each = candidates.into_iter().zip(evaluations);
        each.map(|(candidate, evaluation)| prove(candidate, &evaluation?)).collect()
    }

    /// Hashes, those of one table in lock step.
    fn evaluate_all(&self, candidates: &[&ShareCandidate]) -> Vec<Result<Evaluation, Reject>> {
        let mut evaluated = vec![Err(Reject::Busy); candidates.len()];
        let mut waiting: Vec<usize> = (0..candidates.len()).collect();
        while let Some(first) = waiting.first() {
            let key = candidates[*first].template.key;
            let (now, later): (Vec<usize>, Vec<usize>) =
                waiting.into_iter().partition(|index| candidates[*index].template.key == key);
            waiting = later;
            let batch: Vec<&ShareCandidate> = now.iter().map(|index| candidates[*index]).collect();
            match self.evaluate(key, &batch) {
                Ok(values) => now.iter().zip(values).for_each(|(index, value)| evaluated[*index] = Ok(value)),
                Err(error) => now.iter().for_each(|index| evaluated[*index] = Err(refused(&error))),
            }
        }
        evaluated
    }

    fn evaluate(&self, key: PowKey, candidates: &[&ShareCandidate]) -> Result<Vec<Evaluation>, PowError> {
        let plain = |hash| Evaluation { hash, mix: [0; 32] };
        match key {
            PowKey::Sha256d => {
                let hash = |candidate: &&ShareCandidate| {
                    self.verifier.pow_value(&candidate.template.header, &candidate.seal, &key).map(plain)
                };
                candidates.iter().map(hash).collect()
            }
            PowKey::RandomX(key) => {
                let blobs: Vec<[u8; 76]> = candidates.iter().filter_map(|candidate| blob_of(candidate)).collect();
                let blobs: Vec<&[u8]> = blobs.iter().map(<[u8; 76]>::as_slice).collect();
                Ok(self.verifier.randomx_hash_batch(&key, &blobs)?.into_iter().map(plain).collect())
            }
            PowKey::Ethash(epoch) => {
                let tasks: Vec<EthashTask> = candidates.iter().filter_map(|candidate| task_of(candidate)).collect();
                let proofs = self.verifier.ethash_hash_batch(epoch, &tasks)?;
                Ok(proofs.into_iter().map(|proof| Evaluation { hash: proof.value, mix: proof.mix }).collect())
            }
        }
    }

    /// Books a proven share before the miner hears of it.
    pub(super) fn book(&self, candidate: &ShareCandidate, proven: &Proven) -> Verdict {
        let template = &candidate.template;
        let block = proven.is_block.then(|| Block {
            header: template.header,
            seal: proven.seal,
            transactions: template.transactions.as_ref().clone(),
        });
        let metrics = self.metrics.of(template.algorithm());
        if block.is_some() {
            metrics.block_candidates.increment(1);
        }
        let share = Share {
            algorithm: template.algorithm(),
            payee: candidate.payee,
            worker: candidate.worker.clone(),
            difficulty: candidate.difficulty,
            network_difficulty: template.network_difficulty,
            height: template.header.height,
            time_ms: self.clock.now().0,
            block_id: block.as_ref().map(Block::id),
        };
        let hashes = share.difficulty.hashes();
        match self.pool.record_share(share, block) {
            Ok(()) => {
                metrics.accepted(hashes);
                self.conditions.clear(SHARES_NOT_BOOKED);
                Verdict::Accepted { block: proven.is_block }
            }
            // Not booked: the miner may send it again.
            Err(error) => {
                tracing::error!(%error, algorithm = %template.algorithm(), "a share was not booked");
                self.conditions.raise(self.clock.now(), SHARES_NOT_BOOKED, error.to_string());
                Verdict::Rejected(Reject::Busy)
            }
        }
    }
}

fn blob_of(candidate: &ShareCandidate) -> Option<[u8; 76]> {
    let template = &candidate.template;
    match candidate.seal {
        Seal::RandomX { extranonce, nonce } => {
            Some(randomx_blob(&template.header, &template.seal_hash, &extranonce, nonce))
        }
        Seal::Sha256d { .. } | Seal::Ethash { .. } => None,
    }
}

fn task_of(candidate: &ShareCandidate) -> Option<EthashTask> {
    match candidate.seal {
        Seal::Ethash { extranonce, nonce, .. } => {
            Some(EthashTask { work_hash: ethash_work_hash(&candidate.template.seal_hash, &extranonce), nonce })
        }
        Seal::Sha256d { .. } | Seal::RandomX { .. } => None,
    }
}

/// A proof that could not be examined is our trouble, not the miner's.
fn refused(error: &PowError) -> Reject {
    if error.is_invalid_proof() {
        return Reject::BadProof;
    }
    tracing::error!(%error, "a share could not be verified");
    Reject::Busy
}
