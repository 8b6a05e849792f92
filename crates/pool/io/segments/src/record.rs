use bq_mining_message::SharePay;
use bq_primitives::{
    Algorithm, BlockId, DecodeError, Decoder, Height, KeyHash, NetworkDifficulty, ShareDifficulty, WorkerName,
};

use crate::header::SegmentHeader;

/// Bytes of the records, their checksums included.
pub(crate) const MINER_BYTES: usize = 1 + 32 + 1 + WorkerName::CHARS_MAX + CHECKSUM_BYTES;
pub(crate) const JOB_BYTES: usize = 1 + 1 + 4 + NETWORK_BYTES + CHECKSUM_BYTES;
const PAID_JOB_BYTES: usize = JOB_BYTES + SharePay::BYTES_MAX;
pub(crate) const SHARE_BYTES: usize = 1 + 2 + 2 + 8 + 4 + CHECKSUM_BYTES;
pub(crate) const BLOCK_BYTES: usize = SHARE_BYTES + 32;
/// The most that one share takes: its miner and its job may be new.
pub(crate) const APPEND_BYTES_MAX: usize = MINER_BYTES + PAID_JOB_BYTES + BLOCK_BYTES;

const CHECKSUM_BYTES: usize = 4;
/// [`NetworkDifficulty::MAX`] is 2^96 - 1.
const NETWORK_BYTES: usize = 12;

const MINER: u8 = 1;
const JOB: u8 = 2;
const SHARE: u8 = 3;
const BLOCK: u8 = 4;
/// A job whose shares are not paid by their lane's window.
const PAID_JOB: u8 = 5;

/// Who worked: a payee and one of its machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Miner {
    pub(crate) payee: KeyHash,
    pub(crate) worker: WorkerName,
}

/// On what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) algorithm: Algorithm,
    pub(crate) height: Height,
    pub(crate) network_difficulty: NetworkDifficulty,
    pub(crate) pay: SharePay,
}

