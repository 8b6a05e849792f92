//! What happens at start: the newest checkpoint and what came after it give the state; the share log must have what the books
//! name.

use std::{ops::Range, path::Path, sync::Arc};

use bq_books::{BookStore, Checkpoint, SqliteBooks};
use bq_chain_api::NodeApi;
use bq_mining_message::{BootEpoch, FrameHeader, FrontEndId, ShareSequence};
use bq_notices::Notices;
use bq_pool_machine::{Act, ColdEvent, Event, EventError, Fault, LogHead, LogNumber, Opened, Operator, Reason, State};
use bq_primitives::BlockId;
use bq_segments::{Disk, LogIdentity, LogOptions, RealDisk, ShareLog, segment_name};

use crate::{
    PayoutSigner, PoolConfig, PoolError, Rules,
    clock::SystemClock,
    driven::Surroundings,
    follow::Progress,
    history::History,
    keeper::{Keeper, Parts},
    migrate,
    retention::Retention,
    source::{EarlierShares, OwnShares},
    submitter::Submitter,
};

/// Events read at once: some MiB of memory, whatever the pool.
const EVENTS_READ: usize = 4096;

impl Keeper {
    /// Opens books and share log, and makes the state of now.
    pub(crate) fn open(
        config: PoolConfig,
        node: Arc<dyn NodeApi>,
        signer: Arc<dyn PayoutSigner>,
    ) -> Result<Self, PoolError> {
        config.terms(None)?;
        config.offer()?;
        if node.network() != config.network {
            return Err(PoolError::WrongNetwork { got: node.network(), expected: config.network });
        }
        std::fs::create_dir_all(&config.data_dir)?;
        migrate::take_over(&config, node.as_ref(), signer.as_ref())?;
        let store = SqliteBooks::open(&config.data_dir.join("books.sqlite"), config.network, &node.genesis_id())?;
        let submitter = Submitter::start(Arc::clone(&node))?;
        let (store, disk) = (Box::new(store), Arc::new(RealDisk));
        let history = History::open(&config.data_dir, config.network, node.genesis_id());
        let notices = Notices::start(config.notices)?;
        Self::open_with(
            config,
            Surroundings { node, signer, store, disk, clock: SystemClock::shared(), rules: Rules::MACHINE },
            submitter,
            (history, notices),
        )
    }

    /// As [`Keeper::open`], with whatever the pool stands on.
    pub(crate) fn open_with(
        config: PoolConfig,
        surroundings: Surroundings,
        submitter: Submitter,
        (history, notices): (History, Notices),
    ) -> Result<Self, PoolError> {
        let Surroundings { node, signer, store, disk, clock, rules } = surroundings;
        let opened = opened(&config, node.as_ref(), signer.as_ref());
        let place = Place { data_dir: &config.data_dir, genesis: opened.genesis, front_end: config.front_end };
        let ReadBooks { log, state, checkpoint, retention } = read_books(&config, store.as_ref(), disk, &place, rules)?;
        let epoch = BootEpoch(state.front_end(config.front_end).map_or(1, |head| head.epoch.0.saturating_add(1)));
        let log = Arc::new(log);
        let keeper = Self::new(Parts {
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
        });
        // Before the first share, and before the events that a start tells.
        keeper.load_history();
        keeper.begin(&opened)?;
        keeper.take_in_tail()?;
        keeper.change_key(&opened)?;
        keeper.change_cold_key()?;
        let before = keeper.state.read().terms().cloned();
        let terms = keeper.config.terms(before.as_ref())?;
        if before.as_ref() != Some(&terms) {
            keeper.check_window(&terms)?;
            keeper.tell(&Event::Terms(terms), Vec::new())?;
        }
        let offer = keeper.config.offer()?;
        if keeper.state.read().offer() != offer {
            keeper.tell(&Event::Offer(offer), Vec::new())?;
        }
        keeper.tell_bounds()?;
        keeper.seed_stats();
        Ok(keeper)
    }

    /// A new log is opened; an old one must be this key's.
    fn begin(&self, opened: &Opened) -> Result<(), PoolError> {
        let known = self.state.read().opened().copied();
        match known {
            None => {
                let reason = Reason { who: "pool".to_owned(), why: "books begin".to_owned() };
                let begin = Event::Operator(reason.to_operator(Act::Begin, self.now_ms()));
                self.tell_all(&[Event::Opened(*opened), begin], Vec::new()).map(|_| ())
            }
            // Rewards would be booked as spendable before or after the node lets them be spent.
            Some(known) if known.maturity != opened.maturity => {
                Err(PoolError::WrongMaturity { log: known.maturity, node: opened.maturity })
            }
            Some(known) if known.key == opened.key => Ok(()),
            Some(_) if self.config.accept_new_key => Ok(()),
            Some(known) => Err(PoolError::WrongKey { log: known.key, file: opened.key }),
        }
    }

