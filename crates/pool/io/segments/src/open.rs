use std::path::{Path, PathBuf};

use bq_mining_message::ShareSequence;
use sha2::{Digest, Sha256};

use crate::{
    Disk, LogIdentity, OpenError,
    definitions::Definitions,
    header::{FileHash, HEADER_BYTES, SegmentHeader, parse_segment_name, segment_name},
    manifest::{self, Gone, Manifest, Why},
    record::{RecordFault, Salt},
    scan::{Content, ScanEnd},
    state::Segment,
    writer::Writer,
};

/// What was cut off the newest segment when the log was opened: the rest of a write that a crash interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where its last whole record ends; 0 when the file was removed because its header was unfinished.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

pub(crate) struct Opened {
    pub(crate) sealed: Vec<Segment>,
    pub(crate) writer: Option<Writer>,
    pub(crate) sealed_hash: FileHash,
    pub(crate) next: ShareSequence,
    pub(crate) torn: Option<TornTail>,
    pub(crate) manifest: Manifest,
}

/// One step of the chain: a file that is there, or one that is known to be gone.
enum Link {
    File(ShareSequence),
    Gone(Gone),
}

/// Checks everything first and changes files only when the log is good.
pub(crate) fn open_segments(
    disk: &dyn Disk,
    folder: &Path,
    identity: LogIdentity,
    at_least: ShareSequence,
) -> Result<Opened, OpenError> {
    let manifest = Manifest::load(disk, folder, identity)?;
    let (mut files, pruned) = list_segments(disk, folder, &manifest)?;
    let mut walk = Walk::new(disk, folder, identity);
    let unfinished = match files.last() {
        Some(newest) => walk.unfinished(*newest)?,
        None => None,
    };
    if unfinished.is_some() {
        files.pop();
    }
    let links = links(&files, &manifest);
    let newest = walk.follow(&links, at_least)?;
    let next = newest.as_ref().map_or(walk.next, |newest| newest.next);
    if next < at_least {
        let path = files.last().map_or_else(|| folder.to_owned(), |newest| folder.join(segment_name(*newest)));
        return Err(OpenError::Short { path, missing: folder.join(segment_name(next)), next, at_least });
    }
    for first in pruned {
        // Pruning was interrupted between the manifest and the files.
        let path = folder.join(segment_name(first));
        disk.remove(&path).map_err(|error| OpenError::io(&path, error))?;
    }
    if let Some(torn) = &unfinished {
        disk.remove(&torn.path).map_err(|error| OpenError::io(&torn.path, error))?;
    }
    let Walk { sealed, hash: sealed_hash, .. } = walk;
    let (writer, cut) = newest.map(|newest| newest.into_writer(disk, folder)).transpose()?.unzip();
    Ok(Opened { sealed, writer, sealed_hash, next, torn: cut.flatten().or(unfinished), manifest })
}

/// First shares of the segments that belong to the chain, in order, and of those that are pruned but still there.
fn list_segments(
    disk: &dyn Disk,
    folder: &Path,
    manifest: &Manifest,
) -> Result<(Vec<ShareSequence>, Vec<ShareSequence>), OpenError> {
    let names = disk.list(folder).map_err(|error| OpenError::io(folder, error))?;
    let (mut files, mut pruned) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| name.ends_with(".seg")) {
        let path = folder.join(name);
        let first = parse_segment_name(name).ok_or_else(|| OpenError::foreign(&path, "no segment has this name"))?;
        match manifest.covering(first).map(|entry| entry.why) {
            None => files.push(first),
            Some(Why::Pruned) => pruned.push(first),
            Some(Why::Forfeited) => return Err(OpenError::foreign(&path, "its shares were forfeited")),
        }
    }
    files.sort_unstable();
    Ok((files, pruned))
}

