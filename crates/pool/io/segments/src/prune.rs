use bq_mining_message::ShareSequence;

use crate::{
    PruneError, ShareLog,
    header::segment_name,
    manifest::{Gone, Why},
    state::Segment,
};

impl ShareLog {
    /// Removes the sealed segments whose shares all come before this one, and keeps their places and hashes. Returns how many.
    /// A reader that is at work on them fails.
    ///
    /// The caller promises that nobody who walks back from `windows_from` or a later share wants any of the removed ones: such a
    /// walk ends at the oldest share that is left as at the beginning of the log. Any other that comes so far fails.
    ///
    /// # Errors
    /// [`PruneError`]: none was removed, or some are removed at the next start only.
    pub fn prune_before(&self, share: ShareSequence, windows_from: ShareSequence) -> Result<usize, PruneError> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        let count = state.sealed.partition_point(|segment| segment.end <= share);
        if count == 0 {
            return Ok(0);
        }
        let mut manifest = state.manifest.clone();
        manifest.promise(windows_from);
        state.sealed[..count].iter().for_each(|segment| manifest.insert(gone(segment)));
        let stored = manifest.store(shared.disk.as_ref(), &shared.folder, shared.identity);
        stored.map_err(|(path, error)| PruneError { path, error })?;
        // From here on they do not count, whether or not the files go.
        state.manifest = manifest;
        let removed: Vec<_> = state.sealed.drain(..count).collect();
        drop(state);
        for segment in &removed {
            let path = shared.folder.join(segment_name(segment.header.first));
            shared.disk.remove(&path).map_err(|error| PruneError { path, error })?;
        }
        Ok(count)
    }

    /// The first share of the oldest segment that may hold one of this time (milliseconds since 1970) or a later one: as far back as a
    /// time is known without reading the files. The next share if there is none.
    #[must_use]
    pub fn first_since(&self, time_ms: u64) -> ShareSequence {
        let state = self.shared.state.lock();
        let newest = state.writer.as_ref().map(|writer| writer.header);
        let mut from = None;
        for header in state.sealed.iter().map(|segment| segment.header).chain(newest) {
            // A clock that starts in 1970 makes nothing older that came before it: the oldest young one counts.
            if header.base_ms > time_ms && from.is_some() {
                break;
            }
            from = Some(header);
        }
        from.map_or(state.next, |header| header.first)
    }

    /// The first share behind the oldest segment that may be removed, as nothing is written to it any more. Nothing while there is only
    /// the newest.
    #[must_use]
    pub fn oldest_sealed_end(&self) -> Option<ShareSequence> {
        self.shared.state.lock().sealed.first().map(|segment| segment.end)
    }
}

const fn gone(segment: &Segment) -> Gone {
    let Segment { header, end, hash } = *segment;
    Gone { why: Why::Pruned, first: header.first, end, previous: header.previous, hash }
}
