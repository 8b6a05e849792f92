use bq_consensus::{Branch, Params, min_time, pow_key, required_bits};
use bq_primitives::{Algorithm, Amount, BlockId, CompactTarget, Height, PowKey, Target, Timestamp};

/// All that a chain says about the block after its tip: plain values, so that a test writes them in a few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentFacts {
    /// The tip.
    pub parent_id: BlockId,
    /// Height of the block to be.
    pub height: Height,
    /// The earliest time it may state: median time past plus one (SPEC 2.3).
    pub min_time: Timestamp,
    /// How far its time may lie ahead of the local clock, in seconds (SPEC 2.3).
    pub future_limit_secs: u64,
    /// New coins at this height (SPEC 6.3).
    pub subsidy: Amount,
    /// One per active algorithm, in increasing id.
    pub algorithms: Vec<AlgorithmFacts>,
}

impl ParentFacts {
    /// The facts for the block after the branch's tip; nothing when no height is left. An algorithm whose last epoch is
    /// over has no table and is left out.
    #[must_use]
    pub fn of(params: &Params, branch: &dyn Branch) -> Option<Self> {
        let tip = branch.tip();
        let height = tip.height.next()?;
        let facts = required_bits(params, branch).into_iter().filter_map(|required| {
            let key = pow_key(params, branch, required.algorithm)?;
            Some(AlgorithmFacts { algorithm: required.algorithm, bits: required.bits, target: required.target, key })
        });
        Some(Self {
            parent_id: tip.id,
            height,
            min_time: min_time(params, branch),
            future_limit_secs: params.future_limit_secs,
            subsidy: params.subsidy(height),
            algorithms: facts.collect(),
        })
    }
}

/// What one algorithm needs at this height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlgorithmFacts {
    /// Which one.
    pub algorithm: Algorithm,
    /// Its required bits (SPEC 3.5).
    pub bits: CompactTarget,
    /// What `bits` decodes to.
    pub target: Target,
    /// Which table it works with (SPEC 5.4).
    pub key: PowKey,
}
