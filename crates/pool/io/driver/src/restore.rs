//! A backup is put back into a stopped pool.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_books::{BookStore, SqliteBooks};
use bq_mining_message::ShareSequence;
use bq_primitives::KeyHash;
use bq_segments::{Disk, RealDisk, TrialDisk};

use crate::{
    BackupError, PoolError, Rules, StoppedError,
    backup::{BOOKS, FileMark, MANIFEST, Manifest, Owner, SHARES, VERSION, copy, is_share_file, mark},
    open::{Place, Replay, log_options, open_shares, replay, shares_folder, shares_told, start_state, verify_shares},
    source::OwnShares,
    stopped::keys_of,
};

/// A stopped pool that a backup is put back into.
pub(crate) struct Target<'a> {
    pub(crate) owner: Owner,
    pub(crate) place: Place<'a>,
    /// Of the key file; nothing if there is none. Says whose a backup must be where no books do.
    pub(crate) key: Option<KeyHash>,
}

/// What was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    /// The backup's newest event.
    pub(crate) event: u64,
    /// Where the files lie now that were replaced, if there were any.
    pub(crate) aside: Option<PathBuf>,
    /// The shares that are there stay; otherwise why the backup's take their place.
    pub(crate) keeps_shares: Result<(), String>,
}

/// Puts a backup in the place of a stopped pool's books, which are moved aside, and of its shares, unless those that are there are the
/// same and more: a block that was found since the backup can only be credited with them. `pause` gets the path of books that lie
/// beside shares which fit them: no moment comes in which restored books are in their place and pay.
pub(crate) fn restore(
    folder: &Path,
    target: &Target<'_>,
    dry_run: bool,
    pause: impl FnOnce(&Path) -> Result<(), StoppedError>,
) -> Result<Restored, StoppedError> {
    let manifest = check(folder, target.owner)?;
    let data_dir = target.place.data_dir;
    // Nothing is moved before all of it lies beside its place.
    let stage = Stage::make(data_dir)?;
    let staged = |name: &str| stage.0.join(name);
    let take = |name: &str, mark: &FileMark| match copy(&folder.join(name), &staged(name))? == *mark {
        true => Ok(()),
        false => Err(BackupError::Damaged { file: folder.join(name) }),
    };
    let marked = |name: &&String| name.as_str() == BOOKS;
    for (name, mark) in manifest.files.iter().filter(|(name, _)| marked(name)) {
        take(name, mark)?;
    }
    let keeps_shares = {
        let store = SqliteBooks::open(&staged(BOOKS), target.owner.network, &target.owner.genesis)?;
        target.check_key(&store)?;
        if store.head()?.number.0 != manifest.event {
            return Err(BackupError::Damaged { file: folder.join(MANIFEST) }.into());
        }
        target.fits_shares(&store, &manifest)
    };
    let replaced: &[&str] = match keeps_shares {
        Ok(()) => &[BOOKS, "books.sqlite-wal", "books.sqlite-shm"],
        Err(_) => &[BOOKS, "books.sqlite-wal", "books.sqlite-shm", SHARES],
    };
    let replaced: Vec<&str> = replaced.iter().copied().filter(|name| data_dir.join(name).exists()).collect();
    let aside = if replaced.is_empty() { None } else { Some(aside(data_dir)?) };
    let restored = Restored { event: manifest.event, aside, keeps_shares };
    if dry_run {
        return Ok(restored);
    }
    if restored.keeps_shares.is_err() {
        for (name, mark) in manifest.files.iter().filter(|(name, _)| !marked(name)) {
            take(name, mark)?;
        }
    }
    let moved = |from: &Path, to: &Path| fs::rename(from, to).map_err(|error| BackupError::io(from, error));
    if let Some(aside) = &restored.aside {
        fs::create_dir(aside).map_err(|error| BackupError::io(aside, error))?;
        replaced.iter().try_for_each(|name| moved(&data_dir.join(name), &aside.join(name)))?;
    }
    // The books come last: without them the pool opens new ones, whose log the chain refutes, rather than half of a backup.
    if restored.keeps_shares.is_err() {
        moved(&staged(SHARES), &data_dir.join(SHARES))?;
    }
    pause(&staged(BOOKS))?;
    moved(&staged(BOOKS), &data_dir.join(BOOKS))?;
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(|error| BackupError::io(data_dir, error))?;
    Ok(restored)
}

/// Where a backup is laid out before it takes its place; removed whatever happens.
struct Stage(PathBuf);

impl Stage {
    fn make(data_dir: &Path) -> Result<Self, BackupError> {
        let stage = Self(data_dir.join("restore.new"));
        stage.remove();
        let shares = stage.0.join(SHARES);
        fs::create_dir_all(&shares).map_err(|error| BackupError::io(&shares, error))?;
        Ok(stage)
    }

