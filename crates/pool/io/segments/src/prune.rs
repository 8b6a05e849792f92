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
    /// # Errors
    /// [`PruneError`]: none was removed, or some are removed at the next start only.
    pub fn prune_before(&self, share: ShareSequence) -> Result<usize, PruneError> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        let count = state.sealed.partition_point(|segment| segment.end <= share);
        if count == 0 {
            return Ok(0);
        }
        let mut manifest = state.manifest.clone();
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
}

const fn gone(segment: &Segment) -> Gone {
    let Segment { header, end, hash } = *segment;
    Gone { why: Why::Pruned, first: header.first, end, previous: header.previous, hash }
}
