use std::{io, path::PathBuf, sync::Arc};

use bq_mining_message::{Share, ShareSequence};
use parking_lot::{Condvar, Mutex};
use sha2::{Digest, Sha256};

use crate::{
    AppendError, Disk, LogIdentity, LogOptions, SegmentFile,
    definitions::Definitions,
    header::{FileHash, HEADER_BYTES, SegmentHeader, segment_name},
    leaves::Leaves,
    manifest::Manifest,
    record::Salt,
    writer::Writer,
};

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

impl Shared {
    /// Whether anything may be written at all.
    pub(crate) fn check_open(&self, state: &State) -> Result<(), AppendError> {
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

    pub(crate) fn append(
        &self,
        state: &mut State,
        shares: &[Share],
        leaves: &mut Vec<[u8; 32]>,
    ) -> Result<(), AppendError> {
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
    pub(crate) fn start_segment(&self, state: &mut State, base_ms: u64) -> Result<(), AppendError> {
        self.seal(state)?;
        state.writer = None;
        let header = SegmentHeader { identity: self.identity, first: state.next, base_ms, previous: state.sealed_hash };
        state.writer = Some(self.create_segment(header)?);
        Ok(())
    }

    /// Ends the newest segment. That is final even if the next one cannot be made: a header that such an attempt leaves behind names
    /// the segment as it is now.
    fn seal(&self, state: &mut State) -> Result<(), AppendError> {
        let Some(writer) = state.writer.as_mut().filter(|writer| writer.shares > 0) else { return Ok(()) };
        writer.clean_tail().map_err(|error| AppendError::io(&writer.path, error))?;
        // A newer segment promises that the older one is whole, also after power loss.
        let synced = writer.file.sync();
        let segment = Segment { header: writer.header, end: state.next, hash: writer.hash() };
        synced.map_err(|error| self.note_sync_failure(state, &error))?;
        state.synced_before = state.next;
        state.sealed_hash = segment.hash;
        state.sealed.push(segment);
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
        Ok(Writer {
            file,
            path,
            header,
            salt: Salt::of(header),
            length,
            shares: 0,
            hasher,
            definitions,
            dirty_tail: false,
        })
    }

    fn note_sync_failure(&self, state: &mut State, error: &io::Error) -> AppendError {
        let reason = error.to_string();
        tracing::error!(folder = %self.folder.display(), reason, "the share log could not be synced");
        state.sync_failure = Some(reason.clone());
        AppendError::SyncFailed { path: self.folder.clone(), reason }
    }

    pub(crate) fn has_unsynced(&self) -> bool {
        let state = self.state.lock();
        state.synced_before < state.next
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
