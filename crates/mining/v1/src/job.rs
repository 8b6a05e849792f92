use std::sync::Arc;

use bq_chain_api::TemplateWork;
use bq_mining_message::SharePay;
use bq_pow::{ETHASH_EPOCH_MAX, coinbase_parts, ethash_seed};
use bq_primitives::{Algorithm, BlockId, Header, KeyHash, PowKey, Target, UnsealedBody, WorkerName};
use bq_share::{Job, WorkTemplate};

/// One unsealed block of one algorithm, ready to become jobs: formatted once and shared by every session.
#[derive(Clone, Debug)]
pub struct JobTemplate {
    /// What is worked on.
    pub work: Arc<WorkTemplate>,
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
    pub fn new(header: Header, target: Target, key: PowKey, body: UnsealedBody) -> Option<Self> {
        Self::of(WorkTemplate::new(header, target, key, body))
    }

    /// The part of a block template that one algorithm seals, for shares that are paid so; nothing as with [`JobTemplate::new`].
    #[must_use]
    pub fn of_block(work: &TemplateWork, pay: SharePay) -> Option<Self> {
        Self::of(WorkTemplate::new(work.header, work.target, work.key, work.body.clone()).paid_by(pay))
    }

    pub(crate) fn of(work: WorkTemplate) -> Option<Self> {
        let header = &work.header;
        let wire = match (header.algorithm, work.key) {
            (Algorithm::Sha256d, PowKey::Sha256d) => {
                let parts = coinbase_parts(&work.seal_hash, header.height);
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
        Some(Self { work: Arc::new(work), wire })
    }

    /// The algorithm that seals it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.work.algorithm()
    }

    /// The tip it builds on.
    #[must_use]
    pub fn parent_id(&self) -> BlockId {
        self.work.parent_id()
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Miner {
    pub(crate) payee: KeyHash,
    pub(crate) address: String,
    pub(crate) worker: WorkerName,
}

/// A job with what its line is made of.
#[derive(Clone, Debug)]
pub(crate) struct WireJob {
    pub(crate) job: Job,
    pub(crate) template: Arc<JobTemplate>,
}

impl WireJob {
    /// Eight hex digits.
    pub(crate) fn id_hex(&self) -> String {
        format!("{:08x}", self.job.id.0)
    }
}
