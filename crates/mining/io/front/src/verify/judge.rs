use std::sync::Arc;

use bq_mining_message::{AcceptedShare, PoolApi};
use bq_pow::{EthashProof, EthashTask, PowError, PowVerifier, ethash_final, ethash_work_hash, randomx_blob};
use bq_primitives::{Algorithm, Block, BlockId, PowHash, PowKey, PowValue, Seal, Target};
use bq_stratum_v1::{Claim, DuplicateSet, Reject, ShareCandidate, Sighting, Verdict};
use parking_lot::{Mutex, RwLock};

use crate::{clock::Clock, metrics::StratumMetrics};

/// Decides about shares: stale, duplicate, cheap target, full proof, then the books. Called on verification threads.
pub(crate) struct Judge {
    pool: Arc<dyn PoolApi>,
    verifier: Arc<PowVerifier>,
    clock: Clock,
    pub(super) metrics: Arc<StratumMetrics>,
    tip: RwLock<Option<BlockId>>,
    duplicates: [Mutex<DuplicateSet>; Algorithm::COUNT],
}

/// A proof that holds: the seal, complete, and the value it comes to.
struct Proven {
    seal: Seal,
    value: PowHash,
}

impl Judge {
    pub(crate) fn new(
        pool: Arc<dyn PoolApi>,
        verifier: Arc<PowVerifier>,
        clock: Clock,
        metrics: Arc<StratumMetrics>,
        duplicates_max: usize,
    ) -> Self {
        let duplicates = Algorithm::ALL.map(|_| Mutex::new(DuplicateSet::new(duplicates_max)));
        Self { pool, verifier, clock, metrics, tip: RwLock::new(None), duplicates }
    }

    /// The tip moved: shares on any other parent are stale.
    pub(crate) fn set_tip(&self, tip: BlockId) {
        for duplicates in &self.duplicates {
            duplicates.lock().on_tip(tip);
        }
        *self.tip.write() = Some(tip);
    }

    /// What needs no hashing: stale, seen before.
    pub(super) fn check_cheaply(&self, candidate: &ShareCandidate) -> Result<(), Reject> {
        let parent = candidate.template.parent_id();
        if *self.tip.read() != Some(parent) {
            return Err(Reject::Stale);
        }
        if self.duplicates_of(candidate).lock().contains(&parent, &candidate.key) {
            return Err(Reject::Duplicate);
        }
        Ok(())
    }

