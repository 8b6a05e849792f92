//! A million moves of clients that see all their jobs, against a slow and obvious account of what they should have earned. A
//! lottery stands in for hashing: the value of a proof is a hash of the seal and the template.

use std::collections::{BTreeMap, BTreeSet};

use bq_primitives::{PowHash, PowValue, Seal, tagged_hash};

use super::*;
use crate::{Evaluation, prove};

/// What the model remembers of a job: everything, for ever.
#[derive(Clone)]
struct Told {
    id: JobId,
    template: Arc<WorkTemplate>,
    difficulty: u64,
    head: [u8; 8],
}

struct Client {
    judge: Judge,
    prefix: ExtranoncePrefix,
    told: Vec<Told>,
}

/// Small enough to see many shares, hits and misses alike.
const NETWORK: u64 = 4096;
const MOVES: u64 = 1_000_000;

/// Draws without a clock or a system: the next value of a fixed sequence.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

impl Client {
    fn new(connection: u32) -> Self {
        let prefix = ExtranoncePrefix { server_id: 1, connection };
        Self { judge: Judge::new(JudgePolicy::default()), prefix, told: Vec::new() }
    }

    fn give(&mut self, template: &Arc<WorkTemplate>, difficulty: u64) {
        let number = u32::try_from(self.told.len()).unwrap();
        let id = JobId(number);
        let work = JobWork::new(template, self.prefix, id, number, 0);
        let JobWork::Sha256d { head, .. } = work else { unreachable!() };
        let payee = KeyHash([3; 32]);
        self.judge.open(Job {
            id,
            template: Arc::clone(template),
            payee,
            difficulty: ShareDifficulty::from_hashes(difficulty),
            work,
        });
        self.told.push(Told { id, template: Arc::clone(template), difficulty, head });
    }

    /// Another process goes on with the connection.
    fn hand_over(&mut self) {
        let templates = self.judge.templates().map(|work| (work.id(), Arc::clone(work))).collect();
        let state = self.judge.state(0).expect("nothing is in verification between two moves");
        let owner = JobOwner { prefix: self.prefix, first_job_id: 0, payee: KeyHash([3; 32]) };
        self.judge = Judge::resume(JudgePolicy::default(), state, &owner, &templates);
    }

    /// Whether the job at this place is known for blocks still: since it made room for a newer one, every job was on its tip.
    fn remembers(&self, place: usize) -> bool {
        let parent = self.told[place].template.parent_id();
        let since = &self.told[(place + 8).min(self.told.len())..];
        self.told.len() <= place + 8 + 64 && since.iter().all(|told| told.template.parent_id() == parent)
    }
}

fn lottery(template: &WorkTemplate, seal: &Seal) -> PowHash {
    PowHash(tagged_hash("lottery", &[template.seal_hash.as_bytes(), &seal.to_bytes()]))
}

/// What a rolled nonce comes to on a job, by the model's own bytes.
fn value(told: &Told, nonce: u32) -> PowValue {
    let mut seal = told.head.to_vec();
    seal.extend([0; 8]);
    seal.extend(0x2000_0000_u32.to_le_bytes());
    seal.extend(1_000_u32.to_le_bytes());
    seal.extend(nonce.to_le_bytes());
    let hash = tagged_hash("lottery", &[told.template.seal_hash.as_bytes(), &seal]);
    PowValue::of(Algorithm::Sha256d, &PowHash(hash))
}

