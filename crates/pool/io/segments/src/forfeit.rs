use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use bq_mining_message::ShareSequence;

use crate::{
    Disk, ForfeitError, LogIdentity, OpenError,
    header::{FileHash, HEADER_BYTES, SegmentHeader, parse_segment_name, segment_name},
    manifest::{Gone, Manifest, Why},
    record::SHARE_BYTES,
    scan::{Content, ScanEnd},
};

/// What was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forfeited {
    /// The shares, as a hole in the log. Of the newest segment these are as many as can have been in it.
    pub shares: Range<ShareSequence>,
    /// Where the damaged file lies now; nothing if it was missing.
    pub kept: Option<PathBuf>,
}

/// Gives a damaged or missing segment up, by its name, so that the log can be opened without its shares. The file is kept under
/// another name. Where only the end of the newest segment is bad, the name that a segment from there on would have gives up that end
/// and no more; the refusal to open says which name that is. `at_least` is what [`crate::ShareLog::open`] is given: numbers that the log had reached are never used again.
/// The log must not be open.
///
/// # Errors
/// [`ForfeitError`].
pub fn forfeit(
    disk: &dyn Disk,
    folder: &Path,
    identity: LogIdentity,
    name: &str,
    at_least: ShareSequence,
) -> Result<Forfeited, ForfeitError> {
    let lock = disk.lock(folder).map_err(|error| OpenError::io(folder, error))?;
    let _lock = lock.ok_or_else(|| OpenError::InUse(folder.to_owned()))?;
    let first = parse_segment_name(name).ok_or_else(|| ForfeitError::Name(name.to_owned()))?;
    let mut manifest = Manifest::load(disk, folder, identity)?;
    if manifest.covering(first).is_some() {
        return Err(ForfeitError::Gone(name.to_owned()));
    }
    let place = Place { disk, folder, identity, manifest: &manifest, files: segments(disk, folder)?, first };
    let (gone, kept) = if place.files.contains(&first) {
        (place.damaged(at_least)?, Some(kept_path(&folder.join(name))))
    } else {
        (place.missing(at_least)?.ok_or_else(|| ForfeitError::Unknown(name.to_owned()))?, None)
    };
    // The file goes first: a crash in between leaves a missing segment, which is forfeited in the same way.
    if let Some(kept) = &kept {
        let path = folder.join(name);
        let moved = disk.rename(&path, kept).and_then(|()| disk.sync_folder(folder));
        moved.map_err(|error| OpenError::io(&path, error))?;
    }
    if gone.first < gone.end {
        manifest.insert(gone);
        manifest.store(disk, folder, identity).map_err(|(path, error)| OpenError::Io { path, error })?;
    }
    Ok(Forfeited { shares: gone.first..gone.end, kept })
}

/// A segment that is given up, and those around it.
struct Place<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    identity: LogIdentity,
    manifest: &'a Manifest,
    files: Vec<ShareSequence>,
    first: ShareSequence,
}