    /// One verdict per candidate, in order. All are of one algorithm.
    pub(super) fn judge<'a>(&self, candidates: impl Iterator<Item = &'a ShareCandidate>) -> Vec<Verdict> {
        let candidates: Vec<&ShareCandidate> = candidates.collect();
        // The tip may have moved while they waited.
        let mut proofs: Vec<Result<(), Reject>> =
            candidates.iter().map(|candidate| self.check_cheaply(candidate)).collect();
        let proven = self.prove_all(&candidates, &mut proofs);
        let judged = candidates.into_iter().zip(proven);
        judged
            .map(|(candidate, proven)| match proven {
                Ok(proven) => self.book(candidate, &proven),
                Err(reason) => Verdict::Rejected(reason),
            })
            .collect()
    }

    fn prove_all(
        &self,
        candidates: &[&ShareCandidate],
        checks: &mut [Result<(), Reject>],
    ) -> Vec<Result<Proven, Reject>> {
        let ethash = self.evaluate_ethash(candidates, checks);
        let randomx = self.evaluate_randomx(candidates, checks);
        let each = candidates.iter().zip(checks).zip(ethash.into_iter().zip(randomx));
        each.map(|((candidate, check), evaluated)| {
            (*check)?;
            match evaluated {
                (Some(proof), _) => ethash_verdict(candidate, proof?),
                (_, Some(value)) => little_endian_verdict(candidate, value?),
                (None, None) => self.prove_sha256d(candidate),
            }
        })
        .collect()
    }

    fn prove_sha256d(&self, candidate: &ShareCandidate) -> Result<Proven, Reject> {
        let template = &candidate.template;
        let value = self.verifier.pow_value(&template.header, &candidate.seal, &template.key);
        little_endian_verdict(candidate, value.map_err(|error| refused(&error))?)
    }

    /// Evaluates the RandomX candidates, those of one key in lock step; nothing for candidates of other algorithms.
    fn evaluate_randomx(
        &self,
        candidates: &[&ShareCandidate],
        checks: &[Result<(), Reject>],
    ) -> Vec<Option<Result<PowHash, Reject>>> {
        let waiting = candidates.iter().zip(checks).enumerate().filter(|(_, (_, check))| check.is_ok());
        let waiting = waiting.filter_map(|(index, (candidate, _))| match candidate.template.key {
            PowKey::RandomX(key) => Some((index, key, randomx_blob_of(candidate)?)),
            _ => None,
        });
        evaluate_by(candidates.len(), waiting.collect(), |key, blobs: &[[u8; 76]]| {
            let blobs: Vec<&[u8]> = blobs.iter().map(<[u8; 76]>::as_slice).collect();
            self.verifier.randomx_hash_batch(&key, &blobs)
        })
    }

    /// Evaluates the Ethash candidates that pass the claimed mix's cheap check, those of one epoch in lock step; nothing
    /// for candidates of other algorithms.
    fn evaluate_ethash(
        &self,
        candidates: &[&ShareCandidate],
        checks: &mut [Result<(), Reject>],
    ) -> Vec<Option<Result<EthashProof, Reject>>> {
        let mut waiting: Vec<(usize, u32, EthashTask)> = Vec::new();
        for (index, (candidate, check)) in candidates.iter().zip(checks).enumerate() {
            let (PowKey::Ethash(epoch), Some(task)) = (candidate.template.key, ethash_task(candidate)) else {
                continue;
            };
            if check.is_ok() && !claimed_mix_meets(candidate, &task) {
                *check = Err(Reject::LowDifficulty);
            }
            if check.is_ok() {
                waiting.push((index, epoch, task));
            }
        }
        evaluate_by(candidates.len(), waiting, |epoch, tasks| self.verifier.ethash_hash_batch(epoch, tasks))
    }

    /// Enters a proven share once, and books it before the miner hears of it.
    fn book(&self, candidate: &ShareCandidate, proven: &Proven) -> Verdict {
        let template = &candidate.template;
        let (algorithm, parent) = (template.algorithm(), template.parent_id());
        match self.duplicates_of(candidate).lock().insert(&parent, candidate.key) {
            Sighting::First => {}
            Sighting::Again => return Verdict::Rejected(Reject::Duplicate),
            Sighting::Forgotten => return Verdict::Rejected(Reject::Stale),
            Sighting::Full => return Verdict::Rejected(Reject::Busy),
        }
        let block = meets(&template.target, algorithm, &proven.value).then(|| Block {
            header: template.header,
            seal: proven.seal,
            transactions: template.transactions.as_ref().clone(),
        });
        let metrics = self.metrics.of(algorithm);
        let is_block = block.is_some();
        if is_block {
            metrics.block_candidates.increment(1);
        }
        let share = AcceptedShare {
            algorithm,
            account: candidate.account,
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
                Verdict::Accepted { block: is_block }
            }
            Err(error) => {
                // Not booked: the miner may send it again.
                self.duplicates_of(candidate).lock().remove(&parent, &candidate.key);
                tracing::error!(%error, %algorithm, "a share was not booked");
                Verdict::Rejected(Reject::Busy)
            }
        }
    }

    fn duplicates_of(&self, candidate: &ShareCandidate) -> &Mutex<DuplicateSet> {
        &self.duplicates[candidate.template.algorithm().index()]
    }
}

