//! What can be done to a pool that does not run: shares are given up, copies made and put back, everything is checked.

mod forfeit;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_books::{Batch, BookStore, NewEvent, SqliteBooks};
use bq_mining_message::FrontEndId;
use bq_pool_machine::{Act, Event, LogHead, LogNumber, Operator, Reason, State};
use bq_primitives::{BlockId, KeyHash, Network};
use bq_segments::RealDisk;

use crate::{
    BackupError, PoolError, Rules, StoppedError,
    audit::{Findings, audit},
    backup::{self, Owner},
    clock::{Clock as _, SystemClock},
    open::{Place, Replay, log_options, open_shares, replay, shares_told, start_state, verify_chain},
    restore::{Target, restore},
    rows::rows_of,
    source::OwnShares,
};

/// A pool that does not run, by its files. Whoever makes one holds the lock of the data directory.
#[derive(Clone, Debug)]
pub struct StoppedPool {
    /// Holds `books.sqlite` and `share-log/`.
    pub data_dir: PathBuf,
    /// The chain.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
    /// Which of several front ends this one is; 0 for the only one.
    pub front_end: FrontEndId,
}

impl StoppedPool {
    /// Copies books and shares into a new folder.
    ///
    /// # Errors
    /// [`StoppedError`].
    pub fn back_up(&self, folder: &Path, dry_run: bool) -> Result<String, StoppedError> {
        let store = self.books()?;
        backup::check_free(folder, &self.data_dir)?;
        if dry_run {
            return Ok(format!("Would do: books and shares are copied to {}", folder.display()));
        }
        let head = backup::make(&store, &self.data_dir, self.owner(), folder)?;
        Ok(backed_up(folder, head.number))
    }

    /// Puts a backup in the place of the books, which are moved aside, and pauses payouts: the chain tells of what was lost only
    /// if a block of the pool was found since, and a payout that the copy forgot may still be under way. The shares that are there stay
    /// if they are the backup's and more. `key` is that of the key file, if there is one: a backup of another pool is refused.
    ///
    /// # Errors
    /// [`StoppedError`]; before all of the backup lay beside its place nothing was touched.
    pub fn restore(&self, folder: &Path, key: Option<KeyHash>, dry_run: bool) -> Result<String, StoppedError> {
        let target = Target { owner: self.owner(), place: self.place(), key };
        let reason = Reason { who: "restore".to_owned(), why: RESTORED.to_owned() };
        let restored = restore(folder, &target, dry_run, |books| self.pause(books, &reason))?;
        let aside =
            restored.aside.map_or_else(String::new, |path| format!("; what was there lies in {}", path.display()));
        let (would, event) = (if dry_run { "Would do: " } else { "" }, restored.event);
        let are = match restored.keeps_shares {
            Ok(()) => format!(
                "the books are those of event {event} again; the shares that are there are whole, fit them, and stay"
            ),
            Err(reason) => {
                format!("books and shares are those of event {event} again (the shares that were there: {reason})")
            }
        };
        Ok(format!("{would}{are}{aside}; payouts are paused: {RESTORED}; then bq pool resume"))
    }

    /// Pauses the pool whose books lie there, beside the shares in their place.
    fn pause(&self, books: &Path, reason: &Reason) -> Result<(), StoppedError> {
        let store = SqliteBooks::open(books, self.network, &self.genesis)?;
        let (mut state, first) = start_state(&store)?;
        let told = shares_told(&store, &state, first, self.front_end)?;
        let log = open_shares(&self.place(), Arc::new(RealDisk), told, log_options())?;
        let shares = OwnShares(Arc::new(log));
        let _untold = replay(&store, &mut state, first, &self.replay(&shares))?;
        // An empty one pays nobody.
        if state.opened().is_none() {
            return Ok(());
        }
        // A copy of a pool that was paused would say why it was then, and nothing of what has to be done now.
        let before = state.paused().map(|paused| paused.reason.clone());
        let reason = before.map_or_else(|| reason.clone(), |before| reason.and(&before));
        if state.paused().is_some() {
            self.tell(&store, &mut state, &shares, Act::Resume, &reason)?;
        }
        Ok(self.tell(&store, &mut state, &shares, Act::Pause, &reason)?)
    }