    /// Gives the log's key up for the file's. What the chain did meanwhile is told first: a block that joined is the old key's.
    fn change_key(&self, opened: &Opened) -> Result<(), PoolError> {
        if self.books_key() == opened.key {
            return Ok(());
        }
        while self.follow()? == Progress::More {}
        let act = Act::NewKey { key: opened.key };
        let (who, reason) = ("operator".to_owned(), "started with --new-key".to_owned());
        let operator = Operator { act, who, reason, time_ms: self.now_ms() };
        self.tell(&Event::Operator(operator), Vec::new()).map(|_| ())
    }

    /// Coinbases pay another cold key, or the pool's own again. What lies with a new one already is the pool's from now on.
    fn change_cold_key(&self) -> Result<(), PoolError> {
        let key = self.config.cold_key;
        if self.state.read().cold_key() == key {
            return Ok(());
        }
        let is_known = key.is_none_or(|key| self.state.read().cold_keys().contains(&key));
        let has_tip = self.state.read().tip().is_some();
        if has_tip && !is_known {
            while self.follow()? == Progress::More {}
        }
        self.tell(&Event::Cold(ColdEvent::Key(key)), Vec::new())?;
        if has_tip && !is_known {
            self.tell_base()?;
        }
        Ok(())
    }

    /// Shares that were acknowledged and not told to the books before the process ended.
    fn take_in_tail(&self) -> Result<(), PoolError> {
        let told = self.state.read().front_end(self.config.front_end).map_or(ShareSequence::FIRST, |head| head.next);
        for share in self.log.read(told..self.log.next()) {
            let (sequence, share) = share?;
            self.intake.lock().note(sequence, share.payee);
        }
        self.tell_frames()
    }
}

pub(crate) fn opened(config: &PoolConfig, node: &dyn NodeApi, signer: &dyn PayoutSigner) -> Opened {
    let maturity = node.coinbase_maturity();
    Opened {
        network: config.network,
        genesis: node.genesis_id(),
        key: signer.key_hash(),
        maturity,
        horizon: maturity.saturating_mul(10).saturating_add(1000),
    }
}

/// Where a front end's shares lie, and of which chain they are.
pub(crate) struct Place<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) genesis: BlockId,
    pub(crate) front_end: FrontEndId,
}

/// What is on disk.
struct ReadBooks {
    log: ShareLog,
    /// What the log of events comes to.
    state: State,
    checkpoint: LogHead,
    retention: Retention,
}

fn read_books(
    config: &PoolConfig,
    store: &dyn BookStore,
    disk: Arc<dyn Disk>,
    place: &Place<'_>,
    rules: Rules,
) -> Result<ReadBooks, PoolError> {
    let (mut state, first) = start_state(store)?;
    let checkpoint = state.head();
    if let Some(oldest) = store.oldest_checkpoint()? {
        verify_chain(store, oldest.head, checkpoint)?;
    }
    let mut retention = Retention::default();
    if checkpoint != LogHead::default() {
        retention.note_checkpoint(state.windows_from(place.front_end), false);
    }
    // How far the share log must reach follows from the frames alone; the shares themselves are needed to apply the rest.
    let told = shares_told(store, &state, first, place.front_end)?;
    let options = LogOptions { segment_shares_max: config.segment_shares, ..log_options() };
    let log = open_shares(place, disk, told, options)?;
    if checkpoint == LogHead::default() && store.read(first, 1)?.is_empty() && log.next() > ShareSequence::FIRST {
        let reason = "the share log holds shares and the books are missing or empty: put a copy back (bq pool restore); \
                      to begin anew, move the share log away";
        return Err(PoolError::Inconsistent(reason.to_owned()));
    }
    verify_shares(store, &log, place.front_end, config.verify_shares)?;
    let shares = OwnShares(Arc::new(log));
    let untold = replay(store, &mut state, first, &Replay { shares: &shares, front_end: place.front_end, rules })?;
    if let Some(hole) = untold.first() {
        let (start, end, name) = (hole.start, hole.end, segment_name(hole.start));
        let reason = format!(
            "shares {start} to {end} are given up in the share log, and no event says so: bq pool forfeit {name} once more"
        );
        return Err(PoolError::Inconsistent(reason));
    }
    let OwnShares(log) = shares;
    let log = Arc::into_inner(log).ok_or_else(|| PoolError::Inconsistent("the share log is in use".to_owned()))?;
    Ok(ReadBooks { log, state, checkpoint, retention })
}

/// The newest checkpoint, and the first event after it.
pub(crate) fn start_state(store: &dyn BookStore) -> Result<(State, LogNumber), PoolError> {
    let checkpoint = store.checkpoint()?;
    let state = match &checkpoint {
        Some(Checkpoint { head, state }) => {
            State::from_bytes(state).map_err(|fault| PoolError::Log { number: head.number, fault })?
        }
        None => State::default(),
    };
    let start = checkpoint.map_or(LogHead::default(), |checkpoint| checkpoint.head);
    if state.head() != start {
        return Err(PoolError::Log { number: start.number, fault: Fault::Event(EventError::NotCanonical) });
    }
    Ok((state, start.number.next()))
}

