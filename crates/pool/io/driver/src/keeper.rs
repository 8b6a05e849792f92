use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bq_books::{Batch, BookStore, Checkpoint, NewEvent, OlderCheckpoints, Row};
use bq_chain_api::NodeApi;
use bq_fault_point::{FaultPoint, reach};
use bq_ledger::{Cause, Transfer};
use bq_mining_message::PoolTemplate;
use bq_notices::Notices;
use bq_pool_machine::{Applied, CommitmentCheck, Event, LogHead, LogNumber, State};
use bq_primitives::{BlockId, KeyHash, Timestamp};
use bq_segments::ShareLog;
use bq_views::Event as LiveEvent;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast, watch};

use crate::{
    Clock, PayoutSigner, PoolConfig, PoolError, Rules,
    direct::{Coinbases, Windows},
    finders::Finders,
    history::History,
    intake::Intake,
    metrics::PoolMetrics,
    open::{Replay, replay, start_state},
    per_share::PerShareNotes,
    retention::Retention,
    rows::rows_of,
    settings::SettingsRoom,
    signing::Signing,
    source::OwnShares,
    stated::StatedSoFar,
    stats::{Moment, Stats, WorkerLimits},
    submitter::Submitter,
    trouble::Troubles,
    withholding::Suspects,
};

/// Keeps the books: the state in memory, the log on disk, and what the driver's threads share.
pub(crate) struct Keeper {
    pub(crate) config: PoolConfig,
    pub(crate) node: Arc<dyn NodeApi>,
    pub(crate) signer: Arc<dyn PayoutSigner>,
    pub(crate) signing: Signing,
    pub(crate) commitment_key: [u8; 32],
    pub(crate) store: Box<dyn BookStore>,
    pub(crate) log: Arc<ShareLog>,
    pub(crate) shares: OwnShares,
    pub(crate) epoch: bq_mining_message::BootEpoch,
    /// Only [`Keeper::tell`] writes it.
    pub(crate) state: RwLock<State>,
    /// Held by whoever tells the log something: one event after the other.
    writing: Mutex<Writing>,
    pub(crate) intake: Mutex<Intake>,
    pub(crate) submitter: Submitter,
    pub(crate) outside: Mutex<OutsideView>,
    pub(crate) troubles: Mutex<Troubles>,
    pub(crate) retention: Mutex<Retention>,
    /// Held while books and shares are copied: no share goes meanwhile.
    pub(crate) backing_up: Mutex<()>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Rules,
    pub(crate) stats: Mutex<Stats>,
    pub(crate) history: History,
    pub(crate) finders: Mutex<Finders>,
    pub(crate) suspects: Suspects,
    pub(crate) settings_room: Mutex<SettingsRoom>,
    pub(crate) notices: Notices,
    pub(crate) metrics: PoolMetrics,
    pub(crate) live: broadcast::Sender<LiveEvent>,
    pub(crate) template: watch::Sender<Option<Arc<PoolTemplate>>>,
    /// Counts the events after which somebody may be paid by another scheme.
    pub(crate) schemes_version: AtomicU64,
    pub(crate) per_share: Mutex<PerShareNotes>,
    /// What its coinbases pay.
    pub(crate) coinbases: RwLock<Coinbases>,
    pub(crate) windows: Mutex<Windows>,
    pub(crate) stated: Mutex<StatedSoFar>,
    /// Asks the thread that makes templates for a new one.
    pub(crate) template_now: Notify,
    /// Asks the thread that keeps the books to look now.
    pub(crate) look_now: Notify,
}

/// What the node last said, beside the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutsideView {
    pub(crate) in_step: bool,
    /// Since when it is not in step, on the clock that only moves forward; nothing while it is.
    pub(crate) out_of_step_since: Option<Duration>,
    pub(crate) coins_match: bool,
    pub(crate) commitment: CommitmentCheck,
    /// The blocks that the log knew at start were looked at.
    pub(crate) commitments_read: bool,
    pub(crate) announced_tip: Option<BlockId>,
}

