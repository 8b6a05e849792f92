use std::sync::LazyLock;

use bq_pow::{EthashWorkHash, PowError, ethash_final, ethash_work_hash, randomx_blob, sha256d_work_header};
use bq_primitives::{Algorithm, BlockId, PowHash, PowKey, PowValue, Seal, TaggedHasher, Target, double_sha256};
use bq_share::{Claim, Evaluation, Evaluator, ShareCandidate};
use bq_stratum_client::{Found, Proof, Work};

static RANDOMX: LazyLock<TaggedHasher> = LazyLock::new(|| TaggedHasher::new("BQ/lottery/randomx"));
static ETHASH_MIX: LazyLock<TaggedHasher> = LazyLock::new(|| TaggedHasher::new("BQ/lottery/ethash-mix"));

/// Proof of work without its cost: every hash is a lot that nobody can choose, drawn from exactly the bytes that the algorithm
/// would hash. SHA-256d is itself; of RandomX and of Ethash's mix only the tables are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lottery {
    /// Takes the miner's word for what its work comes to: a planted bug.
    pub(crate) trusts_claims: bool,
}

impl Evaluator for Lottery {
    fn evaluate(&self, _key: PowKey, candidates: &[&ShareCandidate]) -> Result<Vec<Evaluation>, PowError> {
        Ok(candidates.iter().map(|candidate| self.lot(candidate)).collect())
    }
}

impl Lottery {
    /// What a candidate comes to.
    pub(crate) fn lot(self, candidate: &ShareCandidate) -> Evaluation {
        let template = &candidate.template;
        let plain = |hash| Evaluation { hash, mix: [0; 32] };
        match (candidate.seal, template.key, candidate.claim) {
            (_, _, Claim::RandomX(result)) if self.trusts_claims => plain(PowHash(result)),
            (Seal::Sha256d { extranonce, version, ntime, nonce }, _, _) => {
                let (header, seal_hash) = (&template.header, &template.seal_hash);
                plain(PowHash(double_sha256(&sha256d_work_header(
                    header,
                    seal_hash,
                    &extranonce,
                    version,
                    ntime,
                    nonce,
                ))))
            }
            (Seal::RandomX { extranonce, nonce }, PowKey::RandomX(key), _) => {
                plain(randomx(&key, &randomx_blob(&template.header, &template.seal_hash, &extranonce, nonce)))
            }
            (Seal::Ethash { extranonce, nonce, .. }, _, _) => {
                let work_hash = ethash_work_hash(&template.seal_hash, &extranonce);
                let mix = ethash_mix(&work_hash, nonce);
                Evaluation { hash: ethash_final(&work_hash, nonce, &mix), mix }
            }
            // A RandomX seal on a template without a RandomX key is no template of ours.
            (Seal::RandomX { .. }, _, _) => plain(PowHash([0xff; 32])),
        }
    }
}

fn randomx(key: &BlockId, blob: &[u8]) -> PowHash {
    PowHash(RANDOMX.hash(&[&key.0, blob]))
}

fn ethash_mix(work_hash: &EthashWorkHash, nonce: u64) -> [u8; 32] {
    ETHASH_MIX.hash(&[&work_hash.0, &nonce.to_be_bytes()])
}

/// A miner's side of the lottery: it knows of its work what it was told, and nothing else.
pub(crate) struct Drawer<'a> {
    work: &'a Work,
    /// Of SHA-256d: made once for many nonces.
    header: [u8; 80],
    extranonce2: Vec<u8>,
}

impl<'a> Drawer<'a> {
    /// Draws on `work`; `round` is the miner's own part of it, where it has one.
    pub(crate) fn new(work: &'a Work, round: u32) -> Self {
        let (header, extranonce2) = match work {
            Work::Sha256d(template) => {
                let extranonce2 = template.extranonce2(round.into()).unwrap_or_default();
                (template.header(&extranonce2), extranonce2)
            }
            Work::RandomX { .. } | Work::Ethash { .. } => ([0; 80], Vec::new()),
        };
        Self { work, header, extranonce2 }
    }

    /// One lot.
    pub(crate) fn draw(&self, nonce: u32) -> Found {
        match self.work {
            Work::Sha256d(_) => {
                let mut header = self.header;
                header[76..].copy_from_slice(&nonce.to_le_bytes());
                let proof = Proof::Sha256d { extranonce2: self.extranonce2.clone(), nonce };
                Found { proof, value: PowHash(double_sha256(&header)) }
            }
            Work::RandomX { blob, key, .. } => {
                let mut blob = blob.clone();
                blob[39..43].copy_from_slice(&nonce.to_le_bytes());
                Found { proof: Proof::RandomX { nonce }, value: randomx(key, &blob) }
            }
            Work::Ethash { work_hash, first_nonce, .. } => {
                let nonce = first_nonce.wrapping_add(nonce.into());
                let mix = ethash_mix(work_hash, nonce);
                Found { proof: Proof::Ethash { nonce, mix }, value: ethash_final(work_hash, nonce, &mix) }
            }
        }
    }
}

/// Whether what was drawn is as low as a target asks for.
pub(crate) fn meets(algorithm: Algorithm, value: &PowHash, target: &Target) -> bool {
    PowValue::of(algorithm, value).meets(target)
}