#[test]
fn a_million_moves_earn_what_the_model_says() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut templates: Vec<Arc<WorkTemplate>> = vec![template(Algorithm::Sha256d, 1, 0, NETWORK)];
    let mut clients: Vec<Client> = (0..4).map(Client::new).collect();
    let (mut connections, mut ticket) = (4, 0);
    let (mut credited, mut modelled, mut blocks, mut refusals) = (0_u64, 0_u64, 0_u64, BTreeMap::<&str, u64>::new());
    let mut paid: BTreeSet<(u32, JobId, u32)> = BTreeSet::new();
    let mut tried: BTreeSet<(u32, u64, u32)> = BTreeSet::new();
    for client in &mut clients {
        client.give(&templates[0], 64);
    }
    for step in 0..MOVES {
        let index = usize::try_from(dice.roll(4)).unwrap();
        match dice.roll(100) {
            // A new tip, or a new body on the tip, or an old template once more: for everybody.
            0 => {
                let (tip, body) = (1 + dice.roll(3), dice.roll(4));
                let fresh =
                    template(Algorithm::Sha256d, u8::try_from(tip).unwrap(), u8::try_from(body).unwrap(), NETWORK);
                templates.push(fresh);
            }
            // Silence, a suggestion, a refresh: another difficulty, from 1 up to a block's.
            1..=6 => {
                let difficulty = 1 << dice.roll(13);
                clients[index].give(templates.last().unwrap(), difficulty);
            }
            7 if step % 8 == 0 => {
                clients[index] = Client::new(connections);
                connections += 1;
                clients[index].give(templates.last().unwrap(), 1 << dice.roll(13));
            }
            8 if step % 8 == 0 => clients[index].hand_over(),
            _ => {
                let client = &mut clients[index];
                let jobs = u64::try_from(client.told.len()).unwrap();
                let newest = jobs.saturating_sub(1 + dice.roll(jobs.min(12)));
                let told = client.told[usize::try_from(newest).unwrap()].clone();
                // Few nonces, so that the same is often sent again and under other jobs.
                let nonce = u32::try_from(dice.roll(64)).unwrap();
                let tip = templates.last().map(|template| template.parent_id());
                ticket += 1;
                let outcome =
                    client.judge.admit(tip, ShareTicket(ticket), sha256d(told.id.0, nonce)).and_then(|candidate| {
                        let evaluation =
                            Evaluation { hash: lottery(&candidate.template, &candidate.seal), mix: [0; 32] };
                        let proven = prove(&candidate, &evaluation);
                        let verdict = match proven {
                            Ok(proven) => Verdict::Accepted { block: proven.is_block },
                            Err(reason) => Verdict::Rejected(reason),
                        };
                        client.judge.finish(ShareTicket(ticket), verdict).unwrap();
                        proven.map(|proven| (candidate.difficulty.hashes(), proven.is_block))
                    });
                // The model: one of the newest eight jobs, or of the next 64 on the newest one's tip; not paid before, low enough, and
                // of the tip or a block.
                let value = value(&told, nonce);
                let kept = jobs - newest <= 8;
                let remembered = client.remembers(usize::try_from(newest).unwrap());
                let is_block = value.meets(&told.template.target);
                let is_share = is_block || value.meets(&Target(U256::MAX / U256::from(told.difficulty)));
                let in_time = tip == Some(told.template.parent_id());
                let mark = (client.prefix.connection, told.id, nonce);
                let may_earn = if kept { is_share && (in_time || is_block) } else { remembered && is_block };
                let expected = may_earn && !paid.contains(&mark);
                assert_eq!(outcome.is_ok(), expected, "step {step}: {outcome:?}");
                tried.insert((client.prefix.connection, newest, nonce));
                if expected {
                    paid.insert(mark);
                    modelled += told.difficulty;
                    blocks += u64::from(is_block);
                }
                match outcome {
                    Ok((difficulty, block)) => {
                        assert_eq!(block, is_block);
                        credited += difficulty;
                    }
                    Err(reason) => *refusals.entry(name(reason)).or_default() += 1,
                }
            }
        }
    }
    assert_eq!(credited, modelled);
    // Every hash is credited 1 on average, however cleverly it was submitted: 6 sigma of the lottery's spread.
    let hashes = f64::from(u32::try_from(tried.len()).unwrap());
    let ratio = f64::from(u32::try_from(credited).unwrap()) / hashes;
    let sigma = (8191.0 / 13.0 / hashes).sqrt();
    assert!(ratio < 1.0 + 6.0 * sigma, "{ratio} per hash, sigma {sigma}");
    assert!(blocks > 20 && refusals.len() == 4, "everything happened: {blocks} blocks, {refusals:?}");
}

fn name(reason: Reject) -> &'static str {
    match reason {
        Reject::UnknownJob => "unknown job",
        Reject::Duplicate => "duplicate",
        Reject::LowDifficulty => "low difficulty",
        Reject::Stale => "stale",
        Reject::Malformed(_) | Reject::Unauthorized | Reject::Busy | Reject::BadProof => "other",
    }
}
