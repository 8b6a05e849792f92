use bq_pow::{EthashTask, PowError, PowVerifier, ethash_work_hash, randomx_blob};
use bq_primitives::{PowKey, Seal};

use crate::{Evaluation, Reject, ShareCandidate};

/// Computes what candidates come to. [`PowVerifier`] hashes; a simulator draws lots.
pub trait Evaluator: Send + Sync {
    /// Evaluates candidates whose templates all name `key`, in order; all of them or none.
    ///
    /// # Errors
    /// [`PowError`], which tells a bad proof from a machine that could not examine it.
    fn evaluate(&self, key: PowKey, candidates: &[&ShareCandidate]) -> Result<Vec<Evaluation>, PowError>;
}

impl Evaluator for PowVerifier {
    fn evaluate(&self, key: PowKey, candidates: &[&ShareCandidate]) -> Result<Vec<Evaluation>, PowError> {
        let plain = |hash| Evaluation { hash, mix: [0; 32] };
        match key {
            PowKey::Sha256d => {
                let hash = |candidate: &&ShareCandidate| {
                    self.pow_value(&candidate.template.header, &candidate.seal, &key).map(plain)
                };
                candidates.iter().map(hash).collect()
            }
            PowKey::RandomX(key) => {
                let blobs: Vec<[u8; 76]> = candidates.iter().filter_map(|candidate| blob_of(candidate)).collect();
                let blobs: Vec<&[u8]> = blobs.iter().map(<[u8; 76]>::as_slice).collect();
                Ok(self.randomx_hash_batch(&key, &blobs)?.into_iter().map(plain).collect())
            }
            PowKey::Ethash(epoch) => {
                let tasks: Vec<EthashTask> = candidates.iter().filter_map(|candidate| task_of(candidate)).collect();
                let proofs = self.ethash_hash_batch(epoch, &tasks)?;
                Ok(proofs.into_iter().map(|proof| Evaluation { hash: proof.value, mix: proof.mix }).collect())
            }
        }
    }
}

impl From<&PowError> for Reject {
    /// A proof that could not be examined is our trouble, not the miner's.
    fn from(error: &PowError) -> Self {
        if error.is_invalid_proof() { Self::BadProof } else { Self::Busy }
    }
}

/// What RandomX hashes for a candidate.
fn blob_of(candidate: &ShareCandidate) -> Option<[u8; 76]> {
    let template = &candidate.template;
    match candidate.seal {
        Seal::RandomX { extranonce, nonce } => {
            Some(randomx_blob(&template.header, &template.seal_hash, &extranonce, nonce))
        }
        Seal::Sha256d { .. } | Seal::Ethash { .. } => None,
    }
}

/// What Ethash hashes for a candidate.
fn task_of(candidate: &ShareCandidate) -> Option<EthashTask> {
    match candidate.seal {
        Seal::Ethash { extranonce, nonce, .. } => {
            Some(EthashTask { work_hash: ethash_work_hash(&candidate.template.seal_hash, &extranonce), nonce })
        }
        Seal::Sha256d { .. } | Seal::RandomX { .. } => None,
    }
}
