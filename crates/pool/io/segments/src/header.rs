use std::path::Path;

use bq_mining_message::{FrontEndId, ShareSequence};
use bq_primitives::{BlockId, DecodeError, Decoder};
use sha2::{Digest, Sha256};

use crate::OpenError;

/// Whose shares a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The chain.
    pub genesis: BlockId,
    /// The machine that took the shares.
    pub front_end: FrontEndId,
}

/// Bytes of an encoded [`SegmentHeader`].
pub(crate) const HEADER_BYTES: usize = 8 + 4 + 32 + 2 + 8 + 8 + 32 + 4;

/// The first bytes of every segment, old and new.
pub(crate) const MAGIC: [u8; 8] = *b"BQSHARES";
const VERSION: u32 = 2;

/// Name of the segment whose first share is this one.
#[must_use]
pub fn segment_name(first: ShareSequence) -> String {
    format!("shares-{first:020}.seg")
}

/// The first share of the segment with this name.
pub(crate) fn parse_segment_name(name: &str) -> Option<ShareSequence> {
    let first = ShareSequence(name.strip_prefix("shares-")?.strip_suffix(".seg")?.parse().ok()?);
    (segment_name(first) == name).then_some(first)
}

/// SHA-256 of a file, as the next segment's header names it. Plain, so that everybody's `sha256sum` can check a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHash(pub(crate) [u8; 32]);

impl FileHash {
    /// What the first segment of a log continues.
    pub(crate) const NONE: Self = Self([0; 32]);

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// What a segment file starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: LogIdentity,
    pub(crate) first: ShareSequence,
    /// What the times of its shares count from, in milliseconds since 1970.
    pub(crate) base_ms: u64,
    /// The file before this one, from its first byte to its last.
    pub(crate) previous: FileHash,
}

impl SegmentHeader {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.identity.genesis.0);
        bytes.extend(self.identity.front_end.0.to_le_bytes());
        bytes.extend(self.first.0.to_le_bytes());
        bytes.extend(self.base_ms.to_le_bytes());
        bytes.extend(self.previous.0);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header at the start of a file and checks that it belongs into this log, under this name.
    pub(crate) fn read(
        path: &Path,
        file: &[u8],
        identity: LogIdentity,
        first: ShareSequence,
    ) -> Result<Self, OpenError> {
        let header = Self::decode(path, file)?;
        let LogIdentity { genesis, front_end } = header.identity;
        if genesis != identity.genesis {
            let reason = format!("it holds shares of the chain with genesis {genesis}, expected {}", identity.genesis);
            return Err(OpenError::foreign(path, reason));
        }
        if front_end != identity.front_end {
            let reason = format!("it holds shares of front end {front_end}, expected {}", identity.front_end);
            return Err(OpenError::foreign(path, reason));
        }
        if header.first != first {
            let reason = format!("its first share is {}, its name says otherwise", header.first);
            return Err(OpenError::foreign(path, reason));
        }
        Ok(header)
    }

    fn decode(path: &Path, file: &[u8]) -> Result<Self, OpenError> {
        let Some(bytes) = file.first_chunk::<HEADER_BYTES>() else {
            return Err(OpenError::corrupt(path, 0, "it is too short for a header"));
        };
        let (covered, checksum) = bytes.split_at(HEADER_BYTES - 4);
        let (magic, rest) = covered.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(OpenError::foreign(path, "it is not a share segment"));
        }
        let damaged = |_: DecodeError| OpenError::corrupt(path, 0, "its header is damaged");
        let mut decoder = Decoder::new(rest);
        let version = decoder.u32().map_err(damaged)?;
        // An old header is shorter, so its checksum stands elsewhere; a flipped version is told apart by ours.
        if crc32c::crc32c(covered).to_le_bytes() != checksum {
            let is_old = version == crate::v1::VERSION && crate::v1::has_header(file);
            return Err(if is_old {
                OpenError::Version { path: path.to_owned(), version }
            } else {
                OpenError::corrupt(path, 0, "its header is damaged")
            });
        }
        if version != VERSION {
            return Err(OpenError::Version { path: path.to_owned(), version });
        }
        Self::decode_fields(&mut decoder).map_err(damaged)
    }

    fn decode_fields(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let genesis = BlockId(decoder.array()?);
        let identity = LogIdentity { genesis, front_end: FrontEndId(decoder.u16()?) };
        let first = ShareSequence(decoder.u64()?);
        let base_ms = decoder.u64()?;
        Ok(Self { identity, first, base_ms, previous: FileHash(decoder.array()?) })
    }
}
