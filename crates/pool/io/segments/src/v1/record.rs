use bq_ledger::ShareWeight;
use bq_mining_message::ShareSequence;
use bq_primitives::{AccountId, BlockId, DecodeError, Decoder, NetworkDifficulty, ShareDifficulty, WorkerName};

use super::{ShareV1, segment::HEADER_BYTES};

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
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

/// All shares of a file until a record is bad, how far they reach, and why it is.
pub(crate) fn read_all(file: &[u8], first: ShareSequence) -> (Vec<ShareV1>, usize, Option<Fault>) {
    let (mut shares, mut length, mut expected) = (Vec::new(), HEADER_BYTES, first);
    while length < file.len() {
        let decoded = decode(&file[length..]).and_then(|(share, used)| {
            let got = share.sequence;
            if got == expected { Ok((share, used)) } else { Err(Fault::Sequence { got, expected }) }
        });
        match decoded {
            Ok((share, used)) => {
                shares.push(share);
                length += used;
                expected = expected.next();
            }
            Err(fault) => return (shares, length, Some(fault)),
        }
    }
    (shares, length, None)
}

impl Fault {
    /// Whether a crash can have left this: nothing whole follows.
    pub(crate) fn is_torn(self, file: &[u8], bad: usize) -> bool {
        let can_be = matches!(self, Self::Short | Self::Length(_) | Self::Checksum);
        can_be && !(bad + 1..file.len()).any(|offset| decode(&file[offset..]).is_ok())
    }
}

/// Length, body, CRC-32C of both; integers little-endian. Returns the bytes used too.
fn decode(bytes: &[u8]) -> Result<(ShareV1, usize), Fault> {
    let (prefix, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(Fault::Short)?;
    let length = u16::from_le_bytes(*prefix);
    let body_len = usize::from(length);
    if !(BODY_BYTES_MIN..=BODY_BYTES_MAX).contains(&body_len) {
        return Err(Fault::Length(length));
    }
    let (body, rest) = rest.split_at_checked(body_len).ok_or(Fault::Short)?;
    let checksum = rest.first_chunk::<CHECKSUM_BYTES>().ok_or(Fault::Short)?;
    let covered = &bytes[..LENGTH_BYTES + body_len];
    if crc32c::crc32c(covered) != u32::from_le_bytes(*checksum) {
        return Err(Fault::Checksum);
    }
    let share = decode_body(body).map_err(|_| Fault::Content)?.ok_or(Fault::Content)?;
    Ok((share, covered.len() + CHECKSUM_BYTES))
}

fn decode_body(body: &[u8]) -> Result<Option<ShareV1>, DecodeError> {
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
    let is_weight = ShareWeight::of(difficulty, network_difficulty).parts() == weight;
    let share =
        ShareV1 { sequence, algorithm, account, worker, difficulty, network_difficulty, height, time_ms, block_id };
    Ok(is_weight.then_some(share))
}
