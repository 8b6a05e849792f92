use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use bq_ledger::ShareSequence;
use bq_primitives::BlockId;

use crate::{
    Disk, LogOptions, OpenError, ReadError, ShareRecord, TornTail,
    log::Current,
    scan::{Scan, ScanEnd, scan},
    segment::{HEADER_BYTES, Segment, SegmentHeader},
};

/// The shares of a log from one of them backwards, without gaps. Reads one segment at a time.
#[derive(Debug)]
pub struct Backwards {
    segments: Vec<Segment>,
    /// How far the newest segment was written when the snapshot was taken.
    newest_length: u64,
    is_newest: bool,
    before: ShareSequence,
    from: ShareSequence,
    loaded: Vec<ShareRecord>,
}

pub(crate) struct Opened {
    pub(crate) segments: Vec<Segment>,
    pub(crate) current: Option<Current>,
    pub(crate) next: ShareSequence,
    pub(crate) torn: Option<TornTail>,
}

impl Backwards {
    pub(crate) fn new(segments: Vec<Segment>, newest_length: u64, next: ShareSequence, from: ShareSequence) -> Self {
        Self { segments, newest_length, is_newest: true, before: next, from, loaded: Vec::new() }
    }

    fn load(&mut self) -> Result<bool, ReadError> {
        while let Some(segment) = self.segments.pop() {
            let length = if self.is_newest { Some(self.newest_length) } else { None };
            self.is_newest = false;
            let end = std::mem::replace(&mut self.before, segment.header.first);
            if segment.header.first > self.from {
                continue;
            }
            let mut records = read_segment(&segment, length, end)?;
            records.retain(|record| record.sequence <= self.from);
            if !records.is_empty() {
                self.loaded = records;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Iterator for Backwards {
    type Item = Result<ShareRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.loaded.is_empty() {
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.segments.clear();
                    return Some(Err(error));
                }
            }
        }
        self.loaded.pop().map(Ok)
    }
}

/// All records of a segment; it must hold exactly those before `end`.
fn read_segment(segment: &Segment, length: Option<u64>, end: ShareSequence) -> Result<Vec<ShareRecord>, ReadError> {
    let path = &segment.path;
    let bytes = read_body(path, length).map_err(|error| ReadError::Io { path: path.clone(), error })?;
    let found = scan(&bytes, segment.header.first);
    let corrupt =
        |reason: String| Err(ReadError::Corrupt { path: path.clone(), offset: offset_in_file(found.length), reason });
    match &found.end {
        ScanEnd::Whole if next_after(segment, &found) == end => Ok(found.records),
        ScanEnd::Whole => corrupt(format!("it ends before share {end}")),
        ScanEnd::Torn => corrupt("the record is cut off".to_owned()),
        ScanEnd::Corrupt(fault) => corrupt(fault.to_string()),
    }
}

pub(crate) fn open_segments(
    disk: &dyn Disk,
    folder: &Path,
    genesis: BlockId,
    options: &LogOptions,
) -> Result<Opened, OpenError> {
    let mut torn = None;
    let mut segments = list_segments(folder, genesis, &mut torn)?;
    check_chain(&segments)?;
    let Some(newest) = segments.pop() else {
        return Ok(Opened { segments, current: None, next: ShareSequence::FIRST, torn });
    };
    let older_scanned = options.scan_segments.saturating_sub(1);
    let mut end = newest.header.first;
    for (position, segment) in segments.iter().rev().enumerate() {
        if position < older_scanned {
            read_segment(segment, None, end).map_err(refuse)?;
        }
        end = segment.header.first;
    }
    let (current, next, tail) = open_newest(disk, &newest)?;
    segments.push(newest);
    Ok(Opened { segments, current: Some(current), next, torn: tail.or(torn) })
}

/// Reads the newest segment, the only one that a crash may have left unfinished.
fn open_newest(disk: &dyn Disk, segment: &Segment) -> Result<(Current, ShareSequence, Option<TornTail>), OpenError> {
    let path = &segment.path;
    let failed = |error| OpenError::Io { path: path.clone(), error };
    let bytes = read_body(path, None).map_err(failed)?;
    let found = scan(&bytes, segment.header.first);
    let length = offset_in_file(found.length);
    let file = disk.open(path).map_err(failed)?;
    // What a killed process wrote may still be in memory only.
    file.sync().map_err(failed)?;
    let tail = match found.end {
        ScanEnd::Whole => None,
        ScanEnd::Torn => {
            file.set_len(length).and_then(|()| file.sync()).map_err(failed)?;
            let bytes = u64::try_from(bytes.len() - found.length).unwrap_or(u64::MAX);
            Some(TornTail { path: path.clone(), offset: length, bytes })
        }
        ScanEnd::Corrupt(fault) => {
            return Err(OpenError::Corrupt { path: path.clone(), offset: length, reason: fault.to_string() });
        }
    };
    let next = next_after(segment, &found);
    let records = u32::try_from(found.records.len()).unwrap_or(u32::MAX);
    Ok((Current { file, path: path.clone(), length, records, dirty_tail: false }, next, tail))
}

/// Every segment in order of its first share. A newest file too short for a header is an unfinished creation and is
/// removed: nothing was acknowledged from it.
fn list_segments(folder: &Path, genesis: BlockId, torn: &mut Option<TornTail>) -> Result<Vec<Segment>, OpenError> {
    let mut paths = segment_paths(folder).map_err(|error| OpenError::Io { path: folder.to_owned(), error })?;
    paths.sort();
    let mut segments = Vec::with_capacity(paths.len());
    for (position, path) in paths.iter().enumerate() {
        let failed = |error| OpenError::Io { path: path.clone(), error };
        let bytes = read_header(path).map_err(failed)?;
        let Some(bytes) = bytes else {
            if position + 1 < paths.len() {
                return Err(foreign(path, "it is too short for a header"));
            }
            let bytes = std::fs::metadata(path).map_err(failed)?.len();
            std::fs::remove_file(path).map_err(failed)?;
            *torn = Some(TornTail { path: path.clone(), offset: 0, bytes });
            continue;
        };
        let header = SegmentHeader::decode(&bytes).map_err(|reason| foreign(path, &reason))?;
        if header.genesis != genesis {
            let reason = format!("it holds shares of the chain with genesis {}, expected {genesis}", header.genesis);
            return Err(foreign(path, &reason));
        }
        if header.path_in(folder) != *path {
            return Err(foreign(path, &format!("its first share is {}, its name says otherwise", header.first)));
        }
        segments.push(Segment { path: path.clone(), header });
    }
    Ok(segments)
}

/// Each header names the one before. The oldest segments may have been moved away, so the first is not checked.
fn check_chain(segments: &[Segment]) -> Result<(), OpenError> {
    for (older, newer) in segments.iter().zip(segments.iter().skip(1)) {
        if newer.header.previous != older.header.hash() {
            let reason = format!("it does not continue {}: a segment is missing or replaced", older.path.display());
            return Err(OpenError::Corrupt { path: newer.path.clone(), offset: 0, reason });
        }
    }
    Ok(())
}

fn segment_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn read_header(path: &Path) -> io::Result<Option<[u8; HEADER_BYTES]>> {
    let mut bytes = [0; HEADER_BYTES];
    match File::open(path)?.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// What follows the header, up to `length` bytes of the file.
fn read_body(path: &Path, length: Option<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    bytes.drain(..HEADER_BYTES.min(bytes.len()));
    Ok(bytes)
}

fn next_after(segment: &Segment, found: &Scan) -> ShareSequence {
    found.records.last().map_or(segment.header.first, |record| record.sequence.next())
}

fn offset_in_file(length: usize) -> u64 {
    u64::try_from(HEADER_BYTES + length).unwrap_or(u64::MAX)
}

fn foreign(path: &Path, reason: &str) -> OpenError {
    OpenError::Foreign { path: path.to_owned(), reason: reason.to_owned() }
}

fn refuse(error: ReadError) -> OpenError {
    match error {
        ReadError::Io { path, error } => OpenError::Io { path, error },
        ReadError::Corrupt { path, offset, reason } => OpenError::Corrupt { path, offset, reason },
    }
}