/// Follows the hashes of the events between two checkpoints, which no start applies again: one that was edited or is gone is named. Those
/// before are an audit's work.
pub(crate) fn verify_chain(store: &dyn BookStore, from: LogHead, to: LogHead) -> Result<(), PoolError> {
    let mut head = from;
    while head.number < to.number {
        let events = store.read(head.number.next(), EVENTS_READ)?;
        for stored in events.iter().filter(|stored| stored.head.number <= to.number) {
            let next = head.after(&stored.bytes);
            if next != stored.head {
                let reason = "it, or one before it, was changed or is gone".to_owned();
                return Err(PoolError::Log { number: next.number, fault: Fault::Invariant(next.number, reason) });
            }
            head = next;
        }
        if events.is_empty() {
            break;
        }
    }
    match head == to {
        true => Ok(()),
        false => {
            let reason = "the checkpoint there belongs to no event of the log".to_owned();
            Err(PoolError::Log { number: to.number, fault: Fault::Invariant(to.number, reason) })
        }
    }
}

/// What a replay needs beside events.
pub(crate) struct Replay<'a> {
    pub(crate) shares: &'a OwnShares,
    /// Whose they are.
    pub(crate) front_end: FrontEndId,
    pub(crate) rules: Rules,
}

/// Applies what the log holds from `first` on. Returns the shares that are given up and of which no event says so.
pub(crate) fn replay(
    store: &dyn BookStore,
    state: &mut State,
    first: LogNumber,
    replay: &Replay<'_>,
) -> Result<Vec<Range<ShareSequence>>, PoolError> {
    let mut shares = EarlierShares::new(replay.shares, store, replay.front_end, first)?;
    let mut next = first;
    loop {
        let events = store.read(next, EVENTS_READ)?;
        if events.is_empty() {
            return Ok(shares.untold().to_vec());
        }
        for stored in &events {
            let number = next;
            let log_fault = |fault| PoolError::Log { number, fault };
            let event = Event::from_bytes(&stored.bytes).map_err(|error| log_fault(error.into()))?;
            let applied = (replay.rules.apply)(state, &event, &shares).map_err(log_fault)?;
            if applied.head != stored.head {
                return Err(log_fault(Fault::Invariant(number, "it does not continue the hash chain".to_owned())));
            }
            shares.note(&event);
            next = number.next();
        }
    }
}

/// Position after the newest share that the books were told of.
pub(crate) fn shares_told(
    store: &dyn BookStore,
    state: &State,
    first: LogNumber,
    front_end: FrontEndId,
) -> Result<ShareSequence, PoolError> {
    let in_state = state.front_end(front_end).map_or(ShareSequence::FIRST, |head| head.next);
    for stored in store.newest("frame", LogNumber(u64::MAX), 1)? {
        if stored.head.number >= first
            && let Ok(Event::Frame(frame)) = Event::from_bytes(&stored.bytes)
        {
            return Ok(in_state.max(frame.end()));
        }
    }
    Ok(in_state)
}

/// Opens the share log where it lies.
pub(crate) fn open_shares(
    place: &Place<'_>,
    disk: Arc<dyn Disk>,
    at_least: ShareSequence,
    options: LogOptions,
) -> Result<ShareLog, PoolError> {
    let identity = LogIdentity { genesis: place.genesis, front_end: place.front_end };
    let folder = shares_folder(place.data_dir);
    Ok(ShareLog::open(disk, &folder, identity, at_least, options)?)
}

/// Without a thread: the one that keeps the books syncs before it tells of shares.
pub(crate) fn log_options() -> LogOptions {
    LogOptions { sync_interval: None, ..LogOptions::default() }
}

/// Where the share log lies.
pub(crate) fn shares_folder(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("share-log")
}

/// The newest shares are those that the books name. The files' own hashes cover all of them; this covers somebody who wrote the
/// hashes anew.
pub(crate) fn verify_shares(
    store: &dyn BookStore,
    log: &ShareLog,
    front_end: FrontEndId,
    newest: u64,
) -> Result<(), PoolError> {
    let lowest = log.next().0.saturating_sub(newest).max(log.status().pruned_before.0);
    let holes = log.status().holes;
    let mut before = LogNumber(u64::MAX);
    loop {
        let stored = store.newest("frame", before, EVENTS_READ)?;
        let frames: Vec<FrameHeader> = stored
            .iter()
            .filter_map(|stored| match Event::from_bytes(&stored.bytes) {
                Ok(Event::Frame(frame)) => Some(frame),
                _ => None,
            })
            .filter(|frame| frame.front_end == front_end && frame.first.0 >= lowest)
            .filter(|frame| !holes.iter().any(|hole| hole.start < frame.end() && frame.first < hole.end))
            .collect();
        let Some(oldest) = stored.last().filter(|_| !frames.is_empty()) else { return Ok(()) };
        log.verify(frames.into_iter().rev())?;
        before = oldest.head.number;
    }
}
