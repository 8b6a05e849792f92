//! What particular miners say that others do not, replayed line by line.

use bq_primitives::Seal;

use super::*;

const ACCEPTED: Verdict = Verdict::Accepted { block: false };

fn rig(algorithm: Algorithm, start: u64) -> Rig {
    let mut rig = Rig::new(algorithm, policy(start));
    rig.template(&template(algorithm, 1, 1));
    rig
}

fn sha256d_mining() -> Rig {
    let mut rig = rig(Algorithm::Sha256d, 512 << 32);
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    rig.take();
    rig
}

/// Firmware that prints numbers with `%x`: the value counts, so every spelling of one proof is the same share.
#[test]
fn numbers_without_leading_zeros_are_the_same_numbers() {
    let mut rig = sha256d_mining();
    let submit = |ntime: &str, nonce: &str| {
        format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","{ntime}","{nonce}"]}}"#
        )
    };
    rig.check(&submit("6a000003", "10b41"), &[]);
    assert!(matches!(rig.shares[0].seal, Seal::Sha256d { ntime: 0x6a00_0003, nonce: 0x0001_0b41, .. }));
    rig.verdict(ACCEPTED);
    rig.take();
    for nonce in ["10B41", "010b41", "00010b41", "10b41"] {
        rig.check(&submit("6A000003", nonce), &[r#"{"id":4,"result":null,"error":[22,"Duplicate share",null]}"#]);
    }
    assert_eq!(rig.rejected, [Reject::Duplicate; 4], "every spelling earns once");
    for nonce in ["", "0x10b41", "+10b41", "10b4g", "000010b41", " 10b41"] {
        rig.check(
            &submit("6a000003", nonce),
            &[r#"{"id":4,"result":null,"error":[20,"nonce is 1 to 8 hex digits",null]}"#],
        );
    }
    for ntime in ["", "06a000003", "6a00000z"] {
        rig.check(
            &submit(ntime, "10b41"),
            &[r#"{"id":4,"result":null,"error":[20,"ntime is 1 to 8 hex digits",null]}"#],
        );
    }
}

/// A login on each port, with the fixed difficulty that is asked for; what the job then says of it.
fn told_of(algorithm: Algorithm, login: &str, password: &str) -> Vec<String> {
    let mut rig = rig(algorithm, 1 << 31);
    match algorithm {
        Algorithm::RandomX => rig.line(&format!(
            r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{login}","pass":"{password}","agent":"XMRig/6.26.0"}}}}"#
        )),
        _ => {
            rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
            rig.line(&format!(r#"{{"id":3,"method":"mining.authorize","params":["{login}","{password}"]}}"#));
        }
    }
    rig.take()
}

#[test]
fn a_fixed_difficulty_is_understood_however_it_is_written() {
    let says = |algorithm: Algorithm| match algorithm {
        Algorithm::Sha256d => r#""params":[20]"#.to_owned(),
        Algorithm::RandomX => hex::encode((u64::MAX / 20).to_le_bytes()),
        Algorithm::Ethash => format!("0x{}", ShareDifficulty::from_hashes(20).target()),
    };
    for algorithm in Algorithm::ALL {
        let wanted =
            [("wallet.rig1", "d=20"), ("wallet.rig1", "d=20.0"), ("wallet.rig1", "x,d=2e1"), ("wallet.rig1+20", "x")];
        for (login, password) in wanted {
            let lines = told_of(algorithm, login, password).concat();
            assert!(lines.contains(&says(algorithm)), "{algorithm} {login} {password}: {lines}");
        }
        for (login, password) in [("wallet", "d=fast"), ("wallet", "d="), ("wallet+lots", "x"), ("wallet", "d=-3")] {
            let lines = told_of(algorithm, login, password);
            let reason = "d= in the password, or + in the login, is a difficulty such as 20, 0.5 or 2e3";
            assert!(lines.last().unwrap().contains(reason), "{algorithm} {login} {password}: {lines:?}");
        }
    }
}

/// xmrig's `-p rig1`, its default `-p x`, and `--rig-id`, which counts for more.
#[test]
fn xmrigs_password_names_the_machine_if_nothing_else_does() {
    let worker = |login: &str, password: &str, rig_id: &str| {
        let mut rig = rig(Algorithm::RandomX, 20_000);
        rig.line(&format!(
            r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{login}","pass":"{password}","agent":"XMRig/6.26.0","rigid":"{rig_id}","algo":["rx/0"]}}}}"#
        ));
        rig.logins.remove(0).1
    };
    assert_eq!(worker("wallet", "rig7", ""), "rig7");
    assert_eq!(worker("wallet", "x", ""), "default");
    assert_eq!(worker("wallet", "d=5000", ""), "default");
    assert_eq!(worker("wallet", "rig7:me@example.com", ""), "default", "no name that a machine may have");
    assert_eq!(worker("wallet", "rig7", "left"), "left");
    assert_eq!(worker("wallet.right", "rig7", "left"), "right");
}

#[test]
fn ids_of_every_kind_are_echoed_and_null_is_not_answered() {
    for id in ["4", "-1", "0.5", "\"auth\"", "true", "[1]", "{}"] {
        let mut rig = sha256d_mining();
        rig.check(
            &format!(r#"{{"id":{id},"method":"mining.noop"}}"#),
            &[&format!(r#"{{"id":{id},"result":true,"error":null}}"#)],
        );
    }
    let mut rig = sha256d_mining();
    for line in [r#"{"id":null,"method":"mining.noop"}"#, r#"{"method":"nonsense"}"#] {
        rig.check(line, &[]);
    }
    let long = format!(r#"{{"id":"{}","method":"mining.noop"}}"#, "7".repeat(70));
    rig.check(&long, &[r#"{"id":null,"result":null,"error":[20,"Line is too complex",null]}"#]);
}

#[test]
fn small_talk_is_answered_on_every_port() {
    let methods = ["mining.noop", "mining.ping", "pong", "client.get_version"];
    let answers = [
        (Algorithm::Sha256d, [r#""result":true"#, r#""result":"pong""#, r#""result":true"#, r#""result":"bq""#]),
        (Algorithm::RandomX, [r#""result":{"status":"OK"}"#; 4]),
        (Algorithm::Ethash, [r#""result":true"#; 4]),
    ];
    for (algorithm, answers) in answers {
        let mut rig = rig(algorithm, 1 << 31);
        for (method, answer) in methods.into_iter().zip(answers) {
            rig.line(&format!(r#"{{"id":6,"method":"{method}"}}"#));
            let lines = rig.take();
            assert!(lines.len() == 1 && lines[0].contains(answer), "{algorithm} {method}: {lines:?}");
        }
    }
}

/// A proxy that logs in every rig of a farm before it reads an answer.
#[test]
fn five_hundred_rigs_log_in_on_one_connection_and_the_next_is_told_why_not() {
    let mut rig = rig(Algorithm::Sha256d, 512 << 32);
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.take();
    let login =
        |number: u32| format!(r#"{{"id":{number},"method":"mining.authorize","params":["wallet.rig{number}","x"]}}"#);
    for number in 0..500 {
        rig.session.handle_line(rig.now, login(number).as_bytes());
    }
    rig.drive();
    let lines = rig.take();
    let granted = lines.iter().filter(|line| line.contains(r#""result":true"#)).count();
    assert_eq!((granted, rig.logins.len()), (500, 500));
    rig.check(
        &login(500),
        &[r#"{"id":500,"result":false,"error":[24,"this connection has 500 machines: log this one in on another",null]}"#],
    );
    rig.check(&login(7), &[r#"{"id":7,"result":true,"error":null}"#]);
    rig.line(
        r#"{"id":4,"method":"mining.submit","params":["wallet.rig499","0000001f","0000000000000000","6a000003","1"]}"#,
    );
    assert_eq!(rig.shares[0].worker.as_str(), "rig499");
}

/// The pool's words, in the shape that each dialect's miner prints.
#[test]
fn an_address_of_another_network_is_refused_in_each_dialects_shape() {
    let text = "address is of network mainnet, this pool is on testnet";
    let authorize = r#"{"id":3,"method":"mining.authorize","params":["bq1other.rig1","x"]}"#;
    let talks: [(Algorithm, &[&str], String); 6] = [
        (
            Algorithm::Sha256d,
            &[r#"{"id":1,"method":"mining.subscribe","params":[]}"#, authorize],
            format!(r#"{{"id":3,"result":false,"error":[24,"{text}",null]}}"#),
        ),
        (
            Algorithm::RandomX,
            &[r#"{"id":3,"method":"login","params":{"login":"bq1other.rig1","pass":"x"}}"#],
            format!(r#"{{"id":3,"jsonrpc":"2.0","error":{{"code":-1,"message":"{text}"}}}}"#),
        ),
        (
            Algorithm::Ethash,
            &[r#"{"id":1,"jsonrpc":"2.0","method":"mining.subscribe","params":[]}"#, authorize],
            format!(r#"{{"id":3,"jsonrpc":"2.0","result":false,"error":{{"code":24,"message":"{text}"}}}}"#),
        ),
        (
            Algorithm::Ethash,
            &[r#"{"id":3,"method":"eth_submitLogin","worker":"rig1","params":["bq1other","x"]}"#],
            format!(r#"{{"id":3,"jsonrpc":"2.0","result":false,"error":{{"code":24,"message":"{text}"}}}}"#),
        ),
        (
            Algorithm::Ethash,
            &[
                r#"{"id":1,"method":"mining.subscribe","params":["ethminer 0.19.0","EthereumStratum/1.0.0"]}"#,
                authorize,
            ],
            format!(r#"{{"id":3,"result":false,"error":[24,"{text}",null]}}"#),
        ),
        (
            Algorithm::Ethash,
            &[r#"{"id":1,"method":"mining.hello","params":{}}"#, r#"{"id":2,"method":"mining.subscribe"}"#, authorize],
            format!(r#"{{"id":3,"error":{{"code":"401","message":"{text}"}}}}"#),
        ),
    ];
    for (algorithm, lines, reply) in talks {
        let mut rig = rig(algorithm, 1 << 31);
        rig.login = LoginOutcome::Refused(text.to_owned());
        for line in lines {
            rig.line(line);
        }
        assert_eq!(rig.take().last(), Some(&reply));
    }
}

/// Of a minimum that the chain is too easy for, the miner hears no; of one that was promised and cannot be kept any more, why the
/// connection ends.
#[test]
fn a_minimum_is_kept_or_refused() {
    let network = |hashes| {
        let mut template = template(Algorithm::Sha256d, 1, 1);
        Arc::make_mut(&mut template.work).network_difficulty = bq_primitives::NetworkDifficulty::from_hashes(hashes);
        template
    };
    let configure = |value: u64| {
        format!(
            r#"{{"id":1,"method":"mining.configure","params":[["minimum-difficulty"],{{"minimum-difficulty.value":{value}}}]}}"#
        )
    };
    let answer = |kept: bool| format!(r#"{{"id":1,"result":{{"minimum-difficulty":{kept}}},"error":null}}"#);
    let mut rig = Rig::new(Algorithm::Sha256d, policy(1 << 32));
    rig.template(&network(1000 << 32));
    rig.check(&configure(101), &[&answer(false)]);
    rig.check(&configure(100), &[&answer(true)]);
    rig.line(r#"{"id":2,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet","x"]}"#);
    assert!(rig.take().contains(&r#"{"id":null,"method":"mining.set_difficulty","params":[100]}"#.to_owned()));
    let mut easier = network(900 << 32);
    Arc::make_mut(&mut easier.work).header.parent_id = BlockId([2; 32]);
    rig.template(&easier);
    assert_eq!(
        (rig.take(), rig.closed),
        (
            vec![r#"{"id":null,"method":"client.show_message","params":["closing: blocks are easier now than this miner can be told, or wants"]}"#.to_owned()],
            Some(CloseReason::Inexpressible)
        )
    );
}

/// A device far too fast for the start: what it floods the port with is judged, and slowed within the first second.
#[test]
fn a_job_that_is_far_too_easy_is_replaced_at_once() {
    let mut rig = rig(Algorithm::Sha256d, 1 << 24);
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    let told = |line: &&String| line.contains(r#""method":"mining.set_difficulty""#);
    assert_eq!(rig.take().iter().filter(told).count(), 1);
    let began = rig.now;
    let mut nonce = 0;
    while !rig.sent.iter().any(|(_, line)| told(&line)) {
        assert!(rig.now.ms_since(began) < 1_000, "not within the first second");
        rig.now = rig.now.after_ms(1);
        for _ in 0..4 {
            nonce += 1;
            rig.line(&format!(
                r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","6a000003","{nonce:x}"]}}"#
            ));
            while !rig.shares.is_empty() {
                rig.verdict(ACCEPTED);
            }
        }
    }
    assert_eq!(rig.now.ms_since(began), 250, "before the distance between two jobs has passed");
    assert!(rig.rejected.is_empty());
    let difficulty = rig.session.newest_difficulty().unwrap().hashes();
    assert!(difficulty > 1_000 << 24, "{difficulty}");
    assert_eq!(
        rig.session.settled_difficulty().map(|rough| rough.hashes() > 20_000 << 24),
        Some(true),
        "for its next visit"
    );
}

/// A device that finds as many shares as its difficulty's floor lets it: no share is refused because a job had its fill.
#[test]
fn a_job_is_replaced_before_it_is_full() {
    let judge = JudgePolicy { shares_per_job_max: 64, ..JudgePolicy::default() };
    let mut rig = Rig::new(Algorithm::Sha256d, SessionPolicy { judge, ..policy(1 << 24) });
    let mut easy = template(Algorithm::Sha256d, 1, 1);
    Arc::make_mut(&mut easy.work).network_difficulty = bq_primitives::NetworkDifficulty::from_hashes(1 << 24);
    rig.template(&easy);
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    let (mut job, mut on_the_way, mut accepted) = ("0000001f".to_owned(), Vec::new(), 0);
    for nonce in 0..5_000_u32 {
        // Twenty shares are on their way while a job comes.
        on_the_way.push(job.clone());
        if on_the_way.len() > 20 {
            rig.now = rig.now.after_ms(1);
            let job = on_the_way.remove(0);
            rig.line(&format!(
                r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","{job}","0000000000000000","6a000fff","{nonce:x}"]}}"#
            ));
            while !rig.shares.is_empty() {
                rig.verdict(ACCEPTED);
                accepted += 1;
            }
        }
        for line in rig.take() {
            if let Some((_, rest)) = line.split_once(r#""mining.notify","params":[""#) {
                rest[..8].clone_into(&mut job);
            }
        }
    }
    assert_eq!((accepted, rig.rejected.len()), (4_980, 0), "{:?}", rig.rejected.first());
}

/// Three hundred at once, below the burst: each is judged, or waits unread for those in verification, and none ends the connection.
#[test]
fn three_hundred_submits_in_one_write_are_each_judged() {
    let judge = JudgePolicy { shares_in_flight_max: 200, unproven_in_flight_max: 200, ..JudgePolicy::default() };
    let mut rig = Rig::new(Algorithm::Sha256d, SessionPolicy { judge, ..policy(512 << 32) });
    rig.template(&template(Algorithm::Sha256d, 1, 1));
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    rig.take();
    for nonce in 0..300 {
        while rig.session.reads_at().is_none() {
            rig.verdict(ACCEPTED);
        }
        assert!(rig.session.reads_at() <= Some(rig.now), "below the burst of lines nothing waits for time");
        rig.line(&format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","6a000003","{nonce:x}"]}}"#
        ));
    }
    while !rig.shares.is_empty() {
        rig.verdict(ACCEPTED);
    }
    let accepted = rig.take().iter().filter(|line| line.contains(r#""result":true"#)).count();
    assert_eq!((accepted, rig.rejected.len(), rig.closed), (300, 0, None));
}
