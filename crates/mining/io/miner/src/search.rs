use std::sync::Arc;

use bq_pow::{EthashProof, PowError, PowVerifier, RANDOMX_INTERLEAVED, RandomXHasher, Sha256dWork};
use bq_primitives::PowHash;

use crate::{
    backend::{Backend, Step},
    job::{Found, Job, Proof, Sha256dTemplate, Work},
    kernel,
};

/// Nonces of one SHA-256d step: 4 to 25 milliseconds on one core, so that a new job is taken up at once.
pub(crate) const SHA256D_STEP: u64 = 1 << 18;
/// Steps until the 32-bit nonce of a work header is used up.
pub(crate) const SHA256D_STEPS_PER_HEADER: u64 = (1 << 32) / SHA256D_STEP;
/// The whole step at once.
const SHA256D_PORTION: u32 = 1 << 18;
/// Where shares are easier than this, a step ends with so many: a quarter of a million hits would take minutes to look at,
/// and no pool takes them.
const EASY_HASHES: f64 = 4096.0;
const EASY_PORTION: u32 = 1 << 8;
const FOUND_MAX: usize = 64;
/// Nonces of one Ethash step: one round of lock-step evaluation, some 4 milliseconds.
const ETHASH_LIGHT_STEP: u64 = 32;
/// The same with a full dataset: some 4 milliseconds.
const ETHASH_FULL_STEP: u64 = 8192;
/// Where the nonce lies in a RandomX blob.
const BLOB_NONCE: std::ops::Range<usize> = 39..43;

/// The processor as a [`Backend`]: one thread's state, which it would otherwise set up anew for each step.
#[derive(Default)]
pub(crate) struct Searcher {
    sha256d: Option<(Arc<Job>, Vec<u8>, Sha256dWork)>,
    randomx: Option<RandomXHasher>,
    /// The job and nonces that are in the RandomX pipeline.
    fed: Option<(Arc<Job>, Vec<u32>)>,
}

impl Backend for Searcher {
    type Error = PowError;

    fn step(&mut self, job: &Arc<Job>, pow: &PowVerifier) -> Result<Step, PowError> {
        match &job.work {
            Work::Sha256d(template) => Ok(self.step_sha256d(job, template)),
            Work::RandomX { .. } => self.step_randomx(job, pow),
            Work::Ethash { .. } => step_ethash(job, pow),
        }
    }

    fn release(&mut self) {
        *self = Self::default();
    }
}

impl Searcher {
    fn step_sha256d(&mut self, job: &Arc<Job>, template: &Sha256dTemplate) -> Step {
        let unit = job.take(1);
        let Some(extranonce2) = template.extranonce2(unit / SHA256D_STEPS_PER_HEADER) else {
            return Step { exhausted: true, ..Step::default() };
        };
        let first = u32::try_from(unit % SHA256D_STEPS_PER_HEADER * SHA256D_STEP).unwrap_or(0);
        let (_, _, work) = match self.sha256d.take() {
            Some(kept) if Arc::ptr_eq(&kept.0, job) && kept.1 == extranonce2 => self.sha256d.insert(kept),
            _ => {
                let work = Sha256dWork::with_kernel(
                    &template.header(&extranonce2),
                    job.target,
                    kernel::fastest_sha256d_kernel(),
                );
                self.sha256d.insert((Arc::clone(job), extranonce2.clone(), work))
            }
        };
        let portion = if job.share_hashes() < EASY_HASHES { EASY_PORTION } else { SHA256D_PORTION };
        let found = |(nonce, value)| Found { proof: Proof::Sha256d { extranonce2: extranonce2.clone(), nonce }, value };
        let mut step = Step::default();
        while step.hashes < SHA256D_STEP && step.found.len() < FOUND_MAX {
            let first = first.wrapping_add(u32::try_from(step.hashes).unwrap_or(0));
            step.found.extend(work.search(first, portion).into_iter().map(found));
            step.hashes += u64::from(portion);
        }
        step
    }

