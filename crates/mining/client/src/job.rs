use bq_pow::EthashWorkHash;
use bq_primitives::{Algorithm, BlockId, PowHash, PowKey, Target, double_sha256};

/// One piece of work from a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The pool's name for it.
    pub id: String,
    /// What a share must meet.
    pub target: Target,
    /// Work on older jobs is worthless: the pool says so, or its block has another height.
    pub is_clean: bool,
    /// The pool may tell the height of its block.
    pub height: Option<u64>,
    /// What to hash.
    pub work: Work,
}

impl Job {
    /// A job that makes all older ones worthless.
    pub(crate) const fn new(id: String, target: Target, work: Work) -> Self {
        Self { id, target, is_clean: true, height: None, work }
    }
}

/// A share on its way to the pool.
#[derive(Clone, Copy, Debug)]
pub struct FoundShare<'a> {
    /// The pool's name for its job.
    pub job_id: &'a str,
    /// What was hashed.
    pub work: &'a Work,
    /// What came of it.
    pub found: &'a Found,
}

/// What to hash, by algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A Bitcoin-shaped header.
    Sha256d(Sha256dTemplate),
    /// A blob with a nonce inside.
    RandomX {
        /// The nonce at offset 39 is ours to fill in.
        blob: Vec<u8>,
        /// Which table.
        key: BlockId,
        /// The last byte of the nonce is the pool's, which shares the blob among miners.
        is_top_byte_fixed: bool,
    },
    /// A header hash.
    Ethash {
        /// What is worked on.
        work_hash: EthashWorkHash,
        /// Which table.
        epoch: u32,
        /// Where to begin, the pool's extranonce (if it gave one) in the most significant bits.
        first_nonce: u64,
        /// Bits of the nonce that are ours; the others stay as they are in `first_nonce`.
        nonce_bits: u32,
    },
}

/// A Bitcoin-shaped work header with room for our extranonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sha256dTemplate {
    /// Bits of it that may be rolled are left alone.
    pub version: u32,
    /// In header byte order.
    pub prev_hash: [u8; 32],
    /// `coinb1` and the pool's extranonce.
    pub coinbase_head: Vec<u8>,
    /// How long our part is.
    pub extranonce2_bytes: usize,
    /// `coinb2`.
    pub coinbase_tail: Vec<u8>,
    /// Hashes on the way from the coinbase to the root.
    pub branches: Vec<[u8; 32]>,
    /// Time field.
    pub ntime: u32,
    /// Bits field.
    pub bits: u32,
}

/// A hash that meets the share target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What the pool is told.
    pub proof: Proof,
    /// In the algorithm's byte order.
    pub value: PowHash,
}

/// What the pool is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Our part of the extranonce, and the nonce.
    Sha256d {
        /// As long as the pool said.
        extranonce2: Vec<u8>,
        /// Of the header.
        nonce: u32,
    },
    /// The nonce.
    RandomX {
        /// At offset 39.
        nonce: u32,
    },
    /// The nonce and its mix.
    Ethash {
        /// All 64 bits.
        nonce: u64,
        /// The mix digest.
        mix: [u8; 32],
    },
}

impl Work {
    /// Whose work it is.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256d(_) => Algorithm::Sha256d,
            Self::RandomX { .. } => Algorithm::RandomX,
            Self::Ethash { .. } => Algorithm::Ethash,
        }
    }

    /// Which tables hashing takes.
    #[must_use]
    pub const fn key(&self) -> PowKey {
        match self {
            Self::Sha256d(_) => PowKey::Sha256d,
            Self::RandomX { key, .. } => PowKey::RandomX(*key),
            Self::Ethash { epoch, .. } => PowKey::Ethash(*epoch),
        }
    }
}

impl Sha256dTemplate {
    /// The bytes of the `number`th extranonce, most significant last; nothing past the end of the room there is.
    #[must_use]
    pub fn extranonce2(&self, number: u64) -> Option<Vec<u8>> {
        let mut bytes = number.to_le_bytes().to_vec();
        let fits = bytes.iter().skip(self.extranonce2_bytes).all(|byte| *byte == 0);
        bytes.resize(self.extranonce2_bytes, 0);
        fits.then_some(bytes)
    }

    /// The work header for an extranonce, its nonce zero.
    #[must_use]
    pub fn header(&self, extranonce2: &[u8]) -> [u8; 80] {
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
