//! Pools that misbehave. Whatever the first one does, the miner ends by mining: at the second, or at the first once it comes
//! to its senses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::{sync::Arc, time::Duration};

use bq_miner::{ClientSettings, Miner};
use bq_pow::PowVerifier;
use fake::{Pool, Reply, Script, comes, config, difficulty, easy, notify, refuse, say, stop};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Handle, task::JoinSet};

/// Who is mined at in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mines {
    First,
    Second,
    Either,
}

/// Settings under which patience ends soon.
fn hasty() -> ClientSettings {
    let ms = Duration::from_millis;
    ClientSettings {
        connect: ms(1_000),
        login: ms(500),
        job: ms(500),
        silence: ms(1_000),
        verdict: ms(1_000),
        share: ms(2_000),
        refusals_max: 5,
        nonsense_max: 20,
        backoff_min: ms(4),
        backoff_max: ms(20),
        reconnect_wait_max: ms(50),
        busy: ms(2),
        drain: ms(200),
        ..ClientSettings::default()
    }
}

/// The script of the good pool with its work replaced.
fn works(work: Vec<Value>) -> Script {
    Script { work, ..Script::good() }
}

fn job_with(field: usize, value: Value) -> Script {
    let mut job = notify(&json!("1"));
    job["params"][field] = value;
    works(vec![easy(), job])
}

fn floods(line: &str) -> Script {
    Script { flood: Some(format!("{line}\n").into_bytes()), subscribe: Reply::Nothing, ..Script::good() }
}

fn shares(shares: Reply) -> Script {
    Script { shares, ..Script::good() }
}

fn subscribes(text: &str) -> Script {
    Script { subscribe: say(text), ..Script::good() }
}

fn reconnects(params: &Value) -> Script {
    works(vec![json!({"id": null, "method": "client.reconnect", "params": params})])
}

