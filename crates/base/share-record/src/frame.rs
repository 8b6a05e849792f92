use std::sync::LazyLock;

use bq_primitives::{TaggedHasher, tagged_hash};

use crate::{BootEpoch, FrontEndId, Share, ShareSequence};

static NODE: LazyLock<TaggedHasher> = LazyLock::new(|| TaggedHasher::new("BQIP0002/frame-node"));

/// The most shares of one frame.
pub const FRAME_SHARES_MAX: usize = 256;

/// A run of one front end's shares, as the books take it: whole, once, in order. Its content lies in the front end's share
/// log; the digest binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FrameHeader {
    /// Who took the shares.
    pub front_end: FrontEndId,
    /// Which start of the front end cut this frame.
    pub epoch: BootEpoch,
    /// Position of its first share.
    pub first: ShareSequence,
    /// How many, 1 to [`FRAME_SHARES_MAX`].
    pub count: u16,
    /// Root of the tree over its shares.
    pub digest: FrameDigest,
}

impl FrameHeader {
    /// Position after its last share.
    #[must_use]
    pub const fn end(&self) -> ShareSequence {
        self.first.after(self.count as u64)
    }
}

/// Root of the binary tree over the leaves of a frame's shares ([`Share::leaf`]): `node = T("BQIP0002/frame-node", left || right)`;
/// a node without a right neighbour goes up unchanged; a proof of one share is its path. The root binds the count:
/// `T("BQIP0002/frame", count || top)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FrameDigest(pub [u8; 32]);

impl FrameDigest {
    /// The digest of these shares, in order.
    #[must_use]
    pub fn of<'a>(shares: impl IntoIterator<Item = &'a Share>) -> Self {
        Self::of_leaves(shares.into_iter().map(Share::leaf).collect())
    }

    /// The digest over leaves that are known already.
    #[must_use]
    pub fn of_leaves(mut level: Vec<[u8; 32]>) -> Self {
        let count = u64::try_from(level.len()).unwrap_or(u64::MAX);
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => NODE.hash(&[left, right]),
                    [alone] => *alone,
                    _ => [0; 32],
                })
                .collect();
        }
        let top = level.first().copied().unwrap_or_default();
        Self(tagged_hash("BQIP0002/frame", &[&count.to_le_bytes(), &top]))
    }
}
