use bq_mining_message::{BootEpoch, FRAME_SHARES_MAX, FrameDigest, FrameHeader, ShareSequence};

use crate::{ReadError, ShareLog, cursor::Cursor};

impl ShareLog {
    /// Cuts the shares from `from` up to but not including `upto` into frames of [`FRAME_SHARES_MAX`], the last one of what is left. A frame ends
    /// before a hole; forfeited shares and those that are not there yet are in none. Of shares that were appended since the start and
    /// not asked for before, nothing is read; the leaves before `from` are forgotten.
    ///
    /// What the books are given must be on stable storage: ask up to [`ShareLog::synced_before`], or the next start may find the log
    /// shorter than the books say.
    #[must_use]
    pub fn frames(&self, from: ShareSequence, epoch: BootEpoch, upto: ShareSequence) -> Frames<'_> {
        let mut state = self.shared.state.lock();
        let next = state.next;
        state.leaves.drop_before(from.min(next));
        let upto = upto.min(next);
        Frames { log: self, epoch, at: from.max(ShareSequence::FIRST), upto, cursor: None }
    }
}

/// Frames of a log, oldest first.
pub struct Frames<'a> {
    log: &'a ShareLog,
    epoch: BootEpoch,
    at: ShareSequence,
    upto: ShareSequence,
    /// For what is not in memory.
    cursor: Option<Cursor>,
}

impl Iterator for Frames<'_> {
    type Item = Result<FrameHeader, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.upto {
            return None;
        }
        let most = usize::try_from(self.upto.0.saturating_sub(self.at.0)).unwrap_or(usize::MAX).min(FRAME_SHARES_MAX);
        let in_memory = self.log.shared.state.lock().leaves.get(self.at, most);
        let leaves = match in_memory {
            Some(leaves) => leaves,
            None => match self.read(most) {
                Ok(leaves) => leaves,
                Err(error) => {
                    self.at = self.upto;
                    return Some(Err(error));
                }
            },
        };
        let count = u16::try_from(leaves.len()).ok().filter(|count| *count > 0)?;
        let (front_end, epoch, first) = (self.log.shared.identity.front_end, self.epoch, self.at);
        let frame = FrameHeader { front_end, epoch, first, count, digest: FrameDigest::of_leaves(leaves) };
        self.at = frame.end();
        Some(Ok(frame))
    }
}

impl Frames<'_> {
    /// The leaves of the next run of shares that are there, at most so many. None are left if there is none.
    fn read(&mut self, most: usize) -> Result<Vec<[u8; 32]>, ReadError> {
        let cursor = self.cursor.get_or_insert_with(|| Cursor::new(&self.log.shared));
        cursor.check_pruned(self.at)?;
        let Some(first) = cursor.present_from(self.at).filter(|first| *first < self.upto) else {
            return Ok(Vec::new());
        };
        self.at = first;
        let mut leaves = Vec::with_capacity(most);
        let mut at = first;
        while leaves.len() < most && at < self.upto {
            let Some(share) = cursor.share(at)? else { break };
            leaves.push(share.leaf());
            at = at.next();
        }
        Ok(leaves)
    }
}
