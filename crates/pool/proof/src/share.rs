use std::sync::LazyLock;

use bq_mining_message::{FrameDigest, FrameHeader, MessageError, Share};
use bq_primitives::{DecodeError, Decoder, TaggedHasher, tagged_hash};
use serde::{Deserialize, Serialize};

use crate::{
    Bytes,
    document::grown,
    path::{Side, path_len, sides},
};

static NODE: LazyLock<TaggedHasher> = LazyLock::new(|| TaggedHasher::new("BQIP0002/frame-node"));

/// Proof that a share stands in a frame (SPEC 8.10.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareProof {
    /// The share's canonical encoding.
    pub share: Bytes,
    /// Its place in the frame, from 0.
    pub index: u16,
    /// How many shares the frame has.
    pub count: u16,
    /// What stands beside the way from its leaf to the top, from the bottom.
    #[serde(deserialize_with = "grown")]
    pub path: Vec<[u8; 32]>,
}

/// A share is not proved to stand in the frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareFault {
    /// Its bytes are no share.
    #[error("the share cannot be read: {0}")]
    Share(#[from] MessageError),
    /// The frame has no such place.
    #[error("place {index} of a frame of {count}")]
    Index {
        /// The place that is claimed.
        index: u16,
        /// Shares in the frame, as the proof has it.
        count: u16,
    },
    /// A path of another length than its place asks for.
    #[error("a path of {got} hashes, its place asks for {expected}")]
    PathLength {
        /// Hashes in the proof.
        got: usize,
        /// Hashes for this index and count.
        expected: usize,
    },
    /// It says another count than the frame.
    #[error("a frame of {got} shares, the log's has {expected}")]
    Count {
        /// In the proof.
        got: u16,
        /// In the frame's header.
        expected: u16,
    },
    /// It leads to another digest: the share, its place, or the path is not the frame's.
    #[error("it leads to another digest than that of the frame")]
    Digest {
        /// Where it leads.
        got: FrameDigest,
        /// In the frame's header.
        expected: FrameDigest,
    },
}

impl ShareProof {
    /// Proofs of every share of a frame, in order. Shares beyond the 65,535th, which no frame has, get none.
    #[must_use]
    pub fn all_of(shares: &[Share]) -> Vec<Self> {
        let count = u16::try_from(shares.len()).unwrap_or(u16::MAX);
        let levels = levels(shares);
        (0..count)
            .zip(shares)
            .map(|(index, share)| {
                let mut bytes = Vec::with_capacity(Share::BYTES_MAX);
                share.encode(&mut bytes);
                Self { share: Bytes(bytes), index, count, path: path_of(&levels, usize::from(index)) }
            })
            .collect()
    }

    /// The share, once it is proved to stand in this frame.
    ///
    /// # Errors
    /// [`ShareFault`].
    pub fn verify(&self, frame: &FrameHeader) -> Result<Share, ShareFault> {
        if self.count != frame.count {
            return Err(ShareFault::Count { got: self.count, expected: frame.count });
        }
        let (share, got) = self.digest()?;
        if got == frame.digest { Ok(share) } else { Err(ShareFault::Digest { got, expected: frame.digest }) }
    }

    /// The share, and the digest of the frame that it is proved to stand in.
    ///
    /// # Errors
    /// [`ShareFault`], of the proof alone.
    pub fn digest(&self) -> Result<(Share, FrameDigest), ShareFault> {
        let (index, count) = (usize::from(self.index), usize::from(self.count));
        if index >= count {
            return Err(ShareFault::Index { index: self.index, count: self.count });
        }
        let (got, expected) = (self.path.len(), path_len(index, count));
        if got != expected {
            return Err(ShareFault::PathLength { got, expected });
        }
        let share = read_share(&self.share.0)?;
        let top = sides(index, count).flatten().zip(&self.path).fold(share.leaf(), |hash, (side, beside)| match side {
            Side::Left => NODE.hash(&[beside, &hash]),
            Side::Right => NODE.hash(&[&hash, beside]),
        });
        let digest = tagged_hash("BQIP0002/frame", &[&u64::from(self.count).to_le_bytes(), &top]);
        Ok((share, FrameDigest(digest)))
    }
}

fn read_share(bytes: &[u8]) -> Result<Share, MessageError> {
    let mut decoder = Decoder::new(bytes);
    let share = Share::decode(&mut decoder)?;
    match decoder.remaining() {
        0 => Ok(share),
        left => Err(DecodeError::TrailingBytes(left).into()),
    }
}

/// Every level of a frame's tree, the leaves first.
fn levels(shares: &[Share]) -> Vec<Vec<[u8; 32]>> {
    let mut levels = Vec::new();
    let mut level: Vec<[u8; 32]> = shares.iter().map(Share::leaf).collect();
    while level.len() > 1 {
        let above = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => NODE.hash(&[left, right]),
                alone => alone.first().copied().unwrap_or_default(),
            })
            .collect();
        levels.push(std::mem::replace(&mut level, above));
    }
    levels
}

fn path_of(levels: &[Vec<[u8; 32]>], index: usize) -> Vec<[u8; 32]> {
    // The neighbour of a place differs in its last bit; it is missing beside a last one without a right neighbour.
    let beside = |(depth, level): (usize, &Vec<[u8; 32]>)| {
        let place = u32::try_from(depth).ok().and_then(|depth| index.checked_shr(depth)).unwrap_or(0);
        level.get(place ^ 1).copied()
    };
    levels.iter().enumerate().filter_map(beside).collect()
}
