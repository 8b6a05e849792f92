use bq_mining_message::ShareSequence;
use bq_primitives::{BlockId, tagged_hash};

use crate::header::{MAGIC, parse_segment_name};

/// Magic, version, genesis id, first sequence, hash of the previous header, CRC-32C; integers little-endian.
pub(crate) const HEADER_BYTES: usize = 8 + 4 + 32 + 8 + 32 + 4;

pub(crate) const VERSION: u32 = 1;

/// What a segment of version 1 starts with.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) genesis: BlockId,
    pub(crate) first: ShareSequence,
    pub(crate) previous: [u8; 32],
    bytes: [u8; HEADER_BYTES],
}

/// Whether a file starts with a good header of version 1.
pub(crate) fn has_header(file: &[u8]) -> bool {
    Header::decode(file).is_ok()
}

impl Header {
    /// Reads the header at the start of a file, or says what is wrong with it.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, String> {
        let bytes = *file.first_chunk::<HEADER_BYTES>().ok_or("it is too short for a header")?;
        let (covered, checksum) = bytes.split_at(HEADER_BYTES - 4);
        if !covered.starts_with(&MAGIC) {
            return Err("it is not a share segment".to_owned());
        }
        if crc32c::crc32c(covered).to_le_bytes() != checksum {
            return Err("its header is damaged".to_owned());
        }
        let mut decoder = bq_primitives::Decoder::new(&covered[MAGIC.len()..]);
        match decoder.u32() {
            Ok(VERSION) => {}
            other => return Err(format!("format version {other:?}, expected {VERSION}")),
        }
        let mut fields = || Ok((BlockId(decoder.array()?), ShareSequence(decoder.u64()?), decoder.array()?));
        let fields: Result<_, bq_primitives::DecodeError> = fields();
        let (genesis, first, previous) = fields.map_err(|error| error.to_string())?;
        Ok(Self { genesis, first, previous, bytes })
    }

    /// Refuses a segment of another chain or under another name.
    pub(crate) fn check(self, genesis: BlockId, name: &str) -> Result<Self, String> {
        if self.genesis != genesis {
            return Err(format!("it holds shares of the chain with genesis {}, expected {genesis}", self.genesis));
        }
        if parse_segment_name(name) != Some(self.first) {
            return Err(format!("its first share is {}, its name says otherwise", self.first));
        }
        Ok(self)
    }

    /// What the next segment names this one by.
    pub(crate) fn hash(&self) -> [u8; 32] {
        tagged_hash("BQ/share-segment", &[&self.bytes])
    }
}
