use bq_mining_message::Share;
use bq_primitives::{Block, NetworkDifficulty, PowHash, PowValue, Seal};

use crate::{Claim, Reject, ShareCandidate, UnixMs};

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
    /// What the hash came to, in expected hashes. For people only: worth is what was assigned (SPEC 8.1).
    pub achieved: NetworkDifficulty,
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
        _ => Ok(Proven { seal: completed(candidate.seal, evaluation), is_block, achieved: value.difficulty() }),
    }
}

impl Proven {
    /// What the books are told of the candidate that proved this, and its block if it is one. Worth and payee are the job's
    /// (SPEC 11.3).
    #[must_use]
    pub fn share_of(&self, candidate: &ShareCandidate, now: UnixMs) -> (Share, Option<Block>) {
        let template = &candidate.template;
        let block = self.is_block.then(|| Block {
            header: template.header,
            seal: self.seal,
            transactions: template.body.to_transactions(),
        });
        let share = Share {
            algorithm: template.algorithm(),
            payee: candidate.payee,
            worker: candidate.worker.clone(),
            difficulty: candidate.difficulty,
            network_difficulty: template.network_difficulty,
            height: template.header.height,
            time_ms: now.0,
            block_id: block.as_ref().map(Block::id),
            pay: template.pay,
        };
        (share, block)
    }
}

fn completed(seal: Seal, evaluation: &Evaluation) -> Seal {
    match seal {
        Seal::Ethash { extranonce, nonce, .. } => Seal::Ethash { extranonce, nonce, mix: evaluation.mix },
        other => other,
    }
}