/// Pools that are no use, from the connection to the last share.
fn useless() -> Vec<(&'static str, Script)> {
    let good = Script::good;
    let hard = difficulty(&json!(2.0_f64.powi(60)));
    let binary: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').chain([b'\n']).collect();
    vec![
        ("closes every connection", Script { closes: u64::MAX, ..good() }),
        ("says nothing", Script { subscribe: Reply::Nothing, ..good() }),
        ("closes at the login", Script { subscribe: Reply::Close, ..good() }),
        (
            "is a web server",
            Script { greeting: b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), subscribe: Reply::Close, ..good() },
        ),
        ("sends binary noise", Script { flood: Some(binary), subscribe: Reply::Nothing, ..good() }),
        ("sends nothing but newlines", floods("")),
        ("sends numbers", floods("17")),
        ("sends brackets in brackets", floods(&"[".repeat(5_000))),
        ("sends a line without end", Script { flood: Some(vec![b'x'; 1 << 14]), subscribe: Reply::Nothing, ..good() }),
        (
            "sends half a line and goes",
            Script { greeting: b"{\"id\":1,\"resu".to_vec(), subscribe: Reply::Close, ..good() },
        ),
        ("refuses to subscribe", Script { subscribe: refuse("go away"), ..good() }),
        ("subscribes to a word", subscribes(r#"{"id":ID,"result":"yes","error":null}"#)),
        ("subscribes without room for an extranonce", subscribes(r#"{"id":ID,"result":[[],"ab",0],"error":null}"#)),
        (
            "subscribes with an endless extranonce",
            subscribes(&format!(r#"{{"id":ID,"result":[[],"{}",8]}}"#, "ab".repeat(65))),
        ),
        ("refuses the worker", Script { authorize: refuse("Unauthorized worker"), ..good() }),
        ("answers the login with no", Script { authorize: say(r#"{"id":ID,"result":false,"error":null}"#), ..good() }),
        ("never answers the login", Script { authorize: Reply::Nothing, ..good() }),
        ("has no work", works(Vec::new())),
        ("sends a short previous hash", job_with(1, json!("00"))),
        ("sends a coinbase of odd length", job_with(2, json!("abc"))),
        ("sends a coinbase without end", job_with(3, json!("00".repeat(8_193)))),
        ("sends short branches", job_with(4, json!(["00"]))),
        ("sends too many branches", job_with(4, json!(vec!["00".repeat(32); 33]))),
        ("sends a time that is none", job_with(7, json!("tomorrow"))),
        ("sends a job without a name", job_with(0, Value::Null)),
        (
            "sets a difficulty that nobody meets, and keeps saying so",
            Script {
                work: vec![hard.clone(), notify(&json!("1"))],
                flood: Some(format!("{hard}\n").into_bytes()),
                ..good()
            },
        ),
        ("goes quiet", works(vec![hard.clone(), notify(&json!("1"))])),
        ("refuses every share", shares(refuse("Low difficulty share"))),
        ("calls every share late", shares(refuse("Stale share"))),
        ("is always busy", shares(refuse("Server busy"))),
        ("never answers a share", shares(Reply::Nothing)),
        ("answers what nobody asked", shares(say(r#"{"id":7,"result":true,"error":null}"#))),
        ("goes at the first share", shares(Reply::Close)),
        (
            "changes to an extranonce that is none",
            Script {
                work: vec![
                    easy(),
                    json!({"method": "mining.set_extranonce", "params": ["xyz", 99]}),
                    notify(&json!("1")),
                ],
                shares: refuse("Invalid extranonce"),
                ..good()
            },
        ),
        ("sends us to a stranger", reconnects(&json!(["127.0.0.9", 1, 0]))),
        ("sends us to a closed port", reconnects(&json!(["127.0.0.1", 1, 0]))),
        ("sends us round in a circle", reconnects(&json!([]))),
        ("sends us away for years", reconnects(&json!(["", 0, 100_000_000]))),
        (
            "talks without end",
            Script {
                work: Vec::new(),
                flood: Some(b"{\"method\":\"client.show_message\",\"params\":[\"\\u001b[2J\"]}\n".to_vec()),
                ..good()
            },
        ),
    ]
}

/// Pools that are odd, and can be mined at.
fn odd() -> Vec<(&'static str, Script)> {
    let good = Script::good;
    let text = |json: Value| format!("{json}\n").into_bytes();
    vec![
        (
            "sends the job before the answer to subscribe",
            Script { greeting: [text(easy()), text(notify(&json!("1")))].concat(), work: Vec::new(), ..good() },
        ),
        (
            "writes ids as texts",
            Script {
                subscribe: say(r#"{"id":"ID","result":[[],"abcd",8],"error":null}"#),
                authorize: say(r#"{"id":"ID","result":true,"error":null}"#),
                shares: say(r#"{"id":"ID","result":true,"error":null}"#),
                ..good()
            },
        ),
        (
            "writes no ids",
            Script {
                subscribe: say(r#"{"id":null,"result":[[],"abcd",8],"error":null}"#),
                authorize: say(r#"{"result":true}"#),
                shares: say(r#"{"id":null,"result":true,"error":null}"#),
                ..good()
            },
        ),
        ("names jobs by number", works(vec![easy(), notify(&json!(17))])),
        ("begins with noise", Script { greeting: b"\n{not json\n\xff\xfe\n[1,2]\n".to_vec(), ..good() }),
        (
            "sends a bad job before a good one",
            works(vec![easy(), json!({"method": "mining.notify", "params": ["0", "00"]}), notify(&json!("1"))]),
        ),
        (
            "sets bad difficulties before a good one",
            works(vec![
                difficulty(&json!(0)),
                difficulty(&json!(-1)),
                difficulty(&json!("NaN")),
                difficulty(&json!(1e300)),
                easy(),
                notify(&json!("1")),
            ]),
        ),
        ("is busy at first", Script { first_shares: vec![refuse("Server busy"); 40], ..good() }),
        ("refuses the first shares", Script { first_shares: vec![refuse("Low difficulty share"); 4], ..good() }),
        ("speaks one byte at a time", Script { drips: true, ..good() }),
        ("is down at first", Script { closes: 5, ..good() }),
        (
            "changes the extranonce",
            works(vec![
                easy(),
                json!({"method": "mining.set_extranonce", "params": ["0102030405", 3]}),
                notify(&json!("1")),
            ]),
        ),
        (
            "calls what we do not know",
            Script { greeting: text(json!({"id": 9, "method": "client.dance", "params": {}})), ..good() },
        ),
    ]
}

/// Pools that are mined at as long as they take shares in spite of it.
fn bearable() -> Vec<(&'static str, Script)> {
    let jobs = Some(format!("{}\n", notify(&json!("9"))).into_bytes());
    vec![("sends jobs without end", Script { flood: jobs, ..Script::good() })]
}

/// Mines until the pool that is meant to has accepted a share, and the miner knows it.
async fn mines(name: &'static str, script: Script, expected: Mines, pow: Arc<PowVerifier>) -> Result<(), String> {
    let (first, second) = (Pool::start(script).await, Pool::start(Script::good()).await);
    let patient = ClientSettings { backoff_min: Duration::from_millis(5), ..ClientSettings::default() };
    let (pools, settings) = match expected {
        Mines::First => (vec![first.address.into()], patient),
        Mines::Second | Mines::Either => (vec![first.address.into(), second.address.into()], hasty()),
    };
    let miner = Miner::start(config(&pools, settings), pow, &Handle::current()).unwrap();
    let accepted = || match expected {
        Mines::First => first.accepted(),
        Mines::Second => second.accepted(),
        Mines::Either => first.accepted() + second.accepted(),
    };
    let mined = comes(|| accepted() > 0 && miner.stats().algorithms[0].accepted > 0).await;
    let stats = stop(miner).await.stats();
    if mined { Ok(()) } else { Err(format!("{name}: {:?}", stats.algorithms)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_pool_does_the_miner_mines_in_the_end() {
    const AT_ONCE: usize = 6;
    let pow = Arc::new(PowVerifier::default());
    let useless = useless().into_iter().map(|(name, script)| (name, script, Mines::Second));
    let odd = odd().into_iter().map(|(name, script)| (name, script, Mines::First));
    let bearable = bearable().into_iter().map(|(name, script)| (name, script, Mines::Either));
    let mut waiting: Vec<_> = useless.chain(odd).chain(bearable).collect();
    assert!(waiting.len() >= 50, "{} pools", waiting.len());
    let (mut running, mut failures) = (JoinSet::new(), Vec::new());
    loop {
        while running.len() < AT_ONCE
            && let Some((name, script, expected)) = waiting.pop()
        {
            running.spawn(mines(name, script, expected, Arc::clone(&pow)));
        }
        let Some(result) = running.join_next().await else { break };
        failures.extend(result.unwrap().err());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_takes_no_connection_is_left_for_the_next() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let second = Pool::start(Script::good()).await;
    let pools = [closed.into(), second.address.into()];
    let miner = Miner::start(config(&pools, hasty()), Arc::default(), &Handle::current()).unwrap();
    assert!(comes(|| second.accepted() > 0).await);
    stop(miner).await;
}

/// The name has an address of each kind on most machines; the pool listens at one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_dead_addresses_is_mined_at() {
    let pool = Pool::start(Script::good()).await;
    let endpoint = format!("stratum+tcp://localhost:{}", pool.address.port()).parse().unwrap();
    let miner = Miner::start(config(&[endpoint], hasty()), Arc::default(), &Handle::current()).unwrap();
    assert!(comes(|| pool.accepted() > 0).await);
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_pool_is_gone_back_to_and_no_share_is_lost_on_the_way() {
    // The attempts at it fail, the first looks too.
    let (first, second) =
        (Pool::start(Script { closes: 5, ..Script::good() }).await, Pool::start(Script::good()).await);
    let settings = ClientSettings {
        backoff_min: Duration::from_millis(5),
        probe: Duration::from_millis(30),
        ..ClientSettings::default()
    };
    let pools = [first.address.into(), second.address.into()];
    let miner = Miner::start(config(&pools, settings), Arc::default(), &Handle::current()).unwrap();
    assert!(comes(|| second.accepted() > 0).await);
    assert!(comes(|| first.accepted() > 0).await);
    let stats = stop(miner).await.stats();
    let sha256d = &stats.algorithms[0];
    assert_eq!((sha256d.lost, sha256d.accepted), (0, first.accepted() + second.accepted()));
}
