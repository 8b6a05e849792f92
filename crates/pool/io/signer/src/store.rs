use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bq_primitives::TxId;
use bq_signer::{KeptCopy, LogCopy, Record};
use sha2::{Digest as _, Sha256};

use crate::ServerError;

/// What a signer keeps on disk: its record, the bytes that it signed, and its copy of the log. What a call wrote is on stable storage when it
/// returns.
#[derive(Debug)]
pub(crate) struct SignerStore {
    folder: PathBuf,
}

const RECORD: &str = "record";
const COPY: &str = "copy";
const SIGNED: &str = "signed";
const COPY_VERSION: u8 = 1;

impl SignerStore {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// What was signed; an empty record where nothing ever was.
    pub(crate) fn record(&self) -> Result<Record, ServerError> {
        let path = self.folder.join(RECORD);
        let Some(bytes) = read(&path)? else {
            // Whoever takes the record away must not have all signed anew.
            let is_old = self.folder.join(SIGNED).exists();
            return if is_old { Err(ServerError::RecordMissing(path)) } else { Ok(Record::default()) };
        };
        Record::from_bytes(&bytes).map_err(|error| ServerError::Record { path, error })
    }

    /// The folder for what is signed, which from now on tells that there is a record.
    pub(crate) fn begin(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder.join(SIGNED))?;
        sync(&self.folder)
    }

    pub(crate) fn write_record(&self, record: &Record) -> io::Result<()> {
        bq_private_file::write(&self.folder.join(RECORD), &record.to_bytes())?;
        sync(&self.folder)
    }

    /// The copy of the log; an empty one where none was kept.
    pub(crate) fn copy(&self) -> Result<LogCopy, ServerError> {
        let path = self.folder.join(COPY);
        let Some(bytes) = read(&path)? else { return Ok(LogCopy::default()) };
        let damaged = |why: String| ServerError::Copy { path: path.clone(), why };
        let kept: KeptCopy = match bytes.split_first() {
            Some((&COPY_VERSION, rest)) => postcard::from_bytes(rest).map_err(|error| damaged(error.to_string()))?,
            _ => return Err(damaged("it is of another software".to_owned())),
        };
        LogCopy::read(&kept).map_err(|fault| damaged(fault.to_string()))
    }

    pub(crate) fn write_copy(&self, copy: &LogCopy) -> io::Result<()> {
        let kept = copy.keep().map_err(io::Error::other)?;
        let bytes = postcard::to_extend(&kept, vec![COPY_VERSION]).map_err(io::Error::other)?;
        bq_private_file::write(&self.folder.join(COPY), &bytes)?;
        sync(&self.folder)
    }

    /// The signed bytes of a transaction, if they have this digest.
    pub(crate) fn signed(&self, txid: TxId, digest: &[u8; 32]) -> Option<Vec<u8>> {
        let bytes = fs::read(self.signed_path(txid)).ok()?;
        (Sha256::digest(&bytes).as_slice() == digest).then_some(bytes)
    }

    pub(crate) fn write_signed(&self, txid: TxId, bytes: &[u8]) -> io::Result<()> {
        bq_private_file::write(&self.signed_path(txid), bytes)?;
        sync(&self.folder.join(SIGNED))
    }

    /// Removes bytes of transactions that the record does not name any more. What stays is only room.
    pub(crate) fn drop_forgotten(&self, record: &Record) {
        let kept: Vec<String> = record.transactions().map(|txid| txid.to_string()).collect();
        let Ok(entries) = fs::read_dir(self.folder.join(SIGNED)) else { return };
        for entry in entries.flatten() {
            if !kept.iter().any(|name| entry.file_name() == name.as_str()) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    fn signed_path(&self, txid: TxId) -> PathBuf {
        self.folder.join(SIGNED).join(txid.to_string())
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// A file that was renamed into a folder is there after a power cut only once the folder is synced.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
