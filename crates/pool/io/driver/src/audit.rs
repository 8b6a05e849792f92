//! The whole log from its first event, compared with everything that is stored.

mod begin;
mod kept;

use std::{collections::BTreeMap, sync::Arc};

use bq_books::{BookStore as _, Checkpoint, Row, RowKind, SqliteBooks, StoredEvent};
use bq_mining_message::{FrameHeader, FrontEndId};
use bq_pool_machine::{Event, Fault, LogNumber, SharesError, State};
use bq_segments::ShareLog;

use self::kept::Bound;
use crate::{
    PoolError,
    rows::rows_of,
    source::{EarlierShares, OwnShares},
};

/// What an audit read, and what does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Events that were applied again.
    pub events: u64,
    /// Events before those: shares that they paid are dropped or given up by now, so only their chain of hashes was followed.
    pub events_read: u64,
    /// Frames whose shares were read and hashed again.
    pub frames: u64,
    /// Frames whose shares are pruned or forfeited.
    pub frames_without_shares: u64,
    /// Rows that were compared.
    pub rows: u64,
    /// What does not fit, in words; empty if all is as it should be. Nothing behind the first wrong event is looked at.
    pub faults: Vec<String>,
}

/// Why an event does not fit what came before it.
#[derive(Debug, thiserror::Error)]
enum Misfit {
    /// The books refuse it, or its shares cannot be read.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// It, or one before it, is another than the one that was written.
    #[error("it does not continue the hash chain (event {got} got, event {stored} stored)")]
    Chain { got: LogNumber, stored: LogNumber },
    /// It is listed under another kind.
    #[error("it is listed as {kept:?}, and is {is:?}")]
    Kind { kept: String, is: &'static str },
    /// A start would begin with another state than the log's.
    #[error("the checkpoint kept there is not what the log comes to")]
    Checkpoint,
}

/// Events and rows read at once: some MiB of memory, whatever the pool.
const READ_AT_ONCE: usize = 4096;
/// More faults than these say nothing new.
const FAULTS_MAX: usize = 100;

/// Rows as the replay gives them, by kind and key.
type Rows = BTreeMap<(RowKind, String), Row>;

/// Replays and compares. What is wrong with the file comes first, and does not keep the rest from being looked at.
pub(crate) fn audit(store: &SqliteBooks, log: &Arc<ShareLog>, front_end: FrontEndId) -> Result<Findings, PoolError> {
    let said = |fault: String| format!("books.sqlite: {fault}");
    let of_file: Vec<String> = store.structure_faults()?.into_iter().map(said).collect();
    match audit_all(store, log, front_end) {
        Ok(mut findings) => {
            findings.faults.splice(0..0, of_file);
            Ok(findings)
        }
        Err(error) if of_file.is_empty() => Err(error),
        Err(error) => Ok(Findings { faults: [of_file, vec![error.to_string()]].concat(), ..Findings::default() }),
    }
}

fn audit_all(store: &SqliteBooks, log: &Arc<ShareLog>, front_end: FrontEndId) -> Result<Findings, PoolError> {
    let is_pruned = log.status().windows_from.is_some();
    let mut begin = if is_pruned { Begin::OldestCheckpoint } else { Begin::FirstEvent };
    loop {
        let (findings, is_short) = audit_from(begin, store, log, front_end)?;
        begin = match begin {
            _ if !is_short => return Ok(findings),
            Begin::FirstEvent => Begin::OldestCheckpoint,
            Begin::OldestCheckpoint => Begin::NewestCheckpoint,
            Begin::NewestCheckpoint => return Ok(findings),
        };
    }
}

/// Where the computing begins; events before that are only read. What it needs may be dropped or given up: then later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    FirstEvent,
    OldestCheckpoint,
    NewestCheckpoint,
}

/// Returns also whether it ended where shares were wanted that are given up.
fn audit_from(
    begin: Begin,
    store: &SqliteBooks,
    log: &Arc<ShareLog>,
    front_end: FrontEndId,
) -> Result<(Findings, bool), PoolError> {
    let own = OwnShares(Arc::clone(log));
    let mut audit = Audit {
        findings: Findings::default(),
        state: State::default(),
        rows: Rows::new(),
        is_whole: true,
        balances_are_whole: true,
        is_short: false,
        checkpoints: store.checkpoints()?,
        bound: Bound::default(),
        kinds: kinds_of(store)?,
    };
    let start = match begin {
        Begin::FirstEvent => None,
        Begin::OldestCheckpoint => Some(store.oldest_checkpoint()?),
        Begin::NewestCheckpoint => Some(store.checkpoint()?),
    };
    if let Some(start) = start {
        audit.begin_at_checkpoint(start, store, log, front_end)?;
    }
    let mut shares = EarlierShares::new(&own, store, front_end, audit.state.head().number.next())?;
    while audit.findings.faults.is_empty() {
        let events = store.read(audit.state.head().number.next(), READ_AT_ONCE)?;
        if events.is_empty() {
            break;
        }
        let frames = audit.apply(&events, &mut shares);
        audit.verify_frames(log, front_end, frames);
    }
    if audit.findings.faults.is_empty() {
        audit.compare(store)?;
    }
    Ok((audit.findings, audit.is_short))
}

