use std::path::{Path, PathBuf};

use bq_ledger::ShareSequence;
use bq_primitives::{BlockId, tagged_hash};

/// Bytes of an encoded [`SegmentHeader`].
pub(crate) const HEADER_BYTES: usize = 8 + 4 + 32 + 8 + 32 + 4;

const MAGIC: [u8; 8] = *b"BQSHARES";
const VERSION: u32 = 1;

/// What a segment file starts with: it names the chain, and the header before it, so that no segment can be left out or
/// slipped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) genesis: BlockId,
    pub(crate) first: ShareSequence,
    pub(crate) previous: [u8; 32],
}

/// A segment of the log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
}

impl SegmentHeader {
    /// Magic, version, genesis id, first sequence, hash of the previous header, CRC-32C; integers little-endian.
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.genesis.0);
        bytes.extend(self.first.0.to_le_bytes());
        bytes.extend(self.previous);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        let mut out = [0; HEADER_BYTES];
        out.copy_from_slice(&bytes);
        out
    }

    /// Reads a header, or says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let array = |from: usize| -> [u8; 32] {
            let mut out = [0; 32];
            out.copy_from_slice(&bytes[from..from + 32]);
            out
        };
        if bytes[..8] != MAGIC {
            return Err("it is not a share segment".to_owned());
        }
        let checksum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]).to_le_bytes();
        if bytes[HEADER_BYTES - 4..] != checksum {
            return Err("its header is damaged".to_owned());
        }
        let mut version = [0; 4];
        version.copy_from_slice(&bytes[8..12]);
        match u32::from_le_bytes(version) {
            VERSION => {}
            other => return Err(format!("format version {other}, this software writes {VERSION}")),
        }
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[44..52]);
        let first = ShareSequence(u64::from_le_bytes(first));
        Ok(Self { genesis: BlockId(array(12)), first, previous: array(52) })
    }

    /// What the next segment names this one by.
    pub(crate) fn hash(self) -> [u8; 32] {
        tagged_hash("BQ/share-segment", &[&self.to_bytes()])
    }

    /// Where it lies.
    pub(crate) fn path_in(self, folder: &Path) -> PathBuf {
        folder.join(format!("shares-{:020}.seg", self.first.0))
    }
}
