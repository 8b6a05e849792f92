use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use bq_books::BookStore;
use bq_mining_message::{FrontEndId, SharePosition, ShareSequence};
use bq_pool_machine::{Accounts, Act, EarnedShare, Event, LogNumber, Operator, Shares, SharesError};
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
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        self.walk_back_from(&[], (algorithm, from), accounts, each)
    }

    fn walk(
        &self,
        _: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        for share in self.0.read(range) {
            let (_, share) = share.map_err(|error| SharesError::Unreadable(error.to_string()))?;
            let account = accounts.find(&share.payee).ok_or(SharesError::UnknownKey(share.payee))?;
            each(&EarnedShare::of(&share, account));
        }
        Ok(())
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
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
    ) -> Result<(), SharesError> {
        self.own.walk_back_from(&self.untold, (algorithm, from), accounts, each)
    }

    fn walk(
        &self,
        front_end: FrontEndId,
        range: Range<ShareSequence>,
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare),
    ) -> Result<(), SharesError> {
        let is_in = |hole: &&Range<ShareSequence>| hole.start < range.end && range.start < hole.end;
        if let Some(hole) = self.untold.iter().find(is_in) {
            return Err(given_up(hole));
        }
        self.own.walk(front_end, range, accounts, each)
    }
}

impl OwnShares {
    fn walk_back_from(
        &self,
        untold: &[Range<ShareSequence>],
        (algorithm, from): (Algorithm, SharePosition),
        accounts: &Accounts,
        each: &mut dyn FnMut(&EarnedShare) -> ControlFlow<()>,
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
            let share = EarnedShare {
                algorithm,
                account,
                weight: piece.weight,
                difficulty: piece.difficulty,
                network_difficulty: piece.network_difficulty,
                pay: piece.pay,
            };
            if each(&share).is_break() {
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
