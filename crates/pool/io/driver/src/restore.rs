//! A backup is put back into a stopped pool.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    BackupError,
    backup::{BOOKS, MANIFEST, Manifest, Owner, SHARES, VERSION, copy, is_share_file, mark},
    open::shares_folder,
};

/// Puts a backup in the place of a stopped pool's books and shares, which are moved aside. Returns the backup's newest event and
/// where the old files lie now, if there were any.
pub(crate) fn restore(
    folder: &Path,
    data_dir: &Path,
    owner: Owner,
    dry_run: bool,
) -> Result<(u64, Option<PathBuf>), BackupError> {
    let manifest = check(folder, owner)?;
    let aside = aside(data_dir)?;
    if dry_run {
        return Ok((manifest.event, aside));
    }
    if let Some(aside) = &aside {
        fs::create_dir(aside).map_err(|error| BackupError::io(aside, error))?;
        for name in ["books.sqlite", "books.sqlite-wal", "books.sqlite-shm", SHARES] {
            let from = data_dir.join(name);
            if from.exists() {
                fs::rename(&from, aside.join(name)).map_err(|error| BackupError::io(&from, error))?;
            }
        }
    }
    // The books come last: without them the pool opens new ones, whose log the chain refutes, rather than half of a backup.
    let shares = shares_folder(data_dir);
    fs::create_dir_all(&shares).map_err(|error| BackupError::io(&shares, error))?;
    for (name, mark) in manifest.files.iter().rev() {
        let to = data_dir.join(name);
        if copy(&folder.join(name), &to)? != *mark {
            return Err(BackupError::Damaged { file: folder.join(name) });
        }
    }
    let synced = File::open(&shares).and_then(|shares| shares.sync_all());
    synced.and_then(|()| File::open(data_dir)?.sync_all()).map_err(|error| BackupError::io(data_dir, error))?;
    Ok((manifest.event, aside))
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

/// A free name beside the books for what is there now; nothing if nothing is.
fn aside(data_dir: &Path) -> Result<Option<PathBuf>, BackupError> {
    if !data_dir.join(BOOKS).exists() && !data_dir.join(SHARES).exists() {
        return Ok(None);
    }
    let free = (1..10_000).map(|number| data_dir.join(format!("before-restore-{number}"))).find(|path| !path.exists());
    free.map(Some).ok_or_else(|| BackupError::InTheWay(data_dir.join("before-restore-1")))
}
