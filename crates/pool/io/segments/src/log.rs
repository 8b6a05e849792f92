use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_mining_message::{Share, ShareSequence};
use parking_lot::{Condvar, Mutex};
use sha2::{Digest, Sha256};

use crate::{
    AppendError, Disk, FolderLock, LogIdentity, LogOptions, OpenError, SegmentFile, TornTail,
    definitions::Definitions,
    header::{FileHash, HEADER_BYTES, SegmentHeader, segment_name},
    leaves::Leaves,
    manifest::Manifest,
    open::{Opened, open_segments},
    syncer::Syncer,
    writer::Writer,
};

/// The share log of one front end: one process, many threads.
pub struct ShareLog {
    pub(crate) shared: Arc<Shared>,
    torn: Option<TornTail>,
    // Joined before the folder is released.
    _syncer: Option<Syncer>,
    _lock: FolderLock,
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// What the next share will be.
    pub next: ShareSequence,
    /// Every share before this one is on stable storage.
    pub synced_before: ShareSequence,
    /// Every share before this one is pruned.
    pub pruned_before: ShareSequence,
    /// How many files.
    pub segments: usize,
    /// Shares that are forfeited and not pruned, oldest first.
    pub holes: Vec<Range<ShareSequence>>,
    /// Why nothing can be written until a restart.
    pub sync_failure: Option<String>,
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) identity: LogIdentity,
    pub(crate) options: LogOptions,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state: Mutex<State>,
    /// Wakes the syncer: there is something to sync, or the log closes.
    pub(crate) wake: Condvar,
}

pub(crate) struct State {
    /// Segments that were followed by another one, oldest first.
    pub(crate) sealed: Vec<Segment>,
    pub(crate) writer: Option<Writer>,
    /// What a segment names as the one before it if there is no writer.
    pub(crate) sealed_hash: FileHash,
    pub(crate) next: ShareSequence,
    pub(crate) synced_before: ShareSequence,
    pub(crate) sync_failure: Option<String>,
    pub(crate) closing: bool,
    pub(crate) manifest: Manifest,
    pub(crate) leaves: Leaves,
}

/// A segment that nothing is written to any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) end: ShareSequence,
    pub(crate) hash: FileHash,
}

impl ShareLog {
    /// Opens the log in `folder`, which is made if it is missing. The next share must be `at_least` this one or a later one: what
    /// the caller's own books know the log to have reached ([`ShareSequence::FIRST`] if they know nothing).
    ///
    /// Reads every retained file once. Sealed segments must have the hash that the next one names; a torn tail of the newest is cut.
    ///
    /// # Errors
    /// See [`OpenError`]: the caller must not start. Nothing was changed then.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        identity: LogIdentity,
        at_least: ShareSequence,
        options: LogOptions,
    ) -> Result<Self, OpenError> {
        let lock = disk.lock(folder).map_err(|error| OpenError::io(folder, error))?;
        let lock = lock.ok_or_else(|| OpenError::InUse(folder.to_owned()))?;
        let Opened { sealed, writer, sealed_hash, next, torn, manifest } =
            open_segments(disk.as_ref(), folder, identity, at_least)?;
        if let Some(TornTail { path, offset, bytes }) = &torn {
            tracing::warn!(path = %path.display(), offset, bytes, "cut a torn tail off the share log");
        }
        let leaves = Leaves::new(next, options.leaves_max);
        let (synced_before, sync_failure, closing) = (next, None, false);
        let state = State { sealed, writer, sealed_hash, next, synced_before, sync_failure, closing, manifest, leaves };
        let (folder, state, wake) = (folder.to_owned(), Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { folder, identity, options, disk, state, wake });
        let start = |interval| Syncer::start(Arc::clone(&shared), interval);
        let syncer = options.sync_interval.map(start).transpose();
        let syncer = syncer.map_err(|error| OpenError::io(&shared.folder, error))?;
        Ok(Self { shared, torn, _syncer: syncer, _lock: lock })
    }

    /// What opening cut off.
    #[must_use]
    pub const fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Whose shares these are.
    #[must_use]
    pub fn identity(&self) -> LogIdentity {
        self.shared.identity
    }

    /// What the next share will be.
    #[must_use]
    pub fn next(&self) -> ShareSequence {
        self.shared.state.lock().next
    }

    /// Every share before this one is on stable storage.
    #[must_use]
    pub fn synced_before(&self) -> ShareSequence {
        self.shared.state.lock().synced_before
    }

    /// What the log holds now.
    #[must_use]
    pub fn status(&self) -> LogStatus {
        let state = self.shared.state.lock();
        LogStatus {
            next: state.next,
            synced_before: state.synced_before,
            pruned_before: state.manifest.pruned_before(),
            segments: state.sealed.len() + usize::from(state.writer.is_some()),
            holes: state.manifest.holes().collect(),
            sync_failure: state.sync_failure.clone(),
        }
    }

    /// Writes a share and returns its position. It survives the death of this process from here on, and power loss once it is
    /// synced.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing of the share is left in the log.
    pub fn append(&self, share: &Share) -> Result<ShareSequence, AppendError> {
        let (written, end) = self.append_many(std::slice::from_ref(share));
        end.map(|()| written.start)
    }

    /// Writes shares, with one write for as many as a segment takes. Returns which positions the first ones of them got, and what
    /// kept the others out, if something did: of those nothing is left in the log.
    pub fn append_many(&self, shares: &[Share]) -> (Range<ShareSequence>, Result<(), AppendError>) {
        let mut leaves: Vec<_> = shares.iter().map(Share::leaf).collect();
        let mut state = self.shared.state.lock();
        let was_synced = state.synced_before >= state.next;
        let first = state.next;
        let outcome = self.shared.append(&mut state, shares, &mut leaves);
        let written = first..state.next;
        drop(state);
        // The syncer sleeps only while nothing is unsynced; waking it for every share would cost a switch each.
        if was_synced && !written.is_empty() {
            self.shared.wake.notify_one();
        }
        (written, outcome)
    }

    /// Whether shares can be written now: tries it with bytes that are taken back at once. Should a crash leave them, opening
    /// cuts them off like any torn tail.
    ///
    /// # Errors
    /// What [`ShareLog::append`] would say.
    pub fn check_writable(&self) -> Result<(), AppendError> {
        let mut state = self.shared.state.lock();
        self.shared.check_open(&state)?;
        if state.writer.is_none() {
            // Without a share nothing is known about the time; the first one makes the segment anew.
            self.shared.start_segment(&mut state, 0)?;
        }
        let Some(writer) = &mut state.writer else { return Err(AppendError::Closed) };
        writer.probe().map_err(|error| AppendError::io(&writer.path, error))
    }

    /// Returns once every share appended so far is on stable storage.
    ///
    /// # Errors
    /// [`AppendError::SyncFailed`], from the first failure on.
    pub fn sync(&self) -> Result<(), AppendError> {
        self.shared.sync_now()
    }
}

