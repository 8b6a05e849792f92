//! Jobs, submits, verdicts and credits (SPEC 11): a connection's judge, driven through whole conversations.

use std::sync::Arc;

use bq_pow::work_header;
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, ExtraNonce, Header, Height, KeyHash, MerkleRoot, PowHash, PowKey, Seal,
    ShareDifficulty, Target, Timestamp, WorkerName, double_sha256,
};
use bq_share::{
    Claim, Evaluation, ExtranoncePrefix, Job, JobId, JobWork, Judge, JudgePolicy, Reject, Rolled, ShareCandidate,
    ShareTicket, Submit, Verdict, WorkTemplate, prove, share_target,
};
use serde::Deserialize;

use crate::{
    case::{Case, Fault, Outcome, malformed, same, same_bytes},
    tables::Tables,
    values::{Array, Unsigned, Wide},
};

/// SPEC 11.3.2.
#[derive(Deserialize)]
pub(super) struct ShareTarget {
    algorithm: String,
    difficulty: Unsigned,
    last_share: Wide,
}

impl Case for ShareTarget {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let target = share_target(algorithm(&self.algorithm)?, ShareDifficulty::from_hashes(self.difficulty.0));
        same("last_share", target, Target(self.last_share.0))?;
        Ok(Outcome::Ran)
    }
}

/// One connection.
#[derive(Deserialize)]
pub(super) struct Conversation {
    algorithm: String,
    server_id: u16,
    connection: u32,
    first_job: u32,
    policy: Policy,
    templates: Vec<TemplateFields>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Policy {
    jobs_kept: usize,
    #[serde(default)]
    jobs_remembered: usize,
    shares_per_job_max: usize,
    ntime_ahead_secs_max: u32,
}

#[derive(Deserialize)]
struct TemplateFields {
    parent_id: Array<32>,
    tx_root: Array<32>,
    target: Wide,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Give { give: Give },
    Judge(Box<Judgement>),
}

/// A job that is handed out.
#[derive(Deserialize)]
struct Give {
    job: u32,
    template: usize,
    difficulty: Unsigned,
    ntime: u32,
    head: Option<Array<8>>,
    extranonce: Option<Array<16>>,
}

/// A submit and what becomes of it.
#[derive(Deserialize)]
struct Judgement {
    submit: SubmitFields,
    /// What hashing gives; for SHA-256d it is recomputed.
    hash: Option<Array<32>>,
    hash_mix: Option<Array<32>>,
    verdict: String,
    credit: u64,
    strike: bool,
}

#[derive(Deserialize)]
struct SubmitFields {
    job: u32,
    extranonce2: Option<Array<8>>,
    version: Option<u32>,
    ntime: Option<u32>,
    nonce: u64,
    result: Option<Array<32>>,
    mix: Option<Array<32>>,
}

impl Case for Conversation {
    fn check(&self, _: &mut Tables) -> Result<Outcome, Fault> {
        let algorithm = algorithm(&self.algorithm)?;
        let templates: Vec<Arc<WorkTemplate>> =
            self.templates.iter().map(|fields| Arc::new(fields.template(algorithm))).collect();
        let mut line = Line { judge: Judge::new(self.policy.judge()), tip: None, given: 0 };
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Give { give } => {
                    let template = templates.get(give.template).ok_or_else(|| malformed("no such template"))?;
                    self.give(&mut line, number, template, give)?;
                }
                Step::Judge(judgement) => line.check(algorithm, number, judgement)?,
            }
        }
        Ok(Outcome::Ran)
    }
}

/// A connection at some step.
struct Line {
    judge: Judge,
    tip: Option<BlockId>,
    given: u32,
}

impl Conversation {
    /// SPEC 11.2: the id counts up, and X is what it says.
    fn give(&self, line: &mut Line, step: usize, template: &Arc<WorkTemplate>, give: &Give) -> Result<(), Fault> {
        let prefix = ExtranoncePrefix { server_id: self.server_id, connection: self.connection };
        let id = JobId(self.first_job.wrapping_add(line.given));
        same(format!("step {step}: job"), id.0, give.job)?;
        let work = JobWork::new(template, prefix, id, line.given, give.ntime);
        match (work, give.head, give.extranonce) {
            (JobWork::Sha256d { head, .. }, Some(expected), _) => {
                same_bytes(format!("step {step}: head"), &head, &expected.0)?;
            }
            (
                JobWork::RandomX { extranonce: ExtraNonce(got) } | JobWork::Ethash { extranonce: ExtraNonce(got), .. },
                _,
                Some(expected),
            ) => same_bytes(format!("step {step}: extranonce"), &got, &expected.0)?,
            _ => return Err(malformed("a job without its part of X")),
        }
        line.given = line.given.wrapping_add(1);
        line.tip = Some(template.parent_id());
        let difficulty = ShareDifficulty::from_hashes(give.difficulty.0);
        line.judge.open(Job { id, template: Arc::clone(template), payee: KeyHash::ZERO, difficulty, work });
        Ok(())
    }
}