/// Evaluates tasks `(index, key, task)`, those of one key at once, into `count` places by index. The rest stay empty.
fn evaluate_by<K: Copy + PartialEq, T, V>(
    count: usize,
    mut waiting: Vec<(usize, K, T)>,
    evaluate: impl Fn(K, &[T]) -> Result<Vec<V>, PowError>,
) -> Vec<Option<Result<V, Reject>>> {
    let mut evaluated: Vec<Option<Result<V, Reject>>> = std::iter::repeat_with(|| None).take(count).collect();
    while let Some((_, key, _)) = waiting.first() {
        let key = *key;
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, of, _)| *of == key);
        waiting = later;
        let (indices, tasks): (Vec<usize>, Vec<T>) = now.into_iter().map(|(index, _, task)| (index, task)).unzip();
        let results: Vec<Result<V, Reject>> = match evaluate(key, &tasks) {
            Ok(values) => values.into_iter().map(Ok).collect(),
            Err(error) => indices.iter().map(|_| Err(refused(&error))).collect(),
        };
        for (index, result) in indices.into_iter().zip(results) {
            evaluated[index] = Some(result);
        }
    }
    evaluated
}

fn randomx_blob_of(candidate: &ShareCandidate) -> Option<[u8; 76]> {
    let template = &candidate.template;
    match candidate.seal {
        Seal::RandomX { extranonce, nonce } => {
            Some(randomx_blob(&template.header, &template.seal_hash, &extranonce, nonce))
        }
        Seal::Sha256d { .. } | Seal::Ethash { .. } => None,
    }
}

fn ethash_task(candidate: &ShareCandidate) -> Option<EthashTask> {
    match candidate.seal {
        Seal::Ethash { extranonce, nonce, .. } => {
            Some(EthashTask { work_hash: ethash_work_hash(&candidate.template.seal_hash, &extranonce), nonce })
        }
        Seal::Sha256d { .. } | Seal::RandomX { .. } => None,
    }
}

/// Two Keccaks tell whether the claimed mix would be a share; true where none is claimed.
fn claimed_mix_meets(candidate: &ShareCandidate, task: &EthashTask) -> bool {
    match candidate.claim {
        Claim::EthashMix(mix) => {
            meets(&candidate.share_target, Algorithm::Ethash, &ethash_final(&task.work_hash, task.nonce, &mix))
        }
        Claim::None | Claim::RandomX(_) => true,
    }
}

fn ethash_verdict(candidate: &ShareCandidate, proof: EthashProof) -> Result<Proven, Reject> {
    if let Claim::EthashMix(mix) = candidate.claim
        && mix != proof.mix
    {
        return Err(Reject::BadProof);
    }
    if !meets(&candidate.share_target, Algorithm::Ethash, &proof.value) {
        return Err(Reject::LowDifficulty);
    }
    let Seal::Ethash { extranonce, nonce, .. } = candidate.seal else { return Err(Reject::BadProof) };
    Ok(Proven { seal: Seal::Ethash { extranonce, nonce, mix: proof.mix }, value: proof.value })
}

/// SHA-256d and RandomX.
fn little_endian_verdict(candidate: &ShareCandidate, value: PowHash) -> Result<Proven, Reject> {
    if let Claim::RandomX(result) = candidate.claim
        && result != value.0
    {
        return Err(Reject::BadProof);
    }
    if !meets(&candidate.share_target, candidate.template.algorithm(), &value) {
        return Err(Reject::LowDifficulty);
    }
    Ok(Proven { seal: candidate.seal, value })
}

fn meets(target: &Target, algorithm: Algorithm, value: &PowHash) -> bool {
    PowValue::of(algorithm, value).meets(target)
}

/// A proof that could not be examined is our trouble, not the miner's.
fn refused(error: &PowError) -> Reject {
    if error.is_invalid_proof() {
        return Reject::BadProof;
    }
    tracing::error!(%error, "a share could not be verified");
    Reject::Busy
}
