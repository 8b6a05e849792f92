//! The whole of a pool in a folder that a stranger can replay: every event, every share, and what they belong to.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use bq_books::BookStore;
use bq_mining_message::FrontEndId;
use bq_pool_machine::{LogHead, LogNumber};
use bq_primitives::{BlockId, Network};
use serde::{Deserialize, Serialize};

use super::ReplayError;
use crate::{
    BackupError,
    backup::{FileMark, MANIFEST as BACKUP, SHARES, copy, is_share_file, mark, share_files},
};

/// Written last: a folder without it is no export.
pub(super) const MANIFEST: &str = "export.json";
const EVENTS: &str = "events";
/// First bytes of the file of events; then each event as its length, a little-endian `u32`, and its bytes.
const MAGIC: &[u8; 8] = b"BQEVENT1";
/// The largest event that is read: an import of older books may hold a million accounts.
const EVENT_BYTES_MAX: u32 = 1 << 30;
const VERSION: u32 = 1;
const EVENTS_READ: usize = 4096;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    network: String,
    genesis: String,
    /// What the data of the pool's coinbases begins with, in hex.
    tag: String,
    front_end: u16,
    /// Number of the newest event, and its hash.
    event: u64,
    hash: String,
    /// By path below the folder.
    files: BTreeMap<String, FileMark>,
}

/// Whose an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOwner {
    /// The chain.
    pub network: Network,
    /// Its first block.
    pub genesis: BlockId,
    /// What the data of the pool's coinbases begins with.
    pub tag: Vec<u8>,
    /// The front end whose shares it holds.
    pub front_end: FrontEndId,
}

/// Writes a new export: the events, and the share log beside the books as it is.
pub(crate) fn write(
    store: &dyn BookStore,
    data_dir: &Path,
    owner: &ExportOwner,
    folder: &Path,
) -> Result<LogHead, BackupError> {
    crate::backup::check_free(folder, data_dir)?;
    let shares = folder.join(SHARES);
    fs::create_dir_all(&shares).map_err(|error| BackupError::io(&shares, error))?;
    let head = write_events(store, &folder.join(EVENTS))?;
    let mut files = BTreeMap::from([(EVENTS.to_owned(), mark(&folder.join(EVENTS))?)]);
    let source = crate::open::shares_folder(data_dir);
    for name in share_files(&source)? {
        let mark = copy(&source.join(&name), &shares.join(&name))?;
        files.insert(format!("{SHARES}/{name}"), mark);
    }
    let manifest = Manifest {
        version: VERSION,
        network: owner.network.name().to_owned(),
        genesis: owner.genesis.to_string(),
        tag: hex::encode(&owner.tag),
        front_end: owner.front_end.0,
        event: head.number.0,
        hash: head.hash.to_string(),
        files,
    };
    let path = folder.join(MANIFEST);
    let failed = |error: io::Error| BackupError::io(&path, error);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| failed(error.into()))?;
    let mut file = File::create_new(&path).map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(head)
}

