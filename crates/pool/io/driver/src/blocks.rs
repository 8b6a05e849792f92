use bq_chain_api::SubmitBlockError;
use bq_ledger::ShareSequence;
use bq_pool_store::{BlockState, PoolBlock};
use bq_primitives::{Block, BlockId, Height};
use bq_views::Event;

use crate::{PoolError, clock::Clock, core::Core};

impl Core {
    /// Moves every pool block to where the chain has it. Nothing else moves a block.
    pub(crate) fn settle_blocks(&self) -> Result<(), PoolError> {
        let tip = self.node.tip().height;
        // Twice the maturity and some more: as deep as a reorganisation can cost a matured block.
        let depth = self.maturity.saturating_mul(2).saturating_add(100);
        for block in self.store.watched_blocks(Height(tip.0.saturating_sub(depth)))? {
            if self.recording.lock().contains(&block.id) {
                continue;
            }
            if let Err(error) = self.settle_block(&block, tip) {
                if !error.is_transient() {
                    return Err(error);
                }
                tracing::warn!(block = %block.id, %error, "a block is settled later");
            }
        }
        Ok(())
    }

    fn settle_block(&self, block: &PoolBlock, tip: Height) -> Result<(), PoolError> {
        let summary = self.node.block_summary(&block.id)?;
        let now = Clock::unix_ms();
        let moved = match (block.state, summary.map(|summary| summary.confirmations)) {
            (BlockState::Found, None) => return self.submit_again(block, tip),
            (BlockState::Immature | BlockState::Matured, None) if tip < block.height => {
                return self.give_back(block);
            }
            (BlockState::Found | BlockState::Orphaned, Some(Some(confirmations))) => {
                let Some(winning) = block.winning_share else { return Ok(()) };
                self.credit(block, winning, now)?;
                self.mature_if_deep(&block.id, confirmations, now)?;
                true
            }
            (BlockState::Immature, Some(Some(confirmations))) => self.mature_if_deep(&block.id, confirmations, now)?,
            (BlockState::Lost, Some(Some(_))) => {
                self.store.regain_block(&block.id, now)?;
                true
            }
            (BlockState::Found | BlockState::Immature | BlockState::Matured, Some(None))
            | (BlockState::Immature | BlockState::Matured, None) => {
                let moved = self.store.orphan_block(&block.id, now)?;
                tracing::warn!(block = %block.id, state = moved.state.name(), "a pool block left the best chain");
                true
            }
            (BlockState::Matured, Some(Some(_)))
            | (BlockState::Orphaned | BlockState::Lost, None | Some(None))
            | (BlockState::Rejected, _) => false,
        };
        if moved {
            self.tell_block(&block.id);
        }
        Ok(())
    }

    /// T10.
    fn credit(&self, block: &PoolBlock, winning: ShareSequence, now: u64) -> Result<(), PoolError> {
        let scheme = self.scheme_at(winning)?;
        let window = self.window_of(block.algorithm, scheme.window, winning)?;
        self.store.credit_block(&block.id, &window, scheme.fee, now)?;
        tracing::info!(block = %block.id, height = block.height.0, generation = block.generation, "credited a block");
        Ok(())
    }

    /// T11, once the reward may be spent in the next block (SPEC 6.6).
    fn mature_if_deep(&self, id: &BlockId, confirmations: u32, now: u64) -> Result<bool, PoolError> {
        let is_deep = confirmations >= self.maturity;
        if is_deep {
            self.store.mature_block(id, now)?;
        }
        Ok(is_deep)
    }

    /// C4: a block that the node does not know is submitted until the chain has moved past it.
    fn submit_again(&self, block: &PoolBlock, tip: Height) -> Result<(), PoolError> {
        let bytes = self.store.block_bytes(&block.id)?.unwrap_or_default();
        let verdict = match Block::from_bytes(&bytes) {
            Ok(block) => self.node.submit_block(block),
            Err(error) => Err(SubmitBlockError::Invalid(error.into())),
        };
        let is_past = tip.above(block.height).is_some_and(|above| above > self.maturity);
        match verdict {
            Ok(_) | Err(SubmitBlockError::Duplicate) => self.look_now.notify_one(),
            Err(SubmitBlockError::Invalid(reason)) => self.reject(&block.id, &reason.to_string())?,
            Err(SubmitBlockError::UnknownParent(_) | SubmitBlockError::TooEarly(_)) if is_past => {
                self.reject(&block.id, "the chain has moved past it")?;
            }
            // The node that keeps it adds it by itself.
            Err(SubmitBlockError::UnknownParent(_) | SubmitBlockError::TooEarly(_) | SubmitBlockError::Kept { .. }) => {
            }
            Err(SubmitBlockError::Node(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// A credited block that the node knew once and does not reach now: it lost its newest blocks, or syncs anew. That is
    /// no reorganisation, so nothing is booked; the node gets the block back while we have it.
    fn give_back(&self, block: &PoolBlock) -> Result<(), PoolError> {
        let bytes = self.store.block_bytes(&block.id)?.unwrap_or_default();
        if let Ok(whole) = Block::from_bytes(&bytes) {
            match self.node.submit_block(whole) {
                Ok(_) | Err(SubmitBlockError::Duplicate) => self.look_now.notify_one(),
                Err(error) => tracing::warn!(block = %block.id, %error, "the node does not take a pool block back yet"),
            }
        }
        Ok(())
    }

    fn reject(&self, id: &BlockId, reason: &str) -> Result<(), PoolError> {
        self.store.reject_block(id)?;
        tracing::error!(block = %id, reason, "a pool block can never be on the chain");
        self.tell_block(id);
        Ok(())
    }

    /// Tells the live feed where a block stands.
    pub(crate) fn tell_block(&self, id: &BlockId) {
        match self.block_view_of(id) {
            Ok(Some(view)) => self.tell(Event::Block(view)),
            Ok(None) => {}
            Err(error) => tracing::warn!(block = %id, %error, "a block event is left out"),
        }
    }
}
