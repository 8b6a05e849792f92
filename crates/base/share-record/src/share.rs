use std::{fmt, sync::LazyLock};

use bq_primitives::{
    Algorithm, BlockId, DecodeError, Decoder, Height, KeyHash, NetworkDifficulty, ShareDifficulty, TaggedHasher,
    WorkerName,
};

use crate::SharePay;

/// A share whose proof of work was verified in full: one value from the judge to the books. Difficulties are those frozen
/// with the work, never what the hash came to or what the client claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The key that is credited: from the connection's login, never from the submit alone. Not a local number, so that the
    /// share means the same to every machine and after every restore.
    pub payee: KeyHash,
    /// Which machine.
    pub worker: WorkerName,
    /// What the share is worth.
    pub difficulty: ShareDifficulty,
    /// What a block was worth then.
    pub network_difficulty: NetworkDifficulty,
    /// Height of the job.
    pub height: Height,
    /// When it was accepted, in milliseconds since 1970; informational.
    pub time_ms: u64,
    /// The block's id when the share is one.
    pub block_id: Option<BlockId>,
    /// What it is paid by.
    pub pay: SharePay,
}

/// Version of the encoding, its first byte: of a share that its lane's window pays.
const VERSION: u8 = 1;
/// Of any other.
const VERSION_WITH_PAY: u8 = 2;

static LEAF: LazyLock<TaggedHasher> = LazyLock::new(|| TaggedHasher::new("BQIP0002/share"));

impl Share {
    /// The longest encoding.
    pub const BYTES_MAX: usize = 1 + SharePay::BYTES_MAX + 1 + 32 + 8 + 16 + 4 + 8 + 1 + 32 + 1 + WorkerName::CHARS_MAX;

    /// Appends the canonical encoding: version, with version 2 what it is paid by, algorithm id, payee, difficulty, network difficulty,
    /// height, time, a byte that says whether a block id follows, worker name with its length. Integers little-endian.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(if self.pay == SharePay::Window { VERSION } else { VERSION_WITH_PAY });
        self.pay.encode(bytes);
        bytes.push(self.algorithm.id());
        bytes.extend(self.payee.0);
        bytes.extend(self.difficulty.hashes().to_le_bytes());
        bytes.extend(self.network_difficulty.hashes().to_le_bytes());
        bytes.extend(self.height.0.to_le_bytes());
        bytes.extend(self.time_ms.to_le_bytes());
        bytes.push(u8::from(self.block_id.is_some()));
        if let Some(id) = self.block_id {
            bytes.extend(id.0);
        }
        let worker = self.worker.as_str().as_bytes();
        bytes.push(u8::try_from(worker.len()).unwrap_or(u8::MAX));
        bytes.extend(worker);
    }

    /// Reads one share.
    ///
    /// # Errors
    /// [`MessageError`]: the bytes are no share of a version that is known.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, MessageError> {
        let pay = match decoder.u8()? {
            VERSION => SharePay::Window,
            VERSION_WITH_PAY => SharePay::decode(decoder)?,
            other => return Err(MessageError::Version(other)),
        };
        let algorithm = decoder.algorithm()?;
        let payee = KeyHash(decoder.array()?);
        let difficulty = match decoder.u64()? {
            0 => return Err(MessageError::Field("difficulty")),
            hashes => ShareDifficulty::from_hashes(hashes),
        };
        let hashes = u128::from_le_bytes(decoder.array()?);
        let network_difficulty = NetworkDifficulty::from_hashes(hashes);
        if network_difficulty.hashes() != hashes {
            return Err(MessageError::Field("network difficulty"));
        }
        let (height, time_ms) = (decoder.height()?, decoder.u64()?);
        let block_id = match decoder.u8()? {
            0 => None,
            1 => Some(BlockId(decoder.array()?)),
            _ => return Err(MessageError::Field("block flag")),
        };
        let length = usize::from(decoder.u8()?);
        let worker = std::str::from_utf8(decoder.bytes(length)?).ok().and_then(|name| WorkerName::new(name).ok());
        let worker = worker.ok_or(MessageError::Field("worker"))?;
        Ok(Self { algorithm, payee, worker, difficulty, network_difficulty, height, time_ms, block_id, pay })
    }

    /// What a frame's digest is made of: `T("BQIP0002/share", encoding)`.
    #[must_use]
    pub fn leaf(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(Self::BYTES_MAX);
        self.encode(&mut bytes);
        LEAF.hash(&[&bytes])
    }
}

/// Bytes that are no message of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// They end early, or a field is impossible.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A newer software wrote them.
    #[error("version {0} is not known")]
    Version(u8),
    /// A field holds what no writer puts there.
    #[error("the {0} is impossible")]
    Field(&'static str),
}

/// A machine that takes shares: it hands out its own work, so no two of them ever see the same share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct FrontEndId(pub u16);

/// Counts the starts of a front end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct BootEpoch(pub u32);

/// Position of a share in its front end's log: 1 for the first, without gaps, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ShareSequence(pub u64);

/// Names one share of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct SharePosition {
    /// Who took it.
    pub front_end: FrontEndId,
    /// Its place there.
    pub sequence: ShareSequence,
}

impl ShareSequence {
    /// The first share.
    pub const FIRST: Self = Self(1);

    /// The share after this one; stays at the end of `u64`.
    #[must_use]
    pub const fn next(self) -> Self {
        self.after(1)
    }

    /// The share `count` places further on; stays at the end of `u64`.
    #[must_use]
    pub const fn after(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Display for ShareSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for FrontEndId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SharePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.front_end, self.sequence)
    }
}