    fn step_randomx(&mut self, job: &Arc<Job>, pow: &PowVerifier) -> Result<Step, PowError> {
        let Work::RandomX { blob, key, is_top_byte_fixed } = &job.work else { return Ok(Step::default()) };
        let hasher = match self.randomx.take() {
            Some(hasher) if hasher.key() == *key && !hasher.is_outdated() => self.randomx.insert(hasher),
            _ => {
                self.fed = None;
                self.randomx.insert(pow.randomx_hasher(key)?)
            }
        };
        // Without the dataset hashing by turns gains nothing, and a new job would wait for both.
        let at_once = if hasher.is_fast() { RANDOMX_INTERLEAVED } else { hasher.batch() };
        let nonces: Vec<u32> =
            (0..at_once).map_while(|_| randomx_nonce(job.take(1), blob, *is_top_byte_fixed)).collect();
        if nonces.is_empty() {
            return Ok(Step { exhausted: true, ..Step::default() });
        }
        let blobs: Vec<Vec<u8>> = nonces.iter().map(|nonce| with_nonce(blob, *nonce)).collect();
        let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        if hasher.batch() > 1 {
            let values = pow.randomx_hash_batch(key, &blobs)?;
            return Ok(randomx_step(job, &nonces, values));
        }
        let values = hasher.feed(&blobs);
        let fed = self.fed.replace((Arc::clone(job), nonces));
        // Hashes begun for the job before this one count as work; as shares they would be late.
        let fed = fed.filter(|(of, _)| Arc::ptr_eq(of, job)).map(|(_, nonces)| nonces).unwrap_or_default();
        Ok(randomx_step(job, &fed, values))
    }
}

/// What came of a step that gave `values`; those of `nonces`, if any, may be shares of `job`.
fn randomx_step(job: &Job, nonces: &[u32], values: Vec<PowHash>) -> Step {
    let hashes = u64::try_from(values.len()).unwrap_or(0);
    let shares = nonces.iter().zip(values).filter(|(_, value)| job.is_share(value));
    let found = shares.map(|(nonce, value)| Found { proof: Proof::RandomX { nonce: *nonce }, value });
    Step { hashes, found: found.collect(), exhausted: false }
}

fn with_nonce(blob: &[u8], nonce: u32) -> Vec<u8> {
    let mut blob = blob.to_vec();
    if let Some(place) = blob.get_mut(BLOB_NONCE) {
        place.copy_from_slice(&nonce.to_le_bytes());
    }
    blob
}

/// The `number`th nonce of a blob; nothing past the last.
fn randomx_nonce(number: u64, blob: &[u8], is_top_byte_fixed: bool) -> Option<u32> {
    let number = u32::try_from(number).ok()?;
    if !is_top_byte_fixed {
        return Some(number);
    }
    let top = u32::from(*blob.get(BLOB_NONCE.end - 1)?) << 24;
    (number < 1 << 24).then_some(top | number)
}

