//! A copy of the pool's books and shares in a folder of its own, made running or stopped.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use bq_books::{BookStore, SqliteBooks};
use bq_pool_machine::LogHead;
use bq_primitives::{BlockId, Network};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{BackupError, open::shares_folder};

/// Written last: a folder without it is no backup.
pub(crate) const MANIFEST: &str = "backup.json";
pub(crate) const VERSION: u32 = 1;
pub(crate) const BOOKS: &str = "books.sqlite";
pub(crate) const SHARES: &str = "share-log";

/// Of the chain and the pool that a copy belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) network: Network,
    pub(crate) genesis: BlockId,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) network: String,
    pub(crate) genesis: String,
    /// Number of the newest event.
    pub(crate) event: u64,
    /// By path below the folder.
    pub(crate) files: BTreeMap<String, FileMark>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileMark {
    pub(crate) bytes: u64,
    sha256: String,
}

/// Whether a backup may be made there: nothing is ever overwritten, and a copy among what the pool reads is none.
pub(crate) fn check_free(folder: &Path, data_dir: &Path) -> Result<(), BackupError> {
    let shares = shares_folder(data_dir);
    let is_inside = folder.ancestors().any(|above| match (above.canonicalize(), shares.canonicalize()) {
        (Ok(above), Ok(shares)) => above == shares,
        _ => false,
    });
    if is_inside {
        return Err(BackupError::InTheWay(shares));
    }
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(BackupError::InTheWay(folder.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::io(folder, error)),
    }
}

/// Copies the books as they are at one moment, and then the shares: those that the books name were written before. Returns the
/// newest event in it.
pub(crate) fn make(
    store: &dyn BookStore,
    data_dir: &Path,
    owner: Owner,
    folder: &Path,
) -> Result<LogHead, BackupError> {
    check_free(folder, data_dir)?;
    let shares = folder.join(SHARES);
    fs::create_dir_all(&shares).map_err(|error| BackupError::io(&shares, error))?;
    let books = folder.join(BOOKS);
    store.back_up(&books)?;
    // Opening reads all of it: a backup that cannot be opened is none.
    let head = SqliteBooks::open(&books, owner.network, &owner.genesis)?.head()?;
    sync(&books)?;
    let mut files = BTreeMap::from([(BOOKS.to_owned(), mark(&books)?)]);
    let source = shares_folder(data_dir);
    for name in share_files(&source)? {
        let mark = copy(&source.join(&name), &shares.join(&name))?;
        files.insert(format!("{SHARES}/{name}"), mark);
    }
    let (network, genesis) = (owner.network.name().to_owned(), owner.genesis.to_string());
    let manifest = Manifest { version: VERSION, network, genesis, event: head.number.0, files };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::io(folder, error.into()))?;
    let path = folder.join(MANIFEST);
    let write = || {
        let mut file = File::create_new(&path)?;
        file.write_all(&text)?;
        file.sync_all()?;
        File::open(&shares)?.sync_all()?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| BackupError::io(&path, error))?;
    Ok(head)
}

pub(crate) fn is_share_file(name: &str) -> bool {
    let number = name.strip_prefix("shares-").and_then(|rest| rest.strip_suffix(".seg"));
    name == "manifest" || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Segments in rising order, then the manifest. Listed once: a segment that begins later holds nothing that the books name.
pub(crate) fn share_files(folder: &Path) -> Result<Vec<String>, BackupError> {
    let failed = |error| BackupError::io(folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.into_string().ok().filter(|name| is_share_file(name)));
    }
    names.sort_unstable_by_key(|name| (name == "manifest", name.clone()));
    Ok(names)
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<FileMark, BackupError> {
    let mut target = File::create_new(to).map_err(|error| BackupError::io(to, error))?;
    let mark = each_piece(from, |piece| target.write_all(piece))?;
    target.sync_all().map_err(|error| BackupError::io(to, error))?;
    Ok(mark)
}

pub(crate) fn mark(path: &Path) -> Result<FileMark, BackupError> {
    each_piece(path, |_| Ok(()))
}

fn each_piece(path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> Result<FileMark, BackupError> {
    let failed = |error| BackupError::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut digest, mut bytes, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { break };
        digest.update(piece);
        each(piece).map_err(failed)?;
        bytes = bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileMark { bytes, sha256 })
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| BackupError::io(path, error))
}
