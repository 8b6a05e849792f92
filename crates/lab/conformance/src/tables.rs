use std::sync::Arc;

use bq_pow::{EthashCache, PowConfig, PowError, PowVerifier, RandomXOfKey};
use bq_primitives::PowHash;

/// The proof-of-work tables of one run, built when a case first needs them.
#[derive(Default)]
pub(crate) struct Tables {
    verifier: Option<PowVerifier>,
    /// The key used last: vector files keep cases of one key together.
    randomx: Option<(Vec<u8>, RandomXOfKey)>,
}

impl Tables {
    pub(crate) fn verifier(&mut self) -> &PowVerifier {
        self.verifier.get_or_insert_with(|| PowVerifier::new(PowConfig::default()))
    }

    pub(crate) fn ethash_cache(&mut self, epoch: u32) -> Result<Arc<EthashCache>, PowError> {
        self.verifier().ethash_cache(epoch)
    }

    /// RandomX v1 of any input under any key.
    pub(crate) fn randomx(&mut self, key: &[u8], input: &[u8]) -> Result<PowHash, PowError> {
        if let Some((_, hasher)) = self.randomx.as_mut().filter(|(known, _)| known == key) {
            return Ok(hasher.hash(input));
        }
        // The old cache goes first: two take half a gigabyte.
        self.randomx = None;
        let (_, hasher) = self.randomx.insert((key.to_vec(), RandomXOfKey::new(key)?));
        Ok(hasher.hash(input))
    }
}