impl Shared {
    /// Whether anything may be written at all.
    fn check_open(&self, state: &State) -> Result<(), AppendError> {
        if state.closing {
            return Err(AppendError::Closed);
        }
        self.check_synced(state)
    }

    fn check_synced(&self, state: &State) -> Result<(), AppendError> {
        match &state.sync_failure {
            Some(reason) => Err(AppendError::SyncFailed { path: self.folder.clone(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn append(&self, state: &mut State, shares: &[Share], leaves: &mut Vec<[u8; 32]>) -> Result<(), AppendError> {
        self.check_open(state)?;
        let mut rest = shares;
        while let Some(share) = rest.first() {
            self.make_room(state, share)?;
            let Some(writer) = &mut state.writer else { return Err(AppendError::Closed) };
            let count = writer.write(rest, &self.options).map_err(|error| AppendError::io(&writer.path, error))?;
            state.next = state.next.after(u64::try_from(count).unwrap_or(u64::MAX));
            leaves.drain(..count).for_each(|leaf| state.leaves.push(leaf));
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Makes sure that the newest segment can take the share, starting a new one where needed.
    fn make_room(&self, state: &mut State, share: &Share) -> Result<(), AppendError> {
        match &state.writer {
            Some(writer) if writer.takes(share, &self.options) => Ok(()),
            _ => self.start_segment(state, share.time_ms),
        }
    }

    /// Seals the newest segment, if it has shares, and starts the next; one without shares is made anew.
    fn start_segment(&self, state: &mut State, base_ms: u64) -> Result<(), AppendError> {
        let sealed = match &mut state.writer {
            Some(writer) if writer.shares > 0 => {
                // A newer segment promises that the older one is whole, also after power loss.
                writer.clean_tail().map_err(|error| AppendError::io(&writer.path, error))?;
                let synced = writer.file.sync();
                let segment = Segment { header: writer.header, end: state.next, hash: writer.hash() };
                synced.map_err(|error| self.note_sync_failure(state, &error))?;
                state.synced_before = state.next;
                Some(segment)
            }
            _ => {
                state.writer = None;
                None
            }
        };
        let previous = sealed.map_or(state.sealed_hash, |segment| segment.hash);
        let header = SegmentHeader { identity: self.identity, first: state.next, base_ms, previous };
        let writer = self.create_segment(header)?;
        state.sealed_hash = previous;
        state.sealed.extend(sealed);
        state.writer = Some(writer);
        Ok(())
    }

    fn create_segment(&self, header: SegmentHeader) -> Result<Writer, AppendError> {
        let path = self.folder.join(segment_name(header.first));
        let bytes = header.to_bytes();
        let create = || -> io::Result<Arc<dyn SegmentFile>> {
            let file = self.disk.create(&path)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            self.disk.sync_folder(&self.folder)?;
            Ok(file)
        };
        let created = create();
        let file = created.map_err(|error| {
            // Half a header would be cut at the next start; better that nothing is left.
            if let Err(left) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), error = %left, "could not remove an unfinished segment");
            }
            AppendError::io(&path, error)
        })?;
        let length = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
        let hasher = Sha256::new().chain_update(&bytes);
        let definitions = Definitions::default();
        Ok(Writer { file, path, header, length, shares: 0, hasher, definitions, dirty_tail: false })
    }

    fn note_sync_failure(&self, state: &mut State, error: &io::Error) -> AppendError {
        let reason = error.to_string();
        tracing::error!(folder = %self.folder.display(), reason, "the share log could not be synced");
        state.sync_failure = Some(reason.clone());
        AppendError::SyncFailed { path: self.folder.clone(), reason }
    }

    pub(crate) fn sync_now(&self) -> Result<(), AppendError> {
        let (file, next) = {
            let state = self.state.lock();
            self.check_synced(&state)?;
            (state.writer.as_ref().map(|writer| Arc::clone(&writer.file)), state.next)
        };
        let synced = file.map_or(Ok(()), |file| file.sync());
        let mut state = self.state.lock();
        // A second sync after a failed one may succeed without having written anything.
        self.check_synced(&state)?;
        match synced {
            Ok(()) => {
                state.synced_before = state.synced_before.max(next);
                Ok(())
            }
            Err(error) => Err(self.note_sync_failure(&mut state, &error)),
        }
    }
}
