use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use bq_books::BookStore;
use bq_ledger::ShareWeight;
use bq_mining_message::{FrontEndId, SharePosition, ShareSequence};
use bq_pool_machine::{Accounts, Act, Event, LogNumber, Operator, Shares, SharesError};
use bq_primitives::{AccountId, Algorithm, KeyHash};
use bq_segments::ShareLog;

use crate::PoolError;

/// The shares of this front end's log. It is the only front end, so the order of the log of events is its own order.
pub(crate) struct OwnShares(pub(crate) Arc<ShareLog>);

impl Shares for OwnShares {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(AccountId, ShareWeight) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        self.walk(&[], algorithm, from, accounts, each)
    }
}

/// The same shares for events that were written before some of them were given up: those came to what nobody can compute any more,
/// and must not silently come to something else.
pub(crate) struct EarlierShares<'a> {
    own: &'a OwnShares,
    front_end: FrontEndId,
    /// What is given up, and was not yet where the replay stands.
    untold: Vec<Range<ShareSequence>>,
}

impl<'a> EarlierShares<'a> {
    /// Where the next event to be applied is `first`.
    pub(crate) fn new(
        own: &'a OwnShares,
        store: &dyn BookStore,
        front_end: FrontEndId,
        first: LogNumber,
    ) -> Result<Self, PoolError> {
        let mut shares = Self { own, front_end, untold: own.0.status().holes };
        if !shares.untold.is_empty() {
            for stored in store.newest("operator", first, usize::MAX)? {
                if let Ok(event) = Event::from_bytes(&stored.bytes) {
                    shares.note(&event);
                }
            }
        }
        Ok(shares)
    }

    /// Where the next event to be applied is the first of the log.
    pub(crate) fn from_the_first(own: &'a OwnShares, front_end: FrontEndId) -> Self {
        Self { own, front_end, untold: own.0.status().holes }
    }

    /// An event was applied: from one that gives shares up on, these count for nothing.
    pub(crate) fn note(&mut self, event: &Event) {
        if let Event::Operator(Operator { act: Act::Forfeit { front_end, first, end }, .. }) = event
            && *front_end == self.front_end
        {
            self.untold.retain(|hole| hole.start < *first || *end < hole.end);
        }
    }

    /// What is given up and no event so far says so.
    pub(crate) fn untold(&self) -> &[Range<ShareSequence>] {
        &self.untold
    }
}

impl Shares for EarlierShares<'_> {
    fn walk_back(
        &self,
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(AccountId, ShareWeight) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        self.own.walk(&self.untold, algorithm, from, accounts, each)
    }
}

impl OwnShares {
    fn walk(
        &self,
        untold: &[Range<ShareSequence>],
        algorithm: Algorithm,
        from: SharePosition,
        accounts: &Accounts,
        each: &mut dyn FnMut(AccountId, ShareWeight) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        // The newest of them that is not newer than the walk: nobody knows what would come behind it.
        let hole = untold.iter().filter(|hole| hole.start <= from.sequence).max_by_key(|hole| hole.end);
        let is_behind = |sequence: ShareSequence| hole.filter(|hole| sequence < hole.end);
        // Asked once for each machine that a segment names, also for those whose shares come later.
        let resolve = |key: &KeyHash| accounts.find(key);
        for piece in self.0.backwards(from.sequence.next(), resolve) {
            let piece = piece.map_err(|error| SharesError::Unreadable(error.to_string()))?;
            if let Some(hole) = is_behind(piece.sequence) {
                return Err(given_up(hole));
            }
            if piece.algorithm != algorithm {
                continue;
            }
            let Some(account) = piece.payee else { return Err(self.unknown(&piece)) };
            if each(account, piece.weight).is_break() {
                return Ok(());
            }
        }
        hole.map_or(Ok(()), |hole| Err(given_up(hole)))
    }

    fn unknown(&self, piece: &bq_segments::Piece<Option<AccountId>>) -> SharesError {
        let share = self.0.read(piece.sequence..piece.sequence.next()).next();
        match share {
            Some(Ok((_, share))) => SharesError::UnknownKey(share.payee),
            _ => SharesError::Unreadable(format!("share {} cannot be read again", piece.sequence)),
        }
    }
}

const fn given_up(hole: &Range<ShareSequence>) -> SharesError {
    SharesError::GivenUp { first: hole.start, end: hole.end }
}
