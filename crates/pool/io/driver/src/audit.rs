//! The whole log from its first event, compared with everything that is stored.

mod begin;

use std::{collections::BTreeMap, sync::Arc};

use bq_books::{BookStore, Checkpoint, RowKind, StoredEvent};
use bq_ledger::LedgerAccount;
use bq_mining_message::{FrameHeader, FrontEndId};
use bq_pool_machine::{Event, Fault, LogNumber, SharesError, State};
use bq_segments::ShareLog;
use sha2::{Digest as _, Sha256};

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
    /// A start would begin with another state than the log's.
    #[error("the checkpoint kept there is not what the log comes to")]
    Checkpoint,
}

/// Events and rows read at once: some MiB of memory, whatever the pool.
const READ_AT_ONCE: usize = 4096;
/// More faults than these say nothing new.
const FAULTS_MAX: usize = 100;

/// Rows as the replay gives them, by kind and key.
type Rows = BTreeMap<(RowKind, String), (String, Option<Vec<u8>>)>;

/// Replays and compares.
pub(crate) fn audit(store: &dyn BookStore, log: &Arc<ShareLog>, front_end: FrontEndId) -> Result<Findings, PoolError> {
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
    store: &dyn BookStore,
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
        checkpoint: store.checkpoint()?,
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
    /// Where the next start begins; nothing once it was compared.
    checkpoint: Option<Checkpoint>,
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
    fn compare(&mut self, store: &dyn BookStore) -> Result<(), PoolError> {
        let head = store.head()?;
        if let Some(checkpoint) = self.checkpoint.take() {
            self.fault(format!("the checkpoint at event {} belongs to no event of the log", checkpoint.head.number));
        }
        if head != self.state.head() {
            self.fault(format!("the log ends at event {}, the books say {}", self.state.head().number, head.number));
        }
        if let Err(fault) = self.state.check() {
            self.fault(fault.to_string());
        }
        self.compare_rows(store)?;
        self.compare_signed(store)
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
            self.rows.insert((row.kind, row.key), (row.group, row.value));
        }
        if let Some(checkpoint) = self.checkpoint.take_if(|kept| kept.head == applied.head)
            && self.state.to_bytes()? != checkpoint.state
        {
            return Err(Misfit::Checkpoint);
        }
        match event {
            Event::Frame(frame) => frames.push(frame),
            Event::Imported(_) => self.note_imported(),
            _ => {}
        }
        self.findings.events = self.findings.events.saturating_add(1);
        Ok(())
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

    fn compare_rows(&mut self, store: &dyn BookStore) -> Result<(), PoolError> {
        let rows = std::mem::take(&mut self.rows);
        for ((kind, key), (_, expected)) in rows.iter().filter(|((kind, _), _)| *kind != RowKind::BlockBytes) {
            self.findings.rows = self.findings.rows.saturating_add(1);
            let stored = store.row(*kind, key)?;
            if stored != *expected {
                let told = |value: &Option<Vec<u8>>| {
                    value.as_ref().map_or_else(|| "nothing".to_owned(), |value| String::from_utf8_lossy(value).into())
                };
                self.fault(format!(
                    "{} {key}: stored {}, the log gives {}",
                    kind.name(),
                    told(&stored),
                    told(expected)
                ));
            }
        }
        let mut lists = Vec::new();
        if self.balances_are_whole {
            lists.push((RowKind::Balance, String::new()));
        }
        if self.is_whole {
            lists.push((RowKind::Block, String::new()));
            lists.extend(self.state.accounts().iter().map(|(account, _)| (RowKind::Payment, account.to_string())));
        }
        for (kind, list) in lists {
            for stored in store.rows(kind, &list, u64::MAX, usize::MAX)? {
                if !rows.get(&(kind, stored.key.clone())).is_some_and(|(_, value)| value.is_some()) {
                    self.fault(format!("{} {}: stored, and no event gives it", kind.name(), stored.key));
                }
            }
        }
        Ok(())
    }

    /// The bytes of open payouts are sent again as they are stored.
    fn compare_signed(&mut self, store: &dyn BookStore) -> Result<(), PoolError> {
        let open: Vec<_> = self.state.payouts().filter(|payout| payout.is_open()).cloned().collect();
        for payout in open {
            let (id, Some(expected)) = (payout.planned.id, payout.signed) else { continue };
            let bytes = store.row(RowKind::Signed, &id.to_string())?;
            let digest: Option<[u8; 32]> = bytes.map(|bytes| Sha256::digest(bytes).into());
            if digest != Some(expected) {
                self.fault(format!("payout {id}: its signed bytes are missing or were changed"));
            }
        }
        let imbalance = self.state.books().imbalance();
        let missing = self.state.books().balance(LedgerAccount::Missing);
        if imbalance != 0 {
            self.fault(format!("debits less credits are {imbalance} atoms; {missing} are missing"));
        }
        Ok(())
    }
}
