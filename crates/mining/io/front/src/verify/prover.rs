use std::sync::Arc;

use bq_mining_message::{PoolApi, RecordShareError};
use bq_pow::PowError;
use bq_share::{Evaluation, Evaluator, Proven, Reject, ShareCandidate, Verdict, prove};

use super::supervised::Watch;
use crate::{clock::SteadyClock, conditions::Conditions, metrics::StratumMetrics};

/// Hashes candidates and takes what they prove to the books. Called on verification threads.
pub(crate) struct Prover {
    pool: Arc<dyn PoolApi>,
    verifier: Arc<dyn Evaluator>,
    clock: SteadyClock,
    metrics: Arc<StratumMetrics>,
    conditions: Arc<Conditions>,
}

impl Prover {
    pub(crate) fn new(
        pool: Arc<dyn PoolApi>,
        verifier: Arc<dyn Evaluator>,
        clock: SteadyClock,
        metrics: Arc<StratumMetrics>,
        conditions: Arc<Conditions>,
    ) -> Self {
        Self { pool, verifier, clock, metrics, conditions }
    }

    pub(super) fn metrics(&self) -> &StratumMetrics {
        &self.metrics
    }

    pub(super) const fn clock(&self) -> SteadyClock {
        self.clock
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
            match self.verifier.evaluate(key, &batch) {
                Ok(values) => now.iter().zip(values).for_each(|(index, value)| evaluated[*index] = Ok(value)),
                Err(error) => now.iter().for_each(|index| evaluated[*index] = Err(refused(&error))),
            }
        }
        evaluated
    }

    /// Books a proven share before the miner hears of it, and hands a block to the node.
    pub(super) fn book(&self, candidate: &ShareCandidate, proven: &Proven) -> Verdict {
        let (share, block) = proven.share_of(candidate, self.clock.now());
        if block.is_some() {
            self.metrics.of(share.algorithm).block_candidates.increment(1);
        }
        let booked = self.pool.record_share(share, block);
        self.booked(candidate, proven, booked)
    }

    /// As [`Prover::book`] for shares of one algorithm that are no blocks, with one write for all; in order.
    pub(super) fn book_all<'a>(&self, proven: impl Iterator<Item = (&'a ShareCandidate, &'a Proven)>) -> Vec<Verdict> {
        let now = self.clock.now();
        let proven: Vec<_> = proven.collect();
        let shares = proven.iter().map(|(candidate, proven)| proven.share_of(candidate, now).0).collect();
        let booked = self.pool.record_shares(shares);
        proven
            .into_iter()
            .zip(booked)
            .map(|((candidate, proven), booked)| self.booked(candidate, proven, booked))
            .collect()
    }

    /// What the miner hears of a share that was to be booked.
    fn booked(&self, candidate: &ShareCandidate, proven: &Proven, booked: Result<(), RecordShareError>) -> Verdict {
        let algorithm = candidate.template.algorithm();
        match booked {
            Ok(()) => {
                self.pool.note_achieved(candidate.payee, &candidate.worker, algorithm, proven.achieved);
                self.metrics.of(algorithm).accepted(candidate.difficulty.hashes());
                self.conditions.booked();
                Verdict::Accepted { block: proven.is_block }
            }
            // Not booked: the miner may send it again.
            Err(error) => {
                tracing::error!(%error, %algorithm, "a share was not booked");
                self.conditions.not_booked(self.clock.now(), error.to_string());
                Verdict::Rejected(Reject::Busy)
            }
        }
    }
}

/// As [`Reject`] says; what could not be examined is for people to look at.
fn refused(error: &PowError) -> Reject {
    if !error.is_invalid_proof() {
        tracing::error!(%error, "a share could not be verified");
    }
    Reject::from(error)
}