fn write_events(store: &dyn BookStore, path: &Path) -> Result<LogHead, BackupError> {
    let failed = |error: io::Error| BackupError::io(path, error);
    let mut file = BufWriter::new(File::create_new(path).map_err(failed)?);
    file.write_all(MAGIC).map_err(failed)?;
    let mut head = LogHead::default();
    loop {
        let stored = store.read(head.number.next(), EVENTS_READ)?;
        let Some(newest) = stored.last() else { break };
        head = newest.head;
        for event in &stored {
            let length = u32::try_from(event.bytes.len()).map_err(|_| failed(io::ErrorKind::FileTooLarge.into()))?;
            file.write_all(&length.to_le_bytes()).map_err(failed)?;
            file.write_all(&event.bytes).map_err(failed)?;
        }
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(head)
}

/// Read only as it is written: of two ways to write a hash one would be a change that nobody finds.
fn owner_of(manifest: &Manifest) -> Result<ExportOwner, String> {
    let Manifest { network, genesis, tag, front_end, .. } = manifest;
    let (known, first) = (network.parse::<Network>(), genesis.parse::<BlockId>());
    let known = known.ok().filter(|known| known.name() == network).ok_or_else(|| format!("network {network:?}"))?;
    let first = first.ok().filter(|id| id.to_string() == *genesis).ok_or_else(|| format!("genesis {genesis:?}"))?;
    let bytes =
        hex::decode(tag).ok().filter(|bytes| hex::encode(bytes) == *tag).ok_or_else(|| format!("tag {tag:?}"))?;
    Ok(ExportOwner { network: known, genesis: first, tag: bytes, front_end: FrontEndId(*front_end) })
}

/// An export that is there and whole by its own hashes.
pub(super) struct Export {
    pub(super) owner: ExportOwner,
    pub(super) folder: PathBuf,
    pub(super) newest: LogNumber,
    pub(super) hash: String,
}

impl Export {
    /// Opens an export. A file that is not as `export.json` names it is named; that the rest is as it was made, the log and the chain say.
    pub(super) fn open(folder: &Path) -> Result<Self, ReplayError> {
        let no_export = |reason: String| ReplayError::NoExport { folder: folder.to_owned(), reason };
        if folder.join(BACKUP).exists() {
            return Err(no_export("it is a backup: make an export of it with bq audit export --all".to_owned()));
        }
        let text = fs::read(folder.join(MANIFEST)).map_err(|error| no_export(format!("{MANIFEST}: {error}")))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| no_export(format!("{MANIFEST}: {error}")))?;
        if manifest.version != VERSION {
            return Err(no_export(format!("version {}, this software knows {VERSION}", manifest.version)));
        }
        for (name, expected) in &manifest.files {
            let is_ours = name == EVENTS || name.strip_prefix("share-log/").is_some_and(is_share_file);
            if !is_ours {
                return Err(no_export(format!("{MANIFEST} names {name:?}")));
            }
            if mark(&folder.join(name)).map_err(|error| no_export(error.to_string()))? != *expected {
                return Err(ReplayError::File { file: folder.join(name) });
            }
        }
        let shares = share_files(&folder.join(SHARES)).map_err(|error| no_export(error.to_string()))?;
        let present = shares.iter().map(|name| format!("{SHARES}/{name}")).chain([EVENTS.to_owned()]);
        if let Some(unnamed) = present.into_iter().find(|name| !manifest.files.contains_key(name)) {
            return Err(no_export(format!("{MANIFEST} does not name {unnamed}")));
        }
        let owner = owner_of(&manifest).map_err(no_export)?;
        Ok(Self { owner, folder: folder.to_owned(), newest: LogNumber(manifest.event), hash: manifest.hash })
    }

    /// The bytes of its events, in order.
    pub(super) fn events(&self) -> Result<Events, ReplayError> {
        let path = self.folder.join(EVENTS);
        let failed = |error: io::Error| ReplayError::Io { file: path.clone(), error };
        let mut file = BufReader::with_capacity(1 << 20, File::open(&path).map_err(failed)?);
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(failed)?;
        if magic != *MAGIC {
            return Err(ReplayError::File { file: path });
        }
        Ok(Events { file, path, next: LogNumber(1) })
    }
}

/// Events of a file, one after the other.
pub(super) struct Events {
    file: BufReader<File>,
    path: PathBuf,
    next: LogNumber,
}

impl Iterator for Events {
    type Item = Result<Vec<u8>, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut length = [0; 4];
        let mut read = 0;
        while let Some(rest) = length.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) if read == 0 => return None,
                Ok(0) => return Some(Err(ReplayError::Cut { file: self.path.clone(), event: self.next })),
                Ok(more) => read = read.saturating_add(more),
                Err(error) => return Some(Err(ReplayError::Io { file: self.path.clone(), error })),
            }
        }
        let wanted = u32::from_le_bytes(length);
        let mut bytes = Vec::new();
        let got = (&mut self.file).take(wanted.min(EVENT_BYTES_MAX).into()).read_to_end(&mut bytes);
        match got {
            Ok(got) if u32::try_from(got) == Ok(wanted) => {
                self.next = self.next.next();
                Some(Ok(bytes))
            }
            Ok(_) => Some(Err(ReplayError::Cut { file: self.path.clone(), event: self.next })),
            Err(error) => Some(Err(ReplayError::Io { file: self.path.clone(), error })),
        }
    }
}
