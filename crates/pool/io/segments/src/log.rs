use std::{ops::Range, path::Path, sync::Arc};

use bq_mining_message::{Share, ShareSequence};
use parking_lot::{Condvar, Mutex};

use crate::{
    AppendError, Disk, FolderLock, LogIdentity, LogOptions, OpenError, TornTail,
    leaves::Leaves,
    open::{Opened, open_segments},
    state::{Shared, State},
    syncer::Syncer,
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
    /// What [`ShareLog::prune_before`] promised of them; nothing if it removed none.
    pub windows_from: Option<ShareSequence>,
    /// How many files.
    pub segments: usize,
    /// Shares that are forfeited and not pruned, oldest first.
    pub holes: Vec<Range<ShareSequence>>,
    /// Why nothing can be written until a restart.
    pub sync_failure: Option<String>,
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
            windows_from: state.manifest.windows_from,
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
