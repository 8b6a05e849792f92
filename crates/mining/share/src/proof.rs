use bq_primitives::{PowHash, PowValue, Seal};

use crate::{Claim, Reject, ShareCandidate};

/// What hashing a candidate gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The hash, in the algorithm's byte order.
    pub hash: PowHash,
    /// Ethash's mix; zeros for the others.
    pub mix: [u8; 32],
}

/// A proof that holds and earns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The seal, complete.
    pub seal: Seal,
    /// It is a block.
    pub is_block: bool,
}

/// What an evaluated candidate has proved (SPEC 11.4, steps 9 to 11).
///
/// # Errors
/// The claim was false, the value is no share, or it is a share that only a block could save.
pub fn prove(candidate: &ShareCandidate, evaluation: &Evaluation) -> Result<Proven, Reject> {
    let is_true = match candidate.claim {
        Claim::None => true,
        Claim::RandomX(result) => result == evaluation.hash.0,
        Claim::EthashMix(mix) => mix == evaluation.mix,
    };
    if !is_true {
        return Err(Reject::BadProof);
    }
    let value = PowValue::of(candidate.template.algorithm(), &evaluation.hash);
    let is_block = value.meets(&candidate.template.target);
    if !is_block && !value.meets(&candidate.share_target) {
        return Err(Reject::LowDifficulty);
    }
    match candidate.unless_block {
        Some(reason) if !is_block => Err(reason),
        _ => Ok(Proven { seal: completed(candidate.seal, evaluation), is_block }),
    }
}

fn completed(seal: Seal, evaluation: &Evaluation) -> Seal {
    match seal {
        Seal::Ethash { extranonce, nonce, .. } => Seal::Ethash { extranonce, nonce, mix: evaluation.mix },
        other => other,
    }
}