/// Under which kind each event is listed.
fn kinds_of(store: &SqliteBooks) -> Result<BTreeMap<LogNumber, String>, PoolError> {
    let mut kinds = BTreeMap::new();
    store.each_kind(|number, kind| drop(kinds.insert(number, kind.to_owned())))?;
    Ok(kinds)
}

struct Audit {
    findings: Findings,
    state: State,
    rows: Rows,
    /// Every row follows from the events that were applied. Older books that were taken over have rows of their own, and so have events
    /// that were only read.
    is_whole: bool,
    /// Every balance does.
    balances_are_whole: bool,
    /// An event was paid by shares that are given up.
    is_short: bool,
    /// Where starts and audits begin, oldest first; those that were compared are gone.
    checkpoints: Vec<Checkpoint>,
    /// What events bind of rows that are not made from the state.
    bound: Bound,
    /// Under which kind each event is listed.
    kinds: BTreeMap<LogNumber, String>,
}

impl Audit {
    fn fault(&mut self, what: String) {
        if self.findings.faults.len() < FAULTS_MAX {
            self.findings.faults.push(what);
        }
    }

    fn note_imported(&mut self) {
        (self.is_whole, self.balances_are_whole) = (false, false);
    }

    /// What is stored beside the log, once all of it was applied.
    fn compare(&mut self, store: &SqliteBooks) -> Result<(), PoolError> {
        let head = store.head()?;
        for checkpoint in std::mem::take(&mut self.checkpoints) {
            self.fault(format!("the checkpoint at event {} belongs to no event of the log", checkpoint.head.number));
        }
        if head != self.state.head() {
            self.fault(format!("the log ends at event {}, the books say {}", self.state.head().number, head.number));
        }
        if let Err(fault) = self.state.check() {
            self.fault(fault.to_string());
        }
        self.compare_rows(store)?;
        self.compare_kept(store)
    }

    /// Applies events until one does not fit; returns the frames among them. A checkpoint in the log is compared by applying it.
    fn apply(&mut self, events: &[StoredEvent], shares: &mut EarlierShares<'_>) -> Vec<FrameHeader> {
        let mut frames = Vec::new();
        for stored in events {
            if let Err(misfit) = self.apply_one(stored, shares, &mut frames) {
                let number = stored.head.number;
                self.is_short = matches!(misfit, Misfit::Refused(Fault::Shares(SharesError::GivenUp { .. })));
                self.fault(format!("event {number}: {misfit}"));
                break;
            }
        }
        frames
    }

    fn apply_one(
        &mut self,
        stored: &StoredEvent,
        shares: &mut EarlierShares<'_>,
        frames: &mut Vec<FrameHeader>,
    ) -> Result<(), Misfit> {
        let event = Event::from_bytes(&stored.bytes).map_err(Fault::from)?;
        let applied = self.state.apply(&event, shares)?;
        shares.note(&event);
        if applied.head != stored.head {
            return Err(Misfit::Chain { got: applied.head.number, stored: stored.head.number });
        }
        for row in rows_of(&self.state, &applied) {
            self.rows.insert((row.kind, row.key.clone()), row);
        }
        let state = &self.state;
        let here: Vec<Checkpoint> = self.checkpoints.extract_if(.., |kept| kept.head == applied.head).collect();
        for checkpoint in here {
            if state.to_bytes()? != checkpoint.state {
                return Err(Misfit::Checkpoint);
            }
        }
        self.listed(stored.head.number, &event)?;
        self.bound.note(stored.head, &event);
        match event {
            Event::Frame(frame) => frames.push(frame),
            Event::Imported(_) => self.note_imported(),
            _ => {}
        }
        self.findings.events = self.findings.events.saturating_add(1);
        Ok(())
    }

    fn listed(&self, number: LogNumber, event: &Event) -> Result<(), Misfit> {
        match self.kinds.get(&number) {
            Some(kept) if kept != event.name() => Err(Misfit::Kind { kept: kept.clone(), is: event.name() }),
            _ => Ok(()),
        }
    }

    fn verify_frames(&mut self, log: &ShareLog, front_end: FrontEndId, frames: Vec<FrameHeader>) {
        let status = log.status();
        let is_there = |frame: &FrameHeader| {
            frame.first >= status.pruned_before
                && !status.holes.iter().any(|hole| hole.start < frame.end() && frame.first < hole.end)
        };
        let (there, gone): (Vec<_>, Vec<_>) =
            frames.into_iter().filter(|frame| frame.front_end == front_end).partition(is_there);
        let count = |frames: &Vec<FrameHeader>| u64::try_from(frames.len()).unwrap_or(u64::MAX);
        self.findings.frames = self.findings.frames.saturating_add(count(&there));
        self.findings.frames_without_shares = self.findings.frames_without_shares.saturating_add(count(&gone));
        if let Err(unproven) = log.verify(there) {
            self.fault(unproven.to_string());
        }
    }
}
