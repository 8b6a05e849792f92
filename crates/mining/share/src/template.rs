use bq_mining_message::SharePay;
use bq_primitives::{Algorithm, BlockId, Header, NetworkDifficulty, PowKey, SealHash, Target, UnsealedBody};

use crate::WorkId;

/// One unsealed block of one algorithm: made once and shared by every job on it.
#[derive(Clone, Debug)]
pub struct WorkTemplate {
    /// The header to be sealed.
    pub header: Header,
    /// What every algorithm works on; the header's.
    pub seal_hash: SealHash,
    /// What a block must meet.
    pub target: Target,
    /// Expected hashes of a block: frozen with every share.
    pub network_difficulty: NetworkDifficulty,
    /// Which table the algorithm uses.
    pub key: PowKey,
    /// The body, for the block that a share may turn out to be. Opaque here.
    pub body: UnsealedBody,
    /// What its shares are paid by: frozen with every share.
    pub pay: SharePay,
}

impl WorkTemplate {
    /// A template whose seal hash is the header's.
    #[must_use]
    pub fn new(header: Header, target: Target, key: PowKey, body: UnsealedBody) -> Self {
        Self::with_seal_hash(header, header.seal_hash(), target, key, body)
    }

    /// As [`WorkTemplate::new`]; published examples name a seal hash that no header has.
    #[must_use]
    pub fn with_seal_hash(
        header: Header,
        seal_hash: SealHash,
        target: Target,
        key: PowKey,
        body: UnsealedBody,
    ) -> Self {
        let network_difficulty = NetworkDifficulty::of_target(target);
        Self { header, seal_hash, target, network_difficulty, key, body, pay: SharePay::default() }
    }

    /// The same work, whose shares are paid otherwise.
    #[must_use]
    pub const fn paid_by(mut self, pay: SharePay) -> Self {
        self.pay = pay;
        self
    }

    /// What no other work has.
    #[must_use]
    pub const fn id(&self) -> WorkId {
        WorkId { seal_hash: self.seal_hash, pay: self.pay }
    }

    /// The algorithm that seals it.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.header.algorithm
    }

    /// The tip it builds on.
    #[must_use]
    pub const fn parent_id(&self) -> BlockId {
        self.header.parent_id
    }
}
