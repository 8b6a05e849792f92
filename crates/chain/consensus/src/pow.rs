use bq_pow::{PowError, PowVerifier, ethash_epoch, randomx_key_height};
use bq_primitives::{Algorithm, Header, PowHash, PowKey, Seal, Target};

use crate::{Branch, Params};

/// Judges proofs of work. It decides neither the key nor the target: both come from the chain.
pub trait ProofOfWork {
    /// The proof-of-work value of a sealed header, if it meets `target` and the seal is sound (SPEC 5.3). Expected to reject
    /// as cheaply as the algorithm allows.
    ///
    /// # Errors
    /// [`PowError`], which tells a bad proof from a machine that could not examine it.
    fn verify(&self, header: &Header, seal: &Seal, key: &PowKey, target: &Target) -> Result<PowHash, PowError>;
}

impl ProofOfWork for PowVerifier {
    fn verify(&self, header: &Header, seal: &Seal, key: &PowKey, target: &Target) -> Result<PowHash, PowError> {
        Self::verify(self, header, seal, key, target)
    }
}

/// Which table `algorithm` works with in the block after the branch's tip (SPEC 5.4). It depends on ancestors alone.
/// Nothing when no era has activated the algorithm by then, or its last Ethash epoch is over.
#[must_use]
pub fn pow_key(params: &Params, branch: &dyn Branch, algorithm: Algorithm) -> Option<PowKey> {
    let height = branch.tip().height.next()?;
    match algorithm {
        Algorithm::Sha256d => Some(PowKey::Sha256d),
        Algorithm::RandomX => branch.entry(randomx_key_height(height)).map(|key| PowKey::RandomX(key.id)),
        Algorithm::Ethash => {
            let activation = params.eras.first_activation(Algorithm::Ethash)?;
            ethash_epoch(height, activation).map(PowKey::Ethash)
        }
    }
}
