use std::{ops::ControlFlow, sync::Arc};

use bq_ledger::ShareWeight;
use bq_mining_message::SharePosition;
use bq_pool_machine::{Accounts, Shares, SharesError};
use bq_primitives::{AccountId, Algorithm, KeyHash};
use bq_segments::ShareLog;

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
        // Asked once for each machine that a segment names, also for those whose shares come later.
        let resolve = |key: &KeyHash| accounts.find(key);
        for piece in self.0.backwards(from.sequence.next(), resolve) {
            let piece = piece.map_err(|error| SharesError::Unreadable(error.to_string()))?;
            if piece.algorithm != algorithm {
                continue;
            }
            let Some(account) = piece.payee else { return Err(self.unknown(&piece)) };
            if each(account, piece.weight).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl OwnShares {
    fn unknown(&self, piece: &bq_segments::Piece<Option<AccountId>>) -> SharesError {
        let share = self.0.read(piece.sequence..piece.sequence.next()).next();
        match share {
            Some(Ok((_, share))) => SharesError::UnknownKey(share.payee),
            _ => SharesError::Unreadable(format!("share {} cannot be read again", piece.sequence)),
        }
    }
}
