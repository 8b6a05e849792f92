//! The log for a signer that follows it (SPEC 8.11.3).

use bq_mining_message::{FrameDigest, FrameHeader, SharePosition, ShareSequence};
use bq_pool_machine::{Event, LogHash, LogHead, LogNumber, State};

use crate::{LogReader, LoggedEvent, PoolError, SignerError, keeper::Keeper, retention::longest_windows};

/// Frames looked through at once.
const FRAMES_READ: usize = 4096;

impl LogReader for Keeper {
    fn hash_at(&self, number: LogNumber) -> Result<Option<LogHash>, SignerError> {
        if number == LogNumber::default() {
            return Ok(Some(LogHash::default()));
        }
        self.store.hash_at(number).map_err(unread)
    }

    fn events_after(
        &self,
        number: LogNumber,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LoggedEvent>, SignerError> {
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        for stored in self.store.read(number.next(), events_max).map_err(unread)? {
            let shares = match Event::from_bytes(&stored.bytes) {
                Ok(Event::Frame(frame)) => self.encoded_shares(&frame),
                _ => None,
            };
            bytes = bytes.saturating_add(stored.bytes.len()).saturating_add(shares.as_ref().map_or(0, Vec::len));
            events.push(LoggedEvent { bytes: stored.bytes, shares });
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(events)
    }

    fn start(&self) -> Result<Option<(LogHead, Vec<u8>)>, SignerError> {
        let Some(checkpoint) = self.store.checkpoint().map_err(unread)? else { return Ok(None) };
        let state = State::from_bytes(&checkpoint.state).map_err(unread)?;
        let from = self.log_before_shares(&state, checkpoint.head).map_err(unread)?;
        Ok(Some((from, checkpoint.state)))
    }
}

impl Keeper {
    /// Nothing if they are not there any more, or are not the frame's.
    fn encoded_shares(&self, frame: &FrameHeader) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut leaves = Vec::new();
        for share in self.log.read(frame.first..frame.end()) {
            let (_, share) = share.ok()?;
            leaves.push(share.leaf());
            share.encode(&mut bytes);
        }
        (FrameDigest::of_leaves(leaves) == frame.digest).then_some(bytes)
    }

    /// The log before the oldest frame whose shares a window may want after `state`, which the log up to `head` comes to.
    fn log_before_shares(&self, state: &State, head: LogHead) -> Result<LogHead, PoolError> {
        let from = state.windows_from(self.config.front_end);
        let position = SharePosition { front_end: self.config.front_end, sequence: from };
        let wanted = self.oldest_wanted(longest_windows(state, position), from)?;
        let first = wanted.unwrap_or(self.log.status().pruned_before).max(ShareSequence::FIRST);
        let mut before = head.number.next();
        let mut start = head;
        loop {
            let frames = self.store.newest("frame", before, FRAMES_READ)?;
            for stored in &frames {
                let Ok(Event::Frame(frame)) = Event::from_bytes(&stored.bytes) else { continue };
                if frame.end() <= first {
                    return Ok(start);
                }
                let number = LogNumber(stored.head.number.0.saturating_sub(1));
                let hash = match number {
                    LogNumber(0) => LogHash::default(),
                    number => self.store.hash_at(number)?.unwrap_or_default(),
                };
                start = LogHead { number, hash };
            }
            match frames.last() {
                Some(oldest) => before = oldest.head.number,
                None => return Ok(start),
            }
        }
    }
}

fn unread(error: impl std::fmt::Display) -> SignerError {
    SignerError(format!("the log cannot be read for the signer: {error}"))
}