    /// What cannot be removed stands in the way of the next restore, which says so.
    fn remove(&self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Target<'_> {
    /// The backup is this pool's: of the key that the books here began with, or else of the one in the key file.
    fn check_key(&self, backup: &dyn BookStore) -> Result<(), BackupError> {
        let here = self.place.data_dir.join(BOOKS);
        // Books that cannot be opened say nothing, and are the usual reason for a restore.
        let here = match here.exists() {
            true => SqliteBooks::open(&here, self.owner.network, &self.owner.genesis)
                .and_then(|store| keys_of(&store))
                .unwrap_or_default(),
            false => None,
        };
        let Some(theirs) = keys_of(backup)? else { return Ok(()) };
        let (got, expected) = match (here, self.key) {
            (Some(here), _) => (theirs.first, here.first),
            (None, Some(key)) => (theirs.newest, key),
            (None, None) => return Ok(()),
        };
        if got == expected { Ok(()) } else { Err(BackupError::ForeignKey { got, expected }) }
    }

    /// Whether the shares that are there are whole, are those that the backup's books name, reach as far as the backup's, and hold all
    /// that may still be wanted. Looks only.
    fn fits_shares(&self, store: &SqliteBooks, manifest: &Manifest) -> Result<(), String> {
        let folder = shares_folder(self.place.data_dir);
        if !folder.exists() {
            return Err("there are none".to_owned());
        }
        let disk = Arc::new(TrialDisk::over(Arc::new(RealDisk)));
        let said = |error: PoolError| error.to_string();
        let (mut state, first) = start_state(store).map_err(said)?;
        let front_end = self.place.front_end;
        let told = shares_told(store, &state, first, front_end).map_err(said)?;
        let log = open_shares(&self.place, Arc::clone(&disk) as _, told, log_options()).map_err(said)?;
        reaches(disk.as_ref(), &folder, manifest)?;
        verify_shares(store, &log, front_end, u64::MAX).map_err(said)?;
        let status = log.status();
        let shares = OwnShares(Arc::new(log));
        let replayed = replay(store, &mut state, first, &Replay { shares: &shares, front_end, rules: Rules::MACHINE });
        if let Some(hole) = replayed.map_err(said)?.first() {
            return Err(format!("shares {} to {} are given up in them", hole.start, hole.end));
        }
        let is_promised = status.windows_from.is_some_and(|from| from <= state.windows_from(front_end));
        match status.pruned_before <= ShareSequence::FIRST || is_promised {
            true => Ok(()),
            false => Err(format!("shares before {} are dropped, which these books may want", status.pruned_before)),
        }
    }
}

/// The newest file of the backup is there and not shorter, or a newer one is.
fn reaches(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Result<(), String> {
    let name_of = |path: &str| path.strip_prefix("share-log/").filter(|name| *name != "manifest").map(str::to_owned);
    let newest = manifest.files.iter().filter_map(|(path, mark)| Some((name_of(path)?, mark.bytes))).max();
    let Some((name, bytes)) = newest else { return Ok(()) };
    let said = |error: std::io::Error| error.to_string();
    let names = disk.list(folder).map_err(said)?;
    if names.iter().any(|other| is_share_file(other) && other.as_str() != "manifest" && *other > name) {
        return Ok(());
    }
    let mut content = Vec::new();
    if names.contains(&name) {
        disk.read(&folder.join(&name), u64::MAX, &mut content).map_err(said)?;
    }
    match u64::try_from(content.len()).is_ok_and(|length| length >= bytes) {
        true => Ok(()),
        false => Err("they end before the backup's".to_owned()),
    }
}

/// Reads a backup through, before anything is touched.
fn check(folder: &Path, owner: Owner) -> Result<Manifest, BackupError> {
    let path = folder.join(MANIFEST);
    let no_backup = |reason: String| BackupError::NoBackup { folder: folder.to_owned(), reason };
    let text = fs::read(&path).map_err(|error| no_backup(format!("{MANIFEST}: {error}")))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| no_backup(format!("{MANIFEST}: {error}")))?;
    if manifest.version != VERSION {
        return Err(no_backup(format!("version {}, this software knows {VERSION}", manifest.version)));
    }
    if manifest.network != owner.network.name() || manifest.genesis != owner.genesis.to_string() {
        return Err(BackupError::Foreign { got: manifest.network, expected: owner.network });
    }
    for (name, expected) in &manifest.files {
        if !is_ours(name) {
            return Err(no_backup(format!("{MANIFEST} names {name:?}")));
        }
        if mark(&folder.join(name))? != *expected {
            return Err(BackupError::Damaged { file: folder.join(name) });
        }
    }
    match manifest.files.contains_key(BOOKS) {
        true => Ok(manifest),
        false => Err(no_backup("it holds no books".to_owned())),
    }
}

/// Names that a backup may hold: the manifest is text that anybody may have written, and must not lead anywhere else.
fn is_ours(name: &str) -> bool {
    name == BOOKS || name.strip_prefix("share-log/").is_some_and(is_share_file)
}

/// A free name beside the books for what is there now.
fn aside(data_dir: &Path) -> Result<PathBuf, BackupError> {
    let free = (1..10_000).map(|number| data_dir.join(format!("before-restore-{number}"))).find(|path| !path.exists());
    free.ok_or_else(|| BackupError::InTheWay(data_dir.join("before-restore-1")))
}