impl Place<'_> {
    /// A file that is there.
    fn damaged(&self, at_least: ShareSequence) -> Result<Gone, OpenError> {
        let bytes = self.read(self.first)?;
        let lost = shares_max(bytes.len().saturating_sub(HEADER_BYTES));
        let newest = || (at_least.max(self.first.after(lost)), FileHash::of(&bytes));
        let (end, hash) = self.following()?.unwrap_or_else(newest);
        let previous = self.previous_of(&bytes)?;
        Ok(Gone { why: Why::Forfeited, first: self.first, end, previous, hash })
    }

    /// The hash that the damaged file names as its predecessor's. If that is lost too, the predecessor's own, but only if nothing is
    /// wrong with it: otherwise a hash that no file has, so that the predecessor is refused in its turn.
    fn previous_of(&self, damaged: &[u8]) -> Result<FileHash, OpenError> {
        let path = self.folder.join(segment_name(self.first));
        if let Ok(header) = SegmentHeader::read(&path, damaged, self.identity, self.first) {
            return Ok(header.previous);
        }
        match self.preceding() {
            Preceding::Gone { hash, .. } => Ok(hash),
            Preceding::File(file) => match self.close(file, false) {
                Ok((end, hash, _)) if end == self.first => Ok(hash),
                Ok(_) | Err(OpenError::Corrupt { .. } | OpenError::Foreign { .. } | OpenError::Version { .. }) => {
                    Ok(FileHash::NONE)
                }
                Err(error) => Err(error),
            },
        }
    }

    /// A file that is not there, or the bad end of the newest one; nothing if no share is missing here.
    fn missing(&self, at_least: ShareSequence) -> Result<Option<Gone>, OpenError> {
        let following = self.following()?;
        let (start, previous, lost) = match self.preceding() {
            Preceding::Gone { end, hash } => (end, hash, 0),
            Preceding::File(file) => self.close(file, following.is_none())?,
        };
        let (end, hash) = following.unwrap_or_else(|| (at_least.max(self.first.after(lost)), FileHash::NONE));
        let gone = Gone { why: Why::Forfeited, first: self.first, end, previous, hash };
        Ok((start == self.first && self.first < end).then_some(gone))
    }

    /// Cuts the bad end off the file before the place, if nothing follows it and the place is that end. Returns where it ends, its hash,
    /// and how many shares can have been behind that.
    fn close(&self, first: ShareSequence, is_newest: bool) -> Result<(ShareSequence, FileHash, u64), OpenError> {
        let path = self.folder.join(segment_name(first));
        let mut bytes = self.read(first)?;
        let header = SegmentHeader::read(&path, &bytes, self.identity, first)?;
        let mut content = Content::default();
        let found = content.scan(&bytes, header);
        let end = first.after(content.count());
        let length = u64::try_from(found.length).unwrap_or(u64::MAX);
        let lost = match found.end {
            ScanEnd::Whole => 0,
            // Nothing whole is behind it: the caller knows best how far the log had come.
            ScanEnd::Torn(_) if is_newest => 0,
            ScanEnd::Corrupt(_) if is_newest => shares_max(bytes.len() - found.length),
            ScanEnd::Torn(fault) | ScanEnd::Corrupt(fault) => {
                return Err(OpenError::corrupt(&path, length, fault.to_string()));
            }
        };
        if end == self.first && found.end != ScanEnd::Whole {
            self.cut(&path, &bytes, length).map_err(|error| OpenError::io(&path, error))?;
            bytes.truncate(found.length);
        }
        Ok((end, FileHash::of(&bytes), lost))
    }

    /// Shortens a file and keeps all of it under another name.
    fn cut(&self, path: &Path, bytes: &[u8], length: u64) -> io::Result<()> {
        let copy = self.disk.create(&kept_path(path))?;
        copy.write_at(0, bytes)?;
        copy.sync()?;
        self.disk.sync_folder(self.folder)?;
        let file = self.disk.open(path)?;
        file.set_len(length)?;
        file.sync()
    }

    /// Where the segment behind the place starts, and what it names as the one before it.
    fn following(&self) -> Result<Option<(ShareSequence, FileHash)>, OpenError> {
        let file = self.files.iter().copied().filter(|file| *file > self.first).min();
        let gone = self.manifest.entries.iter().find(|gone| gone.first > self.first);
        if let Some(gone) = gone.filter(|gone| file.is_none_or(|file| gone.first < file)) {
            return Ok(Some((gone.first, gone.previous)));
        }
        let Some(file) = file else { return Ok(None) };
        let path = self.folder.join(segment_name(file));
        let header = SegmentHeader::read(&path, &self.read(file)?, self.identity, file)?;
        Ok(Some((file, header.previous)))
    }

    fn preceding(&self) -> Preceding {
        let file = self.files.iter().copied().filter(|file| *file < self.first).max();
        let gone = self.manifest.entries.iter().rev().find(|gone| gone.first < self.first);
        match (file, gone) {
            (Some(file), gone) if gone.is_none_or(|gone| gone.first < file) => Preceding::File(file),
            (_, Some(gone)) => Preceding::Gone { end: gone.end, hash: gone.hash },
            (_, None) => Preceding::Gone { end: ShareSequence::FIRST, hash: FileHash::NONE },
        }
    }

    fn read(&self, first: ShareSequence) -> Result<Vec<u8>, OpenError> {
        let path = self.folder.join(segment_name(first));
        let mut bytes = Vec::new();
        self.disk.read(&path, u64::MAX, &mut bytes).map_err(|error| OpenError::io(&path, error))?;
        Ok(bytes)
    }
}

/// What stands before the place.
enum Preceding {
    File(ShareSequence),
    /// Something that is not there any more, or the beginning of the log.
    Gone {
        end: ShareSequence,
        hash: FileHash,
    },
}

fn segments(disk: &dyn Disk, folder: &Path) -> Result<Vec<ShareSequence>, OpenError> {
    let names = disk.list(folder).map_err(|error| OpenError::io(folder, error))?;
    Ok(names.iter().filter_map(|name| parse_segment_name(name)).collect())
}

/// As many shares as so many bytes can have held. A hole that is too large costs numbers, one that is too small uses numbers twice.
fn shares_max(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(SHARE_BYTES)).unwrap_or(u64::MAX)
}

fn kept_path(path: &Path) -> PathBuf {
    let mut kept = path.as_os_str().to_owned();
    kept.push(".forfeited");
    kept.into()
}
