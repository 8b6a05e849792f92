//! Accepted shares become frames of the log: synced first, so that the books never name a share that a power cut took.

use bq_mining_message::ShareSequence;
use bq_pool_machine::{Event, NewAccount, Winning};

use crate::{PoolError, keeper::Keeper, rows::bytes_row};

/// Frames that are told in one step at most: bounds a transaction of the books, and what waits for it.
const FRAMES_TOGETHER: usize = 1024;

impl Keeper {
    /// Tells the log of every share that is written, and of blocks among them.
    pub(crate) fn tell_frames(&self) -> Result<(), PoolError> {
        self.write_owed_shares()?;
        self.log.sync()?;
        let synced = self.log.synced_before();
        loop {
            let (first, mut next_account) = {
                let state = self.state.read();
                let head = state.front_end(self.config.front_end);
                (head.map_or(ShareSequence::FIRST, |head| head.next), state.accounts().next())
            };
            // What was forfeited is not there to be told: the numbers go on behind it.
            let mut end = first;
            let mut frames = Vec::new();
            for frame in self.log.frames(first, self.epoch, synced).take(FRAMES_TOGETHER) {
                let frame = frame?;
                end = frame.end();
                frames.push(Event::Frame(frame));
            }
            if frames.is_empty() {
                break;
            }
            let mut events = Vec::new();
            let keys = self.intake.lock().take_keys(end);
            for key in keys {
                // A payout that was taken over brought it before its first share did.
                if self.state.read().accounts().find(&key).is_some() {
                    continue;
                }
                let Some(account) = next_account else {
                    return Err(PoolError::Inconsistent("every account number is taken".to_owned()));
                };
                next_account = account.0.checked_add(1).map(bq_primitives::AccountId);
                events.push(Event::Account(NewAccount { account, key }));
            }
            events.extend(frames);
            self.tell_all(&events, Vec::new())?;
        }
        self.tell_found(synced)
    }

    /// Found blocks, before the chain event that joins them.
    fn tell_found(&self, synced: ShareSequence) -> Result<(), PoolError> {
        let tellable = self.intake.lock().tellable(synced);
        for found in tellable {
            let (id, height) = (found.candidate.id, found.candidate.height);
            let is_too_old = height < self.state.read().kept_from();
            if is_too_old {
                tracing::warn!(block = %id, %height, "a block waited so long to be told that the chain is far past it");
            }
            if !is_too_old && self.state.read().block(&id).is_none() {
                let mut candidate = found.candidate;
                if let (Some(named), Some(coinbase)) = (found.named, &found.coinbase) {
                    let (of, share) = ((candidate.algorithm, named.number), candidate.own_share());
                    if let Some(direct) = self.direct_block(of, coinbase, share)? {
                        candidate.winning = Winning::Coinbase(direct);
                    }
                }
                let rows = vec![bytes_row(&id.to_string(), found.bytes)];
                let marks = found.coinbase.as_ref().and_then(|coinbase| self.cold_coins(coinbase));
                let events: Vec<Event> = marks.into_iter().chain([Event::Candidate(candidate)]).collect();
                self.tell_all(&events, rows)?;
                self.show_block(&id);
            }
            self.intake.lock().told(&id);
        }
        Ok(())
    }
}