#[derive(Debug, Default)]
struct Writing {
    /// What the state has and the disk has not yet: nothing else is told before it is written.
    unwritten: Option<Batch>,
    written: LogHead,
    /// A fault may have left an event half applied: the state is read anew before anything else is told.
    is_torn: bool,
    checkpoints: Checkpoints,
}

/// Which states were written as starting points.
#[derive(Debug, Default)]
struct Checkpoints {
    /// The newest that is none of those: events are counted from there.
    regular: LogHead,
    /// Where the log ended with the newest.
    newest: LogHead,
    /// The newest, if it was only written because a block was credited: the next one takes its place.
    passing: Option<LogNumber>,
    /// A block was credited since the newest.
    is_credited: bool,
    /// When the newest was written, on the keeper's clock; nothing before the first.
    at: Option<Duration>,
}

/// Events that a slow reader of the live feed may lag behind before it loses some. A page is told how many it lost and asks
/// for all anew, so more would only be memory.
const LIVE_EVENTS_KEPT: usize = 256;

/// The parts that [`Keeper::new`] puts together.
pub(crate) struct Parts {
    pub(crate) config: PoolConfig,
    pub(crate) node: Arc<dyn NodeApi>,
    pub(crate) signer: Arc<dyn PayoutSigner>,
    pub(crate) store: Box<dyn BookStore>,
    pub(crate) log: Arc<ShareLog>,
    pub(crate) epoch: bq_mining_message::BootEpoch,
    pub(crate) state: State,
    pub(crate) checkpoint: LogHead,
    pub(crate) retention: Retention,
    pub(crate) submitter: Submitter,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Rules,
    pub(crate) history: History,
    pub(crate) notices: Notices,
}

impl OutsideView {
    /// Notes whether the log stands where the node does.
    pub(crate) fn note_step(&mut self, in_step: bool, running: Duration) {
        self.in_step = in_step;
        self.out_of_step_since = match in_step {
            true => None,
            false => Some(self.out_of_step_since.unwrap_or(running)),
        };
    }
}

