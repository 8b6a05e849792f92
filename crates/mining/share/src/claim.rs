use bq_pow::{ethash_final, ethash_work_hash};
use bq_primitives::{Algorithm, PowHash, PowValue, Seal, Target};

use crate::WorkTemplate;

/// The miner's own statement about its proof: cheap to check before the costly computation, worth nothing alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The dialect carries none.
    None,
    /// The 32 bytes of the RandomX hash.
    RandomX([u8; 32]),
    /// The Ethash mix, also in the seal.
    EthashMix([u8; 32]),
}

/// What a claim would be if it were true (SPEC 11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing is claimed: only hashing tells.
    Unknown,
    /// It says itself that it is no share.
    Nothing,
    /// A share and no block.
    Share,
    /// A block.
    Block,
}

impl Claim {
    /// Reads the claim: for Ethash two Keccaks, for RandomX a comparison.
    pub(crate) fn about(&self, template: &WorkTemplate, seal: &Seal, share_target: &Target) -> Claimed {
        let value = match (self, seal) {
            (Self::RandomX(result), _) => PowValue::of(Algorithm::RandomX, &PowHash(*result)),
            (Self::EthashMix(mix), Seal::Ethash { extranonce, nonce, .. }) => {
                let work_hash = ethash_work_hash(&template.seal_hash, extranonce);
                PowValue::of(Algorithm::Ethash, &ethash_final(&work_hash, *nonce, mix))
            }
            _ => return Claimed::Unknown,
        };
        if value.meets(&template.target) {
            Claimed::Block
        } else if value.meets(share_target) {
            Claimed::Share
        } else {
            Claimed::Nothing
        }
    }
}