fn links(files: &[ShareSequence], manifest: &Manifest) -> Vec<Link> {
    let files = files.iter().map(|first| Link::File(*first));
    let mut links: Vec<_> = files.chain(manifest.entries.iter().map(|gone| Link::Gone(*gone))).collect();
    links.sort_by_key(|link| match link {
        Link::File(first) => *first,
        Link::Gone(gone) => gone.first,
    });
    links
}

/// Follows the chain from its first segment on.
struct Walk<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    identity: LogIdentity,
    /// What was read last.
    bytes: Vec<u8>,
    sealed: Vec<Segment>,
    /// A file whose end only the next link tells.
    open: Option<SegmentHeader>,
    /// Where the next link has to start, unless `open` is there.
    next: ShareSequence,
    /// What the next link has to name as its predecessor.
    hash: FileHash,
}

impl<'a> Walk<'a> {
    fn new(disk: &'a dyn Disk, folder: &'a Path, identity: LogIdentity) -> Self {
        let (next, hash) = (ShareSequence::FIRST, FileHash::NONE);
        Self { disk, folder, identity, bytes: Vec::new(), sealed: Vec::new(), open: None, next, hash }
    }

    /// A newest file whose header was never finished: nothing was acknowledged from it.
    fn unfinished(&mut self, newest: ShareSequence) -> Result<Option<TornTail>, OpenError> {
        let path = self.read(newest)?;
        let is_blank = self.bytes.len() == HEADER_BYTES && self.bytes.iter().all(|byte| *byte == 0);
        if self.bytes.len() >= HEADER_BYTES && !is_blank {
            return Ok(None);
        }
        Ok(Some(TornTail { path, offset: 0, bytes: u64::try_from(self.bytes.len()).unwrap_or(u64::MAX) }))
    }

    /// The whole chain; returns the file that is still written to, if the last link is one.
    fn follow(&mut self, links: &[Link], at_least: ShareSequence) -> Result<Option<Newest>, OpenError> {
        for (position, link) in links.iter().enumerate() {
            match link {
                Link::Gone(gone) => {
                    let path = self.folder.join(manifest::NAME);
                    self.join(&path, gone.first, gone.previous)?;
                    (self.next, self.hash) = (gone.end, gone.hash);
                }
                Link::File(first) => {
                    let path = self.read(*first)?;
                    let header = SegmentHeader::read(&path, &self.bytes, self.identity, *first)?;
                    // Joining may read the predecessor again.
                    let bytes = std::mem::take(&mut self.bytes);
                    self.join(&path, header.first, header.previous)?;
                    if position + 1 == links.len() {
                        return Newest::scan(path, &bytes, header, at_least).map(Some);
                    }
                    self.hash = FileHash::of(&bytes);
                    self.bytes = bytes;
                    self.open = Some(header);
                }
            }
        }
        Ok(None)
    }

    /// Checks that a link continues the one before it.
    fn join(&mut self, path: &Path, first: ShareSequence, previous: FileHash) -> Result<(), OpenError> {
        match self.open.take() {
            Some(header) if self.hash == previous => {
                self.sealed.push(Segment { header, end: first, hash: previous });
                Ok(())
            }
            Some(header) => Err(self.diagnose(header, first)?),
            None if first > self.next => Err(self.missing(self.next, first)),
            None if first < self.next || self.hash != previous => {
                Err(OpenError::corrupt(path, 0, "it does not continue the segment before it"))
            }
            None => Ok(()),
        }
    }

    /// Why a file is not the one that the link behind it names.
    fn diagnose(&mut self, header: SegmentHeader, before: ShareSequence) -> Result<OpenError, OpenError> {
        let path = self.read(header.first)?;
        let mut content = Content::default();
        let found = content.scan(&self.bytes, header);
        let offset = u64::try_from(found.length).unwrap_or(u64::MAX);
        let end = header.first.after(content.count());
        Ok(match found.end {
            ScanEnd::Torn(fault) | ScanEnd::Corrupt(fault) => OpenError::corrupt(&path, offset, fault.to_string()),
            // Nothing tells a file that was cut at a record from one whose successor is missing.
            ScanEnd::Whole if header.first < end && end < before => {
                OpenError::Gap { path, missing: self.folder.join(segment_name(end)), next: end, before }
            }
            ScanEnd::Whole => OpenError::corrupt(&path, 0, "its hash is not the one that the next segment names"),
        })
    }

