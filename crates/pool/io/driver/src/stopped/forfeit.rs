//! Shares that cannot be read any more are given up.

use std::{path::PathBuf, sync::Arc};

use bq_books::{Batch, BookStore, Checkpoint, NewEvent, SqliteBooks};
use bq_mining_message::ShareSequence;
use bq_pool_machine::{Act, Event, Fault, LogNumber, Operator, Reason, SharesError, State};
use bq_segments::{Disk, ForfeitError, LogIdentity, RealDisk, TrialDisk, forfeit, segment_name};

use super::StoppedPool;
use crate::{
    PoolError, StoppedError,
    clock::{Clock as _, SystemClock},
    open::{log_options, open_shares, replay, shares_folder, shares_told, start_state, verify_shares},
    rows::rows_of,
    source::OwnShares,
};

impl StoppedPool {
    /// Gives a damaged or missing segment of the share log up, by its name. Its shares count for nothing from now on, which an
    /// event of the log says. The file is kept under another name.
    ///
    /// # Errors
    /// [`StoppedError`]; nothing was changed. Refused is, among others, what events behind the newest checkpoint were paid by.
    pub fn forfeit(&self, segment: &str, reason: &Reason, dry_run: bool) -> Result<String, StoppedError> {
        if let Some((field, reason)) = reason.fault() {
            return Err(StoppedError::Value { field, reason });
        }
        let store = self.books()?;
        // All of it happens in memory first: what cannot be done to the end is not begun.
        let trial = self.try_forfeit(&store, segment, reason)?;
        if dry_run {
            return Ok(format!("Would do: {}", trial.sentence()));
        }
        // The files go first: an event of shares that are there would be a lie, and after a crash the same command goes on.
        match self.give_up(&RealDisk, segment, trial.shares_told) {
            Ok(_) | Err(ForfeitError::Gone(_)) => {}
            Err(error) => return Err(unfit(error.to_string())),
        }
        store.append(&trial.batch)?;
        Ok(trial.sentence())
    }

    /// What giving a segment up comes to.
    fn try_forfeit(&self, store: &SqliteBooks, segment: &str, reason: &Reason) -> Result<Trial, StoppedError> {
        let (mut state, first) = start_state(store)?;
        let shares_told = shares_told(store, &state, first, self.front_end)?;
        self.check_is_lost(store, segment, shares_told)?;
        let disk = Arc::new(TrialDisk::over(Arc::new(RealDisk)));
        let given_up = self.give_up(disk.as_ref(), segment, shares_told);
        let kept = match &given_up {
            Ok(kept) => kept.clone(),
            // A crash between file and event: the event is told now.
            Err(ForfeitError::Gone(_)) => None,
            Err(error) => return Err(unfit(error.to_string())),
        };
        let log = open_shares(&self.place(), disk, shares_told, log_options())?;
        let shares = OwnShares(Arc::new(log));
        let untold = replay(store, &mut state, first, &self.replay(&shares)).map_err(|error| match error {
            PoolError::Log { number, fault: Fault::Shares(SharesError::GivenUp { .. }) } => needed(number),
            error => error.into(),
        })?;
        if let (Err(error), true) = (&given_up, untold.is_empty()) {
            return Err(unfit(error.to_string()));
        }
        let mut batch = Batch { expected: state.head(), ..Batch::default() };
        for hole in &untold {
            let act = Act::Forfeit { front_end: self.front_end, first: hole.start, end: hole.end };
            let (who, why) = (reason.who.clone(), reason.why.clone());
            let time_ms = SystemClock::start().unix_ms();
            apply(&mut batch, &mut state, &Event::Operator(Operator { act, who, reason: why, time_ms }), &shares)?;
        }
        // Later starts and audits need nothing of what came before.
        let checkpoint = Checkpoint { head: state.head(), state: state.to_bytes().map_err(PoolError::from)? };
        let event = state.checkpoint_event().map_err(PoolError::from)?;
        apply(&mut batch, &mut state, &event, &shares)?;
        batch.checkpoint = Some(checkpoint);
        let given_up = untold.iter().map(|hole| format!("{} to {}", hole.start, hole.end)).collect();
        Ok(Trial { shares_told, batch, given_up, kept })
    }

    /// Only what a start would be refused for is given up: miners are paid by all that is whole.
    fn check_is_lost(&self, store: &SqliteBooks, segment: &str, told: ShareSequence) -> Result<(), StoppedError> {
        let disk = Arc::new(TrialDisk::over(Arc::new(RealDisk)));
        let log = match open_shares(&self.place(), disk, told, log_options()) {
            Ok(log) => log,
            Err(PoolError::OpenShares(error)) if !error.to_string().contains(segment) => {
                return Err(unfit(format!("the share log names another one: {error}")));
            }
            Err(_) => return Ok(()),
        };
        // Given up already, and no event says so yet.
        if log.status().holes.iter().any(|hole| segment_name(hole.start) == segment) {
            return Ok(());
        }
        match verify_shares(store, &log, self.front_end, u64::MAX) {
            Ok(()) => {
                Err(unfit("every share is there and as the books name it: there is nothing to give up".to_owned()))
            }
            Err(_) => Ok(()),
        }
    }

    fn give_up(
        &self,
        disk: &dyn Disk,
        segment: &str,
        at_least: ShareSequence,
    ) -> Result<Option<PathBuf>, ForfeitError> {
        let identity = LogIdentity { genesis: self.genesis, front_end: self.front_end };
        Ok(forfeit(disk, &shares_folder(&self.data_dir), identity, segment, at_least)?.kept)
    }
}

/// What giving shares up comes to.
struct Trial {
    shares_told: ShareSequence,
    batch: Batch,
    /// In words.
    given_up: Vec<String>,
    /// Where the file lies then; nothing if there is none.
    kept: Option<PathBuf>,
}

impl Trial {
    fn sentence(&self) -> String {
        let given_up = match self.given_up.is_empty() {
            true => "no shares".to_owned(),
            false => format!("shares {}", self.given_up.join(", ")),
        };
        let kept =
            self.kept.as_ref().map_or_else(String::new, |path| format!("; the file is kept as {}", path.display()));
        format!("{given_up} are given up and count for nothing from now on{kept}")
    }
}

fn apply(batch: &mut Batch, state: &mut State, event: &Event, shares: &OwnShares) -> Result<(), PoolError> {
    let applied = state.apply(event, shares)?;
    batch.rows.extend(rows_of(state, &applied));
    batch.events.push(NewEvent { head: applied.head, kind: event.name(), bytes: applied.bytes });
    Ok(())
}

fn unfit(reason: String) -> StoppedError {
    StoppedError::Value { field: "segment", reason }
}

/// A block was credited from these shares, and only they say to whom.
fn needed(number: LogNumber) -> StoppedError {
    unfit(format!(
        "event {number} of the pool's log credited a block from these shares, and no checkpoint holds what that came to: put the \
         file back, or restore a backup (bq pool restore) and then bq pool recover"
    ))
}
