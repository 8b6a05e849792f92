use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_ledger::ShareSequence;
use bq_primitives::BlockId;
use parking_lot::{Condvar, Mutex};

use crate::{
    AppendError, Backwards, Disk, LogOptions, NewShare, OpenError, RealDisk, SegmentFile, ShareRecord, TornTail,
    read::{Opened, open_segments},
    segment::{HEADER_BYTES, Segment, SegmentHeader},
    syncer::Syncer,
};

/// Bytes that a check for room writes: a share may fit into a block that the segment has already, the next ones may not.
const PROBE_BYTES: usize = 4096;

/// The log of one pool: one process, many threads.
pub struct ShareLog {
    shared: Arc<Shared>,
    torn: Option<TornTail>,
    // Joined before the lock on the folder is released.
    _syncer: Syncer,
    _lock: File,
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// What the next share will be.
    pub next: ShareSequence,
    /// Every share before this one is on stable storage.
    pub synced_before: ShareSequence,
    /// How many files.
    pub segments: usize,
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) options: LogOptions,
    pub(crate) state: Mutex<State>,
    /// Wakes the syncer: there is something to sync, or the log closes.
    pub(crate) wake: Condvar,
    genesis: BlockId,
    disk: Box<dyn Disk>,
}

pub(crate) struct State {
    pub(crate) segments: Vec<Segment>,
    pub(crate) current: Option<Current>,
    pub(crate) next: ShareSequence,
    pub(crate) synced_before: ShareSequence,
    pub(crate) sync_failure: Option<String>,
    pub(crate) closing: bool,
}

/// The segment that is written to.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) file: Arc<dyn SegmentFile>,
    pub(crate) path: PathBuf,
    /// Where the last whole record ends.
    pub(crate) length: u64,
    pub(crate) records: u32,
    /// A failed write may have left bytes behind `length`.
    pub(crate) dirty_tail: bool,
}

impl ShareLog {
    /// Opens the log in `folder`, which is made if it is missing. `genesis` names the chain.
    ///
    /// # Errors
    /// See [`OpenError`]: the caller must not start.
    pub fn open(folder: &Path, genesis: BlockId, options: LogOptions) -> Result<Self, OpenError> {
        Self::open_on(Box::new(RealDisk), folder, genesis, options)
    }

    /// As [`ShareLog::open`], writing through `disk`.
    ///
    /// # Errors
    /// As [`ShareLog::open`].
    pub fn open_on(
        disk: Box<dyn Disk>,
        folder: &Path,
        genesis: BlockId,
        options: LogOptions,
    ) -> Result<Self, OpenError> {
        let lock = lock_folder(folder)?;
        let Opened { segments, current, next, torn } = open_segments(disk.as_ref(), folder, genesis, &options)?;
        if let Some(TornTail { path, offset, bytes }) = &torn {
            tracing::warn!(path = %path.display(), offset, bytes, "cut a torn tail off the share log");
        }
        let (synced_before, sync_failure, closing) = (next, None, false);
        let state = Mutex::new(State { segments, current, next, synced_before, sync_failure, closing });
        let folder = folder.to_owned();
        let shared = Arc::new(Shared { folder, options, state, wake: Condvar::new(), genesis, disk });
        let syncer =
            Syncer::start(Arc::clone(&shared)).map_err(|error| OpenError::Io { path: shared.folder.clone(), error })?;
        Ok(Self { shared, torn, _syncer: syncer, _lock: lock })
    }

    /// What opening cut off.
    #[must_use]
    pub const fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Writes a share and returns its position. It survives the death of this process from here on, and power loss once
    /// it is synced, at most the sync interval later.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing of the share is left in the log.
    pub fn append(&self, share: NewShare) -> Result<ShareSequence, AppendError> {
        let mut state = self.shared.state.lock();
        self.shared.check_open(&state)?;
        let sequence = state.next;
        let bytes = ShareRecord::new(sequence, share).to_bytes();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.shared.make_room(&mut state, length)?;
        let Some(current) = &mut state.current else { return Err(AppendError::Closed) };
        current.write(&bytes).map_err(|error| AppendError::io(current.path.clone(), error))?;
        // The syncer sleeps only while nothing is unsynced; waking it for every share would cost a switch each.
        let wake_syncer = state.synced_before >= sequence;
        state.next = sequence.next();
        drop(state);
        if wake_syncer {
            self.shared.wake.notify_one();
        }
        Ok(sequence)
    }

    /// Whether shares can be written now: tries it with bytes that are taken back at once. Should a crash leave them, opening
    /// cuts them off like any torn tail.
    ///
    /// # Errors
    /// What [`ShareLog::append`] would say.
    pub fn check_writable(&self) -> Result<(), AppendError> {
        let mut state = self.shared.state.lock();
        self.shared.check_open(&state)?;
        if state.current.is_none() {
            self.shared.make_room(&mut state, 0)?;
        }
        let Some(current) = &mut state.current else { return Err(AppendError::Closed) };
        current.probe().map_err(|error| AppendError::io(current.path.clone(), error))
    }

