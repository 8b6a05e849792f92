//! What happens at start: windows are read back, and what a crash left half-done is finished.

use bq_ledger::{ShareSequence, Window, WindowUnits};
use bq_pool_store::Candidate;
use bq_primitives::{AccountId, Algorithm, Height};
use bq_share_log::ShareRecord;

use crate::{PoolError, core::Core, shares::AcceptedShare};

/// Shares whose job is this much lower than a block cannot be the block's own share.
const SEARCH_HEIGHTS: u32 = 100;

impl Core {
    /// Reads back, newest first, the shares that windows and rounds need.
    pub(crate) fn rebuild_lanes(&self, units: WindowUnits) -> Result<(), PoolError> {
        let newest = self.store.newest_account()?.unwrap_or(AccountId(0));
        let mut reads = Vec::new();
        for algorithm in Algorithm::ALL {
            self.lane(algorithm).lock().set_window(units);
            let round_from = self.store.newest_winning_share(algorithm)?;
            reads.push(LaneRead { algorithm, round_from, in_round: true, is_full: false });
        }
        for record in self.log.backwards_from(ShareSequence(u64::MAX)) {
            let record = record?;
            let ShareRecord { sequence, share, .. } = &record;
            if share.account > newest {
                let (sequence, account) = (*sequence, share.account);
                return Err(PoolError::LedgerBehindShares { sequence, account, newest });
            }
            self.rebuild_with(&mut reads, &record);
            if reads.iter().all(|read| read.is_full && !read.in_round) {
                break;
            }
        }
        Ok(())
    }

    fn rebuild_with(&self, reads: &mut [LaneRead], record: &ShareRecord) {
        let Some(read) = reads.iter_mut().find(|read| read.algorithm == record.share.algorithm) else { return };
        let mut lane = self.lane(read.algorithm).lock();
        if read.round_from.is_some_and(|from| record.sequence <= from) {
            read.in_round = false;
        }
        if read.in_round {
            lane.add_to_round(record.weight);
        }
        if lane.wants_older() {
            lane.push_older(record.sequence, record.share.account, record.weight);
        } else {
            lane.note_cut();
            read.is_full = true;
        }
    }

    /// C4 and its neighbours: a block that is stored but whose share is not linked. The share is in the log, or is
    /// written there now.
    pub(crate) fn recover_candidates(&self) -> Result<(), PoolError> {
        self.store_unstored()?;
        for candidate in self.store.candidates_without_share()? {
            if self.recording.lock().contains(&candidate.id) {
                continue;
            }
            let sequence = match self.find_share(&candidate)? {
                Some(sequence) => sequence,
                None => match own_share(&candidate) {
                    Some(share) => self.append(share)?,
                    None => self.lane(candidate.algorithm).lock().newest().unwrap_or_default(),
                },
            };
            self.store.set_winning_share(&candidate.id, sequence)?;
            tracing::info!(block = %candidate.id, share = %sequence, "finished booking a block");
        }
        Ok(())
    }

    fn store_unstored(&self) -> Result<(), PoolError> {
        let mut unstored = self.unstored.lock();
        while let Some(candidate) = unstored.last() {
            self.store.add_candidate(candidate)?;
            unstored.pop();
        }
        Ok(())
    }

    fn find_share(&self, candidate: &Candidate) -> Result<Option<ShareSequence>, PoolError> {
        let lowest = candidate.height.0.saturating_sub(SEARCH_HEIGHTS);
        for record in self.log.backwards_from(ShareSequence(u64::MAX)) {
            let record = record?;
            if record.share.block_id == Some(candidate.id) {
                return Ok(Some(record.sequence));
            }
            if record.share.height.0 < lowest {
                break;
            }
        }
        Ok(None)
    }

    /// C3: blocks of the best chain that carry our tag and pay our key but are not in the ledger. Their finders are not
    /// known; they pay the window of their lane.
    pub(crate) fn adopt_unrecorded_blocks(&self) -> Result<(), PoolError> {
        let tip = self.node.tip().height;
        let lowest = tip.0.saturating_sub(self.maturity.saturating_mul(2)).max(1);
        for height in lowest..=tip.0 {
            let Some(id) = self.node.block_id_at(Height(height))? else { continue };
            if self.store.pool_block(&id)?.is_some() {
                continue;
            }
            let Some(block) = self.node.block(&id)? else { continue };
            let Some(coinbase) = block.transactions.first() else { continue };
            let is_tagged = coinbase.coinbase_data.starts_with(&self.config.pool_tag);
            let candidate = self.candidate(&block, None);
            if is_tagged && candidate.reward > bq_primitives::Amount::ZERO {
                let newest = self.lane(candidate.algorithm).lock().newest().unwrap_or_default();
                self.store.add_candidate(&candidate)?;
                self.store.set_winning_share(&id, newest)?;
                tracing::warn!(block = %id, height, "adopted a block of the pool that was not in the ledger");
            }
        }
        Ok(())
    }

    /// The window of a block: from memory, or read from the share log.
    pub(crate) fn window_of(
        &self,
        algorithm: Algorithm,
        units: WindowUnits,
        winning: ShareSequence,
    ) -> Result<Window, PoolError> {
        if let Some(window) = self.lane(algorithm).lock().window(units, winning) {
            return Ok(window);
        }
        let shares = self.log.backwards_from(winning).filter_map(|record| match record {
            Ok(record) if record.share.algorithm != algorithm => None,
            Ok(record) => Some(Ok((record.share.account, record.weight))),
            Err(error) => Some(Err(error)),
        });
        Ok(Window::walk(units, shares)?)
    }
}

struct LaneRead {
    algorithm: Algorithm,
    round_from: Option<ShareSequence>,
    in_round: bool,
    is_full: bool,
}

fn own_share(candidate: &Candidate) -> Option<AcceptedShare> {
    let share = candidate.share.as_ref()?;
    Some(AcceptedShare {
        algorithm: candidate.algorithm,
        account: share.account,
        worker: share.worker.clone(),
        difficulty: share.difficulty,
        network_difficulty: share.network_difficulty,
        height: candidate.height,
        time_ms: share.time_ms,
        block_id: Some(candidate.id),
    })
}
