use bq_chain_api::SubmitBlockError;
use bq_ledger::{ShareSequence, ShareWeight};
use bq_mining_message::{AcceptedShare, RecordShareError};
use bq_pool_store::{Candidate, CandidateShare};
use bq_primitives::{Block, BlockId};
use bq_share_log::{AppendError, NewShare};

use crate::{PoolError, core::Core};

/// Blocks kept for storing later at most; more than these are found again on the chain at the next start.
const UNSTORED_MAX: usize = 64;

impl Core {
    /// Books a share, and hands its block to the node first.
    pub(crate) fn record(&self, share: AcceptedShare, block: Option<Block>) -> Result<(), RecordShareError> {
        let outcome = match block {
            None => self.append(share).map(|_| ()),
            Some(block) => self.record_block(share, block),
        };
        outcome.map_err(|error| {
            self.metrics.share_log_error();
            match error {
                AppendError::Closed => RecordShareError::Closed,
                other => RecordShareError::Log(other.to_string()),
            }
        })
    }

    /// The share is acknowledged when this returns.
    pub(crate) fn append(&self, share: AcceptedShare) -> Result<ShareSequence, AppendError> {
        let weight = ShareWeight::of(share.difficulty, share.network_difficulty);
        let mut lane = self.lane(share.algorithm).lock();
        let sequence = self.log.append(new_share(&share))?;
        lane.push(sequence, share.account, weight, share.block_id.is_some());
        drop(lane);
        self.stats.lock().accept(self.clock.uptime_secs(), share);
        Ok(sequence)
    }

    /// Why no share can be booked now, without naming a file; nothing when one can.
    pub(crate) fn share_log_failure(&self) -> Option<String> {
        let error = self.log.check_writable().err()?;
        tracing::error!(%error, "the share log cannot be written");
        Some(match error {
            AppendError::DiskFull(_) => "shares cannot be written: the disk is full".to_owned(),
            AppendError::Io { error, .. } => format!("shares cannot be written: {}", error.kind()),
            AppendError::SyncFailed { .. } => "shares could not be synced: the pool has to be restarted".to_owned(),
            AppendError::Closed => "the pool is stopping".to_owned(),
        })
    }

    fn record_block(&self, mut share: AcceptedShare, block: Block) -> Result<(), AppendError> {
        let id = block.id();
        share.block_id = Some(id);
        let Some(recording) = Recording::start(self, id) else {
            // Another thread is booking the very same share.
            return Ok(());
        };
        let candidate = self.candidate(&block, Some(&share));
        // A block must reach the network at once, and must be stored before its share is acknowledged: both at a time.
        let submitted = std::thread::scope(|scope| {
            let submission = scope.spawn(|| self.node.submit_block(block));
            self.keep_candidate(candidate);
            submission.join()
        });
        let is_invalid = match submitted {
            Ok(verdict) => note_verdict(&id, verdict),
            Err(_) => {
                tracing::error!(block = %id, "submitting the block panicked; it is submitted again");
                false
            }
        };
        if !self.is_booked(&id) {
            let sequence = self.append(share)?;
            self.link(&id, sequence, is_invalid);
        }
        // The settling thread leaves blocks alone that are being booked, so this one must not be when it looks.
        drop(recording);
        self.look_now.notify_one();
        Ok(())
    }

    /// What is stored of a block.
    pub(crate) fn candidate(&self, block: &Block, share: Option<&AcceptedShare>) -> Candidate {
        let share = share.map(|share| CandidateShare {
            account: share.account,
            worker: share.worker.clone(),
            difficulty: share.difficulty,
            network_difficulty: share.network_difficulty,
            time_ms: share.time_ms,
        });
        Candidate {
            id: block.id(),
            height: block.header.height,
            algorithm: block.header.algorithm,
            reward: self.reward_in(block).unwrap_or_default(),
            coinbase: block.transactions.first().map(bq_primitives::Transaction::txid).unwrap_or_default(),
            time: block.header.time,
            bytes: if share.is_some() { block.to_bytes() } else { Vec::new() },
            share,
        }
    }

    fn keep_candidate(&self, candidate: Candidate) {
        if let Err(error) = self.store.add_candidate(&candidate) {
            tracing::error!(block = %candidate.id, %error, "a block could not be stored yet");
            let mut unstored = self.unstored.lock();
            if unstored.len() < UNSTORED_MAX {
                unstored.push(candidate);
            }
        }
    }

    fn is_booked(&self, id: &BlockId) -> bool {
        let stored = self.store.pool_block(id).ok().flatten();
        stored.is_some_and(|block| block.winning_share.is_some())
    }

    /// Ties a stored block to its share in the log. What fails here is made good by recovery.
    fn link(&self, id: &BlockId, sequence: ShareSequence, is_invalid: bool) {
        let write = || -> Result<(), PoolError> {
            self.store.set_winning_share(id, sequence)?;
            if is_invalid {
                self.store.reject_block(id)?;
            }
            Ok(())
        };
        match write() {
            Ok(()) => self.tell_block(id),
            Err(error) => tracing::error!(block = %id, %error, "a block is not linked to its share yet"),
        }
    }
}

/// Whether the block breaks a rule.
fn note_verdict(id: &BlockId, verdict: Result<BlockId, SubmitBlockError>) -> bool {
    match verdict {
        Ok(_) | Err(SubmitBlockError::Duplicate) => {
            tracing::info!(block = %id, "block found");
            false
        }
        Err(SubmitBlockError::Invalid(reason)) => {
            tracing::error!(block = %id, %reason, "the node refused a block of the pool");
            true
        }
        Err(error) => {
            tracing::warn!(block = %id, %error, "a block is submitted again");
            false
        }
    }
}

/// Marks a block as being booked until it is dropped.
struct Recording<'a> {
    core: &'a Core,
    id: BlockId,
}

impl<'a> Recording<'a> {
    fn start(core: &'a Core, id: BlockId) -> Option<Self> {
        core.recording.lock().insert(id).then_some(Self { core, id })
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        self.core.recording.lock().remove(&self.id);
    }
}

fn new_share(share: &AcceptedShare) -> NewShare {
    NewShare {
        algorithm: share.algorithm,
        account: share.account,
        worker: share.worker.clone(),
        difficulty: share.difficulty,
        network_difficulty: share.network_difficulty,
        height: share.height,
        time_ms: share.time_ms,
        block_id: share.block_id,
    }
}