    fn missing(&self, first: ShareSequence, before: ShareSequence) -> OpenError {
        OpenError::Missing { path: self.folder.join(segment_name(first)), before }
    }

    fn read(&mut self, first: ShareSequence) -> Result<PathBuf, OpenError> {
        let path = self.folder.join(segment_name(first));
        self.disk.read(&path, u64::MAX, &mut self.bytes).map_err(|error| OpenError::io(&path, error))?;
        Ok(path)
    }
}

/// The file that is written to: the only one that a crash may have left unfinished.
struct Newest {
    path: PathBuf,
    header: SegmentHeader,
    next: ShareSequence,
    length: u64,
    shares: u32,
    hasher: Sha256,
    definitions: Definitions,
    /// Bytes behind the last whole record.
    torn: u64,
    /// Those bytes, where there are whole records among them.
    holes: Option<Vec<u8>>,
}

impl Newest {
    /// Power loss may keep what was written last and lose what was written before it, as long as neither was synced; what was told is. A
    /// record that is bad before `at_least` was good once.
    fn scan(path: PathBuf, bytes: &[u8], header: SegmentHeader, at_least: ShareSequence) -> Result<Self, OpenError> {
        let mut content = Content::default();
        let found = content.scan(bytes, header);
        let length = u64::try_from(found.length).unwrap_or(u64::MAX);
        let next = header.first.after(content.count());
        let mut holes = None;
        if let ScanEnd::Corrupt(fault) = found.end {
            if next < at_least || at_least == ShareSequence::FIRST || matches!(fault, RecordFault::Content(_)) {
                let reason = format!("{fault}; forfeiting {} keeps the shares before it", segment_name(next));
                return Err(OpenError::corrupt(&path, length, reason));
            }
            holes = Some(bytes.get(found.length..).unwrap_or_default().to_vec());
        }
        let (whole, torn) = bytes.split_at(found.length);
        Ok(Self {
            path,
            header,
            next,
            length,
            shares: u32::try_from(content.count()).unwrap_or(u32::MAX),
            hasher: Sha256::new().chain_update(whole),
            definitions: Definitions::of(&content),
            torn: u64::try_from(torn.len()).unwrap_or(u64::MAX),
            holes,
        })
    }

    /// Cuts the torn tail off and opens the file for writing.
    fn into_writer(self, disk: &dyn Disk, folder: &Path) -> Result<(Writer, Option<TornTail>), OpenError> {
        let Self { path, header, length, shares, hasher, definitions, torn, holes, .. } = self;
        let failed = |error| OpenError::io(&path, error);
        if let Some(bytes) = holes {
            let beside = path.with_extension("torn");
            keep(disk, &beside, &bytes).map_err(|error| OpenError::io(&beside, error))?;
            tracing::warn!(path = %beside.display(), "kept what power loss left in pieces: no share in it was synced");
        }
        let file = disk.open(&path).map_err(failed)?;
        if torn > 0 {
            file.set_len(length).map_err(failed)?;
        }
        // What a killed process wrote may still be in memory only, and so may the file's name.
        file.sync().and_then(|()| disk.sync_folder(folder)).map_err(failed)?;
        let cut = (torn > 0).then(|| TornTail { path: path.clone(), offset: length, bytes: torn });
        Ok((
            Writer {
                file,
                path,
                header,
                salt: Salt::of(header),
                length,
                shares,
                hasher,
                definitions,
                dirty_tail: false,
            },
            cut,
        ))
    }
}

/// Writes a file that only a person reads.
fn keep(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = disk.create(path)?;
    file.write_at(0, bytes)?;
    file.sync()
}
