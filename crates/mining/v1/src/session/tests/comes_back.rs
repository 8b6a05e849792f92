//! SPEC 11.14: the ticket that a miner is told, and what it has when it shows one.

use bq_share::Trust;

use super::*;
use crate::Parting;

const TICKET: &str = "0000000000007e57a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";

fn rig() -> Rig {
    let mut rig = Rig::new(Algorithm::Sha256d, SessionPolicy { job_gap_ms: 0, ..SessionPolicy::default() });
    rig.template(&template(Algorithm::Sha256d, 1, 1));
    rig
}

fn subscribe(rig: &mut Rig, params: &str) {
    rig.line(&format!(r#"{{"id":1,"method":"mining.subscribe","params":[{params}]}}"#));
}

fn authorize(rig: &mut Rig, worker: &str) {
    rig.line(&format!(r#"{{"id":2,"method":"mining.authorize","params":["wallet.{worker}","x"]}}"#));
}

fn submit(rig: &mut Rig, nonce: u32) -> ShareCandidate {
    let line = format!(
        r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000001","6a000000","{nonce:08x}"]}}"#
    );
    rig.line(&line);
    rig.shares.last().expect("a candidate").clone()
}

#[test]
fn what_was_shown_goes_with_the_first_login_alone() {
    let shown = Some(TICKET.parse().unwrap());
    for (params, offered) in [
        (format!(r#""cpuminer/2.5.1","{TICKET}""#), shown),
        (format!(r#""bfgminer","{}""#, TICKET.to_uppercase()), shown),
        (format!(r#"null,"{TICKET}","pool.example",3333"#), shown),
        (r#""cpuminer/2.5.1""#.to_owned(), None),
        (r#""cpuminer/2.5.1","c0ffee01""#.to_owned(), None),
        (r#""NiceHash/1.0.0","1525853829",null"#.to_owned(), None),
        (format!(r#""m",["{TICKET}"]"#), None),
        (format!(r#""m","{TICKET}0""#), None),
    ] {
        let mut rig = rig();
        subscribe(&mut rig, &params);
        authorize(&mut rig, "rig1");
        authorize(&mut rig, "rig2");
        assert_eq!(rig.came_back, [offered, None], "{params}");
    }
    let mut late = rig();
    authorize(&mut late, "rig1");
    subscribe(&mut late, &format!(r#""m","{TICKET}""#));
    authorize(&mut late, "rig1");
    assert_eq!(late.came_back, [None, None], "who is logged in does not come");
    let mut again = rig();
    subscribe(&mut again, &format!(r#""m","{TICKET}""#));
    subscribe(&mut again, "");
    authorize(&mut again, "rig1");
    assert_eq!(again.came_back, [None], "what was said last counts");
}

#[test]
fn trust_and_strikes_are_as_they_were() {
    let with = |trust| {
        let mut rig = rig();
        rig.login = LoginOutcome::Granted { payee: PAYEE, remembered: None, trust };
        subscribe(&mut rig, "");
        authorize(&mut rig, "rig1");
        rig
    };
    let of = |verified, forged| Some(Trust { verified, forged, proven: 0 });
    for (trust, is_trusted) in [(None, false), (of(19, 0), false), (of(20, 0), true), (of(500, 1), false)] {
        let mut rig = with(trust);
        assert_eq!(submit(&mut rig, 1).is_trusted, is_trusted, "{trust:?}");
    }
    let mut rig = with(of(20, 0));
    submit(&mut rig, 1);
    rig.verdict(Verdict::Accepted { block: false });
    let trust = Trust { verified: 21, forged: 0, proven: 1 };
    let worker = bq_primitives::WorkerName::new("rig1").unwrap();
    let expected = Parting { payee: PAYEE, worker, trust, difficulty: None };
    assert_eq!(rig.session.parting(), Some(expected), "to come back to again");
}

#[test]
fn there_is_nothing_to_come_back_to_without_login_or_ticket() {
    let mut rig = rig();
    assert_eq!(rig.session.parting(), None);
    subscribe(&mut rig, "");
    assert_eq!(rig.session.parting(), None, "nobody is logged in");
    authorize(&mut rig, "rig1");
    assert!(rig.session.parting().is_some());
    let mut untold = self::rig();
    authorize(&mut untold, "rig1");
    assert_eq!(untold.session.parting(), None, "it was told no ticket");
    for (algorithm, lines) in [
        (Algorithm::RandomX, &[r#"{"id":1,"method":"login","params":{"login":"wallet.rig1","pass":"x"}}"#][..]),
        (Algorithm::Ethash, &[r#"{"id":1,"method":"eth_submitLogin","params":["wallet.rig1","x"]}"#]),
        (
            Algorithm::Ethash,
            &[
                r#"{"id":1,"method":"mining.subscribe","params":["m","EthereumStratum/1.0.0"]}"#,
                r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#,
            ],
        ),
        (
            Algorithm::Ethash,
            &[
                r#"{"id":1,"method":"mining.hello","params":{}}"#,
                r#"{"id":2,"method":"mining.subscribe","params":"s-c0ffee01"}"#,
                r#"{"id":3,"method":"mining.authorize","params":["wallet.rig1","x"]}"#,
            ],
        ),
    ] {
        let mut other = Rig::new(algorithm, SessionPolicy::default());
        lines.iter().for_each(|line| other.line(line));
        assert!(other.session.miner().is_some(), "{lines:?}");
        assert_eq!((other.session.parting(), &other.came_back[..]), (None, &[None][..]), "{lines:?}");
    }
}
