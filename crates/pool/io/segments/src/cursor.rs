use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_mining_message::{Share, ShareSequence};

use crate::{
    Disk, ReadError, ShareLog,
    header::{SegmentHeader, segment_name},
    record::RecordFault,
    scan::{Content, ScanEnd, position_in},
    state::Shared,
};

impl ShareLog {
    /// The shares of a range, oldest first, with their positions. Those that were forfeited or are not there yet are left out. Reads
    /// one segment at a time; later appends do not show.
    #[must_use]
    pub fn read(&self, range: Range<ShareSequence>) -> Forwards {
        let cursor = Cursor::new(&self.shared);
        let end = range.end.min(cursor.next);
        Forwards { cursor, at: range.start.max(ShareSequence::FIRST), end }
    }

    /// Some shares, in whatever order they are asked for: each segment is read once, and appends wait for one look at the log instead of one for each.
    /// Nothing for one that was forfeited or is not there yet.
    pub fn read_each(
        &self,
        shares: &BTreeSet<ShareSequence>,
        mut each: impl FnMut(ShareSequence, Result<Option<Share>, ReadError>),
    ) {
        if shares.is_empty() {
            return;
        }
        let mut cursor = Cursor::new(&self.shared);
        for share in shares {
            each(*share, cursor.share(*share));
        }
    }

    /// The newest share that is this block, from `lowest` on.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Pruned`] if it is not found and a part of what was asked for is pruned.
    pub fn find_block(
        &self,
        block: &bq_primitives::BlockId,
        lowest: ShareSequence,
    ) -> Result<Option<ShareSequence>, ReadError> {
        let mut cursor = Cursor::new(&self.shared);
        let lowest = lowest.max(ShareSequence::FIRST);
        for index in (0..cursor.spans.len()).rev() {
            let Span { header, end, .. } = cursor.spans[index];
            if end <= lowest {
                return Ok(None);
            }
            cursor.load(index)?;
            if let Some(position) = cursor.content.position_of(block) {
                let found = header.first.after(u64::try_from(position).unwrap_or(u64::MAX));
                return Ok(Some(found).filter(|found| *found >= lowest));
            }
        }
        cursor.check_pruned(lowest).map(|()| None)
    }
}

/// The shares of a range, oldest first.
#[derive(Debug)]
pub struct Forwards {
    cursor: Cursor,
    at: ShareSequence,
    end: ShareSequence,
}

impl Iterator for Forwards {
    type Item = Result<(ShareSequence, Share), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at < self.end
            && let Err(error) = self.cursor.check_pruned(self.at)
        {
            self.at = self.end;
            return Some(Err(error));
        }
        self.at = self.cursor.present_from(self.at).filter(|at| *at < self.end)?;
        match self.cursor.share(self.at) {
            Ok(share) => {
                let at = self.at;
                self.at = at.next();
                share.map(|share| Ok((at, share)))
            }
            Err(error) => {
                self.at = self.end;
                Some(Err(error))
            }
        }
    }
}

/// Reads segments of a log as it is at one moment, one at a time.
pub(crate) struct Cursor {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Oldest first.
    pub(crate) spans: Vec<Span>,
    pub(crate) next: ShareSequence,
    pruned_before: ShareSequence,
    /// As the manifest promises.
    windows_from: Option<ShareSequence>,
    loaded: Option<usize>,
    bytes: Vec<u8>,
    /// Of the span that was loaded last.
    pub(crate) content: Content,
}

/// A segment that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) header: SegmentHeader,
    pub(crate) end: ShareSequence,
    /// How far it was written.
    bytes_max: u64,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("folder", &self.folder).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Cursor {
    pub(crate) fn new(shared: &Shared) -> Self {
        let state = shared.state.lock();
        let sealed = state.sealed.iter();
        let mut spans: Vec<_> =
            sealed.map(|segment| Span { header: segment.header, end: segment.end, bytes_max: u64::MAX }).collect();
        spans.extend(state.writer.as_ref().filter(|writer| writer.shares > 0).map(|writer| Span {
            header: writer.header,
            end: state.next,
            bytes_max: writer.length,
        }));
        Self {
            disk: Arc::clone(&shared.disk),
            folder: shared.folder.clone(),
            spans,
            next: state.next,
            pruned_before: state.manifest.pruned_before(),
            windows_from: state.manifest.windows_from,
            loaded: None,
            bytes: Vec::new(),
            content: Content::default(),
        }
    }

    /// Refuses shares that are pruned.
    pub(crate) fn check_pruned(&self, share: ShareSequence) -> Result<(), ReadError> {
        if share.max(ShareSequence::FIRST) < self.pruned_before {
            Err(ReadError::Pruned { before: self.pruned_before })
        } else {
            Ok(())
        }
    }

    /// Refuses a walk back from before a share to have come to its end where shares are pruned, unless nothing of them was wanted.
    pub(crate) fn check_walked(&self, before: ShareSequence) -> Result<(), ReadError> {
        if self.windows_from.is_some_and(|from| before > from) {
            return Ok(());
        }
        self.check_pruned(ShareSequence::FIRST)
    }

    /// The first share from `at` on that is there.
    pub(crate) fn present_from(&self, at: ShareSequence) -> Option<ShareSequence> {
        let span = self.spans.get(self.span_of(at))?;
        Some(at.max(span.header.first))
    }

    /// The share at this place; nothing if it was forfeited or is not there yet.
    pub(crate) fn share(&mut self, at: ShareSequence) -> Result<Option<Share>, ReadError> {
        self.check_pruned(at)?;
        let index = self.span_of(at);
        let Some(first) = self.spans.get(index).map(|span| span.header.first).filter(|first| *first <= at) else {
            return Ok(None);
        };
        self.load(index)?;
        Ok(self.content.share(position_in(first, at)))
    }

    /// Index of the first span that ends behind a share.
    fn span_of(&self, at: ShareSequence) -> usize {
        match self.loaded.and_then(|index| Some((index, self.spans.get(index)?))) {
            Some((index, span)) if (span.header.first..span.end).contains(&at) => index,
            _ => self.spans.partition_point(|span| span.end <= at),
        }
    }

    /// Makes `content` that of a span: exactly the shares before its end.
    pub(crate) fn load(&mut self, index: usize) -> Result<(), ReadError> {
        if self.loaded == Some(index) {
            return Ok(());
        }
        let Some(Span { header, end, bytes_max }) = self.spans.get(index).copied() else { return Ok(()) };
        self.loaded = None;
        let path = self.folder.join(segment_name(header.first));
        let read = self.disk.read(&path, bytes_max, &mut self.bytes);
        read.map_err(|error| ReadError::Io { path: path.clone(), error })?;
        if !self.bytes.starts_with(&header.to_bytes()) {
            return Err(corrupt(&path, 0, "its header is not the one it had".to_owned()));
        }
        let found = self.content.scan(&self.bytes, header);
        match found.end {
            ScanEnd::Whole if header.first.after(self.content.count()) == end => {
                self.loaded = Some(index);
                Ok(())
            }
            ScanEnd::Whole => Err(corrupt(&path, found.length, format!("it does not end before share {end}"))),
            ScanEnd::Torn(RecordFault::Short) => Err(corrupt(&path, found.length, "the record is cut off".to_owned())),
            ScanEnd::Torn(fault) | ScanEnd::Corrupt(fault) => Err(corrupt(&path, found.length, fault.to_string())),
        }
    }
}

fn corrupt(path: &Path, offset: usize, reason: String) -> ReadError {
    ReadError::Corrupt { path: path.to_owned(), offset: u64::try_from(offset).unwrap_or(u64::MAX), reason }
}
