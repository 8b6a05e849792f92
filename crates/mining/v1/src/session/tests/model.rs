//! Four clients on the wire, who log in, suggest, wait, reconnect, and submit what they like under any job they ever saw,
//! against a slow and obvious account of what they should have earned. They hash what the job lines say, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use bq_pow::sha256d_work_header;
use bq_primitives::{PowHash, PowValue, Seal, double_sha256};
use bq_share::{Evaluation, prove};
use serde_json::Value;

use super::*;
use bq_channel::parse_units;

const MOVES: u32 = 200_000;
const NETWORK: u64 = 4096;

/// A job as its line says it is.
struct Told {
    id: String,
    tip: u8,
    parent: [u8; 32],
    coinb1: Vec<u8>,
    coinb2: Vec<u8>,
    ntime: u32,
    difficulty: u64,
}

struct Client {
    session: Session,
    number: u32,
    extranonce1: Vec<u8>,
    difficulty: u64,
    told: Vec<Told>,
    logins: u32,
    /// What the answers said, by request id.
    answers: BTreeMap<u64, bool>,
}

/// Draws without a clock or a system.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What is credited, as the books would see it.
#[derive(Default)]
struct Books {
    credited: u64,
    shares: u64,
    blocks: u64,
}

fn easy(tip: u8, body: u8) -> Arc<JobTemplate> {
    let mut template = template(Algorithm::Sha256d, tip, body);
    let work = Arc::make_mut(&mut template.work);
    work.target = Target(U256::MAX / U256::from(NETWORK));
    work.network_difficulty = bq_primitives::NetworkDifficulty::of_target(work.target);
    Arc::new(template)
}

impl Client {
    fn connect(now: UnixMs, number: u32, template: &Arc<JobTemplate>, books: &mut Books) -> Self {
        let session = Session::new(now, Algorithm::Sha256d, Self::policy(), Self::seed(number));
        let mut client = Self {
            session,
            number,
            extranonce1: Vec::new(),
            difficulty: 0,
            told: Vec::new(),
            logins: 0,
            answers: BTreeMap::new(),
        };
        client.session.handle_template(now, Some(Arc::clone(template)));
        client.say(now, r#"{"id":1,"method":"mining.subscribe","params":[]}"#, books);
        client.log_in(now, books);
        client
    }

    fn policy() -> Arc<SessionPolicy> {
        Arc::new(SessionPolicy { job_gap_ms: 0, ..policy(64) })
    }

    const fn seed(number: u32) -> SessionSeed {
        let prefix = ExtranoncePrefix { server_id: 1, connection: number };
        SessionSeed { session_id: number, first_job_id: number.wrapping_mul(0x9e37_79b9), prefix, ticket: SEED.ticket }
    }

    /// Another process goes on with the session.
    fn hand_over(&mut self, now: UnixMs, template: &Arc<JobTemplate>, books: &mut Books) {
        self.session = handed_over(&self.session, now, (Algorithm::Sha256d, Self::policy()), Self::seed(self.number))
            .expect("nothing waits between two moves");
        self.session.handle_template(now, Some(Arc::clone(template)));
        self.drive(now, books);
    }

    fn log_in(&mut self, now: UnixMs, books: &mut Books) {
        let line = format!(r#"{{"id":2,"method":"mining.authorize","params":["wallet.rig{}","x"]}}"#, self.logins % 9);
        self.logins += 1;
        self.say(now, &line, books);
    }

    fn say(&mut self, now: UnixMs, line: &str, books: &mut Books) {
        self.session.handle_line(now, line.as_bytes());
        self.drive(now, books);
    }

    fn drive(&mut self, now: UnixMs, books: &mut Books) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) => self.hear(&serde_json::from_slice(&frame.bytes).unwrap(), &frame.bytes),
                Output::Authorize { ticket, .. } => {
                    let granted = LoginOutcome::Granted { payee: PAYEE, remembered: None, trust: None };
                    self.session.handle_login(now, ticket, granted);
                }
                Output::Share(candidate) => {
                    let verdict = verify(&candidate, books);
                    self.session.handle_verdict(now, candidate.ticket, verdict);
                }
                Output::LoginRefused { .. } | Output::Rejected { .. } => {}
                Output::Close(reason) => panic!("{reason:?}"),
            }
        }
    }

    fn hear(&mut self, line: &Value, bytes: &[u8]) {
        let params = &line["params"];
        let text = |index: usize| params[index].as_str().unwrap();
        match line["method"].as_str() {
            Some("mining.set_difficulty") => {
                // Not through JSON: its parser may miss the nearest double by one.
                let number = std::str::from_utf8(bytes).unwrap().split(['[', ']']).nth(1).unwrap();
                self.difficulty = parse_units(number).unwrap().hashes();
            }
            Some("mining.notify") => {
                let mut parent: [u8; 32] = hex::decode(text(1)).unwrap().try_into().unwrap();
                parent.chunks_exact_mut(4).for_each(<[u8]>::reverse);
                self.told.push(Told {
                    id: text(0).to_owned(),
                    tip: parent[0],
                    parent,
                    coinb1: hex::decode(text(2)).unwrap(),
                    coinb2: hex::decode(text(3)).unwrap(),
                    ntime: u32::from_str_radix(text(7), 16).unwrap(),
                    difficulty: self.difficulty,
                });
            }
            _ if line["id"] == 1 && line["result"].is_array() => {
                self.extranonce1 = hex::decode(line["result"][1].as_str().unwrap()).unwrap();
            }
            _ => {
                let id = line["id"].as_u64().unwrap();
                self.answers.insert(id, line["result"] == true);
            }
        }
    }

    /// What a hash of this job comes to, from what the line said alone.
    fn value(&self, told: &Told, ntime: u32, nonce: u32) -> PowValue {
        let coinbase = [told.coinb1.as_slice(), &self.extranonce1, &[0; 8], &told.coinb2].concat();
        let root = double_sha256(&coinbase);
        let pieces: [&[u8]; 6] = [
            &0x2000_0000_u32.to_le_bytes(),
            &told.parent,
            &root,
            &ntime.to_le_bytes(),
            &0x1d00_ffff_u32.to_le_bytes(),
            &nonce.to_le_bytes(),
        ];
        PowValue::of(Algorithm::Sha256d, &PowHash(double_sha256(&pieces.concat())))
    }
}

