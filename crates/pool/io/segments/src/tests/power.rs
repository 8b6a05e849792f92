//! A disk that loses at power loss whatever was not synced: content of files, and their names.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::*;
use crate::{Disk, FolderLock, RealDisk, SegmentFile, forfeit};

type Files = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Clone, Default)]
struct PowerDisk(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    /// Content of every file ever made: as written, and as synced.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// What power loss would have left after each step.
    images: Vec<Files>,
}

impl Platter {
    fn step(&mut self) {
        let image = self.synced_names.iter().map(|(path, file)| (path.clone(), self.files[*file].1.clone())).collect();
        self.images.push(image);
    }

    fn named(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

struct PowerFile(PowerDisk, usize);

impl Disk for PowerDisk {
    fn lock(&self, _: &Path) -> io::Result<Option<FolderLock>> {
        Ok(Some(Box::new(())))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let platter = self.0.lock();
        let names = platter.names.keys().filter_map(|path| path.strip_prefix(folder).ok()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn read(&self, path: &Path, bytes_max: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let platter = self.0.lock();
        let (written, _) = &platter.files[platter.named(path)?];
        into.clear();
        into.extend(written.iter().take(usize::try_from(bytes_max).unwrap_or(usize::MAX)));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let mut platter = self.0.lock();
        let file = platter.files.len();
        platter.files.push((Vec::new(), Vec::new()));
        platter.names.insert(path.to_owned(), file);
        platter.step();
        Ok(Arc::new(PowerFile(self.clone(), file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(PowerFile(self.clone(), self.0.lock().named(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.names.remove(path);
        platter.step();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.0.lock();
        let file = platter.named(from)?;
        platter.names.remove(from);
        platter.names.insert(to.to_owned(), file);
        platter.step();
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.synced_names = platter.names.clone();
        platter.step();
        Ok(())
    }
}

impl SegmentFile for PowerFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.0.lock();
        let start = usize::try_from(offset).expect("small");
        let (written, _) = &mut platter.files[self.1];
        written.resize(written.len().max(start + bytes.len()), 0);
        written[start..start + bytes.len()].copy_from_slice(bytes);
        platter.step();
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut platter = self.0.0.lock();
        platter.files[self.1].0.resize(usize::try_from(length).expect("small"), 0);
        platter.step();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.0.0.lock();
        let (written, synced) = &mut platter.files[self.1];
        synced.clone_from(written);
        platter.step();
        Ok(())
    }
}

impl PowerDisk {
    /// What power loss would have left at each step since the last call.
    fn images(&self) -> Vec<MemoryDisk> {
        std::mem::take(&mut self.0.lock().images).into_iter().map(MemoryDisk::of).collect()
    }
}

/// Pieces that reach the platter or do not, each for itself: smaller than any sector.
const PIECE_BYTES: usize = 64;

/// Luck that is the same every time.
struct Luck(u64);

impl Luck {
    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).expect("small")).expect("small")
    }

    fn is(&mut self) -> bool {
        self.below(2) == 0
    }

    /// What may be left of a file: its length old, new or between, each piece old or new.
    fn left_of(&mut self, (written, synced): &(Vec<u8>, Vec<u8>)) -> Vec<u8> {
        let (short, long) = (written.len().min(synced.len()), written.len().max(synced.len()));
        let length = [short, long, short + self.below(long - short)][self.below(3)];
        let mut left = vec![0; length];
        for (piece, bytes) in left.chunks_mut(PIECE_BYTES).enumerate() {
            let of = if self.is() { written } else { synced };
            let there = of.get(piece * PIECE_BYTES..).unwrap_or_default();
            let count = there.len().min(bytes.len());
            bytes[..count].copy_from_slice(&there[..count]);
        }
        left
    }
}

impl PowerDisk {
    /// What power loss may leave now, of writes that were not synced: any pieces of them, in no order.
    fn torn(&self, luck: &mut Luck) -> MemoryDisk {
        let platter = self.0.lock();
        let names = if luck.is() { &platter.names } else { &platter.synced_names };
        let left = |(path, file): (&PathBuf, &usize)| (path.clone(), luck.left_of(&platter.files[*file]));
        MemoryDisk::of(names.iter().map(left).collect())
    }
}

/// After power loss at any step the log opens, and holds every share that was said to be synced.
#[test]
fn power_loss_at_any_step_costs_only_what_was_not_synced() {
    let disk = PowerDisk::default();
    let open = || ShareLog::open(Arc::new(disk.clone()), Path::new(FOLDER), IDENTITY, sequence(1), small());
    let mut log = open().expect("empty");
    let (mut number, mut synced, mut checked) = (0, log.synced_before(), 0);
    for step in 0..60 {
        let mut pruned = log.status().pruned_before;
        match step % 10 {
            4 | 7 => log.sync().expect("a healthy disk"),
            5 => log.check_writable().expect("room"),
            8 if step > 20 => {
                log.prune_before(sequence(number / 2), sequence(number)).expect("a healthy disk");
                pruned = log.status().pruned_before;
            }
            9 => {
                drop(log);
                log = open().expect("whole");
            }
            _ => {
                number += 1;
                log.append(&share(number)).expect("there is room");
            }
        }
        for image in disk.images() {
            let at_least = u32::try_from(synced.0).expect("small");
            let again = open_with(&image, at_least, small()).expect("power loss is no damage");
            let (from, end) = (again.status().pruned_before, u32::try_from(again.next().0).expect("small"));
            assert!(from <= pruned && end <= number + 1);
            assert_eq!(all(&again), numbered(u32::try_from(from.0).expect("small")..end));
            checked += 1;
        }
        synced = log.synced_before();
    }
    assert!(checked > 100, "{checked} images");
}

/// The same where later pieces of what was not synced are there and earlier ones are not.
#[test]
fn power_loss_that_keeps_pieces_in_no_order_costs_only_what_was_not_synced() {
    let (disk, mut luck) = (PowerDisk::default(), Luck(0x9e37_79b9_7f4a_7c15));
    let options = LogOptions { segment_shares_max: 40, ..options() };
    let log = ShareLog::open(Arc::new(disk.clone()), Path::new(FOLDER), IDENTITY, sequence(1), options).expect("empty");
    let (mut holes, mut kept) = (0, 0);
    fill(&log, 1..=1);
    log.sync().expect("a healthy disk");
    for number in 2..=400 {
        fill(&log, number..=number);
        // What the books know: never more than what is synced, seldom less.
        let synced = u32::try_from(log.synced_before().0).expect("small");
        for _ in 0..4 {
            let image = disk.torn(&mut luck);
            let again = open_with(&image, synced, options).expect("power loss is no damage");
            let end = u32::try_from(again.next().0).expect("small");
            assert!(synced <= end && end <= number + 1, "{end} of {number}, {synced} synced");
            assert_eq!(all(&again), numbered(1..end));
            let is_hole = image.files().keys().any(|path| path.extension().is_some_and(|end| end == "torn"));
            holes += u32::from(is_hole);
            kept += end - synced;
            fill(&again, end..=end + 2);
            drop(again);
            assert_eq!(all(&open_with(&image, end, options).expect("whole")), numbered(1..=end + 2));
        }
        if luck.below(12) == 0 {
            log.sync().expect("a healthy disk");
        }
    }
    assert!(holes > 100 && kept > 100, "{holes} with holes, {kept} kept");
}

#[test]
fn power_loss_while_a_segment_is_given_up_leaves_it_to_be_given_up_again() {
    let disk = PowerDisk::default();
    let log = ShareLog::open(Arc::new(disk.clone()), Path::new(FOLDER), IDENTITY, sequence(1), small()).expect("empty");
    fill(&log, 1..=10);
    log.sync().expect("a healthy disk");
    drop(log);
    disk.images();
    let name = segment_name(sequence(4));
    forfeit(&disk, Path::new(FOLDER), IDENTITY, &name, sequence(11)).expect("given up");
    let images = disk.images();
    assert!(images.len() > 4);
    for image in images {
        let is_there = image.segments().contains(&path_of(4));
        match open_with(&image, 11, small()) {
            Ok(log) => assert_eq!(all(&log).len(), if is_there { 10 } else { 7 }),
            Err(error) => {
                assert!(!is_there, "{error}");
                forfeit(&image, Path::new(FOLDER), IDENTITY, &name, sequence(11)).expect("given up");
                assert_eq!(all(&open_with(&image, 11, small()).expect("with a hole")).len(), 7);
            }
        }
    }
}

#[test]
fn the_real_disk_keeps_the_promises_of_the_trait() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let lock = RealDisk.lock(folder.path()).expect("a folder");
    assert!(lock.is_some() && RealDisk.lock(folder.path()).expect("a folder").is_none());
    let file = RealDisk.create(&at("a")).expect("room");
    file.write_at(2, b"cd").expect("room");
    file.write_at(0, b"ab").expect("room");
    file.sync().expect("a healthy disk");
    let mut bytes = vec![1; 9];
    RealDisk.read(&at("a"), 3, &mut bytes).expect("it is there");
    assert_eq!(bytes, b"abc");
    RealDisk.open(&at("a")).and_then(|file| file.set_len(1)).expect("it is there");
    RealDisk.rename(&at("a"), &at("b")).expect("it is there");
    RealDisk.read(&at("b"), u64::MAX, &mut bytes).expect("it is there");
    assert_eq!(bytes, b"a");
    assert!(RealDisk.open(&at("a")).is_err());
    let mut names = RealDisk.list(folder.path()).expect("a folder");
    names.sort();
    assert_eq!(names, ["b", "lock"]);
    RealDisk.remove(&at("b")).expect("it is there");
    RealDisk.sync_folder(folder.path()).expect("a healthy disk");
    let missing = RealDisk.read(&at("b"), 1, &mut bytes).expect_err("removed");
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}
