use std::{collections::VecDeque, sync::Arc};

use bq_pow::{ETHASH_EPOCH_MAX, coinbase_parts, ethash_seed, ethash_work_hash};
use bq_primitives::{
    AccountId, Algorithm, BlockId, ExtraNonce, Header, NetworkDifficulty, PowKey, Seal, SealHash, ShareDifficulty,
    Target, Transaction, WorkerName,
};

use crate::ExtranoncePrefix;

/// One unsealed block of one algorithm, ready to become jobs: made once and shared by every session.
#[derive(Clone, Debug)]
pub struct JobTemplate {
    /// The header to be sealed.
    pub header: Header,
    /// What every algorithm works on; the header's.
    pub seal_hash: SealHash,
    /// What a block must meet.
    pub target: Target,
    /// Expected hashes of a block: frozen with every share.
    pub network_difficulty: NetworkDifficulty,
    /// Which table the algorithm uses.
    pub key: PowKey,
    /// The body, for the block that a share may turn out to be. Opaque here.
    pub transactions: Arc<Vec<Transaction>>,
    pub(crate) wire: WireParts,
}

/// The parts of a job line that are the same for every connection, already in hex.
#[derive(Clone, Debug)]
pub(crate) enum WireParts {
    Sha256d { parent: String, prefix: String, suffix: String, bits: String },
    RandomX { seed: String },
    Ethash { seed: String, epoch: u32 },
}

impl JobTemplate {
    /// A template; nothing if `key` is not a key of the header's algorithm, or an epoch that has no seed.
    #[must_use]
    pub fn new(header: Header, target: Target, key: PowKey, transactions: Arc<Vec<Transaction>>) -> Option<Self> {
        Self::with_seal_hash(header, header.seal_hash(), target, key, transactions)
    }

    /// As [`JobTemplate::new`]; published examples name a seal hash that no header has.
    pub(crate) fn with_seal_hash(
        header: Header,
        seal_hash: SealHash,
        target: Target,
        key: PowKey,
        transactions: Arc<Vec<Transaction>>,
    ) -> Option<Self> {
        let wire = match (header.algorithm, key) {
            (Algorithm::Sha256d, PowKey::Sha256d) => {
                let parts = coinbase_parts(&seal_hash, header.height);
                WireParts::Sha256d {
                    parent: hex::encode(word_swapped(&header.parent_id)),
                    prefix: hex::encode(&parts.prefix),
                    suffix: hex::encode(parts.suffix),
                    bits: header.bits.to_string(),
                }
            }
            (Algorithm::RandomX, PowKey::RandomX(key)) => WireParts::RandomX { seed: key.to_string() },
            (Algorithm::Ethash, PowKey::Ethash(epoch)) => {
                WireParts::Ethash { seed: hex::encode(seed_of(epoch)?), epoch }
            }
            _ => return None,
        };
        let network_difficulty = NetworkDifficulty::of_target(target);
        Some(Self { header, seal_hash, target, network_difficulty, key, transactions, wire })
    }

    /// The algorithm that seals it.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.header.algorithm
    }

    /// The tip it builds on.
    #[must_use]
    pub const fn parent_id(&self) -> BlockId {
        self.header.parent_id
    }
}

fn seed_of(epoch: u32) -> Option<[u8; 32]> {
    (epoch <= ETHASH_EPOCH_MAX).then(|| ethash_seed(epoch))
}

/// Stratum's spelling of a parent: the bytes of each 4-byte word reversed.
fn word_swapped(id: &BlockId) -> [u8; 32] {
    let mut bytes = id.0;
    for word in bytes.chunks_exact_mut(4) {
        word.reverse();
    }
    bytes
}

/// A machine that is logged in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Miner {
    pub(crate) account: AccountId,
    pub(crate) address: String,
    pub(crate) worker: WorkerName,
}

/// What one connection was told to work on. Difficulty and account are frozen here, and a share is credited by these
/// whatever changed since.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Unique within the connection; eight hex digits on the wire.
    pub(crate) id: u32,
    pub(crate) template: Arc<JobTemplate>,
    pub(crate) miner: Arc<Miner>,
    pub(crate) difficulty: ShareDifficulty,
    pub(crate) work: JobWork,
}

/// The part of a job's content that no other job has (SPEC 11.2): whatever a miner rolls, a hash found for one job is of
/// no use for another, so that no difficulty can be chosen after hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobWork {
    /// The first half of X is the job's own; the miner rolls the second.
    Sha256d {
        head: [u8; 8],
        ntime: u32,
    },
    RandomX {
        extranonce: ExtraNonce,
    },
    Ethash {
        extranonce: ExtraNonce,
        work_hash: [u8; 32],
    },
}

impl Job {
    pub(crate) fn id_hex(&self) -> String {
        format!("{:08x}", self.id)
    }
}

/// The last jobs of one connection, newest last.
#[derive(Debug, Default)]
pub(crate) struct JobBook {
    jobs: VecDeque<Job>,
}

/// Jobs remembered per connection: 4 minutes' worth at one refresh per 30 s.
const JOBS_KEPT: usize = 8;

impl JobBook {
    pub(crate) fn add(&mut self, job: Job) {
        if self.jobs.len() >= JOBS_KEPT {
            self.jobs.pop_front();
        }
        self.jobs.push_back(job);
    }

    pub(crate) fn newest(&self) -> Option<&Job> {
        self.jobs.back()
    }

    /// The job with this id as the miner wrote it.
    pub(crate) fn by_id(&self, text: &str) -> Option<&Job> {
        let mut id = [0; 4];
        hex::decode_to_slice(text, &mut id).ok()?;
        let id = u32::from_be_bytes(id);
        self.jobs.iter().find(|job| job.id == id)
    }

    /// The Ethash job with this work hash.
    pub(crate) fn by_work_hash(&self, hash: &[u8; 32]) -> Option<&Job> {
        self.jobs.iter().find(|job| matches!(&job.work, JobWork::Ethash { work_hash, .. } if work_hash == hash))
    }
}

/// The first half of X: the front end, the job, the connection (SPEC 11.2).
pub(crate) const fn extranonce_head(prefix: ExtranoncePrefix, job_id: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (prefix.of_job(job_id), prefix.extranonce1());
    [a, b, c, d, e, f, g, h]
}

/// X from its two halves.
pub(crate) fn joined_extranonce(head: [u8; 8], rest: [u8; 8]) -> ExtraNonce {
    let mut bytes = [0; 16];
    for (byte, value) in bytes.iter_mut().zip(head.into_iter().chain(rest)) {
        *byte = value;
    }
    ExtraNonce(bytes)
}

pub(crate) fn ethash_work(template: &JobTemplate, extranonce: ExtraNonce) -> JobWork {
    let work_hash = ethash_work_hash(&template.seal_hash, &extranonce).0;
    JobWork::Ethash { extranonce, work_hash }
}

/// A share as decoded, before it is known to be worth anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodedShare {
    pub(crate) seal: Seal,
    pub(crate) claim: crate::Claim,
    pub(crate) share_target: Target,
}
