use std::{
    collections::HashSet,
    mem,
    sync::atomic::{AtomicU64, Ordering},
};

use bq_consensus::{SignatureCheck, SignatureVerifier};
use bq_primitives::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash, tagged_hash};
use parking_lot::Mutex;
use rayon::prelude::*;

/// Signatures remembered per generation: those of seven full blocks (7,573 each). As many as a table of 65,536 places
/// takes: 33 bytes a place, so 4.3 MB for both generations.
const GENERATION_MAX: usize = 65_536 / 8 * 7;

/// A block with fewer signatures is judged by its own thread: waking others, which may be busy with proofs of work for
/// milliseconds, would take longer.
const PARALLEL_MIN: usize = 8;

/// Checks signatures and remembers which hold, so that a transaction is verified once, not at admission, in a template,
/// in a block and again when a reorganisation brings the block back. What is remembered is a hash of key, message and
/// signature: whether that triple holds never changes, so an entry is true on every branch. Only good signatures are
/// remembered; a flood of bad ones displaces nothing.
#[derive(Debug, Default)]
pub struct VerifiedSignatures {
    generations: Mutex<Generations>,
    verified: AtomicU64,
    remembered: AtomicU64,
}

/// What a [`VerifiedSignatures`] has answered so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureCounts {
    /// Verified in full, good or bad.
    pub verified: u64,
    /// Known to hold from an earlier time.
    pub remembered: u64,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl Generations {
    fn contains(&self, triple: &[u8; 32]) -> bool {
        self.young.contains(triple) || self.old.contains(triple)
    }

    fn insert(&mut self, triple: [u8; 32], max: usize) {
        if self.young.len() >= max {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(triple);
    }
}

impl VerifiedSignatures {
    /// How many signatures were verified, and how many did not have to be.
    #[must_use]
    pub fn counts(&self) -> SignatureCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SignatureCounts { verified: count(&self.verified), remembered: count(&self.remembered) }
    }
}

impl SignatureVerifier for VerifiedSignatures {
    fn verify(
        &self,
        public_key: &[u8; PUBLIC_KEY_BYTES],
        message: &SigHash,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> bool {
        let triple = tagged_hash("bq/verified-signature", &[public_key, &message.0, signature]);
        if self.generations.lock().contains(&triple) {
            self.remembered.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let holds = bq_signature::verify(public_key, message, signature);
        self.verified.fetch_add(1, Ordering::Relaxed);
        if holds {
            self.generations.lock().insert(triple, GENERATION_MAX);
        }
        holds
    }

    /// On all cores. Whichever core finds a bad signature first, all before it are still looked at, none twice.
    fn first_bad(&self, checks: &[SignatureCheck<'_>]) -> Option<usize> {
        let bad = |check: &SignatureCheck<'_>| !self.verify(check.public_key, &check.message, check.signature);
        if checks.len() < PARALLEL_MIN {
            return checks.iter().position(bad);
        }
        checks.par_iter().position_first(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_signature::KeyPair;

    #[test]
    fn only_good_signatures_are_remembered() {
        let pair = KeyPair::from_seed(&[1; 32]).unwrap();
        let message = SigHash([2; 32]);
        let mut signature = pair.sign(&message).unwrap();
        let cache = VerifiedSignatures::default();
        assert!(cache.verify(pair.public_key(), &message, &signature));
        assert!(cache.verify(pair.public_key(), &message, &signature));
        assert_eq!(cache.generations.lock().young.len(), 1);
        assert!(!cache.verify(pair.public_key(), &SigHash([3; 32]), &signature));
        signature[0] ^= 1;
        assert!(!cache.verify(pair.public_key(), &message, &signature));
        assert!(!cache.verify(pair.public_key(), &message, &signature));
        assert_eq!(cache.generations.lock().young.len(), 1);
        assert_eq!(cache.counts(), SignatureCounts { verified: 4, remembered: 1 });
    }

    #[test]
    fn many_cores_name_the_same_bad_signature_as_one() {
        let pair = KeyPair::from_seed(&[1; 32]).unwrap();
        let message = SigHash([2; 32]);
        let signatures: Vec<_> = (0..40).map(|_| pair.sign(&message).unwrap()).collect();
        for bad in [vec![], vec![0], vec![39], vec![17, 18, 30], (0..40).collect()] {
            let mut signatures = signatures.clone();
            for position in &bad {
                signatures[*position][7] ^= 1;
            }
            let check =
                |index: usize| SignatureCheck { public_key: pair.public_key(), message, signature: &signatures[index] };
            let checks: Vec<_> = (0..40).map(check).collect();
            let judge = VerifiedSignatures::default();
            assert_eq!(judge.first_bad(&checks), bad.first().copied());
            assert_eq!(judge.first_bad(&checks[..5]), bad.first().copied().filter(|first| *first < 5));
        }
    }

    #[test]
    fn two_generations_bound_the_memory_and_keep_the_newest() {
        let mut generations = Generations::default();
        for number in 0..10_u8 {
            generations.insert([number; 32], 3);
            assert!(generations.contains(&[number; 32]));
            assert!(generations.young.len() + generations.old.len() <= 6);
        }
        assert!(generations.contains(&[7; 32]));
        assert!(!generations.contains(&[3; 32]));
    }
}
