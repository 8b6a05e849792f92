use bq_ledger::ShareWeight;
use bq_mining_message::Share;
use bq_pool_machine::{LogNumber, Terms};
use bq_primitives::{Algorithm, BlockId, Height, KeyHash, Network};

use crate::{AccountExport, Anchor, PoolIdentity, ProofError};

/// What an export proves. It counts once [`Report::on_chain`] has found its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which pool.
    pub pool: PoolIdentity,
    /// Hash of the account's key.
    pub account: KeyHash,
    /// The newest terms among the events, if the export tells them.
    pub terms: Option<Terms>,
    /// The parts of the log, in order.
    pub runs: Vec<ProvedRun>,
    /// Each run follows on the one before: nothing is left out between them. Shares may be, of any frame.
    pub is_gapless: bool,
    /// Shares of the account, by [`Algorithm::index`].
    pub lanes: [LaneShares; Algorithm::COUNT],
}

/// A part of the log and the block that names its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvedRun {
    /// Its first event.
    pub first: LogNumber,
    /// The block, and the head: the newest event.
    pub anchor: Anchor,
    /// Shares of the account in it.
    pub shares: u64,
}

/// Shares of one algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneShares {
    /// How many.
    pub shares: u64,
    /// What they weigh, in units of 2^-60 of a block (SPEC 8.1).
    pub weight: u128,
}

impl Report {
    pub(crate) fn of(export: &AccountExport) -> Self {
        Self {
            pool: export.pool.clone(),
            account: export.account,
            terms: export.terms.clone(),
            runs: Vec::with_capacity(export.runs.len()),
            is_gapless: true,
            lanes: [LaneShares::default(); Algorithm::COUNT],
        }
    }

    /// Counts one more share.
    pub(crate) fn add(&mut self, share: &Share) {
        let weight = ShareWeight::of(share.difficulty, share.network_difficulty);
        if let Some(lane) = self.lanes.get_mut(share.algorithm.index()) {
            lane.shares = lane.shares.saturating_add(1);
            // A weight is at most 2^60, so 2^64 of them stay below 2^124.
            lane.weight = lane.weight.saturating_add(u128::from(weight.parts()));
        }
    }

    /// Looks the chain up: its name, its first block, and the block of every run. `id_at` says which block of the best chain has a
    /// height; it is asked for height 0 first, then in the order of the runs.
    ///
    /// # Errors
    /// [`ProofError::Network`], [`ProofError::Genesis`], [`ProofError::NotOnChain`]: the first that is not there.
    pub fn on_chain(&self, network: Network, id_at: impl FnMut(Height) -> Option<BlockId>) -> Result<(), ProofError> {
        let anchors: Vec<Anchor> = self.runs.iter().map(|run| run.anchor).collect();
        anchors_on_chain(&self.pool, &anchors, network, id_at)
    }
}

pub(crate) fn anchors_on_chain(
    pool: &PoolIdentity,
    anchors: &[Anchor],
    network: Network,
    mut id_at: impl FnMut(Height) -> Option<BlockId>,
) -> Result<(), ProofError> {
    let (got, genesis) = (pool.network, pool.genesis);
    if got != network {
        return Err(ProofError::Network { got, expected: network });
    }
    let first = id_at(Height::GENESIS);
    if first != Some(genesis) {
        return Err(ProofError::Genesis { got: genesis, expected: first });
    }
    for anchor in anchors {
        let found = id_at(anchor.height);
        if found != Some(anchor.block) {
            return Err(ProofError::NotOnChain { anchor: *anchor, found });
        }
    }
    Ok(())
}