fn step_ethash(job: &Job, pow: &PowVerifier) -> Result<Step, PowError> {
    let Work::Ethash { work_hash, epoch, first_nonce, nonce_bits } = &job.work else { return Ok(Step::default()) };
    let hasher = pow.ethash_hasher(*epoch)?;
    let count = if hasher.is_fast() { ETHASH_FULL_STEP } else { ETHASH_LIGHT_STEP };
    let first = job.take(count);
    let ours = u64::MAX.checked_shr(64_u32.saturating_sub(*nonce_bits)).unwrap_or(0);
    let nonce = |number: u64| first_nonce & !ours | first_nonce.wrapping_add(first.wrapping_add(number)) & ours;
    let (mut found, mut done) = (Vec::new(), 0);
    while done < count {
        // A step may run past the last nonce that is ours, and then goes on at the first.
        let run = (ours - (nonce(done) & ours)).saturating_add(1).min(count - done);
        found.extend(hasher.search(work_hash, nonce(done), u32::try_from(run).unwrap_or(u32::MAX), &job.target));
        done += run;
    }
    let found = found.into_iter();
    let found = found.map(|(nonce, EthashProof { mix, value })| Found { proof: Proof::Ethash { nonce, mix }, value });
    Ok(Step { hashes: count, found: found.collect(), exhausted: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_pow::EthashWorkHash;
    use bq_primitives::{BlockId, PowHash, Target, U256, double_sha256};

    /// One hash in `2^shift` is a share.
    fn one_in(shift: usize) -> Target {
        Target(U256::MAX >> shift)
    }

    #[test]
    fn sha256d_steps_cover_the_nonces_in_order_and_move_on_to_the_next_extranonce() {
        let template = Sha256dTemplate {
            version: 0x2000_0000,
            prev_hash: [0x40; 32],
            coinbase_head: vec![1; 55],
            extranonce2_bytes: 1,
            coinbase_tail: vec![2; 52],
            branches: vec![[3; 32]],
            ntime: 5,
            bits: 6,
        };
        let job = Arc::new(Job::new("1".to_owned(), one_in(15), Work::Sha256d(template.clone())));
        let (mut searcher, pow) = (Searcher::default(), PowVerifier::default());
        let step = searcher.step(&job, &pow).unwrap();
        assert_eq!((step.hashes, step.exhausted), (1 << 18, false));
        assert!(!step.found.is_empty());
        job.take(SHA256D_STEPS_PER_HEADER - 1);
        let next = searcher.step(&job, &pow).unwrap();
        for (found, extranonce) in
            step.found.iter().map(|found| (found, 0)).chain(next.found.iter().map(|found| (found, 1)))
        {
            let Proof::Sha256d { extranonce2, nonce } = &found.proof else { panic!("wrong algorithm") };
            assert_eq!(extranonce2, &[extranonce]);
            let mut header = template.header(extranonce2);
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            assert_eq!(found.value, PowHash(double_sha256(&header)));
            assert!(job.is_share(&found.value));
        }
        job.take(255 * SHA256D_STEPS_PER_HEADER);
        assert_eq!(searcher.step(&job, &pow).unwrap(), Step { exhausted: true, ..Step::default() });
    }

    #[test]
    fn a_step_ends_early_where_every_hash_is_a_share() {
        let template = Sha256dTemplate {
            version: 1,
            prev_hash: [0; 32],
            coinbase_head: vec![1; 55],
            extranonce2_bytes: 8,
            coinbase_tail: vec![2; 52],
            branches: Vec::new(),
            ntime: 5,
            bits: 6,
        };
        let job = Arc::new(Job::new("1".to_owned(), Target::MAX, Work::Sha256d(template)));
        let (mut searcher, pow) = (Searcher::default(), PowVerifier::default());
        for _ in 0..2 {
            let step = searcher.step(&job, &pow).unwrap();
            assert_eq!((step.hashes, step.found.len()), (256, 256));
        }
    }

    #[test]
    fn a_template_rebuilds_the_published_header() {
        let template = Sha256dTemplate {
            version: 0x2000_0000,
            prev_hash: std::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap()),
            coinbase_head: hex::decode(concat!(
                "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff150370110110",
                "0001000000000007"
            ))
            .unwrap(),
            extranonce2_bytes: 8,
            coinbase_tail: hex::decode(concat!(
                "ffffffff010000000000000000226a20a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
                "00000000"
            ))
            .unwrap(),
            branches: Vec::new(),
            ntime: 0x6a00_0000,
            bits: 0x1d00_ffff,
        };
        let mut header = template.header(&template.extranonce2(0).unwrap());
        header[76..].copy_from_slice(&0x1234_5678_u32.to_le_bytes());
        let mut pow = double_sha256(&header);
        pow.reverse();
        assert_eq!(hex::encode(pow), "0fb0ceca545ec3c20a37234513806deffeb8ab83a6b5486fb07e5ed1fbd34ecf");
        assert_eq!(template.extranonce2(0x0102), Some(vec![2, 1, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn randomx_steps_give_the_value_of_the_nonce_they_name() {
        let (mut searcher, pow) = (Searcher::default(), PowVerifier::default());
        let key = BlockId([1; 32]);
        let work = Work::RandomX { blob: vec![0x10; 76], key, is_top_byte_fixed: false };
        let job = Arc::new(Job::new("1".to_owned(), Target::MAX, work.clone()));
        let is_pipelined = pow.randomx_hasher(&key).unwrap().batch() == 1;
        if is_pipelined {
            assert_eq!(searcher.step(&job, &pow).unwrap(), Step::default(), "fills the pipeline");
        }
        let step = searcher.step(&job, &pow).unwrap();
        assert_eq!(step.hashes, if is_pipelined { 1 } else { 8 });
        assert_eq!(step.found.len(), usize::try_from(step.hashes).unwrap());
        for (expected, found) in (0..).zip(&step.found) {
            let mut blob = vec![0x10; 76];
            blob[39..43].copy_from_slice(&u32::to_le_bytes(expected));
            let value = pow.randomx_hash(&key, &blob).unwrap();
            assert_eq!(*found, Found { proof: Proof::RandomX { nonce: expected }, value });
        }
        let newer = Arc::new(Job::new("2".to_owned(), Target::MAX, work));
        let late = searcher.step(&newer, &pow).unwrap();
        if is_pipelined {
            assert_eq!(late, Step { hashes: 1, found: Vec::new(), exhausted: false });
        } else {
            assert_eq!(late, step, "the same nonces of the same work");
        }
        job.take(1 << 32);
        assert!(searcher.step(&job, &pow).unwrap().exhausted);
    }

    #[test]
    fn ethash_steps_find_every_share() {
        let (mut searcher, pow) = (Searcher::default(), PowVerifier::default());
        let work_hash = EthashWorkHash([7; 32]);
        let work = Work::Ethash { work_hash, epoch: 0, first_nonce: u64::MAX - 2, nonce_bits: 64 };
        let job = Arc::new(Job::new("1".to_owned(), one_in(1), work));
        let step = searcher.step(&job, &pow).unwrap();
        let expected: Vec<Found> = (0..32)
            .map(|offset| (u64::MAX - 2).wrapping_add(offset))
            .map(|nonce| (nonce, pow.ethash_hash(0, &work_hash, nonce).unwrap()))
            .filter(|(_, proof)| proof.value.0[0] < 0x80)
            .map(|(nonce, proof)| Found { proof: Proof::Ethash { nonce, mix: proof.mix }, value: proof.value })
            .collect();
        assert_eq!(step, Step { hashes: 32, found: expected, exhausted: false });
    }

    #[test]
    fn what_the_pool_keeps_of_a_nonce_stays() {
        let mut blob = vec![0x10; 76];
        blob[42] = 0xab;
        assert_eq!(randomx_nonce(0x12_3456, &blob, true), Some(0xab12_3456));
        assert_eq!(randomx_nonce(1 << 24, &blob, true), None);
        assert_eq!(randomx_nonce(1 << 24, &blob, false), Some(1 << 24));
        assert_eq!(randomx_nonce(1 << 32, &blob, false), None);

        let (mut searcher, pow) = (Searcher::default(), PowVerifier::default());
        let work = Work::Ethash {
            work_hash: EthashWorkHash([7; 32]),
            epoch: 0,
            first_nonce: 0xaabb_ccff_ffff_fffd,
            nonce_bits: 40,
        };
        let job = Arc::new(Job::new("1".to_owned(), Target::MAX, work));
        let nonces: Vec<u64> = searcher
            .step(&job, &pow)
            .unwrap()
            .found
            .into_iter()
            .filter_map(|found| if let Proof::Ethash { nonce, .. } = found.proof { Some(nonce) } else { None })
            .collect();
        let expected = [0xaabb_ccff_ffff_fffd, 0xaabb_ccff_ffff_fffe, 0xaabb_ccff_ffff_ffff, 0xaabb_cc00_0000_0000];
        assert_eq!(nonces[..4], expected);
    }
}
