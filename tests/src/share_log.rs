use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// Bytes in front of a segment's records.
const HEADER_BYTES: usize = 98;

/// How many shares the segments below a pool's folder hold, read as their description says: a 98-byte header, then records whose first byte is
/// their kind, of a length that the kind gives, with a CRC-32C at their end. Sealed segments count from where the one before
/// ended, which their names say.
///
/// # Errors
/// A segment is missing.
pub fn booked_shares(folder: &Path) -> Result<u64> {
    let mut last = 0;
    for path in segments(folder)? {
        let bytes = fs::read(&path)?;
        let name = path.file_stem().and_then(|name| name.to_str()).context("a segment's name")?;
        let first: u64 = name.trim_start_matches("shares-").parse()?;
        ensure!(first == last + 1, "{}: begins after {last}", path.display());
        // A live log may be in the middle of a write: a torn tail ends the count.
        last += u64::try_from(records(&bytes)?.iter().filter(|record| record.is_share).count())?;
    }
    Ok(last)
}

/// Takes the end of the newest share off, as power loss would of one that was not synced. Says whether there was one.
///
/// # Errors
/// The file cannot be cut.
pub fn tear_newest_share(folder: &Path) -> Result<bool> {
    let Some(path) = segments(folder)?.pop() else { return Ok(false) };
    let records = records(&fs::read(&path)?)?;
    let Some(newest) = records.last().filter(|record| record.is_share) else { return Ok(false) };
    fs::File::options().write(true).open(path)?.set_len(u64::try_from(newest.end - newest.length / 2)?)?;
    Ok(true)
}

fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder.join("data/share-log"))?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = files.collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    Ok(paths)
}

struct Record {
    is_share: bool,
    length: usize,
    end: usize,
}

/// The whole records of a segment, up to the first that is none.
fn records(bytes: &[u8]) -> Result<Vec<Record>> {
    let salt = u32::from_le_bytes(*bytes.get(..HEADER_BYTES).and_then(<[u8]>::last_chunk).context("a header")?);
    let (mut records, mut offset) = (Vec::new(), HEADER_BYTES);
    while let Some(length) = whole_record(&bytes[offset..], salt, offset) {
        let is_share = matches!(bytes[offset], 3 | 4);
        offset += length;
        records.push(Record { is_share, length, end: offset });
    }
    Ok(records)
}

/// Length of the record at the start of `bytes`, which lie at `offset` of their file.
fn whole_record(bytes: &[u8], salt: u32, offset: usize) -> Option<usize> {
    let length = match bytes.first()? {
        1 => 102,
        2 => 22,
        3 => 21,
        4 => 53,
        // A job whose shares no window pays.
        5 => 41,
        _ => return None,
    };
    let (body, checksum) = bytes.get(..length)?.split_last_chunk()?;
    let seed = salt ^ u32::try_from(offset & 0xffff_ffff).ok()?;
    (crc32c::crc32c_append(seed, body) == u32::from_le_bytes(*checksum)).then_some(length)
}