    /// Returns once every share appended so far is on stable storage.
    ///
    /// # Errors
    /// [`AppendError::SyncFailed`].
    pub fn sync(&self) -> Result<(), AppendError> {
        self.shared.sync_now()
    }

    /// The shares up to and including `newest`, newest first. The snapshot is taken now; later appends do not show.
    #[must_use]
    pub fn backwards_from(&self, newest: ShareSequence) -> Backwards {
        let state = self.shared.state.lock();
        let length = state.current.as_ref().map_or(0, |current| current.length);
        Backwards::new(state.segments.clone(), length, state.next, newest)
    }

    /// What the log holds now.
    #[must_use]
    pub fn status(&self) -> LogStatus {
        let state = self.shared.state.lock();
        LogStatus { next: state.next, synced_before: state.synced_before, segments: state.segments.len() }
    }
}

impl Shared {
    /// Whether anything may be written at all.
    fn check_open(&self, state: &State) -> Result<(), AppendError> {
        if state.closing {
            return Err(AppendError::Closed);
        }
        match &state.sync_failure {
            Some(reason) => Err(AppendError::SyncFailed { path: self.folder.clone(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Makes sure that the current segment can take `bytes` more, starting a new one where needed.
    fn make_room(&self, state: &mut State, bytes: u64) -> Result<(), AppendError> {
        if let Some(current) = &state.current {
            let fits = current.length.saturating_add(bytes) <= self.options.segment_bytes_max;
            if current.records == 0 || (fits && current.records < self.options.segment_records_max) {
                return Ok(());
            }
            // A newer segment promises that the older one is whole, also after power loss.
            let synced = current.file.sync();
            synced.map_err(|error| self.note_sync_failure(state, &error))?;
            state.synced_before = state.next;
        }
        let previous = state.segments.last().map_or([0; 32], |segment| segment.header.hash());
        let header = SegmentHeader { genesis: self.genesis, first: state.next, previous };
        let path = header.path_in(&self.folder);
        let file = self.create_segment(&path, header)?;
        let length = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
        state.segments.push(Segment { path: path.clone(), header });
        state.current = Some(Current { file, path, length, records: 0, dirty_tail: false });
        Ok(())
    }

    fn create_segment(&self, path: &Path, header: SegmentHeader) -> Result<Arc<dyn SegmentFile>, AppendError> {
        let create = || {
            let file = self.disk.create(path)?;
            file.write_at(0, &header.to_bytes())?;
            file.sync()?;
            File::open(&self.folder)?.sync_all()?;
            Ok(file)
        };
        create().map_err(|error| {
            // Half a header would be cut at the next start; better that nothing is left.
            if let Err(left) = std::fs::remove_file(path) {
                tracing::warn!(path = %path.display(), error = %left, "could not remove an unfinished segment");
            }
            AppendError::io(path.to_owned(), error)
        })
    }

    pub(crate) fn note_sync_failure(&self, state: &mut State, error: &std::io::Error) -> AppendError {
        let reason = error.to_string();
        tracing::error!(folder = %self.folder.display(), reason, "the share log could not be synced");
        state.sync_failure = Some(reason.clone());
        AppendError::SyncFailed { path: self.folder.clone(), reason }
    }

    pub(crate) fn sync_now(&self) -> Result<(), AppendError> {
        let (file, next) = {
            let state = self.state.lock();
            (state.current.as_ref().map(|current| Arc::clone(&current.file)), state.next)
        };
        let synced = file.map_or(Ok(()), |file| file.sync());
        let mut state = self.state.lock();
        match synced {
            Ok(()) => {
                state.synced_before = state.synced_before.max(next);
                Ok(())
            }
            Err(error) => Err(self.note_sync_failure(&mut state, &error)),
        }
    }
}

impl Current {
    /// Writes as much as takes a block of any usual file system beyond what the segment has, and takes it back.
    fn probe(&mut self) -> std::io::Result<()> {
        self.clean_tail()?;
        let written = self.file.write_at(self.length, &[0; PROBE_BYTES]);
        self.dirty_tail = self.file.set_len(self.length).is_err();
        written
    }

    fn clean_tail(&mut self) -> std::io::Result<()> {
        if self.dirty_tail {
            self.file.set_len(self.length)?;
            self.dirty_tail = false;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.clean_tail()?;
        if let Err(error) = self.file.write_at(self.length, bytes) {
            // Shortening needs no room. Should it fail all the same, the next write tries again first.
            self.dirty_tail = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.records = self.records.saturating_add(1);
        Ok(())
    }
}

fn lock_folder(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let open = || {
        std::fs::create_dir_all(folder)?;
        File::options().create(true).append(true).open(&path)
    };
    let lock = open().map_err(|error| OpenError::Io { path: path.clone(), error })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(OpenError::Io { path, error }),
    }
}
