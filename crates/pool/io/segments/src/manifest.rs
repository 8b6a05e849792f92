use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use bq_mining_message::{FrontEndId, ShareSequence};
use bq_primitives::{BlockId, DecodeError, Decoder};

use crate::{Disk, LogIdentity, OpenError, header::FileHash};

/// The file that lists the segments which are not there any more. Without such segments there is none.
pub(crate) const NAME: &str = "manifest";
const NAME_NEW: &str = "manifest.new";

const MAGIC: [u8; 8] = *b"BQSHGONE";
const VERSION: u32 = 2;
/// Without the promise about windows.
const VERSION_1: u32 = 1;
const ENTRY_BYTES: usize = 1 + 8 + 8 + 32 + 32;

/// The segments that were removed on purpose: the chain of hashes goes on over them.
///
/// Magic, version, genesis, front end, where windows may begin (0 for nothing promised), the entries in order (kind, first, end, hash
/// of the file before, hash of the file), CRC-32C.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// In order, none overlapping.
    pub(crate) entries: Vec<Gone>,
    /// Who walks back from this share or a later one wants nothing of what is pruned.
    pub(crate) windows_from: Option<ShareSequence>,
}

/// A segment that is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) why: Why,
    pub(crate) first: ShareSequence,
    pub(crate) end: ShareSequence,
    pub(crate) previous: FileHash,
    pub(crate) hash: FileHash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Old and no longer needed.
    Pruned = 1,
    /// Damaged or lost, and given up.
    Forfeited = 2,
}

impl Manifest {
    /// Every share before this one is pruned, or was forfeited before that.
    pub(crate) fn pruned_before(&self) -> ShareSequence {
        let pruned = self.entries.iter().rev().find(|entry| entry.why == Why::Pruned);
        pruned.map_or(ShareSequence::FIRST, |entry| entry.end)
    }

    /// What was forfeited and is not pruned.
    pub(crate) fn holes(&self) -> impl Iterator<Item = Range<ShareSequence>> + '_ {
        let pruned_before = self.pruned_before();
        let holes = self.entries.iter().filter(move |entry| entry.first >= pruned_before);
        holes.map(|entry| entry.first..entry.end)
    }

    /// The entry that a share belongs to.
    pub(crate) fn covering(&self, share: ShareSequence) -> Option<&Gone> {
        self.entries.iter().find(|entry| (entry.first..entry.end).contains(&share))
    }

    /// Takes a promise over from whoever prunes: the later of two holds for what both of them pruned. What was pruned without one
    /// never gets one.
    pub(crate) fn promise(&mut self, windows_from: ShareSequence) {
        let is_first = self.pruned_before() == ShareSequence::FIRST;
        if is_first || self.windows_from.is_some() {
            self.windows_from = self.windows_from.max(Some(windows_from));
        }
    }

    pub(crate) fn insert(&mut self, entry: Gone) {
        let at = self.entries.partition_point(|other| other.first < entry.first);
        self.entries.insert(at, entry);
    }

    /// Reads the one of a folder, if there is one.
    pub(crate) fn load(disk: &dyn Disk, folder: &Path, identity: LogIdentity) -> Result<Self, OpenError> {
        let path = folder.join(NAME);
        let mut bytes = Vec::new();
        match disk.read(&path, u64::MAX, &mut bytes) {
            Ok(()) => Self::decode(&path, &bytes, identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(OpenError::io(&path, error)),
        }
    }

    /// Replaces the one of a folder, in one step.
    pub(crate) fn store(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        identity: LogIdentity,
    ) -> Result<(), (PathBuf, io::Error)> {
        let (path, new) = (folder.join(NAME), folder.join(NAME_NEW));
        let write = || {
            let file = disk.create(&new)?;
            file.write_at(0, &self.to_bytes(identity))?;
            file.sync()?;
            disk.rename(&new, &path)?;
            disk.sync_folder(folder)
        };
        write().map_err(|error| (path.clone(), error))
    }

    fn to_bytes(&self, identity: LogIdentity) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(identity.genesis.0);
        bytes.extend(identity.front_end.0.to_le_bytes());
        bytes.extend(self.windows_from.map_or(0, |share| share.0).to_le_bytes());
        for entry in &self.entries {
            bytes.push(entry.why as u8);
            bytes.extend(entry.first.0.to_le_bytes());
            bytes.extend(entry.end.0.to_le_bytes());
            bytes.extend(entry.previous.0);
            bytes.extend(entry.hash.0);
        }
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    fn decode(path: &Path, bytes: &[u8], identity: LogIdentity) -> Result<Self, OpenError> {
        let damaged = || OpenError::corrupt(path, 0, "the list of removed segments is damaged");
        let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32c::crc32c(covered).to_le_bytes() != *checksum {
            return Err(damaged());
        }
        let rest = covered.strip_prefix(&MAGIC).ok_or_else(damaged)?;
        let mut decoder = Decoder::new(rest);
        let version = decoder.u32().map_err(|_| damaged())?;
        if version != VERSION && version != VERSION_1 {
            return Err(OpenError::Version { path: path.to_owned(), version });
        }
        let (found, windows_from) = Self::decode_head(&mut decoder, version).map_err(|_| damaged())?;
        if found != identity {
            return Err(OpenError::foreign(path, "it belongs to another chain or front end"));
        }
        let entries = Self::decode_entries(&mut decoder).map_err(|_| damaged())?;
        Ok(Self { entries: entries.ok_or_else(damaged)?, windows_from })
    }

    fn decode_head(
        decoder: &mut Decoder<'_>,
        version: u32,
    ) -> Result<(LogIdentity, Option<ShareSequence>), DecodeError> {
        let genesis = BlockId(decoder.array()?);
        let identity = LogIdentity { genesis, front_end: FrontEndId(decoder.u16()?) };
        let windows_from = if version == VERSION_1 { 0 } else { decoder.u64()? };
        Ok((identity, Some(ShareSequence(windows_from)).filter(|share| *share >= ShareSequence::FIRST)))
    }

    /// Nothing if they are not in order.
    fn decode_entries(decoder: &mut Decoder<'_>) -> Result<Option<Vec<Gone>>, DecodeError> {
        let mut entries = Some(Vec::with_capacity(decoder.remaining() / ENTRY_BYTES));
        while decoder.remaining() > 0 {
            let kind = decoder.u8()?;
            let (first, end) = (ShareSequence(decoder.u64()?), ShareSequence(decoder.u64()?));
            let (previous, hash) = (FileHash(decoder.array()?), FileHash(decoder.array()?));
            let why = match kind {
                1 => Some(Why::Pruned),
                2 => Some(Why::Forfeited),
                _ => None,
            };
            let floor =
                entries.as_ref().and_then(|entries| entries.last()).map_or(ShareSequence(0), |gone: &Gone| gone.end);
            let entry = why.map(|why| Gone { why, first, end, previous, hash });
            let is_good = |entry: &Gone| entry.first < entry.end && entry.first >= floor;
            entries = entries.zip(entry.filter(is_good)).map(|(mut entries, entry)| {
                entries.push(entry);
                entries
            });
        }
        Ok(entries)
    }
}
