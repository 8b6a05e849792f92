//! Books of the version before the log of events (`ledger.sqlite`, `shares/`) are taken over at start, or refused with words.
//!
//! New books and shares are written under other names and put in place by two renames, the books last: until then the older
//! files are untouched and the next start begins anew. Afterwards the older files are renamed to `.old`, so that the older
//! software, which would pay the same balances again, finds nothing to start from.

mod balances;
mod import;
mod ledger;
mod shares;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_books::{Batch, BookStore, NewEvent, Row, SqliteBooks};
use bq_chain_api::NodeApi;
use bq_pool_machine::{Event, LogHead, State};
use bq_segments::{Disk, RealDisk};

use crate::{
    PayoutSigner, PoolConfig, PoolError,
    rows::{balance_row, block_row, bytes_row, payment_rows, signed_row},
    source::OwnShares,
};
use import::TakenOver;

/// Where old and new files lie.
pub(crate) struct Places {
    pub(crate) folder: PathBuf,
}

/// One of the renames that put what was written in place.
pub(crate) type Step = fn(&Places) -> io::Result<()>;

/// In order. A crash before the second leaves the older books in force, one after it the new ones.
pub(crate) const STEPS: [Step; 3] = [Places::place_shares, Places::place_books, Places::set_aside];

/// Takes older books over if there are some and no newer ones.
pub(crate) fn take_over(config: &PoolConfig, node: &dyn NodeApi, signer: &dyn PayoutSigner) -> Result<(), PoolError> {
    let places = Places { folder: config.data_dir.clone() };
    if !places.at("ledger.sqlite").exists() {
        return Ok(());
    }
    if places.at("books.sqlite").exists() {
        return places.finish();
    }
    tracing::info!(folder = %places.folder.display(), "taking over the books of the version before");
    write(&places, config, node, signer)?;
    STEPS.iter().try_for_each(|step| step(&places))?;
    tracing::info!("the older books are taken over; they stay as ledger.sqlite.old and shares.old");
    Ok(())
}

/// Writes new books and shares beside the old ones.
pub(crate) fn write(
    places: &Places,
    config: &PoolConfig,
    node: &dyn NodeApi,
    signer: &dyn PayoutSigner,
) -> Result<(), PoolError> {
    places.clear()?;
    let opened = crate::open::opened(config, node, signer);
    let refused = |reason: Reason| refused(&places.at("ledger.sqlite"), reason);
    let ledger = ledger::OldLedger::open(&places.at("ledger.sqlite"), &opened).map_err(refused)?;
    let audited = ledger.audit().map_err(refused)?;
    let mut content = ledger.read(&opened).map_err(refused)?;
    let old_shares = places.at("shares");
    let shares = shares::convert(&old_shares, &places.at("share-log.new"), config, &opened, &mut content)
        .map_err(|reason| self::refused(&old_shares, reason))?;
    let taken = import::import(config, node, opened, &ledger, content, &audited, &shares)?;
    write_books(places, config, node, &taken, shares.log)
}

/// One event that holds all of it, and the rows that people look at.
fn write_books(
    places: &Places,
    config: &PoolConfig,
    node: &dyn NodeApi,
    taken: &TakenOver,
    log: bq_segments::ShareLog,
) -> Result<(), PoolError> {
    let event = Event::Imported(Box::new(taken.import.clone()));
    let mut state = State::default();
    let applied = state.apply(&event, &OwnShares(Arc::new(log)))?;
    state.check().map_err(|fault| refused(&places.at("ledger.sqlite"), Reason(fault.to_string())))?;
    let mut rows: Vec<Row> = state.books().balances().map(|(account, _)| balance_row(&state, account)).collect();
    rows.extend(taken.blocks.iter().map(block_row));
    rows.extend(taken.payouts.iter().flat_map(payment_rows));
    rows.extend(taken.block_bytes.iter().map(|(id, bytes)| bytes_row(&id.to_string(), bytes.clone())));
    rows.extend(taken.signed.iter().map(|(id, bytes)| signed_row(*id, bytes.clone())));
    let new = NewEvent { head: applied.head, kind: event.name(), bytes: applied.bytes };
    let store = SqliteBooks::open(&places.at("books.sqlite.new"), config.network, &node.genesis_id())?;
    store.append(&Batch { expected: LogHead::default(), events: vec![new], rows, ..Batch::default() })?;
    Ok(())
}

impl Places {
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes what a migration left that did not end. A share log without books that no migration left is not touched.
    fn clear(&self) -> Result<(), PoolError> {
        let shares = self.at("share-log");
        if shares.exists() {
            if !self.at("books.sqlite.new").exists() {
                let reason = "it is there without books.sqlite: move it away, or restore books.sqlite";
                return Err(refused(&shares, Reason(reason.to_owned())));
            }
            fs::remove_dir_all(&shares)?;
        }
        for name in ["share-log.new", "books.sqlite.new", "books.sqlite.new-wal", "books.sqlite.new-shm"] {
            let path = self.at(name);
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }

    /// The new books are in place: what is left is to set the old files aside.
    fn finish(&self) -> Result<(), PoolError> {
        let aside = self.at("ledger.sqlite.old");
        if aside.exists() {
            let reason = "older software was started here after its books had been taken over as ledger.sqlite.old; \
                          nothing of the new file is in the books: move it away";
            return Err(refused(&self.at("ledger.sqlite"), Reason(reason.to_owned())));
        }
        Ok(self.set_aside()?)
    }

    fn place_shares(&self) -> io::Result<()> {
        self.rename("share-log.new", "share-log")
    }

    fn place_books(&self) -> io::Result<()> {
        self.rename("books.sqlite.new", "books.sqlite")
    }

    /// The write-ahead log first: without it the file may lack its newest lines.
    fn set_aside(&self) -> io::Result<()> {
        if self.at("ledger.sqlite-wal").exists() {
            self.rename("ledger.sqlite-wal", "ledger.sqlite.old-wal")?;
        }
        if self.at("ledger.sqlite-shm").exists() {
            fs::remove_file(self.at("ledger.sqlite-shm"))?;
        }
        // A crash in between must find the ledger: it is what says that something is left to do.
        if self.at("shares").exists() {
            self.rename("shares", "shares.old")?;
        }
        self.rename("ledger.sqlite", "ledger.sqlite.old")
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))?;
        RealDisk.sync_folder(&self.folder)
    }
}

/// Why books are not taken over.
#[derive(Debug)]
pub(crate) struct Reason(pub(crate) String);

impl<E: std::fmt::Display> From<E> for Reason {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

fn refused(path: &Path, Reason(reason): Reason) -> PoolError {
    PoolError::Migrate { path: path.display().to_string(), reason }
}
