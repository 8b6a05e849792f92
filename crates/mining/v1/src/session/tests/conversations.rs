//! Whole conversations, line by line, as stock miners hold them.

use bq_primitives::{Seal, WorkerName};
use serde_json::Value;

use bq_share::Claim;

use super::*;

const ACCEPTED: Verdict = Verdict::Accepted { block: false };

fn job_id(line: &str) -> String {
    let json: Value = serde_json::from_str(line).unwrap();
    json["params"][0].as_str().or(json["params"]["job_id"].as_str()).unwrap().to_owned()
}

fn sha256d() -> Rig {
    let mut rig = Rig::new(Algorithm::Sha256d, policy(512 << 32));
    rig.template(&template(Algorithm::Sha256d, 1, 1));
    rig
}

fn sha256d_mining() -> Rig {
    let mut rig = sha256d();
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    rig.take();
    rig
}

#[test]
fn sha256d_handshake_in_the_order_of_bitaxe() {
    let mut rig = sha256d();
    rig.check(
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty","subscribe-extranonce"],{"version-rolling.mask":"ffffffff","version-rolling.min-bit-count":2,"minimum-difficulty.value":1}]}"#,
        &[r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000","minimum-difficulty":true,"subscribe-extranonce":true},"error":null}"#],
    );
    rig.check(
        r#"{"id":2,"method":"mining.subscribe","params":["bitaxe"]}"#,
        &[r#"{"id":2,"result":[[["mining.set_difficulty","1"],["mining.notify","0000000000007e57a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"]],"00000007",8],"error":null}"#],
    );
    rig.line(r#"{"id":"auth","method":"mining.authorize","params":["wallet.rig1","d=0.5"]}"#);
    let lines = rig.take();
    assert_eq!(lines[0], r#"{"id":"auth","result":true,"error":null}"#);
    assert_eq!(
        lines[1], r#"{"id":null,"method":"mining.set_difficulty","params":[1]}"#,
        "the minimum that it configured, not the lower wish"
    );
    assert!(lines[2].contains("mining.notify") && lines.len() == 3);
    assert_eq!(rig.logins, [("wallet".to_owned(), "rig1".to_owned())]);
}

#[test]
fn a_minimum_that_was_answered_true_is_kept() {
    let mut rig = sha256d();
    rig.line(
        r#"{"id":1,"method":"mining.configure","params":[["minimum-difficulty"],{"minimum-difficulty.value":4}]}"#,
    );
    rig.line(r#"{"id":2,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet","d=0.5"]}"#);
    let told = |rig: &mut Rig| {
        rig.take().into_iter().filter(|line| line.contains(r#""method":"mining.set_difficulty""#)).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut rig), [r#"{"id":null,"method":"mining.set_difficulty","params":[4]}"#]);
    for _ in 0..20 {
        rig.pass(3_000);
    }
    assert!(told(&mut rig).is_empty(), "silence does not lower it");
    rig.check(
        r#"{"id":4,"method":"mining.configure","params":[["minimum-difficulty"],{}]}"#,
        &[r#"{"id":4,"result":{"minimum-difficulty":false},"error":null}"#],
    );
}

#[test]
fn sha256d_authorize_before_subscribe_and_null_ids() {
    let mut rig = sha256d();
    rig.check(r#"{"id":null,"method":"mining.suggest_target","params":["00"]}"#, &[]);
    rig.check(
        r#"{"id":1,"method":"mining.authorize","params":["wallet","x"]}"#,
        &[r#"{"id":1,"result":true,"error":null}"#],
    );
    rig.line(r#"{"id":2,"method":"mining.subscribe","params":[]}"#);
    let lines = rig.take();
    assert!(lines[0].starts_with(r#"{"id":2,"#) && lines[1].contains("set_difficulty") && lines[2].contains("notify"));
    assert_eq!(rig.logins, [("wallet".to_owned(), "default".to_owned())]);
}

#[test]
fn sha256d_small_requests() {
    let mut rig = sha256d_mining();
    rig.check(
        r#"{"id":5,"method":"mining.extranonce.subscribe","params":[]}"#,
        &[r#"{"id":5,"result":true,"error":null}"#],
    );
    rig.check(r#"{"id":6,"method":"mining.ping"}"#, &[r#"{"id":6,"result":"pong","error":null}"#]);
    rig.check(r#"{"id":6,"method":"mining.noop"}"#, &[r#"{"id":6,"result":true,"error":null}"#]);
    rig.check(r#"{"id":6,"method":"client.get_version"}"#, &[r#"{"id":6,"result":"bq","error":null}"#]);
    rig.check(
        r#"{"id":"tx","method":"mining.get_transactions","params":["1"]}"#,
        &[r#"{"id":"tx","result":null,"error":[20,"Transactions are not told",null]}"#],
    );
    rig.check(
        r#"{"id":8,"method":"nonsense","params":{}}"#,
        &[r#"{"id":8,"result":null,"error":[20,"Unsupported",null]}"#],
    );
    rig.check(r#"{"id":9,"result":"agent","error":null}"#, &[]);
    rig.now = rig.now.after_ms(5_000);
    rig.line(r#"{"id":7,"method":"mining.suggest_difficulty","params":["0.25"]}"#);
    let lines = rig.take();
    assert_eq!(lines[0], r#"{"id":7,"result":true,"error":null}"#);
    assert_eq!(lines[1], r#"{"id":null,"method":"mining.set_difficulty","params":[0.25]}"#);
    assert!(lines[2].contains("notify") && lines[2].ends_with("false]}"), "same tip: {}", lines[2]);
}

#[test]
fn sha256d_submits() {
    let mut rig = sha256d_mining();
    let submit = |params: &str| format!(r#"{{"id":4,"method":"mining.submit","params":[{params}]}}"#);
    let good = r#""wallet.rig1","0000001f","00000000000000AB","6a000003","9d3c1ab2""#;
    rig.check(&submit(good), &[]);
    rig.check(&submit(&good.replace("AB", "ab")), &[]); // the same bytes, still in verification
    rig.verdict(ACCEPTED);
    assert_eq!(
        rig.take(),
        [r#"{"id":4,"result":true,"error":null}"#, r#"{"id":4,"result":null,"error":[22,"Duplicate share",null]}"#]
    );

    let mut refused = |params: &str, code: u32| {
        rig.line(&submit(params));
        let lines = rig.take();
        assert!(lines[0].starts_with(&format!(r#"{{"id":4,"result":null,"error":[{code},"#)), "{params}: {lines:?}");
        assert!(code == 21 || !lines[0].to_lowercase().contains("job"), "counted as stale by miners: {lines:?}");
    };
    refused(&good.replace("0000001f", "0000001e"), 21);
    refused(&good.replace("0000001f", "1f"), 21);
    refused(&good.replace("wallet", "other"), 24);
    refused(&good.replace("rig1", "rig2"), 24);
    refused(&good.replace("00AB", "0AB"), 20);
    refused(&good.replace("9d3c1ab2", "09d3c1ab2"), 20);
    refused(&good.replace("9d3c1ab2", ""), 20);
    refused(&good.replace("9d3c1ab2", "0x9d3c1a"), 20);
    refused(&good.replace("6a000003", "69ffffff"), 20); // before the job
    refused(&good.replace("6a000003", "6a001c21"), 20); // two hours and a second ahead
    refused(&format!(r#"{good},"00002000""#), 20); // version rolling was not negotiated
    refused("1,2,3,4,5", 20);
    refused("", 20);
    assert_eq!(rig.shares.len(), 0);
    assert_eq!(rig.rejected.len(), 14);
}

#[test]
fn sha256d_version_bits() {
    let mut rig = sha256d_mining();
    rig.line(
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"00c00000"}]}"#,
    );
    assert!(rig.take()[0].contains(r#""version-rolling.mask":"00c00000""#));
    let mut nonce = 0;
    let mut version = |bits: &str| {
        nonce += 1;
        rig.line(&format!(r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","6a000000","{nonce:08x}"{bits}]}}"#));
        rig.shares.pop().map(|share| match share.seal {
            Seal::Sha256d { version, .. } => version,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(version(""), Some(0x2000_0000));
    assert_eq!(version(r#","00400000""#), Some(0x2040_0000));
    assert_eq!(version(r#","20400000""#), Some(0x2040_0000), "the full version is as good");
    for bit in 0..32 {
        let inside = 0x00c0_0000_u32 & (1 << bit) != 0;
        let rolled = version(&format!(r#","{:08x}""#, 1_u32 << bit));
        // Bit 29 alone is the job's own version.
        assert_eq!(rolled.is_some(), inside || bit == 29, "bit {bit}");
    }
}

#[test]
fn sha256d_jobs_of_the_same_tip_stay_valid_and_others_go_stale() {
    let mut rig = sha256d_mining();
    rig.now = rig.now.after_ms(3_000);
    rig.template(&template(Algorithm::Sha256d, 1, 2));
    assert!(rig.take()[0].ends_with("false]}"));
    let submit = |job: &str, nonce: u32| {
        format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","{job}","0000000000000000","6a000003","{nonce:08x}"]}}"#
        )
    };
    rig.line(&submit("0000001f", 1));
    rig.line(&submit("00000020", 1));
    assert_eq!(rig.shares.len(), 2);
    assert_ne!(rig.shares[0].template.seal_hash, rig.shares[1].template.seal_hash);
    rig.template(&template(Algorithm::Sha256d, 2, 1));
    assert!(rig.take()[0].ends_with("true]}"));
    rig.line(&submit("0000001f", 2));
    let late: Vec<Option<Reject>> = rig.shares.iter().map(|share| share.unless_block).collect();
    assert_eq!(late, [None, None, Some(Reject::Stale)], "what came in time is not late for having waited here");
    rig.verdict(Verdict::Rejected(Reject::Busy));
    rig.verdict(ACCEPTED);
    rig.verdict(Verdict::Rejected(Reject::Stale));
    assert_eq!(
        rig.take(),
        [
            r#"{"id":4,"result":null,"error":[20,"Server busy",null]}"#,
            r#"{"id":4,"result":true,"error":null}"#,
            r#"{"id":4,"result":null,"error":[21,"Stale share",null]}"#,
        ],
        "in the order of the submits, the late one last"
    );
    assert_eq!(rig.rejected, [Reject::Busy, Reject::Stale]);
}

#[test]
fn every_refresh_has_a_new_id_and_new_content() {
    for algorithm in Algorithm::ALL {
        let mut rig = Rig::new(algorithm, policy(1 << 32));
        rig.template(&template(algorithm, 1, 1));
        match algorithm {
            Algorithm::RandomX => rig.line(r#"{"id":1,"method":"login","params":{"login":"wallet","pass":"d=1000"}}"#),
            _ => {
                rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
                rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet","d=1000"]}"#);
            }
        }
        rig.sent.clear();
        let mut ids = std::collections::BTreeSet::new();
        let mut contents = std::collections::BTreeSet::new();
        for _ in 0..15 {
            rig.pass(29_000);
            assert!(rig.sent.iter().all(|(kind, _)| *kind != FrameKind::Job), "not before 30 s");
            rig.pass(1_000);
            let jobs: Vec<String> =
                rig.sent.drain(..).filter(|(kind, _)| *kind == FrameKind::Job).map(|(_, line)| line).collect();
            assert_eq!(jobs.len(), 1, "one job per refresh");
            let id = job_id(&jobs[0]);
            assert!(contents.insert(jobs[0].replace(&id, "")));
            assert!(ids.insert(id));
        }
    }
}

fn randomx_mining() -> Rig {
    let mut rig = Rig::new(Algorithm::RandomX, policy(20_000));
    rig.template(&template(Algorithm::RandomX, 1, 1));
    rig.line(r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"wallet.rig1","pass":"x","agent":"XMRig/6.26.0","rigid":"ignored","algo":["rx/0","rx/wow"]}}"#);
    rig
}

#[test]
fn randomx_login_holds_the_job() {
    let mut rig = randomx_mining();
    let lines = rig.take();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with(r#"{"id":1,"jsonrpc":"2.0","error":null,"result":{"id":"c0ffee01","job":{"blob":"1010"#)
    );
    assert!(lines[0].ends_with(&format!(
        r#""job_id":"0000001f","target":"{}","algo":"rx/0","height":70000,"seed_hash":"{}"}},"extensions":["algo","keepalive"],"status":"OK"}}}}"#,
        hex::encode((u64::MAX / 20_000).to_le_bytes()),
        "09".repeat(32)
    )));
    let json: Value = serde_json::from_str(&lines[0]).unwrap();
    let blob = json["result"]["job"]["blob"].as_str().unwrap();
    assert_eq!((blob.len(), &blob[78..86]), (152, "00000000"));
    assert_eq!(rig.logins, [("wallet".to_owned(), "rig1".to_owned())]);

    rig.check(
        r#"{"id":3,"jsonrpc":"2.0","method":"keepalived","params":{"id":"c0ffee01"}}"#,
        &[r#"{"id":3,"jsonrpc":"2.0","error":null,"result":{"status":"KEEPALIVED"}}"#],
    );
    rig.template(&template(Algorithm::RandomX, 2, 1));
    let lines = rig.take();
    assert!(lines.len() == 1 && lines[0].starts_with(r#"{"jsonrpc":"2.0","method":"job","params":{"blob":"1010"#));
}

#[test]
fn randomx_login_waits_for_a_template_and_reads_the_difficulty() {
    let mut rig = Rig::new(Algorithm::RandomX, policy(20_000));
    rig.line(r#"{"id":1,"method":"login","params":{"login":"wallet+5000","pass":"w","rigid":"rig9"}}"#);
    assert!(rig.take().is_empty());
    rig.template(&template(Algorithm::RandomX, 1, 1));
    let lines = rig.take();
    assert!(lines[0].contains(&hex::encode((u64::MAX / 5_000).to_le_bytes())) && lines.len() == 1);
    assert_eq!(rig.logins, [("wallet".to_owned(), "rig9".to_owned())]);
}

#[test]
fn randomx_submits() {
    let mut rig = randomx_mining();
    rig.take();
    let low = "00".repeat(32);
    let submit = |nonce: &str, result: &str, job: &str, session: &str| {
        format!(
            r#"{{"id":2,"method":"submit","params":{{"id":"{session}","job_id":"{job}","nonce":"{nonce}","result":"{result}","algo":"rx/0"}}}}"#
        )
    };
    let error = |text: &str| format!(r#"{{"id":2,"jsonrpc":"2.0","error":{{"code":-1,"message":"{text}"}}}}"#);
    rig.check(&submit("d0030040", &low, "0000001f", "c0ffee01"), &[]);
    match rig.shares[0].seal {
        Seal::RandomX { extranonce, nonce } => {
            assert_eq!(nonce, 0x4000_03d0);
            assert_eq!(hex::encode(extranonce.0), "0001001f000000070000000000000000");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.shares[0].claim, Claim::RandomX([0; 32]));
    rig.verdict(ACCEPTED);
    assert_eq!(rig.take(), [r#"{"id":2,"jsonrpc":"2.0","error":null,"result":{"status":"OK"}}"#]);
    rig.check(&submit("d0030040", &low, "0000001f", "c0ffee01"), &[&error("Duplicate share")]);
    rig.check(&submit("d0030041", &"ff".repeat(32), "0000001f", "c0ffee01"), &[&error("Low difficulty share")]);
    rig.check(&submit("d0030040", &low, "0000001e", "c0ffee01"), &[&error("Job not found")]);
    rig.check(&submit("d0030040", &low, "0000001f", "c0ffee02"), &[&error("Unauthenticated")]);
    rig.check(&submit("d003004", &low, "0000001f", "c0ffee01"), &[&error("Malformed nonce")]);
    rig.check(&submit("d0030040", &low[2..], "0000001f", "c0ffee01"), &[&error("Malformed result")]);
    rig.check(
        r#"{"id":9,"method":"mining.subscribe","params":[]}"#,
        &[r#"{"id":9,"jsonrpc":"2.0","error":{"code":-1,"message":"Unsupported method"}}"#],
    );
    for forged in 1..=3 {
        rig.line(&submit(&format!("{forged:08x}"), &low, "0000001f", "c0ffee01"));
        rig.verdict(Verdict::Rejected(Reject::BadProof));
        assert_eq!(rig.closed.is_some(), forged == 3);
    }
    assert_eq!(rig.closed, Some(CloseReason::ForgedShares));
}

#[test]
fn randomx_judges_the_claim_by_the_target_that_was_sent() {
    let mut rig = randomx_mining();
    let target = u64::MAX / 20_000;
    let mut claim = |top: u64, nonce: u32| {
        let result = format!("{}{}", "ff".repeat(24), hex::encode(top.to_le_bytes()));
        rig.line(&format!(r#"{{"id":2,"method":"submit","params":{{"id":"c0ffee01","job_id":"0000001f","nonce":"{nonce:08x}","result":"{result}"}}}}"#));
        rig.shares.pop().is_some()
    };
    assert!(claim(target - 1, 1));
    assert!(!claim(target, 2), "the miner is strict");
}

#[test]
fn randomx_refusals_close() {
    let lines = [
        r#"{"id":1,"method":"login","params":{"login":"w","mode":"self-select"}}"#,
        r#"{"id":1,"method":"login","params":{"login":"w","agent":"xmr-node-proxy/0.0.3"}}"#,
        r#"{"id":1,"method":"login","params":{"login":"w","algo":["cn/r","kawpow"]}}"#,
        r#"{"id":1,"method":"login","params":{"login":"not an address"}}"#,
        r#"{"id":1,"method":"login"}"#,
    ];
    for line in lines {
        let mut rig = Rig::new(Algorithm::RandomX, policy(1));
        rig.line(line);
        assert!(rig.take()[0].starts_with(r#"{"id":1,"jsonrpc":"2.0","error":{"code":-1,"#), "{line}");
        assert_eq!(rig.closed, Some(CloseReason::Refused), "{line}");
    }
    let mut rig = Rig::new(Algorithm::RandomX, policy(1));
    rig.login = LoginOutcome::Unavailable;
    rig.line(r#"{"id":1,"method":"login","params":{"login":"wallet"}}"#);
    assert_eq!((rig.take().len(), rig.closed), (0, Some(CloseReason::Unavailable)));
}

fn ethash() -> Rig {
    ethash_at(1 << 31)
}

/// At difficulty 1 every claimed mix is a share's.
fn ethash_at(difficulty: u64) -> Rig {
    let mut rig = Rig::new(Algorithm::Ethash, policy(difficulty));
    rig.template(&template(Algorithm::Ethash, 1, 1));
    rig
}

fn params(line: &str) -> Vec<String> {
    let json: Value = serde_json::from_str(line).unwrap();
    let list = if json["params"].is_array() { &json["params"] } else { &json["result"] };
    list.as_array().unwrap().iter().map(|value| value.as_str().map_or(value.to_string(), str::to_owned)).collect()
}

const SEED_1: &str = "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563";

#[test]
fn ethash_mode_0() {
    let mut rig = ethash_at(1);
    rig.check(
        r#"{"id":1,"jsonrpc":"2.0","method":"mining.subscribe","params":[]}"#,
        &[r#"{"id":1,"jsonrpc":"2.0","result":true,"error":null}"#],
    );
    rig.line(r#"{"id":3,"jsonrpc":"2.0","method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    let lines = rig.take();
    assert_eq!((lines.len(), lines[0].as_str()), (2, r#"{"id":3,"jsonrpc":"2.0","result":true,"error":null}"#));
    assert!(lines[1].starts_with(r#"{"id":null,"jsonrpc":"2.0","method":"mining.notify","params":["0000001f","0x"#));
    let job = params(&lines[1]);
    assert_eq!(job[2], format!("0x{SEED_1}"));
    assert_eq!(job[3], format!("0x{}", "f".repeat(64)));
    assert_eq!(job[4], "true");
    let mix = format!("0x{}", "ab".repeat(32));
    let submit = |header: &str, user: &str| {
        format!(
            r#"{{"id":40,"jsonrpc":"2.0","method":"mining.submit","params":["{user}","0000001f","0x00000000000000Ff","{header}","{mix}"],"worker":"rig1"}}"#
        )
    };
    rig.check(&submit(&job[1], "wallet"), &[]);
    assert_eq!(rig.shares[0].claim, Claim::EthashMix([0xab; 32]));
    assert!(matches!(rig.shares[0].seal, Seal::Ethash { nonce: 0xff, mix, .. } if mix == [0xab; 32]));
    assert_eq!(rig.shares[0].worker.as_str(), "rig1");
    rig.verdict(ACCEPTED);
    assert_eq!(rig.take(), [r#"{"id":40,"jsonrpc":"2.0","result":true,"error":null}"#]);
    rig.check(
        &submit(&mix, "wallet"),
        &[r#"{"id":40,"jsonrpc":"2.0","result":false,"error":{"code":21,"message":"Job not found"}}"#],
    );
    rig.check(
        &submit(&job[1], "thief"),
        &[r#"{"id":40,"jsonrpc":"2.0","result":false,"error":{"code":24,"message":"Unauthorized worker"}}"#],
    );
}

#[test]
fn ethash_eth_proxy() {
    let mut rig = ethash_at(1);
    rig.check(
        r#"{"id":5,"method":"eth_getWork","params":[]}"#,
        &[r#"{"id":5,"jsonrpc":"2.0","result":false,"error":{"code":24,"message":"Log in first"}}"#],
    );
    rig.check(
        r#"{"id":1,"method":"eth_submitLogin","worker":"rig1","params":["wallet","x"]}"#,
        &[r#"{"id":1,"jsonrpc":"2.0","result":true}"#],
    );
    assert_eq!(rig.logins, [("wallet".to_owned(), "rig1".to_owned())]);
    rig.line(r#"{"id":5,"method":"eth_getWork","params":[]}"#);
    rig.line(r#"{"id":6,"method":"eth_getWork","params":[]}"#);
    let lines = rig.take();
    assert_eq!(lines[0].replace("\"id\":5", "\"id\":6"), lines[1], "polling does not make jobs");
    let job = params(&lines[0]);
    assert_eq!((job.len(), job[0].len(), job[1].as_str()), (3, 66, format!("0x{SEED_1}").as_str()));
    rig.check(
        r#"{"id":9,"jsonrpc":"2.0","method":"eth_submitHashrate","worker":"rig1","params":["0x1","0x2"]}"#,
        &[r#"{"id":9,"jsonrpc":"2.0","result":true}"#],
    );
    let submit = |nonce: &str| {
        format!(
            r#"{{"id":40,"method":"eth_submitWork","worker":"rig1","params":["{nonce}","{}","0x{}"]}}"#,
            job[0],
            "00".repeat(32)
        )
    };
    rig.check(&submit("0x0000000000000001"), &[]);
    rig.verdict(Verdict::Rejected(Reject::LowDifficulty));
    assert_eq!(
        rig.take(),
        [r#"{"id":40,"jsonrpc":"2.0","result":false,"error":{"code":23,"message":"Low difficulty share"}}"#]
    );
    for nonce in ["0x1", "0x00000000000000001", "0x000000000000000g", ""] {
        rig.line(&submit(nonce));
        assert!(rig.take()[0].contains(r#""code":20"#), "{nonce}");
    }
    rig.template(&template(Algorithm::Ethash, 2, 1));
    let push = rig.take();
    assert!(push.len() == 1 && push[0].starts_with(r#"{"id":0,"jsonrpc":"2.0","result":["0x"#));
    rig.check(
        &submit("0x0000000000000002"),
        &[r#"{"id":40,"jsonrpc":"2.0","result":false,"error":{"code":21,"message":"Stale share"}}"#],
    );
}

#[test]
fn ethash_nicehash() {
    let mut rig = ethash();
    rig.check(
        r#"{"id":1,"method":"mining.subscribe","params":["ethminer 0.19.0","EthereumStratum/1.0.0"]}"#,
        &[r#"{"id":1,"result":[["mining.notify","c0ffee01","EthereumStratum/1.0.0"],"0007"],"error":null}"#],
    );
    rig.check(
        r#"{"id":2,"method":"mining.extranonce.subscribe","params":[]}"#,
        &[r#"{"id":2,"result":true,"error":null}"#],
    );
    rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    let lines = rig.take();
    assert_eq!(lines[0], r#"{"id":3,"result":true,"error":null}"#);
    assert_eq!(lines[1], r#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#);
    let job = params(&lines[2]);
    assert_eq!((job[0].as_str(), job[1].as_str(), job[2].len()), ("0000001f", SEED_1, 64), "seed before header");
    rig.check(r#"{"id":40,"method":"mining.submit","params":["wallet.rig1","0000001f","a0cfae7df760"]}"#, &[]);
    assert!(matches!(rig.shares[0].seal, Seal::Ethash { nonce: 0x0007_a0cf_ae7d_f760, .. }));
    assert_eq!(rig.shares[0].claim, Claim::None);
    rig.verdict(Verdict::Rejected(Reject::LowDifficulty));
    assert_eq!(rig.take(), [r#"{"id":40,"result":false,"error":[23,"Low difficulty share",null]}"#]);
    rig.check(
        r#"{"id":40,"method":"mining.submit","params":["wallet.rig1","0000001f","0007a0cfae7df760"]}"#,
        &[r#"{"id":40,"result":false,"error":[20,"nonce has a wrong length or is not hex",null]}"#],
    );
}

#[test]
fn ethash_nicehash_difficulty_stays_in_what_ethminer_reads() {
    for (start, told) in [(1_u64, "0.00010000006295740604"), (1 << 60, "10000")] {
        let mut rig = Rig::new(Algorithm::Ethash, policy(start));
        let mut easy = template(Algorithm::Ethash, 1, 1);
        Arc::make_mut(&mut easy.work).network_difficulty = bq_primitives::NetworkDifficulty::from_hashes(1 << 58);
        rig.template(&easy);
        rig.line(r#"{"id":1,"method":"mining.subscribe","params":["m","EthereumStratum/1.0.0"]}"#);
        rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
        let line = rig.take()[2].clone();
        let value: f64 = params(&line)[0].parse().unwrap();
        assert!((0.0001..=10_000.0).contains(&value), "{line}");
        assert!(line.ends_with(&format!("[{told}]}}")), "no exponent: {line}");
    }
}

#[test]
fn ethash_2_0_0() {
    let mut rig = ethash();
    rig.check(
        r#"{"id":1,"method":"mining.hello","params":{"agent":"ethminer 0.19.0","host":"pool","port":"10e1","proto":"EthereumStratum/2.0.0"}}"#,
        &[r#"{"id":1,"result":{"proto":"EthereumStratum/2.0.0","encoding":"plain","resume":"0","timeout":"b4","maxerrors":"5","node":"bq/0.1"}}"#],
    );
    rig.check(r#"{"id":2,"method":"mining.subscribe"}"#, &[r#"{"id":2,"result":"s-c0ffee01"}"#]);
    rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    let lines = rig.take();
    assert_eq!(lines[0], r#"{"id":3,"result":"w-c0ffee01"}"#);
    assert_eq!(
        lines[1],
        format!(
            r#"{{"method":"mining.set","params":{{"epoch":"1","target":"0000000200000000{}","algo":"ethash","extranonce":"0007","timeout":"b4"}}}}"#,
            "0".repeat(48)
        )
    );
    assert!(
        lines[2].starts_with(r#"{"method":"mining.notify","params":["0000001f","11170",""#)
            && lines[2].ends_with(r#","1"]}"#)
    );
    rig.check(r#"{"id":40,"method":"mining.submit","params":["0000001f","a0cfae7df760","w-c0ffee01"]}"#, &[]);
    rig.verdict(ACCEPTED);
    assert_eq!(rig.take(), [r#"{"id":40,"result":true}"#]);
    rig.check(
        r#"{"id":40,"method":"mining.submit","params":["0000001f","a0cfae7df760","w-00000000"]}"#,
        &[r#"{"id":40,"error":{"code":"401","message":"Unauthorized worker"}}"#],
    );
    rig.check(r#"{"id":7,"method":"mining.noop"}"#, &[r#"{"id":7,"result":true}"#]);
    rig.template(&template(Algorithm::Ethash, 2, 1));
    assert_eq!(rig.take().len(), 1, "what did not change is not said again");
    rig.line(r#"{"id":8,"method":"mining.bye"}"#);
    assert_eq!(rig.closed, Some(CloseReason::Goodbye));
}

#[test]
fn jobs_on_one_tip_keep_their_distance() {
    let mut rig = ethash();
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet","x"]}"#);
    rig.take();
    rig.template(&template(Algorithm::Ethash, 1, 2));
    rig.template(&template(Algorithm::Ethash, 1, 3));
    assert!(rig.take().is_empty(), "too soon after the first job");
    assert_eq!(rig.session.next_timeout().ms_since(rig.now), 1_000, "the vardiff tick comes first");
    rig.pass(2_000);
    assert_eq!(rig.take().len(), 1, "one job for both");
    rig.template(&template(Algorithm::Ethash, 2, 1));
    assert_eq!(rig.take().len(), 1, "a new tip does not wait");
}

/// Miners that do not wait for the login's answer send both lines at once.
#[test]
fn eth_proxy_work_asked_for_right_behind_the_login_comes_after_it() {
    let pipelined = |outcome: LoginOutcome| {
        let mut rig = ethash();
        rig.login = outcome;
        for line in [
            r#"{"id":1,"method":"eth_submitLogin","params":["wallet","x"]}"#,
            r#"{"id":2,"method":"eth_getWork","params":[]}"#,
        ] {
            rig.session.handle_line(rig.now, line.as_bytes());
        }
        rig.drive();
        rig.take()
    };
    let granted = pipelined(LoginOutcome::Granted { payee: PAYEE, remembered: None, trust: None });
    assert_eq!(granted[0], r#"{"id":1,"jsonrpc":"2.0","result":true}"#);
    assert_eq!((granted.len(), params(&granted[1]).len()), (2, 3), "{granted:?}");
    assert!(granted[1].starts_with(r#"{"id":2,"#));
    let refused = pipelined(LoginOutcome::Refused("no such address".to_owned()));
    assert_eq!(refused[1], r#"{"id":2,"jsonrpc":"2.0","result":false,"error":{"code":24,"message":"Log in first"}}"#);
}

#[test]
fn unreadable_lines_are_answered_in_the_dialects_own_shape() {
    let shapes = [
        (Algorithm::Sha256d, r#"{"id":null,"result":null,"error":[20,"Malformed line",null]}"#),
        (Algorithm::RandomX, r#"{"id":null,"jsonrpc":"2.0","error":{"code":-1,"message":"Malformed line"}}"#),
        (
            Algorithm::Ethash,
            r#"{"id":null,"jsonrpc":"2.0","result":false,"error":{"code":20,"message":"Malformed line"}}"#,
        ),
    ];
    for (algorithm, shape) in shapes {
        let mut rig = Rig::new(algorithm, policy(1 << 20));
        rig.check("{\"id\":1,", &[shape]);
        assert_eq!(rig.closed, Some(CloseReason::UnknownProtocol), "a stranger gets no second chance");
        let mut rig = Rig::new(algorithm, policy(1 << 20));
        rig.line(r#"{"id":1,"method":"mining.ping","params":[]}"#);
        rig.take();
        rig.check("[]", &[shape]);
        assert_eq!(rig.closed, None);
        rig.session.handle_oversize_line();
        rig.drive();
        assert_eq!(
            (rig.take(), rig.closed),
            (vec![shape.replace("Malformed line", "Line is too long")], Some(CloseReason::Malformed))
        );
    }
}

#[test]
fn deadlines() {
    let closed_after = |prepare: &dyn Fn(&mut Rig), span_ms| {
        let mut rig = sha256d();
        prepare(&mut rig);
        rig.pass(span_ms);
        rig.closed
    };
    assert_eq!(closed_after(&|_| (), 9_999), None);
    assert_eq!(closed_after(&|_| (), 10_000), Some(CloseReason::FirstLineTimeout));
    let subscribe = |rig: &mut Rig| rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    assert_eq!(closed_after(&subscribe, 29_999), None);
    assert_eq!(closed_after(&subscribe, 30_000), Some(CloseReason::AuthorizeTimeout));
    let authorize = |rig: &mut Rig| rig.line(r#"{"id":1,"method":"mining.authorize","params":["wallet","x"]}"#);
    assert_eq!(closed_after(&authorize, 599_999), None);
    assert_eq!(closed_after(&authorize, 600_000), Some(CloseReason::IdleTimeout));
    let then = |line: &'static str, after_ms: u64| {
        move |rig: &mut Rig| {
            rig.line(r#"{"id":1,"method":"mining.authorize","params":["wallet","x"]}"#);
            rig.pass(after_ms);
            rig.line(line);
        }
    };
    for line in [r#"{"id":1,"result":1}"#, r#"{"id":1,"method":"nonsense"}"#, "", "nonsense"] {
        assert_eq!(
            closed_after(&then(line, 400_000), 200_000),
            Some(CloseReason::IdleTimeout),
            "{line} is no progress"
        );
    }
    for line in [r#"{"id":1,"method":"mining.noop"}"#, r#"{"id":1,"method":"mining.submit","params":[]}"#] {
        assert_eq!(closed_after(&then(line, 400_000), 200_000), None, "{line}");
    }
    let answers = |rig: &mut Rig| {
        rig.line(r#"{"id":1,"result":1}"#);
        rig.pass(20_000);
        rig.line(r#"{"id":2,"result":1}"#);
    };
    assert_eq!(closed_after(&answers, 10_000), Some(CloseReason::AuthorizeTimeout), "answers are no login");
    assert_eq!(closed_after(&|rig| rig.line("GET / HTTP/1.1"), 0), Some(CloseReason::UnknownProtocol));
}

/// SPEC 11.11.7: of several machines the one whose login was taken back is refused until it logs in again, also if it was the first.
#[test]
fn a_machine_whose_login_was_taken_back_takes_nobody_along() {
    let mut rig = sha256d_mining();
    let authorize = r#"{"id":2,"method":"mining.authorize","params":["wallet.rig2","x"]}"#;
    rig.line(authorize);
    rig.take();
    let (first, second) = (WorkerName::new("rig1").unwrap(), WorkerName::new("rig2").unwrap());
    let mut nonce = 0;
    let mut is_taken = |rig: &mut Rig, worker: &str| {
        nonce += 1;
        rig.line(&format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.{worker}","0000001f","0000000000000000","6a000000","{nonce:08x}"]}}"#
        ));
        let is_taken = !rig.shares.is_empty();
        if is_taken {
            rig.verdict(ACCEPTED);
        }
        let answer = rig.take().remove(0);
        assert!(answer.contains(if is_taken { "true" } else { "[24," }), "{answer}");
        is_taken
    };
    assert!(is_taken(&mut rig, "rig1") && is_taken(&mut rig, "rig2"));
    assert!(rig.session.end_login(PAYEE, &second));
    assert!(is_taken(&mut rig, "rig1") && !is_taken(&mut rig, "rig2"));
    assert!(!rig.session.end_login(PAYEE, &first), "it is the only one");
    assert!(rig.session.end_login(PAYEE, &second), "it is gone already");
    rig.line(authorize);
    rig.take();
    assert!(rig.session.end_login(PAYEE, &first));
    assert!(!is_taken(&mut rig, "rig1") && is_taken(&mut rig, "rig2") && rig.closed.is_none());
}

/// SPEC 11.7.8: pings, further logins and refused shares keep nobody here for longer than an hour after the last accepted share.
#[test]
fn nothing_but_shares_keeps_a_connection_for_ever() {
    let talk_for = |rig: &mut Rig, minutes: u64| {
        for _ in 0..minutes {
            rig.pass(60_000);
            rig.line(r#"{"id":7,"method":"mining.ping","params":[]}"#);
            rig.line(r#"{"id":8,"method":"mining.authorize","params":["wallet.other","x"]}"#);
            rig.line(r#"{"id":9,"method":"mining.submit","params":["wallet","0","00","00","00"]}"#);
        }
    };
    let mut rig = sha256d();
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":[]}"#);
    rig.line(r#"{"id":2,"method":"mining.authorize","params":["wallet","x"]}"#);
    talk_for(&mut rig, 59);
    assert_eq!(rig.closed, None);
    let sent = rig.take();
    let notify = sent.iter().rev().find_map(|line| line.split_once(r#""mining.notify","params":[""#)).unwrap().1;
    let time = notify.split('"').rfind(|text| text.starts_with("6a")).unwrap();
    let submit = r#"{"id":3,"method":"mining.submit","params":["wallet","JOB","0000000000000000","TIME","00000001"]}"#;
    rig.line(&submit.replace("JOB", &notify[..8]).replace("TIME", time));
    rig.verdict(ACCEPTED);
    talk_for(&mut rig, 59);
    assert_eq!(rig.closed, None);
    talk_for(&mut rig, 1);
    assert_eq!(rig.closed, Some(CloseReason::Shareless));
}

#[test]
fn too_many_lines_are_read_more_slowly_and_none_is_lost() {
    let mut rig = sha256d_mining();
    let submit = |nonce: u32| {
        format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","6a000003","{nonce:08x}"]}}"#
        )
    };
    let began = rig.now;
    for nonce in 0..700 {
        rig.now = rig.now.after_ms(rig.session.reads_at().unwrap().ms_since(rig.now));
        rig.line(&submit(nonce));
        rig.verdict(Verdict::Rejected(Reject::LowDifficulty));
    }
    // Four hundred at once, then a hundred a second; subscribe and authorize were the first two.
    assert_eq!(rig.now.ms_since(began), 3_020);
    assert!(rig.closed.is_none());
    rig.line("");
    assert_eq!(rig.session.reads_at().unwrap().ms_since(rig.now), 20, "an empty line is a line");
    rig.pass(20);
    for nonce in 700..1_700 {
        assert!(rig.session.reads_at().unwrap() <= rig.now, "an accepted share is worth its line");
        rig.line(&submit(nonce));
        rig.verdict(ACCEPTED);
    }
}

#[test]
fn what_may_be_a_block_waits_unread_for_a_verdict() {
    let mut rig = sha256d_mining();
    let submit = |nonce: u32| {
        format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","6a000003","{nonce:08x}"]}}"#
        )
    };
    let most = u32::try_from(JudgePolicy::default().shares_in_flight_max).unwrap();
    for nonce in 0..most {
        assert!(rig.session.reads_at().is_some());
        rig.line(&submit(nonce));
    }
    assert_eq!(rig.session.reads_at(), None);
    rig.verdict(ACCEPTED);
    assert!(rig.session.reads_at().is_some());
}

/// A claim costs nothing to make: two at a time, whatever else is full, and the next waits unread.
#[test]
fn claimed_blocks_pass_every_limit_two_at_a_time() {
    let judge = JudgePolicy { unproven_in_flight_max: 0, shares_per_job_max: 0, ..JudgePolicy::default() };
    let mut rig = Rig::new(Algorithm::RandomX, SessionPolicy { judge, ..policy(20_000) });
    rig.template(&template(Algorithm::RandomX, 1, 1));
    rig.line(r#"{"id":1,"method":"login","params":{"login":"wallet"}}"#);
    rig.template(&template(Algorithm::RandomX, 2, 1));
    for (nonce, reason) in [(0, Reject::Stale), (1, Reject::Stale)] {
        assert!(rig.session.reads_at().is_some());
        let result = "00".repeat(32);
        rig.line(&format!(
            r#"{{"id":2,"method":"submit","params":{{"id":"c0ffee01","job_id":"0000001f","nonce":"{nonce:08x}","result":"{result}"}}}}"#
        ));
        assert_eq!(rig.shares.last().unwrap().unless_block, Some(reason));
    }
    assert_eq!(rig.session.reads_at(), None);
    rig.verdict(Verdict::Accepted { block: true });
    assert!(rig.session.reads_at().is_some());
}

/// ethminer would work on 429,497 hashes and be credited what it was told.
#[test]
fn a_network_too_easy_for_a_dialect_is_refused_with_the_reason() {
    let mut rig = Rig::new(Algorithm::Ethash, policy(64));
    let mut easy = template(Algorithm::Ethash, 1, 1);
    Arc::make_mut(&mut easy.work).network_difficulty = bq_primitives::NetworkDifficulty::from_hashes(4_000_000);
    rig.template(&easy);
    rig.line(r#"{"id":1,"method":"mining.subscribe","params":["m","EthereumStratum/1.0.0"]}"#);
    rig.take();
    rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    let lines = rig.take();
    assert!(lines.len() == 1 && lines[0].contains("easier than EthereumStratum/1.0.0 can say"), "{lines:?}");
    assert_eq!(rig.closed, Some(CloseReason::Inexpressible));
}

#[test]
fn one_account_per_connection() {
    let mut rig = sha256d_mining();
    rig.check(
        r#"{"id":5,"method":"mining.authorize","params":["wallet.rig2","x"]}"#,
        &[r#"{"id":5,"result":true,"error":null}"#],
    );
    rig.login = LoginOutcome::Granted { payee: KeyHash([8; 32]), remembered: None, trust: None };
    rig.check(
        r#"{"id":6,"method":"mining.authorize","params":["other.rig2","x"]}"#,
        &[r#"{"id":6,"result":false,"error":[24,"one account per connection",null]}"#],
    );
    rig.login = LoginOutcome::Refused("no such address".to_owned());
    rig.check(
        r#"{"id":7,"method":"mining.authorize","params":["typo","x"]}"#,
        &[r#"{"id":7,"result":false,"error":[24,"no such address",null]}"#],
    );
    rig.line(r#"{"id":4,"method":"mining.submit","params":["wallet.rig2","0000001f","0000000000000000","6a000003","00000001"]}"#);
    assert_eq!((rig.shares[0].payee, rig.shares[0].worker.as_str()), (PAYEE, "rig2"));
}

#[test]
fn a_stranger_gets_few_verifications_at_once_and_earns_more() {
    let mut rig = Rig::new(
        Algorithm::RandomX,
        SessionPolicy { judge: JudgePolicy { unproven_in_flight_max: 2, ..JudgePolicy::default() }, ..policy(20_000) },
    );
    rig.template(&template(Algorithm::RandomX, 1, 1));
    rig.line(r#"{"id":1,"method":"login","params":{"login":"wallet"}}"#);
    let mut send = |count: u32| {
        for _ in 0..count {
            let nonce = rig.rejected.len() + rig.shares.len() + rig.sent.len();
            let result = format!("{}{}", "ff".repeat(24), hex::encode((u64::MAX / 20_000 - 1).to_le_bytes()));
            rig.line(&format!(
                r#"{{"id":2,"method":"submit","params":{{"id":"c0ffee01","job_id":"0000001f","nonce":"{nonce:08x}","result":"{result}"}}}}"#
            ));
        }
        let taken = rig.shares.len();
        while !rig.shares.is_empty() {
            rig.verdict(ACCEPTED);
        }
        taken
    };
    assert_eq!([send(10), send(10), send(10)], [2, 4, 8]);
    assert!(rig.rejected.iter().all(|reason| *reason == Reject::Busy));
}

/// Another process goes on with a session: the miner hears of nothing but its next job, and answers, ids, login and jobs stay.
#[test]
fn a_session_goes_on_in_another_process() {
    const RESULT: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    let dialects: [(Algorithm, &[&str], &str); 5] = [
        (
            Algorithm::Sha256d,
            &[
                r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{}]}"#,
                r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
                r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#,
            ],
            r#"{"id":9,"method":"mining.submit","params":["wallet.rig1","0000001f","0000000000000000","6a000003","00000001","00002000"]}"#,
        ),
        (
            Algorithm::RandomX,
            &[r#"{"id":1,"method":"login","params":{"login":"wallet.rig1","pass":"x"}}"#],
            r#"{"id":9,"method":"submit","params":{"id":"c0ffee01","job_id":"0000001f","nonce":"d0030040","result":"RESULT"}}"#,
        ),
        (
            Algorithm::Ethash,
            &[
                r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
                r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#,
            ],
            "",
        ),
        (
            Algorithm::Ethash,
            &[
                r#"{"id":1,"method":"mining.subscribe","params":["m","EthereumStratum/1.0.0"]}"#,
                r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","d=4294967296"]}"#,
            ],
            r#"{"id":9,"method":"mining.submit","params":["wallet.rig1","0000001f","a0cfae7df760"]}"#,
        ),
        (
            Algorithm::Ethash,
            &[
                r#"{"id":1,"method":"eth_submitLogin","worker":"rig1","params":["wallet","x"]}"#,
                r#"{"id":2,"method":"eth_getWork","params":[]}"#,
            ],
            "",
        ),
    ];
    for (algorithm, handshake, submit) in dialects {
        let mut rig = Rig::new(algorithm, policy(1000));
        rig.template(&template(algorithm, 1, 0));
        for line in handshake {
            rig.line(line);
        }
        rig.take();
        let handed = |rig: &mut Rig| {
            let session = handed_over(&rig.session, rig.now, (algorithm, Arc::new(policy(1000))), SEED).unwrap();
            rig.session = session;
        };
        let before = (rig.session.newest_difficulty(), rig.session.miner().map(|(payee, name)| (payee, name.clone())));
        handed(&mut rig);
        assert_eq!(rig.session.miner().map(|(payee, name)| (payee, name.clone())), before.1);
        rig.template(&template(algorithm, 1, 0));
        let jobs = rig.take();
        assert_eq!(jobs.len(), 1, "the next job and nothing else: {jobs:?}");
        assert!(!jobs[0].contains("0000001f\""), "a fresh one: {jobs:?}");
        assert_eq!(rig.session.newest_difficulty(), before.0);
        if submit.is_empty() {
            continue;
        }
        let submit = submit.replace("RESULT", RESULT);
        rig.line(&submit);
        assert_eq!(rig.shares.len(), 1, "a share of a job from before: {:?}", rig.sent);
        assert!(rig.session.state().is_none(), "not while a verdict is missing");
        rig.verdict(Verdict::Accepted { block: false });
        rig.take();
        handed(&mut rig);
        rig.template(&template(algorithm, 1, 0));
        rig.take();
        rig.line(&submit);
        assert!(rig.shares.is_empty() && rig.take()[0].to_lowercase().contains("duplicate"));
    }
}