    /// Replays the log from its first event and compares everything with what is stored.
    ///
    /// # Errors
    /// [`StoppedError`]: books or shares cannot be opened at all.
    pub fn audit(&self) -> Result<Findings, StoppedError> {
        let store = self.books()?;
        let (state, first) = start_state(&store)?;
        let told = shares_told(&store, &state, first, self.front_end)?;
        let log = match open_shares(&self.place(), Arc::new(RealDisk), told, log_options()) {
            Ok(log) => log,
            Err(error) => {
                // How far the shares must reach was read from an event, which may be what is wrong.
                verify_chain(&store, LogHead::default(), store.head()?)?;
                return Err(error.into());
            }
        };
        Ok(audit(&store, &Arc::new(log), self.front_end)?)
    }

    /// The key that the books began with; nothing if there are no books.
    ///
    /// # Errors
    /// [`StoppedError`].
    pub fn key(&self) -> Result<Option<KeyHash>, StoppedError> {
        if !self.data_dir.join("books.sqlite").exists() {
            return Ok(None);
        }
        Ok(keys_of(&self.books()?)?.map(|keys| keys.first))
    }

    pub(crate) fn books(&self) -> Result<SqliteBooks, StoppedError> {
        let path = self.data_dir.join("books.sqlite");
        if !path.exists() {
            let reason = format!("{} holds no books of a pool", self.data_dir.display());
            return Err(StoppedError::Value { field: "data_dir", reason });
        }
        Ok(SqliteBooks::open(&path, self.network, &self.genesis)?)
    }

    fn tell(
        &self,
        store: &dyn BookStore,
        state: &mut State,
        shares: &OwnShares,
        act: Act,
        reason: &Reason,
    ) -> Result<(), PoolError> {
        let (who, why) = (reason.who.clone(), reason.why.clone());
        let event = Event::Operator(Operator { act, who, reason: why, time_ms: SystemClock::start().unix_ms() });
        let expected = state.head();
        let applied = state.apply(&event, shares)?;
        let rows = rows_of(state, &applied);
        let event = NewEvent { head: applied.head, kind: event.name(), bytes: applied.bytes };
        store.append(&Batch { expected, events: vec![event], rows, ..Batch::default() })?;
        Ok(())
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { data_dir: &self.data_dir, genesis: self.genesis, front_end: self.front_end }
    }

    const fn replay<'a>(&self, shares: &'a OwnShares) -> Replay<'a> {
        Replay { shares, front_end: self.front_end, rules: Rules::MACHINE }
    }

    const fn owner(&self) -> Owner {
        Owner { network: self.network, genesis: self.genesis }
    }
}

/// The keys that a log belongs to.
pub(crate) struct LogKeys {
    /// The one that it began with.
    pub(crate) first: KeyHash,
    /// The one that it ends with.
    pub(crate) newest: KeyHash,
}

/// Nothing for a log without events.
pub(crate) fn keys_of(store: &dyn BookStore) -> Result<Option<LogKeys>, bq_books::StoreError> {
    let first = store.read(LogNumber(1), 1)?.into_iter().find_map(|stored| match Event::from_bytes(&stored.bytes) {
        Ok(Event::Opened(opened)) => Some(opened.key),
        Ok(Event::Imported(import)) => Some(import.opened.key),
        _ => None,
    });
    let Some(first) = first else { return Ok(None) };
    let changes = store.newest("operator", LogNumber(u64::MAX), usize::MAX)?;
    let newest = changes.into_iter().find_map(|stored| match Event::from_bytes(&stored.bytes) {
        Ok(Event::Operator(Operator { act: Act::NewKey { key }, .. })) => Some(key),
        _ => None,
    });
    Ok(Some(LogKeys { first, newest: newest.unwrap_or(first) }))
}

/// Why a pool is paused whose books were put back.
const RESTORED: &str = "a backup was put back: if the pool did anything since it was made, bq pool recover, with --forced if no block \
    tells of it";

/// What a finished backup is called in words.
pub(crate) fn backed_up(folder: &Path, event: LogNumber) -> String {
    format!(
        "books and shares up to event {event} are copied to {}; the key file is not in it and needs a copy of its own",
        folder.display()
    )
}

impl From<bq_books::StoreError> for StoppedError {
    fn from(error: bq_books::StoreError) -> Self {
        Self::Pool(error.into())
    }
}

impl From<BackupError> for StoppedError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => Self::Pool(error.into()),
            error if error.is_input() => Self::Value { field: "folder", reason: error.to_string() },
            error => Self::Backup(error),
        }
    }
}
