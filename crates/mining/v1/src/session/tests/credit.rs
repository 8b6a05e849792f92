//! What a hash earns (SPEC 11.3): no more than 1 in expectation, for a client that sees all its jobs and submits as it likes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ruint::Uint;

use super::*;
use bq_share::{ShareKey, share_target};

type Wide = Uint<384, 6>;

/// One way to submit a hash: what it earns, and the largest value that earns it.
type Offer = (ShareDifficulty, Target);

/// Times 2^256: what a hash of random value earns when it is submitted under the best of `offers` that it meets. One hash is
/// paid once, so the best offer is all that a client can hope for.
fn expected_credit(offers: &BTreeSet<Offer>) -> Wide {
    let mut easiest_first: Vec<&Offer> = offers.iter().collect();
    easiest_first.sort_by_key(|(difficulty, target)| (std::cmp::Reverse(*target), *difficulty));
    let mut expected = Wide::ZERO;
    for (index, (_, target)) in easiest_first.iter().enumerate() {
        // Values in (next.target, target] meet the first `index + 1` offers.
        let count = |target: &Target| Wide::from(target.0) + Wide::from(1);
        let harder = easiest_first.get(index + 1).map_or(Wide::ZERO, |(_, next)| count(next));
        let best = easiest_first[..=index].iter().map(|(difficulty, _)| difficulty.hashes()).max().unwrap();
        expected += (count(target) - harder) * Wide::from(best);
    }
    expected
}

fn one() -> Wide {
    Wide::from(1) << 256
}

#[test]
fn the_measure_finds_a_difficulty_that_is_chosen_after_hashing() {
    let offers = |exponents: &[u32]| {
        let of = |exponent: &u32| ShareDifficulty::from_hashes(1 << exponent);
        exponents.iter().map(of).map(|difficulty| (difficulty, share_target(Algorithm::Sha256d, difficulty))).collect()
    };
    assert_eq!(expected_credit(&offers(&[20])), one());
    assert_eq!(expected_credit(&offers(&[29, 26, 23, 20, 17])) >> 253, Wide::from(36), "4.5 times too much");
}

#[derive(Clone, Debug)]
enum Move {
    Pass(u64),
    Suggest(u32),
    Body(u8),
    Tip(u8),
    Accept,
    Login(u8),
    Reconnect,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0_u64..40_000).prop_map(Move::Pass),
        2 => (1_u32..1 << 30).prop_map(Move::Suggest),
        2 => (0_u8..3).prop_map(Move::Body),
        1 => (0_u8..3).prop_map(Move::Tip),
        1 => Just(Move::Accept),
        1 => (0_u8..4).prop_map(Move::Login),
        1 => Just(Move::Reconnect),
    ];
    proptest::collection::vec(one, 1..60)
}

/// How a client talks.
#[derive(Clone, Copy, Debug)]
enum Talk {
    Sha256d,
    RandomX,
    EthProxy,
    Plain,
    NiceHash,
    Ethereum2,
}

const TALKS: [Talk; 6] = [Talk::Sha256d, Talk::RandomX, Talk::EthProxy, Talk::Plain, Talk::NiceHash, Talk::Ethereum2];

