use std::sync::atomic::{AtomicU64, Ordering};

use bq_pow::EthashWorkHash;
use bq_primitives::{Algorithm, BlockId, PowHash, PowKey, PowValue, Target, Work as BlockWork, double_sha256};

/// One piece of work from a pool. Threads share it and take turns at its nonces.
#[derive(Debug)]
pub(crate) struct Job {
    /// The pool's name for it.
    pub(crate) id: String,
    /// What a share must meet.
    pub(crate) target: Target,
    /// Work on older jobs of the lane is worthless: the pool says so, or its block has another height.
    pub(crate) is_clean: bool,
    /// The pool may tell the height of its block.
    pub(crate) height: Option<u64>,
    /// What to hash.
    pub(crate) work: Work,
    /// Grows with each job that makes older ones worthless, and with each connection: see [`crate::shared::Lane`].
    pub(crate) generation: u64,
    /// Units of work handed out so far; their size depends on the algorithm. See [`Job::take`].
    pub(crate) taken: AtomicU64,
}

/// What to hash, by algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Sha256d(Sha256dTemplate),
    RandomX {
        /// The nonce at offset 39 is ours to fill in.
        blob: Vec<u8>,
        key: BlockId,
        /// The last byte of the nonce is the pool's, which shares the blob among miners.
        is_top_byte_fixed: bool,
    },
    Ethash {
        work_hash: EthashWorkHash,
        epoch: u32,
        /// Where to begin, the pool's extranonce (if it gave one) in the most significant bits.
        first_nonce: u64,
        /// Bits of the nonce that are ours; the others stay as they are in `first_nonce`.
        nonce_bits: u32,
    },
}

/// A Bitcoin-shaped work header with room for our extranonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sha256dTemplate {
    pub(crate) version: u32,
    /// In header byte order.
    pub(crate) prev_hash: [u8; 32],
    /// `coinb1` and the pool's extranonce.
    pub(crate) coinbase_head: Vec<u8>,
    pub(crate) extranonce2_bytes: usize,
    pub(crate) coinbase_tail: Vec<u8>,
    pub(crate) branches: Vec<[u8; 32]>,
    pub(crate) ntime: u32,
    pub(crate) bits: u32,
}

/// A hash that meets the share target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) proof: Proof,
    /// In the algorithm's byte order.
    pub(crate) value: PowHash,
}

/// What the pool is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Sha256d { extranonce2: Vec<u8>, nonce: u32 },
    RandomX { nonce: u32 },
    Ethash { nonce: u64, mix: [u8; 32] },
}

impl Job {
    /// A job that makes all older ones worthless.
    pub(crate) const fn new(id: String, target: Target, work: Work) -> Self {
        Self { id, target, is_clean: true, height: None, work, generation: 0, taken: AtomicU64::new(0) }
    }

    /// Expected hashes of a share.
    pub(crate) fn share_hashes(&self) -> f64 {
        f64::from(BlockWork::of_target(self.target).0)
    }

    /// Takes the next `count` units; returns the first.
    pub(crate) fn take(&self, count: u64) -> u64 {
        self.taken.fetch_add(count, Ordering::Relaxed)
    }

    /// A hash meets the share target.
    pub(crate) fn is_share(&self, value: &PowHash) -> bool {
        PowValue::of(self.work.algorithm(), value).meets(&self.target)
    }
}

impl Work {
    pub(crate) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256d(_) => Algorithm::Sha256d,
            Self::RandomX { .. } => Algorithm::RandomX,
            Self::Ethash { .. } => Algorithm::Ethash,
        }
    }

    /// Which tables hashing takes.
    pub(crate) const fn key(&self) -> PowKey {
        match self {
            Self::Sha256d(_) => PowKey::Sha256d,
            Self::RandomX { key, .. } => PowKey::RandomX(*key),
            Self::Ethash { epoch, .. } => PowKey::Ethash(*epoch),
        }
    }
}

impl Sha256dTemplate {
    /// The bytes of the `number`th extranonce, most significant last; nothing past the end of the room there is.
    pub(crate) fn extranonce2(&self, number: u64) -> Option<Vec<u8>> {
        let mut bytes = number.to_le_bytes().to_vec();
        let fits = bytes.iter().skip(self.extranonce2_bytes).all(|byte| *byte == 0);
        bytes.resize(self.extranonce2_bytes, 0);
        fits.then_some(bytes)
    }

    /// The work header for an extranonce, its nonce zero.
    pub(crate) fn header(&self, extranonce2: &[u8]) -> [u8; 80] {
        let coinbase = [self.coinbase_head.as_slice(), extranonce2, self.coinbase_tail.as_slice()].concat();
        let root = self.branches.iter().fold(double_sha256(&coinbase), |root, branch| {
            double_sha256(&[root.as_slice(), branch.as_slice()].concat())
        });
        let pieces: [&[u8]; 6] = [
            &self.version.to_le_bytes(),
            &self.prev_hash,
            &root,
            &self.ntime.to_le_bytes(),
            &self.bits.to_le_bytes(),
            &[0; 4],
        ];
        let mut header = [0; 80];
        for (byte, value) in header.iter_mut().zip(pieces.into_iter().flatten()) {
            *byte = *value;
        }
        header
    }
}
