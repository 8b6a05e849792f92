use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use bq_share::share_target;

use bq_channel::parse_units;

/// Something that happens to a session.
#[derive(Clone, Debug)]
enum Step {
    Line(Vec<u8>),
    Template(u8, u8),
    NoTemplate,
    Pass(u64),
    Verdict(bool),
    HandOver,
}

const LINES: [&str; 14] = [
    r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
    r#"{"id":1,"method":"mining.subscribe","params":["m","EthereumStratum/1.0.0"]}"#,
    r#"{"id":1,"method":"mining.hello","params":{}}"#,
    r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","d=1"]}"#,
    r#"{"id":3,"method":"mining.configure","params":[["version-rolling"],{}]}"#,
    r#"{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","6a000003","00000001"]}"#,
    r#"{"id":4,"method":"mining.suggest_difficulty","params":[1e-9]}"#,
    r#"{"id":1,"method":"login","params":{"login":"wallet.rig1+7","pass":"x"}}"#,
    r#"{"id":1,"method":"getjob","params":{"id":"c0ffee01"}}"#,
    r#"{"id":2,"method":"submit","params":{"id":"c0ffee01","job_id":"0000001f","nonce":"d0030040","result":"0000000000000000000000000000000000000000000000000000000000000000"}}"#,
    r#"{"id":1,"method":"eth_submitLogin","worker":"rig1","params":["wallet","x"]}"#,
    r#"{"id":5,"method":"eth_getWork","params":[]}"#,
    r#"{"id":40,"method":"mining.submit","params":["wallet.rig1","0000001f","a0cfae7df760"]}"#,
    r#"{"id":null,"method":"mining.bye"}"#,
];

fn step() -> impl Strategy<Value = Step> {
    let known = (0..LINES.len()).prop_map(|index| Step::Line(LINES[index].into()));
    let broken = (0..LINES.len(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(line, at, byte)| {
        let mut bytes = LINES[line].as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        Step::Line(bytes)
    });
    prop_oneof![
        8 => known,
        3 => broken,
        1 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Step::Line),
        2 => (0_u8..3, 0_u8..3).prop_map(|(tip, body)| Step::Template(tip, body)),
        1 => Just(Step::NoTemplate),
        2 => (0_u64..40_000).prop_map(Step::Pass),
        2 => any::<bool>().prop_map(Step::Verdict),
        1 => Just(Step::HandOver),
    ]
}

fn run(rig: &mut Rig, algorithm: Algorithm, step: Step) {
    match step {
        Step::Line(_) if rig.session.reads_at().is_none() => {}
        Step::Line(bytes) => {
            rig.session.handle_line(rig.now, &bytes);
            rig.drive();
        }
        Step::Template(tip, body) => rig.template(&template(algorithm, tip, body)),
        Step::NoTemplate => {
            rig.session.handle_template(rig.now, None);
            rig.drive();
        }
        Step::Pass(span_ms) => rig.pass(span_ms),
        Step::Verdict(good) if !rig.shares.is_empty() => {
            let bad = Verdict::Rejected(Reject::LowDifficulty);
            rig.verdict(if good { Verdict::Accepted { block: false } } else { bad });
        }
        Step::Verdict(_) => {}
        Step::HandOver => {
            if let Some(session) = handed_over(&rig.session, rig.now, (algorithm, Arc::new(policy(1000))), SEED) {
                rig.session = session;
                rig.template(&template(algorithm, 1, 1));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever arrives in whatever order: no panic (the rig checks that each line sent is one JSON object), nothing is
    /// written after the end, and what is in flight stays bounded.
    #[test]
    fn no_sequence_breaks_a_session(algorithm in 0_usize..3, steps in proptest::collection::vec(step(), 0..120)) {
        let algorithm = Algorithm::ALL[algorithm];
        let mut rig = Rig::new(algorithm, policy(1000));
        for step in steps {
            let was_closed = rig.closed.is_some();
            rig.sent.clear();
            run(&mut rig, algorithm, step);
            prop_assert!(!was_closed || rig.sent.is_empty());
            prop_assert!(rig.shares.len() <= rig_limit());
        }
    }

    /// Whatever the interleaving of difficulty changes, jobs and submits: a share is worth what the miner was told with
    /// its job, and belongs to that job's template.
    #[test]
    fn credit_is_always_the_jobs(moves in proptest::collection::vec((0_u8..5, any::<u32>()), 1..150)) {
        let mut rig = Rig::new(Algorithm::Sha256d, SessionPolicy { lines_per_second: 100_000, ..policy(1 << 32) });
        rig.template(&template(Algorithm::Sha256d, 1, 0));
        rig.line(LINES[0]);
        rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
        let (mut told, mut jobs, mut ntimes) = (None, BTreeMap::new(), BTreeMap::new());
        for (nonce, (kind, value)) in moves.into_iter().enumerate() {
            for line in rig.take() {
                let json: serde_json::Value = serde_json::from_str(&line).unwrap();
                let first = &json["params"][0];
                match json["method"].as_str() {
                    Some("mining.set_difficulty") => {
                        // Not through JSON: this parser may miss the nearest double by one.
                        let number = line.split(['[', ']']).nth(1).unwrap();
                        told = parse_units(number);
                    }
                    Some("mining.notify") => {
                        let id = first.as_str().unwrap().to_owned();
                        ntimes.insert(id.clone(), json["params"][7].as_str().unwrap().to_owned());
                        prop_assert!(jobs.insert(id, told.unwrap()).is_none(), "ids are fresh");
                    }
                    _ => {}
                }
            }
            match kind {
                0 => rig.pass(u64::from(value % 70_000)),
                1 => rig.line(&format!(r#"{{"id":1,"method":"mining.suggest_difficulty","params":[{}]}}"#, value % 1000 + 1)),
                2 => rig.template(&template(Algorithm::Sha256d, 1, u8::try_from(value % 7).unwrap())),
                _ => {
                    let index = usize::try_from(value).unwrap() % jobs.len();
                    let (id, difficulty) = jobs.iter().nth(index).unwrap();
                    let ntime = &ntimes[id];
                    rig.line(&format!(r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","{id}","0000000000000000","{ntime}","{nonce:08x}"]}}"#));
                    if let Some(share) = rig.shares.last() {
                        prop_assert_eq!(share.difficulty, *difficulty);
                        prop_assert_eq!(share.share_target, share_target(Algorithm::Sha256d, *difficulty));
                        prop_assert_eq!(share.payee, PAYEE);
                        rig.verdict(Verdict::Accepted { block: false });
                    }
                }
            }
            prop_assert!(rig.closed.is_none());
        }
    }
}

fn rig_limit() -> usize {
    JudgePolicy::default().shares_in_flight_max
}