impl Line {
    /// SPEC 11.3 to 11.6.
    fn check(&mut self, algorithm: Algorithm, step: usize, judgement: &Judgement) -> Result<(), Fault> {
        let ticket = ShareTicket(u64::try_from(step).unwrap_or(u64::MAX));
        let submit = judgement.submit.submit(algorithm)?;
        let (verdict, credit, strike) = match self.judge.admit(self.tip, ticket, submit) {
            Err(reason) => (name(Err(reason)), 0, false),
            Ok(candidate) => {
                let proven = prove(&candidate, &evaluation(&candidate, judgement)?);
                let verdict = match proven {
                    Ok(proven) => Verdict::Accepted { block: proven.is_block },
                    Err(reason) => Verdict::Rejected(reason),
                };
                let judged = self.judge.finish(ticket, verdict).ok_or_else(|| malformed("no verdict was awaited"))?;
                let credit = if proven.is_ok() { judged.difficulty.hashes() } else { 0 };
                (name(proven.map(|proven| proven.is_block)), credit, judged.strike.is_some())
            }
        };
        same(format!("step {step}: verdict"), verdict, judgement.verdict.as_str())?;
        same(format!("step {step}: credit"), credit, judgement.credit)?;
        same(format!("step {step}: strike"), strike, judgement.strike)
    }
}

/// SHA-256d is hashed here; of the others the file says what hashing gives.
fn evaluation(candidate: &ShareCandidate, judgement: &Judgement) -> Result<Evaluation, Fault> {
    let told = judgement.hash.ok_or_else(|| malformed("no hash"))?;
    if let Seal::Sha256d { .. } = candidate.seal {
        let header = work_header(&candidate.template.header, &candidate.seal);
        let hash = double_sha256(&header.ok_or_else(|| malformed("no work header"))?);
        same_bytes("hash", &hash, &told.0)?;
    }
    Ok(Evaluation { hash: PowHash(told.0), mix: judgement.hash_mix.map_or([0; 32], |mix| mix.0) })
}

impl SubmitFields {
    fn submit(&self, algorithm: Algorithm) -> Result<Submit, Fault> {
        let missing = || malformed("a submit lacks a field");
        let rolled = match algorithm {
            Algorithm::Sha256d => Rolled::Sha256d {
                extranonce2: self.extranonce2.ok_or_else(missing)?.0,
                version: self.version.ok_or_else(missing)?,
                ntime: self.ntime.ok_or_else(missing)?,
                nonce: u32::try_from(self.nonce).map_err(malformed)?,
            },
            Algorithm::RandomX => Rolled::RandomX { nonce: u32::try_from(self.nonce).map_err(malformed)? },
            Algorithm::Ethash => Rolled::Ethash { nonce: self.nonce },
        };
        let claim = match (self.result, self.mix) {
            (Some(result), _) => Claim::RandomX(result.0),
            (None, Some(mix)) => Claim::EthashMix(mix.0),
            (None, None) => Claim::None,
        };
        Ok(Submit { job: JobId(self.job), rolled, claim, worker: WorkerName::default() })
    }
}

impl Policy {
    fn judge(&self) -> JudgePolicy {
        JudgePolicy {
            jobs_kept: self.jobs_kept,
            jobs_remembered: self.jobs_remembered,
            shares_per_job_max: self.shares_per_job_max,
            ntime_ahead_secs_max: self.ntime_ahead_secs_max,
            ..JudgePolicy::default()
        }
    }
}

impl TemplateFields {
    fn template(&self, algorithm: Algorithm) -> WorkTemplate {
        let header = Header {
            version: 1,
            parent_id: BlockId(self.parent_id.0),
            tx_root: MerkleRoot(self.tx_root.0),
            witness_root: MerkleRoot(self.tx_root.0),
            time: Timestamp(1_800_000_000),
            height: Height(70_000),
            bits: CompactTarget(0x1d00_ffff),
            algorithm,
        };
        let key = match algorithm {
            Algorithm::Sha256d => PowKey::Sha256d,
            Algorithm::RandomX => PowKey::RandomX(BlockId::ZERO),
            Algorithm::Ethash => PowKey::Ethash(0),
        };
        WorkTemplate::new(header, Target(self.target.0), key, bq_primitives::UnsealedBody::default())
    }
}

/// What the file calls a verdict.
const fn name(outcome: Result<bool, Reject>) -> &'static str {
    match outcome {
        Ok(false) => "accepted",
        Ok(true) => "block",
        Err(Reject::Malformed(_)) => "malformed",
        Err(Reject::Unauthorized) => "unauthorized",
        Err(Reject::UnknownJob) => "unknown_job",
        Err(Reject::Duplicate) => "duplicate",
        Err(Reject::Stale) => "stale",
        Err(Reject::LowDifficulty) => "low_difficulty",
        Err(Reject::Busy) => "busy",
        Err(Reject::BadProof) => "bad_proof",
    }
}

fn algorithm(name: &str) -> Result<Algorithm, Fault> {
    let known = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
    known.ok_or_else(|| malformed(format!("{name:?} is no algorithm")))
}