impl Keeper {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            config,
            node,
            signer,
            store,
            log,
            epoch,
            state,
            checkpoint,
            retention,
            submitter,
            clock,
            rules,
            history,
            notices,
        } = parts;
        let known = state.accounts().iter().map(|(_, key)| key);
        let intake = Intake::with_known(known);
        let stats = Stats::new(WorkerLimits {
            per_account_max: config.workers_per_account_max,
            all_max: config.workers_max,
            refused_per_account_max: config.refused_workers_per_account_max,
            refused_max: config.refused_workers_max,
        });
        let checkpoints = Checkpoints { regular: checkpoint, newest: checkpoint, ..Checkpoints::default() };
        let writing = Writing { unwritten: None, written: state.head(), is_torn: false, checkpoints };
        let outside = OutsideView {
            in_step: false,
            out_of_step_since: Some(clock.running()),
            coins_match: true,
            commitment: CommitmentCheck::Fine,
            commitments_read: false,
            announced_tip: None,
        };
        Self {
            commitment_key: signer.commitment_key(),
            shares: OwnShares(Arc::clone(&log)),
            submitter,
            config,
            node,
            signer,
            signing: Signing::default(),
            store,
            log,
            epoch,
            state: RwLock::new(state),
            writing: Mutex::new(writing),
            intake: Mutex::new(intake),
            outside: Mutex::new(outside),
            troubles: Mutex::default(),
            retention: Mutex::new(retention),
            backing_up: Mutex::default(),
            clock,
            rules,
            stats: Mutex::new(stats),
            history,
            finders: Mutex::default(),
            suspects: Suspects::default(),
            settings_room: Mutex::default(),
            notices,
            metrics: PoolMetrics::register(),
            live: broadcast::Sender::new(LIVE_EVENTS_KEPT),
            template: watch::Sender::new(None),
            schemes_version: AtomicU64::new(0),
            per_share: Mutex::default(),
            coinbases: RwLock::default(),
            windows: Mutex::default(),
            stated: Mutex::default(),
            template_now: Notify::new(),
            look_now: Notify::new(),
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// Seconds since the pool started.
    pub(crate) fn uptime_secs(&self) -> u64 {
        self.clock.running().as_secs()
    }

    /// Both readings of the clock.
    pub(crate) fn moment(&self) -> Moment {
        Moment { running_secs: self.uptime_secs(), unix: Timestamp(self.now_ms() / 1000) }
    }

    pub(crate) fn key_hash(&self) -> KeyHash {
        self.signer.key_hash()
    }

    /// The key whose coins the books hold: the log's, also while a new one waits to take its place.
    pub(crate) fn books_key(&self) -> KeyHash {
        self.state.read().opened().map_or_else(|| self.key_hash(), |opened| opened.key)
    }

    /// Whom the pool's own output of a coinbase pays.
    pub(crate) fn coinbase_key(&self) -> KeyHash {
        self.state.read().cold_key().unwrap_or_else(|| self.key_hash())
    }

    /// Whether a key is the pool's: its own, one that waits to take its place, or a cold one.
    pub(crate) fn owns(&self, key: &KeyHash) -> bool {
        *key == self.key_hash() || self.state.read().owns(key)
    }

    /// The newest event that is on disk.
    pub(crate) fn written(&self) -> LogHead {
        self.writing.lock().written
    }

    /// The newest event that is on disk, and the state, which may be ahead of it.
    pub(crate) fn at_written<R>(&self, look: impl FnOnce(LogHead, &State) -> R) -> R {
        // In this order, as whoever appends.
        let writing = self.writing.lock();
        look(writing.written, &self.state.read())
    }

    /// Appends one event, and rows that belong to it.
    pub(crate) fn tell(&self, event: &Event, rows: Vec<Row>) -> Result<Applied, PoolError> {
        let applied = self.tell_all(std::slice::from_ref(event), rows)?;
        applied.into_iter().next().ok_or_else(|| PoolError::Inconsistent("an event was not applied".to_owned()))
    }

    /// Appends events and rows in one step. A fault in the middle keeps what came before it. When the disk is full the state
    /// keeps them and nothing else is told until they are written.
    pub(crate) fn tell_all(&self, events: &[Event], rows: Vec<Row>) -> Result<Vec<Applied>, PoolError> {
        let mut writing = self.writing.lock();
        self.write_unwritten(&mut writing)?;
        self.mend(&mut writing)?;
        let mut batch = Batch { expected: writing.written, rows, ..Batch::default() };
        let mut all = Vec::with_capacity(events.len());
        let mut fault = None;
        {
            let mut state = self.state.write();
            for event in events {
                match (self.rules.apply)(&mut state, event, &self.shares) {
                    Ok(applied) => {
                        batch.rows.extend(rows_of(&state, &applied));
                        self.note_earnings(&state, &applied.blocks);
                        let (head, kind, bytes) = (applied.head, event.name(), applied.bytes.clone());
                        batch.events.push(NewEvent { head, kind, bytes });
                        all.push(applied);
                    }
                    Err(error) => {
                        writing.is_torn = !event.is_refused_whole();
                        fault = Some(error);
                        break;
                    }
                }
            }
        }
        writing.checkpoints.is_credited |= all.iter().flat_map(|applied| &applied.lines).any(is_credit);
        if all.iter().flat_map(|applied| &applied.lines).any(is_final) {
            reach(FaultPoint::PayoutNotFinal);
        }
        if !batch.events.is_empty() {
            writing.unwritten = Some(batch);
            self.write_unwritten(&mut writing)?;
        }
        for (event, applied) in events.iter().zip(&all) {
            self.notify(event, applied);
            if matches!(event, Event::Offer(_)) || !applied.settings.is_empty() {
                self.schemes_version.fetch_add(1, Ordering::Release);
                self.template_now.notify_one();
            }
        }
        match fault {
            Some(fault) => {
                self.mend(&mut writing)?;
                Err(fault.into())
            }
            None => Ok(all),
        }
    }

    /// Reads the state anew after a fault: what is written, and no half of an event.
    fn mend(&self, writing: &mut Writing) -> Result<(), PoolError> {
        if writing.is_torn {
            let (mut state, first) = start_state(self.store.as_ref())?;
            let replaying = Replay { shares: &self.shares, front_end: self.config.front_end, rules: self.rules };
            replay(self.store.as_ref(), &mut state, first, &replaying)?;
            *self.state.write() = state;
            writing.is_torn = false;
        }
        Ok(())
    }

    /// Writes a row that the log names and that was lost.
    pub(crate) fn put_back(&self, row: Row) -> Result<(), PoolError> {
        self.put_all_back(vec![row])
    }

    /// Writes rows that belong together, or takes them away, in one step: a crash leaves all of them or none.
    pub(crate) fn put_all_back(&self, rows: Vec<Row>) -> Result<(), PoolError> {
        let mut writing = self.writing.lock();
        self.write_unwritten(&mut writing)?;
        writing.unwritten = Some(Batch { expected: writing.written, rows, ..Batch::default() });
        self.write_unwritten(&mut writing)
    }

    /// Writes what the disk had no room for.
    pub(crate) fn catch_up_disk(&self) -> Result<(), PoolError> {
        self.write_unwritten(&mut self.writing.lock())
    }

    fn write_unwritten(&self, writing: &mut Writing) -> Result<(), PoolError> {
        let Some(batch) = &writing.unwritten else { return Ok(()) };
        let end = batch.events.last().map_or(writing.written, |event| event.head);
        self.store.append(batch)?;
        writing.written = end;
        writing.unwritten = None;
        Ok(())
    }

    /// Writes the state as a starting point, if many events came since the last one, a block was credited, or `now` is set.
    pub(crate) fn checkpoint(&self, now: bool) -> Result<(), PoolError> {
        let mut writing = self.writing.lock();
        self.write_unwritten(&mut writing)?;
        let since = |from: LogHead| writing.written.number.0.saturating_sub(from.number.0);
        let is_regular = now || since(writing.checkpoints.regular) >= self.config.checkpoint_events;
        if since(writing.checkpoints.newest) == 0 || !(is_regular || self.wants_passing(&writing.checkpoints)) {
            return Ok(());
        }
        let mut state = self.state.write();
        state.check()?;
        let before = Checkpoint { head: state.head(), state: state.to_bytes()? };
        let event = state.checkpoint_event()?;
        let windows_from = state.windows_from(self.config.front_end);
        let applied = (self.rules.apply)(&mut state, &event, &self.shares)?;
        drop(state);
        let number = before.head.number;
        let new = NewEvent { head: applied.head, kind: event.name(), bytes: applied.bytes };
        let forgotten = writing.checkpoints.passing;
        writing.unwritten = Some(Batch {
            expected: writing.written,
            events: vec![new],
            checkpoint: Some(before),
            older: OlderCheckpoints { is_passing: !is_regular, forgotten },
            ..Batch::default()
        });
        self.write_unwritten(&mut writing)?;
        let newest = writing.written;
        writing.checkpoints = Checkpoints {
            regular: if is_regular { newest } else { writing.checkpoints.regular },
            newest,
            passing: (!is_regular).then_some(number),
            is_credited: false,
            at: Some(self.clock.running()),
        };
        self.retention.lock().note_checkpoint(windows_from, !is_regular);
        Ok(())
    }

    /// A start after a crash credits the blocks since the newest checkpoint once more, and needs their shares for it. Those may be what
    /// the crash took: the less of it has to be computed again, the better.
    fn wants_passing(&self, checkpoints: &Checkpoints) -> bool {
        let since = |at| self.clock.running().saturating_sub(at);
        checkpoints.is_credited && checkpoints.at.is_none_or(|at| since(at) >= self.config.checkpoint_interval)
    }

    /// Tells the live feed; nobody may be listening.
    pub(crate) fn show(&self, event: LiveEvent) {
        drop(self.live.send(event));
    }
}

fn is_credit(line: &Transfer) -> bool {
    matches!(line.cause, Cause::BlockCredited { .. })
}

fn is_final(line: &Transfer) -> bool {
    matches!(line.cause, Cause::PayoutFinal { .. })
}