impl Talk {
    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha256d => Algorithm::Sha256d,
            Self::RandomX => Algorithm::RandomX,
            Self::EthProxy | Self::Plain | Self::NiceHash | Self::Ethereum2 => Algorithm::Ethash,
        }
    }

    fn hello(self, password: &str) -> Vec<String> {
        let authorize = format!(r#"{{"id":2,"method":"mining.authorize","params":["wallet.rig1","{password}"]}}"#);
        let subscribe = |params: &str| format!(r#"{{"id":1,"method":"mining.subscribe","params":[{params}]}}"#);
        match self {
            Self::Sha256d | Self::Plain => vec![subscribe(""), authorize],
            Self::NiceHash => vec![subscribe(r#""m","EthereumStratum/1.0.0""#), authorize],
            Self::Ethereum2 => {
                vec![r#"{"id":1,"method":"mining.hello","params":{}}"#.to_owned(), subscribe(""), authorize]
            }
            Self::RandomX => {
                vec![format!(r#"{{"id":1,"method":"login","params":{{"login":"wallet.rig1","pass":"{password}"}}}}"#)]
            }
            Self::EthProxy => vec![
                format!(r#"{{"id":1,"method":"eth_submitLogin","params":["wallet","{password}"]}}"#),
                r#"{"id":2,"method":"eth_getWork","params":[]}"#.to_owned(),
            ],
        }
    }

    /// Submits of the same rolled bytes under a job; `header` is what the job line says of its work. Where a mix is claimed,
    /// with some mixes, one of which passes for a share.
    fn submits(self, job: &str, header: &str) -> Vec<String> {
        let mixes = || (0..16_u8).map(|mix| hex::encode([mix; 32]));
        match self {
            Self::Sha256d => vec![format!(
                r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","{job}","0000000000000000","{header}","00000001"]}}"#
            )],
            Self::RandomX => vec![format!(
                r#"{{"id":4,"method":"submit","params":{{"id":"c0ffee01","job_id":"{job}","nonce":"00000001","result":"{}"}}}}"#,
                "00".repeat(32)
            )],
            Self::EthProxy => mixes()
                .map(|mix| {
                    format!(
                        r#"{{"id":4,"method":"eth_submitWork","params":["0x0000000000000001","0x{header}","0x{mix}"]}}"#
                    )
                })
                .collect(),
            Self::Plain => mixes()
                .map(|mix| {
                    format!(
                        r#"{{"id":4,"method":"mining.submit","params":["wallet","{job}","0x0000000000000001","0x{header}","0x{mix}"]}}"#
                    )
                })
                .collect(),
            Self::NiceHash => {
                vec![format!(r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","{job}","000000000001"]}}"#)]
            }
            Self::Ethereum2 => {
                vec![format!(r#"{{"id":4,"method":"mining.submit","params":["{job}","000000000001","w-c0ffee01"]}}"#)]
            }
        }
    }

    /// Easy enough for a mix that was picked at random to pass.
    const fn start(self) -> u64 {
        match self {
            Self::EthProxy | Self::Plain => 4,
            Self::Sha256d | Self::RandomX | Self::NiceHash | Self::Ethereum2 => 1 << 24,
        }
    }
}

/// The job ids and starting times or work hashes in what was sent.
fn jobs_in(talk: Talk, lines: &[String]) -> Vec<(String, String)> {
    let read = |line: &String| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |value: &serde_json::Value| value.as_str().map(|text| text.trim_start_matches("0x").to_owned());
        let param = |index: usize| text(&json["params"][index]);
        match talk {
            Talk::Sha256d => Some((param(0)?, param(7)?)),
            Talk::RandomX => {
                let job = if json["method"] == "job" { &json["params"] } else { &json["result"]["job"] };
                Some((text(&job["job_id"])?, String::new()))
            }
            Talk::EthProxy => Some((String::new(), text(&json["result"][0])?)),
            Talk::Plain => Some((param(0)?, param(1)?)),
            Talk::NiceHash | Talk::Ethereum2 => Some((param(0).filter(|id| id.len() == 8)?, String::new())),
        }
    };
    lines.iter().filter_map(read).collect()
}

/// Every job of a connection, and every later and earlier starting time: the bytes that a client rolls may be the same for
/// all of them.
fn offers_of(rig: &mut Rig, talk: Talk, jobs: &[(String, String)], offers: &mut BTreeMap<ShareKey, BTreeSet<Offer>>) {
    for (job, _) in jobs {
        for (_, header) in jobs {
            rig.now = rig.now.after_ms(1_000);
            for submit in talk.submits(job, header) {
                if rig.shares.is_empty() && rig.closed.is_none() {
                    rig.line(&submit);
                }
            }
            while let Some(share) = rig.shares.pop() {
                offers
                    .entry(ShareKey::of(&share.template, &share.seal))
                    .or_default()
                    .insert((share.difficulty, share.share_target));
                // Not accepted: vardiff is left alone.
                rig.session.handle_verdict(rig.now, share.ticket, Verdict::Rejected(Reject::Duplicate));
                rig.drive();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_hash_earns_more_than_one(talk in 0_usize..6, password in prop_oneof![Just("x"), Just("d=100000"), Just("d=1")], moves in moves()) {
        let talk = TALKS[talk];
        let policy = SessionPolicy { lines_per_second: 1_000_000, job_gap_ms: 0, ..policy(talk.start()) };
        let (mut offers, mut jobs, mut connection) = (BTreeMap::new(), Vec::new(), 0);
        let connect = |connection: u32, tip| {
            let prefix = ExtranoncePrefix { server_id: 1, connection };
            let mut rig = Rig::with_seed(talk.algorithm(), policy.clone(), SessionSeed { prefix, ..SEED });
            rig.template(&template(talk.algorithm(), tip, 0));
            for line in talk.hello(password) {
                rig.line(&line);
            }
            rig
        };
        let mut rig = connect(connection, 0);
        let (mut tip, mut body) = (0, 0);
        for step in moves {
            match step {
                Move::Pass(span_ms) => rig.pass(span_ms),
                Move::Suggest(value) => rig.line(&format!(r#"{{"id":1,"method":"mining.suggest_difficulty","params":[{}]}}"#, f64::from(value) / 1e9)),
                Move::Login(n) => rig.line(&format!(r#"{{"id":2,"method":"mining.authorize","params":["wallet.rig{n}","d=7"]}}"#)),
                Move::Body(next) => { body = next; rig.template(&template(talk.algorithm(), tip, body)); }
                Move::Tip(next) => { tip = next; rig.template(&template(talk.algorithm(), tip, body)); }
                Move::Reconnect => {
                    connection += 1;
                    jobs.clear();
                    rig = connect(connection, tip);
                }
                Move::Accept => {
                    if let Some((job, header)) = jobs.last() {
                        let (job, header): (&String, &String) = (job, header);
                        rig.line(&talk.submits(job, header)[0]);
                        while !rig.shares.is_empty() {
                            rig.verdict(Verdict::Accepted { block: false });
                        }
                    }
                }
            }
            let lines = rig.take();
            jobs.extend(jobs_in(talk, &lines));
            if rig.closed.is_none() {
                offers_of(&mut rig, talk, &jobs, &mut offers);
                let lines = rig.take();
                jobs.extend(jobs_in(talk, &lines));
            }
        }
        prop_assert!(!offers.is_empty() || talk.start() < 1 << 24);
        for offers in offers.values() {
            prop_assert!(expected_credit(offers) <= one(), "{offers:?}");
        }
    }
}