/// The verifier and the books.
fn verify(candidate: &ShareCandidate, books: &mut Books) -> Verdict {
    let Seal::Sha256d { extranonce, version, ntime, nonce } = candidate.seal else { unreachable!() };
    let template = &candidate.template;
    let header = sha256d_work_header(&template.header, &template.seal_hash, &extranonce, version, ntime, nonce);
    match prove(candidate, &Evaluation { hash: PowHash(double_sha256(&header)), mix: [0; 32] }) {
        Ok(proven) => {
            books.credited += candidate.difficulty.hashes();
            books.shares += 1;
            books.blocks += u64::from(proven.is_block);
            Verdict::Accepted { block: proven.is_block }
        }
        Err(reason) => Verdict::Rejected(reason),
    }
}

#[test]
fn whatever_clients_do_they_earn_what_their_jobs_said() {
    let (mut dice, mut now, mut books) = (Dice(0x2545_f491_4f6c_dd1d), UnixMs(1_778_384_896_000), Books::default());
    let (mut tip, mut template) = (1, easy(1, 0));
    let mut clients: Vec<Client> = (0..4).map(|number| Client::connect(now, number, &template, &mut books)).collect();
    let (mut connections, mut modelled, mut levels) = (4, Books::default(), BTreeSet::new());
    let (mut paid, mut tried) = (BTreeSet::new(), BTreeSet::new());
    for step in 0..MOVES {
        let index = usize::try_from(dice.roll(4)).unwrap();
        match dice.roll(200) {
            0 => {
                tip = u8::try_from(1 + dice.roll(3)).unwrap();
                template = easy(tip, u8::try_from(dice.roll(3)).unwrap());
                for client in &mut clients {
                    client.session.handle_template(now, Some(Arc::clone(&template)));
                    client.drive(now, &mut books);
                }
            }
            1..=8 => {
                now = now.after_ms(dice.roll(9_000));
                for client in &mut clients {
                    client.session.handle_timeout(now);
                    client.drive(now, &mut books);
                }
            }
            9..=12 => {
                let units = (1 << dice.roll(10)) as f64 / 4_294_967_296.0;
                let line = format!(r#"{{"id":3,"method":"mining.suggest_difficulty","params":[{units}]}}"#);
                clients[index].say(now, &line, &mut books);
            }
            13 => clients[index].log_in(now, &mut books),
            14 if step % 4 == 0 => {
                clients[index] = Client::connect(now, connections, &template, &mut books);
                connections += 1;
            }
            15 => clients[index].hand_over(now, &template, &mut books),
            _ => {
                let client = &mut clients[index];
                let count = u64::try_from(client.told.len()).unwrap();
                let place = usize::try_from(count - 1 - dice.roll(count.min(10))).unwrap();
                let told = &client.told[place];
                let (ntime, nonce) =
                    (told.ntime + u32::try_from(dice.roll(2)).unwrap(), u32::try_from(dice.roll(48)).unwrap());
                let value = client.value(told, ntime, nonce);
                let is_block = value.meets(&Target(U256::MAX / U256::from(NETWORK)));
                let is_share = value
                    .meets(&bq_share::share_target(Algorithm::Sha256d, ShareDifficulty::from_hashes(told.difficulty)));
                let mark = (client.number, told.id.clone(), ntime, nonce);
                let kept = place + 8 >= client.told.len();
                // Of older ones on the newest tip 64 are known still, for a block alone.
                let since = client.told.get(place + 8..).unwrap_or_default();
                let is_known = place + 8 + 64 >= client.told.len() && since.iter().all(|newer| newer.tip == told.tip);
                let may_earn = if kept { is_block || is_share && told.tip == tip } else { is_known && is_block };
                let expected = may_earn && !paid.contains(&mark);
                tried.insert(mark.clone());
                levels.insert(told.difficulty);
                if expected {
                    modelled.credited += told.difficulty;
                    modelled.shares += 1;
                    modelled.blocks += u64::from(is_block);
                    paid.insert(mark);
                }
                let id = u64::from(step) + 100;
                let line = format!(
                    r#"{{"id":{id},"method":"mining.submit","params":["wallet.rig0","{}","0000000000000000","{ntime:08x}","{nonce:08x}"]}}"#,
                    told.id
                );
                client.say(now, &line, &mut books);
                assert_eq!(client.answers.remove(&id), Some(expected), "step {step}");
            }
        }
    }
    assert_eq!((books.credited, books.shares, books.blocks), (modelled.credited, modelled.shares, modelled.blocks));
    assert!(books.blocks > 10 && books.shares > 1_000 && levels.len() > 5, "{levels:?}");
    // Every hash is credited at most 1 on average, however cleverly it was submitted: 6 sigma of the greatest spread.
    let per_hash = f64::from(u32::try_from(books.credited).unwrap()) / f64::from(u32::try_from(tried.len()).unwrap());
    let sigma = (410.0 / f64::from(u32::try_from(tried.len()).unwrap())).sqrt();
    assert!(per_hash < 1.0 + 6.0 * sigma, "{per_hash}, sigma {sigma}");
}