/// A share by the numbers of its miner and job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) difficulty: ShareDifficulty,
    /// Milliseconds from the segment's base time.
    pub(crate) delta_ms: i32,
    pub(crate) miner: u16,
    pub(crate) job: u16,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordFault {
    #[error("the file ends inside the record")]
    Short,
    #[error("there is no record of kind {0}")]
    Kind(u8),
    #[error("the checksum does not match")]
    Checksum,
    /// Cannot come from a crash: the checksum is good.
    #[error("the {0} is impossible")]
    Content(&'static str),
}

/// What the checksums of a segment's records start from, so that a record is good in its own place of its own file only: old
/// blocks that a file system hands back after a crash are none of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salt(u32);

impl Salt {
    pub(crate) fn of(header: SegmentHeader) -> Self {
        let bytes = header.to_bytes();
        Self(bytes.last_chunk().map_or(0, |checksum| u32::from_le_bytes(*checksum)))
    }

    fn checksum(self, offset: usize, covered: &[u8]) -> [u8; CHECKSUM_BYTES] {
        // A segment is far shorter than 4 GiB; a longer one would only repeat the salts.
        let low = u32::try_from(offset & 0xffff_ffff).unwrap_or_default();
        crc32c::crc32c_append(self.0 ^ low, covered).to_le_bytes()
    }
}

/// Encodes records that go to one place of a file, one after the other.
pub(crate) struct RecordWriter {
    salt: Salt,
    offset: usize,
    bytes: Vec<u8>,
}

impl RecordWriter {
    /// Records from `offset` of the file on.
    pub(crate) fn new(salt: Salt, offset: u64) -> Self {
        Self { salt, offset: usize::try_from(offset).unwrap_or(usize::MAX), bytes: Vec::new() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn miner(&mut self, payee: &KeyHash, worker: &WorkerName) {
        self.record(MINER, |bytes| {
            let end = bytes.len() + MINER_BYTES - 1 - CHECKSUM_BYTES;
            let name = worker.as_str().as_bytes();
            bytes.extend(payee.0);
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend(name);
            bytes.resize(end, 0);
        });
    }

    pub(crate) fn job(&mut self, job: Job) {
        let is_of_window = job.pay == SharePay::Window;
        self.record(if is_of_window { JOB } else { PAID_JOB }, |bytes| {
            bytes.push(job.algorithm.id());
            bytes.extend(job.height.0.to_le_bytes());
            bytes.extend(&job.network_difficulty.hashes().to_le_bytes()[..NETWORK_BYTES]);
            if !is_of_window {
                let end = bytes.len() + SharePay::BYTES_MAX;
                job.pay.encode(bytes);
                bytes.resize(end, 0);
            }
        });
    }

    pub(crate) fn share(&mut self, row: Row, block: Option<BlockId>) {
        self.record(if block.is_some() { BLOCK } else { SHARE }, |bytes| {
            bytes.extend(row.miner.to_le_bytes());
            bytes.extend(row.job.to_le_bytes());
            bytes.extend(row.difficulty.hashes().to_le_bytes());
            bytes.extend(row.delta_ms.to_le_bytes());
            bytes.extend(block.iter().flat_map(|id| id.0));
        });
    }

    fn record(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.push(kind);
        body(&mut self.bytes);
        let checksum = self.salt.checksum(self.offset.saturating_add(start), &self.bytes[start..]);
        self.bytes.extend(checksum);
    }
}

/// A record that was read.
#[derive(Debug)]
pub(crate) enum Record {
    Miner(Miner),
    Job(Job),
    Share(Row),
    Block(Row, BlockId),
}

impl Record {
    /// Reads the record at `offset` of a file, and how long it is.
    #[inline]
    pub(crate) fn read(file: &[u8], offset: usize, salt: Salt) -> Result<(Self, usize), RecordFault> {
        let rest = file.get(offset..).unwrap_or_default();
        let kind = *rest.first().ok_or(RecordFault::Short)?;
        match kind {
            SHARE => {
                let body = checked::<SHARE_BYTES>(rest, offset, salt)?;
                Ok((Self::Share(Row::read(body)?), SHARE_BYTES))
            }
            BLOCK => {
                let body = checked::<BLOCK_BYTES>(rest, offset, salt)?;
                let id = body[SHARE_BYTES - CHECKSUM_BYTES..].first_chunk().ok_or(RecordFault::Short)?;
                Ok((Self::Block(Row::read(body)?, BlockId(*id)), BLOCK_BYTES))
            }
            MINER => Ok((Self::Miner(Miner::read(checked::<MINER_BYTES>(rest, offset, salt)?)?), MINER_BYTES)),
            JOB => Ok((Self::Job(Job::read(checked::<JOB_BYTES>(rest, offset, salt)?)?), JOB_BYTES)),
            PAID_JOB => {
                let body = checked::<PAID_JOB_BYTES>(rest, offset, salt)?;
                Ok((Self::Job(Job::read_paid(body)?), PAID_JOB_BYTES))
            }
            other => Err(RecordFault::Kind(other)),
        }
    }
}

/// The bytes of a record whose checksum is good.
#[inline]
fn checked<const BYTES: usize>(rest: &[u8], offset: usize, salt: Salt) -> Result<&[u8; BYTES], RecordFault> {
    let record = rest.first_chunk::<BYTES>().ok_or(RecordFault::Short)?;
    let (covered, checksum) = record.split_at(BYTES - CHECKSUM_BYTES);
    if salt.checksum(offset, covered) == checksum { Ok(record) } else { Err(RecordFault::Checksum) }
}

impl Row {
    #[inline]
    fn read<const BYTES: usize>(record: &[u8; BYTES]) -> Result<Self, RecordFault> {
        let at = |from: usize| record.get(from..).unwrap_or_default();
        let miner = at(1).first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
        let job = at(3).first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
        let hashes = at(5).first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let delta_ms = at(13).first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
        let (Some(miner), Some(job), Some(hashes), Some(delta_ms)) = (miner, job, hashes, delta_ms) else {
            return Err(RecordFault::Short);
        };
        if hashes == 0 {
            return Err(RecordFault::Content("difficulty"));
        }
        Ok(Self { difficulty: ShareDifficulty::from_hashes(hashes), delta_ms, miner, job })
    }
}

impl Miner {
    fn read(record: &[u8; MINER_BYTES]) -> Result<Self, RecordFault> {
        let mut decoder = Decoder::new(&record[1..]);
        let fields = |decoder: &mut Decoder<'_>| -> Result<_, DecodeError> {
            Ok((decoder.array()?, decoder.u8()?, decoder.array::<{ WorkerName::CHARS_MAX }>()?))
        };
        let (payee, length, padded) = fields(&mut decoder).map_err(|_| RecordFault::Short)?;
        let impossible = RecordFault::Content("worker");
        let (name, padding) = padded.split_at_checked(usize::from(length)).ok_or(impossible)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(impossible);
        }
        let worker = std::str::from_utf8(name).ok().and_then(|name| WorkerName::new(name).ok()).ok_or(impossible)?;
        Ok(Self { payee: KeyHash(payee), worker })
    }
}

impl Job {
    fn read(record: &[u8; JOB_BYTES]) -> Result<Self, RecordFault> {
        Self::decode(&mut Decoder::new(&record[1..]))
    }

    fn read_paid(record: &[u8; PAID_JOB_BYTES]) -> Result<Self, RecordFault> {
        let mut decoder = Decoder::new(&record[1..PAID_JOB_BYTES - CHECKSUM_BYTES]);
        let job = Self::decode(&mut decoder)?;
        let pay = SharePay::decode(&mut decoder).map_err(|_| RecordFault::Content("pay"))?;
        let padding = decoder.bytes(decoder.remaining()).map_err(|_| RecordFault::Short)?;
        match padding.iter().all(|byte| *byte == 0) {
            true => Ok(Self { pay, ..job }),
            false => Err(RecordFault::Content("pay")),
        }
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, RecordFault> {
        let algorithm = decoder.algorithm().map_err(|_| RecordFault::Content("algorithm"))?;
        let fields =
            |decoder: &mut Decoder<'_>| -> Result<_, DecodeError> { Ok((decoder.height()?, decoder.array()?)) };
        let (height, low) = fields(decoder).map_err(|_| RecordFault::Short)?;
        let mut hashes = [0; 16];
        let low: [u8; NETWORK_BYTES] = low;
        hashes[..NETWORK_BYTES].copy_from_slice(&low);
        let network_difficulty = match u128::from_le_bytes(hashes) {
            0 => return Err(RecordFault::Content("network difficulty")),
            hashes => NetworkDifficulty::from_hashes(hashes),
        };
        Ok(Self { algorithm, height, network_difficulty, pay: SharePay::Window })
    }
}
