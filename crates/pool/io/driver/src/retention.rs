//! Old shares are dropped, as far as the setting allows and no window, start or audit can still want them.

use std::time::Duration;

use bq_mining_message::{SharePosition, ShareSequence};
use bq_pool_machine::{Reach, State, Terms};
use bq_primitives::Algorithm;
use bq_segments::ReadError;

use crate::{PoolError, keeper::Keeper};

/// How often is looked whether shares can go: it may take reading all that are older than those that are kept. Nothing depends on
/// when it happens, so no setting reaches it.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);

/// Where windows may begin after the checkpoints that are kept: a start reads on from the newest, an audit from the oldest.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    older: Option<ShareSequence>,
    newer: Option<ShareSequence>,
    passing: Option<ShareSequence>,
    looked: Option<Duration>,
}

impl Retention {
    /// A checkpoint of this state was written; another one is forgotten with it.
    pub(crate) fn note_checkpoint(&mut self, windows_from: ShareSequence, is_passing: bool) {
        self.passing = is_passing.then_some(windows_from);
        if !is_passing {
            self.older = self.newer.replace(windows_from);
        }
    }
}

impl Keeper {
    /// Drops what is old, now and then. What goes wrong is only said: nothing depends on it.
    pub(crate) fn drop_old_shares(&self) {
        if self.config.keep_days == 0 {
            return;
        }
        let now = self.clock.running();
        {
            let mut retention = self.retention.lock();
            let is_soon = retention.looked.is_some_and(|looked| now.saturating_sub(looked) < LOOK_INTERVAL);
            if is_soon || retention.older.is_none() {
                return;
            }
            retention.looked = Some(now);
        }
        match self.prune() {
            Ok(0) => {}
            Ok(segments) => {
                let before = self.log.status().pruned_before;
                tracing::info!(segments, %before, "dropped old shares");
            }
            Err(error) => tracing::warn!(%error, "old shares are not dropped"),
        }
    }

    /// Returns how many segments went.
    pub(crate) fn prune(&self) -> Result<usize, PoolError> {
        // A backup that is under way copies the shares that its copy of the books needs.
        let Some(_no_backup) = self.backing_up.try_lock() else { return Ok(0) };
        let Some(from) = self.windows_from() else { return Ok(0) };
        if self.log.oldest_sealed_end().is_none_or(|end| end > from) {
            return Ok(0);
        }
        let position = SharePosition { front_end: self.config.front_end, sequence: from };
        let windows = longest_windows(&self.state.read(), position);
        let Some(oldest) = self.oldest_wanted(windows, from)? else { return Ok(0) };
        Ok(self.log.prune_before(oldest, from)?)
    }

    /// The oldest share that windows may want which begin with `from` or later; nothing where that is not known.
    pub(crate) fn oldest_wanted(
        &self,
        windows: Option<[bq_ledger::WindowUnits; Algorithm::COUNT]>,
        from: ShareSequence,
    ) -> Result<Option<ShareSequence>, PoolError> {
        let Some(windows) = windows else { return Ok(None) };
        let position = SharePosition { front_end: self.config.front_end, sequence: from };
        let mut reach = Reach::new(windows, self.state.read().has_tides(position));
        for piece in self.log.backwards(from.next(), |_| ()) {
            let piece = match piece {
                Ok(piece) => piece,
                // Windows that are not full want shares that went before: nothing can be said of what they lack.
                Err(ReadError::Pruned { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if reach.add(piece.algorithm, piece.sequence, (piece.weight, piece.pay)).is_break() {
                break;
            }
        }
        Ok(Some(reach.oldest().map_or(from, |oldest| oldest.min(from))))
    }

    /// The oldest share with which a window may begin that has to find all of its shares; nothing while that is not known.
    fn windows_from(&self) -> Option<ShareSequence> {
        let (older, newer, passing) = {
            let retention = self.retention.lock();
            (retention.older?, retention.newer?, retention.passing)
        };
        let kept = older.min(newer).min(passing.unwrap_or(newer));
        let now = self.state.read().windows_from(self.config.front_end);
        let kept_ms = u64::from(self.config.keep_days).saturating_mul(24 * 3600 * 1000);
        let young = self.log.first_since(self.now_ms().saturating_sub(kept_ms));
        Some(kept.min(now).min(young))
    }

    /// A longer window would want shares that may be gone: refused until enough of them are there again.
    pub(crate) fn check_window(&self, terms: &Terms) -> Result<(), PoolError> {
        if self.log.status().pruned_before <= ShareSequence::FIRST {
            return Ok(());
        }
        let state = self.state.read();
        let newest = ShareSequence(self.log.next().0.saturating_sub(1));
        let from = SharePosition { front_end: self.config.front_end, sequence: newest };
        let Some(old) = longest_windows(&state, from) else { return Ok(()) };
        let grows = |lane: &Algorithm| old.get(lane.index()).is_some_and(|old| terms.window(*lane) > *old);
        if !Algorithm::ALL.iter().any(grows) {
            return Ok(());
        }
        let wanted = Algorithm::ALL.map(|lane| terms.window(lane));
        let (mut as_now, mut wanted) = (Reach::new(old, false), Reach::new(wanted, false));
        for piece in self.log.backwards(newest.next(), |_| ()) {
            let piece = match piece {
                Ok(piece) => piece,
                Err(ReadError::Pruned { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            // The first may fill earlier: what it is given then changes nothing.
            let _full = as_now.add(piece.algorithm, piece.sequence, (piece.weight, piece.pay));
            if wanted.add(piece.algorithm, piece.sequence, (piece.weight, piece.pay)).is_break() {
                return Ok(());
            }
        }
        // Of a lane whose window was never full, nothing was dropped.
        let short =
            Algorithm::ALL.into_iter().find(|lane| grows(lane) && as_now.is_full(*lane) && !wanted.is_full(*lane));
        match short {
            None => Ok(()),
            Some(lane) => Err(PoolError::Config {
                field: "pplns_window_units",
                reason: format!(
                    "so long a window of {lane} wants shares that were dropped (keep_days): a smaller one now, or this one later"
                ),
            }),
        }
    }
}

/// The longest window of each lane that may begin with a share or a later one.
pub(crate) fn longest_windows(
    state: &State,
    from: SharePosition,
) -> Option<[bq_ledger::WindowUnits; Algorithm::COUNT]> {
    let [sha256d, randomx, ethash] = Algorithm::ALL.map(|lane| state.longest_window(lane, from));
    Some([sha256d?, randomx?, ethash?])
}
