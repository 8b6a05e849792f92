use bq_ledger::{ShareSequence, ShareWeight};
use bq_primitives::{
    AccountId, Algorithm, BlockId, DecodeError, Decoder, Height, NetworkDifficulty, ShareDifficulty, WorkerName,
};

/// A share that was verified in full and is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShare {
    /// The lane.
    pub algorithm: Algorithm,
    /// Who is credited.
    pub account: AccountId,
    /// Which machine.
    pub worker: WorkerName,
    /// What the share was worth when its job was sent.
    pub difficulty: ShareDifficulty,
    /// What a block was worth then.
    pub network_difficulty: NetworkDifficulty,
    /// Height of the job.
    pub height: Height,
    /// When it was accepted, in milliseconds since 1970; informational.
    pub time_ms: u64,
    /// The block's id when the share is one.
    pub block_id: Option<BlockId>,
}

/// A share as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRecord {
    /// Its position.
    pub sequence: ShareSequence,
    /// Its weight (SPEC 8.1).
    pub weight: ShareWeight,
    /// The rest.
    pub share: NewShare,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordFault {
    #[error("the file ends inside the record")]
    Short,
    #[error("the length {0} is impossible")]
    Length(u16),
    #[error("the checksum does not match")]
    Checksum,
    #[error("the checksum matches but the content cannot be read")]
    Content,
    #[error("share {got} where {expected} was expected")]
    Sequence { got: ShareSequence, expected: ShareSequence },
}

const LENGTH_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 4;
const FIXED_BYTES: usize = 8 + 1 + 4 + 8 + 16 + 8 + 4 + 8 + 1;
const BODY_BYTES_MIN: usize = FIXED_BYTES + 2;
const BODY_BYTES_MAX: usize = FIXED_BYTES + 32 + 1 + WorkerName::CHARS_MAX;

/// The largest record on disk.
pub(crate) const RECORD_BYTES_MAX: usize = LENGTH_BYTES + BODY_BYTES_MAX + CHECKSUM_BYTES;
/// The smallest record on disk.
pub(crate) const RECORD_BYTES_MIN: usize = LENGTH_BYTES + BODY_BYTES_MIN + CHECKSUM_BYTES;

impl ShareRecord {
    /// The record of a share at its position.
    #[must_use]
    pub fn new(sequence: ShareSequence, share: NewShare) -> Self {
        Self { sequence, weight: ShareWeight::of(share.difficulty, share.network_difficulty), share }
    }

    /// Length, body, CRC-32C of both; integers little-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let body = self.body();
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(RECORD_BYTES_MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend(body);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    fn body(&self) -> Vec<u8> {
        let Self { sequence, weight, share } = self;
        let mut body = Vec::with_capacity(BODY_BYTES_MAX);
        body.extend(sequence.0.to_le_bytes());
        body.push(share.algorithm.id());
        body.extend(share.account.0.to_le_bytes());
        body.extend(share.difficulty.hashes().to_le_bytes());
        body.extend(share.network_difficulty.hashes().to_le_bytes());
        body.extend(weight.parts().to_le_bytes());
        body.extend(share.height.0.to_le_bytes());
        body.extend(share.time_ms.to_le_bytes());
        body.push(u8::from(share.block_id.is_some()));
        if let Some(id) = share.block_id {
            body.extend(id.0);
        }
        let worker = share.worker.as_str().as_bytes();
        body.push(u8::try_from(worker.len()).unwrap_or(u8::MAX));
        body.extend(worker);
        body
    }

    /// Reads the record at the start of `bytes`, and how long it is.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, usize), RecordFault> {
        let (prefix, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(RecordFault::Short)?;
        let length = u16::from_le_bytes(*prefix);
        let body_len = usize::from(length);
        if !(BODY_BYTES_MIN..=BODY_BYTES_MAX).contains(&body_len) {
            return Err(RecordFault::Length(length));
        }
        let (body, rest) = rest.split_at_checked(body_len).ok_or(RecordFault::Short)?;
        let checksum = rest.first_chunk::<CHECKSUM_BYTES>().ok_or(RecordFault::Short)?;
        let covered = &bytes[..LENGTH_BYTES + body_len];
        if crc32c::crc32c(covered) != u32::from_le_bytes(*checksum) {
            return Err(RecordFault::Checksum);
        }
        let record = Self::decode_body(body).map_err(|_| RecordFault::Content)?.ok_or(RecordFault::Content)?;
        Ok((record, covered.len() + CHECKSUM_BYTES))
    }

    fn decode_body(body: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut decoder = Decoder::new(body);
        let sequence = ShareSequence(decoder.u64()?);
        let algorithm = decoder.algorithm()?;
        let account = AccountId(decoder.u32()?);
        let difficulty = ShareDifficulty::from_hashes(decoder.u64()?);
        let network_difficulty = NetworkDifficulty::from_hashes(u128::from_le_bytes(decoder.array()?));
        let weight = decoder.u64()?;
        let height = decoder.height()?;
        let time_ms = decoder.u64()?;
        let block_id = match decoder.u8()? {
            0 => None,
            1 => Some(BlockId(decoder.array()?)),
            _ => return Ok(None),
        };
        let worker_len = usize::from(decoder.u8()?);
        let worker = std::str::from_utf8(decoder.bytes(worker_len)?).ok().and_then(|name| WorkerName::new(name).ok());
        decoder.finish()?;
        let Some(worker) = worker else { return Ok(None) };
        let share = NewShare { algorithm, account, worker, difficulty, network_difficulty, height, time_ms, block_id };
        let record = Self::new(sequence, share);
        // The weight is stored for readers in other languages; it must be the one that the difficulties give.
        Ok(Some(record).filter(|record| record.weight.parts() == weight))
    }

    /// The sequence number that stands at the start of `bytes` if a record does; unchecked.
    pub(crate) fn peek_sequence(bytes: &[u8]) -> Option<ShareSequence> {
        let sequence = bytes.get(LENGTH_BYTES..)?.first_chunk::<8>()?;
        Some(ShareSequence(u64::from_le_bytes(*sequence)))
    }
}
