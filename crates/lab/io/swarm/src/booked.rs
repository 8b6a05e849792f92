use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

const HEADER_BYTES: usize = 98;

/// Every share in the log's segments, read as their description says and not as the server reads them: a header, then records whose
/// first byte is their kind, of a length that the kind gives, with a CRC-32C at their end. Sealed segments count from where the one
/// before ended, which their names say.
pub(crate) fn booked_shares(data_dir: &Path) -> anyhow::Result<u64> {
    let entries = fs::read_dir(data_dir.join("share-log")).context("the share log")?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    let mut last = 0;
    for path in paths {
        let bytes = fs::read(&path)?;
        let name = path.file_stem().and_then(|name| name.to_str()).context("a segment's name")?;
        let first: u64 = name.trim_start_matches("shares-").parse()?;
        ensure!(first == last + 1, "{}: begins after {last}", path.display());
        last += shares_in(&bytes).with_context(|| path.display().to_string())?;
    }
    Ok(last)
}

/// A torn tail ends the count.
fn shares_in(bytes: &[u8]) -> anyhow::Result<u64> {
    let salt = u32::from_le_bytes(*bytes.get(..HEADER_BYTES).and_then(<[u8]>::last_chunk).context("a header")?);
    let (mut offset, mut shares) = (HEADER_BYTES, 0);
    while let Some((kind, length)) = bytes.get(offset..).and_then(|rest| whole_record(rest, salt, offset)) {
        shares += u64::from(matches!(kind, 3 | 4));
        offset += length;
    }
    Ok(shares)
}

/// Kind and length of the record at the start of `bytes`, which lie at `offset` of their file.
fn whole_record(bytes: &[u8], salt: u32, offset: usize) -> Option<(u8, usize)> {
    let kind = *bytes.first()?;
    let length = match kind {
        1 => 102,
        2 => 22,
        3 => 21,
        4 => 53,
        _ => return None,
    };
    let (body, checksum) = bytes.get(..length)?.split_last_chunk()?;
    let seed = salt ^ u32::try_from(offset & 0xffff_ffff).ok()?;
    (crc32c::crc32c_append(seed, body) == u32::from_le_bytes(*checksum)).then_some((kind, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_count_and_a_torn_one_ends_it() {
        let mut segment = vec![0; HEADER_BYTES];
        for kind in [1_u8, 3, 4, 2, 3] {
            let offset = segment.len();
            let length = [0, 102, 22, 21, 53][usize::from(kind)];
            let mut record = vec![kind; length - 4];
            record.extend(crc32c::crc32c_append(u32::try_from(offset).unwrap(), &record).to_le_bytes());
            segment.extend(record);
        }
        assert_eq!(shares_in(&segment).unwrap(), 3);
        assert_eq!(shares_in(&segment[..segment.len() - 1]).unwrap(), 2);
        segment[HEADER_BYTES + 102 + 5] ^= 1;
        assert_eq!(shares_in(&segment).unwrap(), 0, "what is damaged is no share");
    }
}
