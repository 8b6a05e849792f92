use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bq_pow::{PowError, PowVerifier};
use bq_primitives::PowKey;
use bq_share::{Evaluation, Evaluator, ShareCandidate};

/// Counts what it hashes.
pub(crate) struct Counted {
    verifier: Arc<PowVerifier>,
    count: AtomicUsize,
}

impl Counted {
    pub(crate) const fn new(verifier: Arc<PowVerifier>) -> Self {
        Self { verifier, count: AtomicUsize::new(0) }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Evaluator for Counted {
    fn evaluate(&self, key: PowKey, candidates: &[&ShareCandidate]) -> Result<Vec<Evaluation>, PowError> {
        self.count.fetch_add(candidates.len(), Ordering::SeqCst);
        self.verifier.evaluate(key, candidates)
    }
}
