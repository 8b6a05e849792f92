use std::{io, path::PathBuf, sync::Arc};

use bq_mining_message::Share;
use sha2::{Digest, Sha256};

use crate::{
    LogOptions, SegmentFile,
    definitions::Definitions,
    header::{FileHash, SegmentHeader},
    record::{APPEND_BYTES_MAX, RecordWriter, Row, Salt},
};

/// Bytes that a check for room writes: a share may fit into a block that the segment has already, the next ones may not.
const PROBE_BYTES: usize = 4096;

/// The newest segment, which is written to.
pub(crate) struct Writer {
    pub(crate) file: Arc<dyn SegmentFile>,
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) salt: Salt,
    /// Where the last whole record ends.
    pub(crate) length: u64,
    pub(crate) shares: u32,
    /// Of everything up to `length`.
    pub(crate) hasher: Sha256,
    pub(crate) definitions: Definitions,
    /// A failed write may have left bytes behind `length`.
    pub(crate) dirty_tail: bool,
}

impl Writer {
    /// Whether the share fits into this segment.
    pub(crate) fn takes(&self, share: &Share, options: &LogOptions) -> bool {
        self.takes_after(share, options, 0, 0)
    }

    /// Whether the share fits behind so many bytes and shares that are not written yet.
    fn takes_after(&self, share: &Share, options: &LogOptions, bytes: usize, shares: u32) -> bool {
        if self.delta_ms(share).is_none() || !self.definitions.take(share, options) {
            return false;
        }
        let count = self.shares.saturating_add(shares);
        let end = self.length.saturating_add(u64::try_from(bytes + APPEND_BYTES_MAX).unwrap_or(u64::MAX));
        // A segment without shares cannot be followed by another: both would have the same first share.
        count == 0 || (count < options.segment_shares_max && end <= options.segment_bytes_max)
    }

    /// The share's time from the segment's base time on; nothing if it is more than 24 days away.
    fn delta_ms(&self, share: &Share) -> Option<i32> {
        i32::try_from(share.time_ms.checked_signed_diff(self.header.base_ms)?).ok()
    }

    /// Writes as many of the shares as this segment takes, in one go, and says how many.
    ///
    /// # Errors
    /// As the disk says; then nothing was written.
    pub(crate) fn write(&mut self, shares: &[Share], options: &LogOptions) -> io::Result<usize> {
        self.clean_tail()?;
        let defined = self.definitions.counts();
        let mut records = RecordWriter::new(self.salt, self.length);
        let mut count = 0;
        for share in shares {
            let Some(delta_ms) = self.delta_ms(share) else { break };
            if !self.takes_after(share, options, records.bytes().len(), count) {
                break;
            }
            let (miner, job) = self.definitions.number(share, &mut records);
            records.share(Row { difficulty: share.difficulty, delta_ms, miner, job }, share.block_id);
            count = count.saturating_add(1);
        }
        if let Err(error) = self.file.write_at(self.length, records.bytes()) {
            self.definitions.roll_back(defined);
            // Shortening needs no room. Should it fail all the same, the next write tries again first.
            self.dirty_tail = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.hasher.update(records.bytes());
        self.length = self.length.saturating_add(u64::try_from(records.bytes().len()).unwrap_or(u64::MAX));
        self.shares = self.shares.saturating_add(count);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Writes as much as takes a block of any usual file system beyond what the segment has, and takes it back.
    pub(crate) fn probe(&mut self) -> io::Result<()> {
        self.clean_tail()?;
        let written = self.file.write_at(self.length, &[0; PROBE_BYTES]);
        self.dirty_tail = self.file.set_len(self.length).is_err();
        written
    }

    /// Takes back what a failed write left.
    pub(crate) fn clean_tail(&mut self) -> io::Result<()> {
        if self.dirty_tail {
            self.file.set_len(self.length)?;
            self.dirty_tail = false;
        }
        Ok(())
    }

    /// What the next segment names this one by.
    pub(crate) fn hash(&self) -> FileHash {
        FileHash(self.hasher.clone().finalize().into())
    }
}
