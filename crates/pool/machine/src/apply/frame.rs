//! Shares and the blocks they turn out to be.

use bq_mining_message::{FRAME_SHARES_MAX, FrameHeader, SharePosition, ShareSequence};
use bq_primitives::Amount;

use super::Step;
use crate::{Candidate, Fault, FrontEndHead, PoolBlock, State, Winning};

impl State {
    /// A front end's shares come whole, once and in order. Windows read them when a block is credited, and shares that are paid for
    /// themselves are settled later.
    pub(super) fn frame(&mut self, frame: &FrameHeader) -> Result<(), Fault> {
        if frame.count == 0 || usize::from(frame.count) > FRAME_SHARES_MAX {
            return Err(Fault::FrameCount(frame.count));
        }
        let head = self.front_ends.get(&frame.front_end).copied();
        let expected = head.map_or(ShareSequence::FIRST, |head| head.next);
        if frame.first != expected {
            return Err(Fault::FrameOrder { front_end: frame.front_end, got: frame.first, expected });
        }
        if head.is_some_and(|head| frame.epoch < head.epoch) {
            return Err(Fault::FrameEpoch(frame.front_end));
        }
        if head.is_none() && self.offer().pays_per_share() {
            self.per_share.settled.insert(frame.front_end, ShareSequence::FIRST);
        }
        self.front_ends.insert(frame.front_end, FrontEndHead { epoch: frame.epoch, next: frame.end() });
        Ok(())
    }

    /// A block is told before the chain event that joins it.
    pub(super) fn candidate(&mut self, step: &mut Step<'_>, candidate: &Candidate) -> Result<(), Fault> {
        let block = candidate.id;
        if self.blocks.contains_key(&block) {
            return Err(Fault::BlockKnown(block));
        }
        if candidate.height < self.kept_from() {
            let height = candidate.height;
            return Err(Fault::BlockPlace { block, height, reason: "one as old may be credited and forgotten" });
        }
        if candidate.reward()? == Amount::ZERO {
            return Err(Fault::BlockPaysNothing(block));
        }
        let named = match &candidate.winning {
            Winning::Share(share) | Winning::After(share) => [Some(*share), None],
            Winning::Coinbase(direct) => [direct.share, direct.newest],
            Winning::NoShares | Winning::Lost => [None, None],
        };
        if let Some(share) = named.into_iter().flatten().find(|share| !self.has_share(*share)) {
            let SharePosition { front_end, sequence } = share;
            return Err(Fault::WinningShare { block, front_end, sequence });
        }
        self.check_direct(candidate)?;
        self.blocks.insert(block, PoolBlock::new(candidate.clone()));
        step.applied.blocks.insert(block);
        Ok(())
    }

    /// What a coinbase pays is what it says, to accounts that there are.
    fn check_direct(&self, candidate: &Candidate) -> Result<(), Fault> {
        let Some(direct) = candidate.direct() else { return Ok(()) };
        let sum = Amount::sum(direct.paid.iter().map(|output| output.amount))?;
        if sum != direct.total {
            return Err(Fault::DirectSum { block: candidate.id, got: sum, total: direct.total });
        }
        let unknown = direct.paid.iter().find(|output| self.accounts.key(output.account).is_none());
        unknown.map_or(Ok(()), |output| Err(Fault::UnknownAccount(output.account)))
    }

    fn has_share(&self, share: SharePosition) -> bool {
        let head = self.front_ends.get(&share.front_end);
        share.sequence >= ShareSequence::FIRST && head.is_some_and(|head| share.sequence < head.next)
    }
}
