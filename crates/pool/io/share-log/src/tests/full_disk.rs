use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::*;
use crate::{AppendError, Disk, RealDisk, SegmentFile};

/// A disk with room for some more bytes. A write that does not fit is done in part, as a real one may be.
#[derive(Clone, Default)]
struct SmallDisk {
    room: Arc<AtomicU64>,
    sync_fails: Arc<AtomicBool>,
    truncate_fails: Arc<AtomicBool>,
}

struct SmallFile {
    disk: SmallDisk,
    file: Arc<dyn SegmentFile>,
}

impl SmallDisk {
    fn wrap(&self, file: Arc<dyn SegmentFile>) -> Arc<dyn SegmentFile> {
        Arc::new(SmallFile { disk: self.clone(), file })
    }
}

impl Disk for SmallDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(self.wrap(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(self.wrap(RealDisk.open(path)?))
    }
}

impl SegmentFile for SmallFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let wanted = u64::try_from(bytes.len()).expect("small");
        let room = self.disk.room.load(Ordering::SeqCst);
        let written = wanted.min(room);
        self.disk.room.store(room - written, Ordering::SeqCst);
        self.file.write_at(offset, &bytes[..usize::try_from(written).expect("small")])?;
        if written == wanted { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if self.disk.truncate_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no truncation today"));
        }
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("no sync today"));
        }
        self.file.sync()
    }
}

#[test]
fn a_full_disk_refuses_shares_without_a_trace_and_recovers_by_itself() {
    // Room runs out at every byte of header and first records in turn.
    for room in 0..400 {
        let folder = tempdir().expect("a folder");
        let disk = SmallDisk::default();
        disk.room.store(room, Ordering::SeqCst);
        let small = LogOptions { segment_records_max: 2, ..options() };
        let log = ShareLog::open_on(Box::new(disk.clone()), folder.path(), GENESIS, small).expect("empty");
        let mut written = 0;
        while log.append(share(written + 1)).is_ok() {
            written += 1;
        }
        let error = log.append(share(written + 1)).expect_err("still full");
        assert!(matches!(error, AppendError::DiskFull(_)) && error.is_transient(), "{error}");
        assert_eq!(records(&log), numbered(written));

        disk.room.store(1 << 20, Ordering::SeqCst);
        fill(&log, written + 1..=written + 3);
        assert_eq!(records(&log), numbered(written + 3));
        drop(log);
        let again = open(folder.path()).expect("nothing half-written was left");
        assert_eq!((again.torn_tail(), records(&again)), (None, numbered(written + 3)));
    }
}

#[test]
fn a_check_for_room_says_what_appending_would_and_leaves_nothing() {
    let folder = tempdir().expect("a folder");
    let disk = SmallDisk::default();
    let log = ShareLog::open_on(Box::new(disk.clone()), folder.path(), GENESIS, options()).expect("empty");
    let set_room = |room| disk.room.store(room, Ordering::SeqCst);
    assert!(matches!(log.check_writable(), Err(AppendError::DiskFull(_))), "no room for the first segment");
    set_room(1 << 20);
    log.check_writable().expect("room");
    fill(&log, 1..=2);
    for room in [0, 1, 4095] {
        set_room(room);
        assert!(matches!(log.check_writable(), Err(AppendError::DiskFull(_))), "{room} bytes are too few");
    }
    set_room(1 << 20);
    log.check_writable().expect("room again");
    fill(&log, 3..=4);
    // What a crash between writing and taking back leaves is a torn tail.
    disk.truncate_fails.store(true, Ordering::SeqCst);
    log.check_writable().expect("room");
    drop(log);
    let again = open(folder.path()).expect("whole");
    assert_eq!((again.torn_tail().map(|torn| torn.bytes), records(&again)), (Some(4096), numbered(4)));
}

#[test]
fn what_could_not_be_cut_back_at_once_is_cut_before_the_next_write() {
    let folder = tempdir().expect("a folder");
    let disk = SmallDisk::default();
    disk.room.store(1000, Ordering::SeqCst);
    let log = ShareLog::open_on(Box::new(disk.clone()), folder.path(), GENESIS, options()).expect("empty");
    fill(&log, 1..=2);
    disk.room.store(20, Ordering::SeqCst);
    disk.truncate_fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.append(share(3)), Err(AppendError::DiskFull(_))));
    disk.room.store(1000, Ordering::SeqCst);
    assert!(matches!(log.append(share(3)), Err(AppendError::Io { .. })), "bytes of a failed write are in the way");
    disk.truncate_fails.store(false, Ordering::SeqCst);
    fill(&log, 3..=4);
    assert_eq!(records(&log), numbered(4));
}

#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged() {
    let folder = tempdir().expect("a folder");
    let disk = SmallDisk::default();
    disk.room.store(1 << 20, Ordering::SeqCst);
    let log = ShareLog::open_on(Box::new(disk.clone()), folder.path(), GENESIS, options()).expect("empty");
    fill(&log, 1..=2);
    disk.sync_fails.store(true, Ordering::SeqCst);
    assert!(matches!(log.sync(), Err(AppendError::SyncFailed { .. })));
    disk.sync_fails.store(false, Ordering::SeqCst);
    let error = log.append(share(3)).expect_err("the system may have dropped pages");
    assert!(!error.is_transient());
    drop(log);
    fill(&open(folder.path()).expect("whole"), 3..=3);
}
