//! Reads the segments of format version 1, whose shares name accounts by their number in the ledger of that time, so that an old
//! data directory can be carried over. Nothing writes this format any more.

mod record;
mod segment;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_mining_message::ShareSequence;
use bq_primitives::{AccountId, Algorithm, BlockId, Height, NetworkDifficulty, ShareDifficulty, WorkerName};

use crate::{
    Disk, LogIdentity,
    header::FileHash,
    manifest::{Gone, Manifest, Why},
};
use segment::{HEADER_BYTES, Header};
pub(crate) use segment::{VERSION, has_header};

/// A share as version 1 kept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareV1 {
    /// Its position.
    pub sequence: ShareSequence,
    /// What it was mined with.
    pub algorithm: Algorithm,
    /// Who is credited: a row of the ledger.
    pub account: AccountId,
    /// Which machine.
    pub worker: WorkerName,
    /// What the share was worth when its job was sent.
    pub difficulty: ShareDifficulty,
    /// What a block was worth then.
    pub network_difficulty: NetworkDifficulty,
    /// Height of the job.
    pub height: Height,
    /// When it was accepted, in milliseconds since 1970.
    pub time_ms: u64,
    /// The block's id when the share is one.
    pub block_id: Option<BlockId>,
}

/// An old log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadV1Error {
    /// The file system refused.
    #[error("share log {}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A segment is damaged, foreign or missing.
    #[error("{} at byte {offset}: {reason}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

/// The shares of an old log, oldest first, one segment in memory at a time. A torn tail of the newest segment is left out, as the
/// old software did.
pub struct SharesV1 {
    disk: Arc<dyn Disk>,
    segments: VecDeque<(PathBuf, Header)>,
    loaded: VecDeque<ShareV1>,
    torn_bytes: usize,
}

/// Opens the old log in a folder for reading.
///
/// # Errors
/// [`ReadV1Error`]: a header is bad, or a segment between two others is missing. The oldest may have been moved away.
pub fn read_v1(disk: Arc<dyn Disk>, folder: &Path, genesis: BlockId) -> Result<SharesV1, ReadV1Error> {
    let failed = |error| ReadV1Error::Io { path: folder.to_owned(), error };
    let mut names = disk.list(folder).map_err(failed)?;
    names.retain(|name| name.ends_with(".seg"));
    names.sort_unstable();
    let mut segments: VecDeque<(PathBuf, Header)> = VecDeque::with_capacity(names.len());
    let mut torn_bytes = 0;
    for (position, name) in names.iter().enumerate() {
        let path = folder.join(name);
        let bytes = read(disk.as_ref(), &path, HEADER_BYTES)?;
        if bytes.len() < HEADER_BYTES && position + 1 == names.len() {
            // An unfinished creation: nothing was acknowledged from it.
            torn_bytes = bytes.len();
            continue;
        }
        let header = Header::decode(&bytes).and_then(|header| header.check(genesis, name));
        let header = header.map_err(|reason| bad(&path, 0, reason))?;
        if let Some((older, before)) = segments.back()
            && header.previous != before.hash()
        {
            let reason = format!("it does not continue {}: a segment is missing or replaced", older.display());
            return Err(bad(&path, 0, reason));
        }
        segments.push_back((path, header));
    }
    Ok(SharesV1 { disk, segments, loaded: VecDeque::new(), torn_bytes })
}

/// Makes a log in an empty folder that begins with a later share than the first: those before it lie elsewhere and count as
/// pruned.
///
/// # Errors
/// The manifest cannot be written.
pub fn begin_at(
    disk: &dyn Disk,
    folder: &Path,
    identity: LogIdentity,
    first: ShareSequence,
) -> Result<(), ReadV1Error> {
    if first <= ShareSequence::FIRST {
        return Ok(());
    }
    let (first, end) = (ShareSequence::FIRST, first);
    let gone = Gone { why: Why::Pruned, first, end, previous: FileHash::NONE, hash: FileHash::NONE };
    let manifest = Manifest { entries: vec![gone], windows_from: None };
    manifest.store(disk, folder, identity).map_err(|(path, error)| ReadV1Error::Io { path, error })
}

impl SharesV1 {
    /// The first share that is there, or would be.
    #[must_use]
    pub fn first(&self) -> ShareSequence {
        self.segments.front().map_or(ShareSequence::FIRST, |(_, header)| header.first)
    }

    /// Bytes of a torn tail that were left out; known once the iterator has ended.
    #[must_use]
    pub const fn torn_bytes(&self) -> usize {
        self.torn_bytes
    }

    /// Reads the next segment that has shares.
    fn load(&mut self) -> Result<(), ReadV1Error> {
        while self.loaded.is_empty()
            && let Some((path, header)) = self.segments.pop_front()
        {
            let bytes = read(self.disk.as_ref(), &path, usize::MAX)?;
            let (shares, length, fault) = record::read_all(&bytes, header.first);
            match (fault, self.segments.front()) {
                (None, None) => {}
                (None, Some((_, next)))
                    if next.first == header.first.after(u64::try_from(shares.len()).unwrap_or(u64::MAX)) => {}
                (None, Some((_, next))) => {
                    return Err(bad(&path, length, format!("it does not end before share {}", next.first)));
                }
                (Some(fault), None) if fault.is_torn(&bytes, length) => self.torn_bytes = bytes.len() - length,
                (Some(fault), _) => return Err(bad(&path, length, fault.to_string())),
            }
            self.loaded = shares.into();
        }
        Ok(())
    }
}

impl Iterator for SharesV1 {
    type Item = Result<ShareV1, ReadV1Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.loaded.is_empty()
            && let Err(error) = self.load()
        {
            self.segments.clear();
            return Some(Err(error));
        }
        self.loaded.pop_front().map(Ok)
    }
}

fn read(disk: &dyn Disk, path: &Path, bytes_max: usize) -> Result<Vec<u8>, ReadV1Error> {
    let mut bytes = Vec::new();
    let read = disk.read(path, u64::try_from(bytes_max).unwrap_or(u64::MAX), &mut bytes);
    read.map_err(|error| ReadV1Error::Io { path: path.to_owned(), error })?;
    Ok(bytes)
}

fn bad(path: &Path, offset: usize, reason: String) -> ReadV1Error {
    ReadV1Error::Bad { path: path.to_owned(), offset: u64::try_from(offset).unwrap_or(u64::MAX), reason }
}
