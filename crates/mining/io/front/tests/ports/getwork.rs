//! HTTP getwork, as ethminer speaks it: HTTP/1.0, one request on each connection, read to the end.

use std::sync::Arc;

use bq_front::AuthMode;
use bq_mining_message::TokenWish;
use bq_primitives::Algorithm;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    Bench,
    access::{address, token_mode},
    miner::EthashJob,
};

/// What ethminer sends (libpoolprotocols/getwork/EthGetworkClient.cpp, 0.19).
async fn post(bench: &Bench, path: &str, body: &str) -> String {
    post_with(bench, path, body, "").await
}

async fn post_with(bench: &Bench, path: &str, body: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(bench.server.address(Algorithm::Ethash).unwrap()).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{headers}\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn ask(bench: &Bench, path: &str, request: &Value) -> Value {
    let answer = post(bench, path, &request.to_string()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// What a page sends to a name of its own that it lets point here.
#[tokio::test]
async fn a_browser_has_nobody_banned() {
    let bench = Bench::start(2, 1 << 40, |_| ()).await;
    let request = r#"{"id": 1, "method": "eth_getWork", "params": []}"#;
    for header in
        ["Origin: http://example.com\r\n", "Sec-Fetch-Site: same-origin\r\n", "Referer: http://example.com/\r\n"]
    {
        let answer = post_with(&bench, "/addr1.rig1", request, header).await;
        assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("pages of a browser"), "{answer}");
    }
    assert_eq!(bench.server.access().sessions(None, 10), []);
    assert!(post(&bench, "/addr1.rig1", request).await.contains("0x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miner_that_polls_over_http_is_paid() {
    let bench = Bench::start(2, 1 << 40, |_| ()).await;
    let path = "/addr1.rig1";
    let work = ask(&bench, path, &json!({"id": 1, "jsonrpc": "2.0", "method": "eth_getWork", "params": []})).await;
    assert_eq!(work["id"], 1);
    let header = work["result"][0].as_str().unwrap()[2..].to_owned();
    let verifier = Arc::clone(&bench.verifier);
    let submit = tokio::task::spawn_blocking(move || {
        let job = EthashJob { id: String::new(), header };
        job.submit(&EthashJob::find(&verifier, &job.header, 0))
    });
    let submit: Value = serde_json::from_str(&submit.await.unwrap()).unwrap();
    let answer = ask(&bench, path, &submit).await;
    assert_eq!((&answer["id"], &answer["result"]), (&json!(40), &json!(true)), "{answer}");
    assert_eq!(ask(&bench, path, &submit).await["error"]["message"], "Duplicate share");
    let rate = json!({"id": 9, "method": "eth_submitHashrate", "params": ["0x1", "0x2"]});
    assert_eq!(ask(&bench, path, &rate).await["result"], true);
    let sessions = bench.server.access().sessions(None, 10);
    assert_eq!((sessions.len(), sessions[0].worker.as_str()), (1, "rig1"), "one session for all of that");
    assert_eq!(bench.pool.shares().len(), 1);
    bench.server.shutdown().await;
}

/// Where miners without TLS are turned away, so are those that poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_are_plaintext_too() {
    let bench = Bench::start(2, 1 << 40, |config| config.plaintext = false).await;
    let answer = post(&bench, "/addr1", r#"{"id":1,"method":"eth_getWork","params":[]}"#).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("stratum+ssl"), "{answer}");
    bench.server.shutdown().await;
}

/// SPEC 11.12.6: a session stands in the place of the poll that began it, later polls take none, and who finds all full is told in JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_takes_no_place_beside_its_session() {
    let bench = Bench::start(16, 1 << 40, |config| {
        config.trust_loopback = false;
        config.places.total = 2;
        config.places.proof_lapses_ms = 3_600_000;
    })
    .await;
    let (mut miner, job) = bench.sha256d("addr1.a").await;
    assert_eq!(miner.submit(&job.find(16, 1 << 40)).await, "true");
    let poll = json!({"id": 7, "method": "eth_getWork", "params": []});
    for _ in 0..5 {
        let work = ask(&bench, "/addr2.rig", &poll).await;
        assert!(work["id"] == 7 && work["result"].is_array(), "{work}");
    }
    let sessions = bench.server.access().sessions(None, 10);
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let (mut other, job) = bench.sha256d("addr1.b").await;
    assert_eq!(other.submit(&job.find(16, 1 << 40)).await, "true", "in the place of the session, which proved nothing");
    let answer = ask(&bench, "/addr2.rig", &poll).await;
    assert!(
        answer["id"] == 7 && answer["error"]["message"].as_str().unwrap().contains("the server is full"),
        "{answer}"
    );
    let mut lines = bench.connect(Algorithm::Ethash).await;
    assert!(lines.line().await["error"]["message"].as_str().unwrap().contains("the server is full"));
    bench.server.shutdown().await;
}

/// SPEC 11.11.2: where other dialects have a password, the path has what follows the first comma.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_may_bring_a_token() {
    let bench = Bench::start(2, 1 << 40, |config| config.access = token_mode(AuthMode::Token)).await;
    let wish = TokenWish { address: address(1), username: None, worker: None };
    let token = bench.server.access().make_token(&wish).unwrap();
    let poll = json!({"id": 1, "method": "eth_getWork", "params": []});
    let path = format!("/{}.rig", address(1));
    let refused = ask(&bench, &path, &poll).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("wants a worker token"), "{refused}");
    for comma in [",", "%2C"] {
        let work = ask(&bench, &format!("{path}{comma}{}", token.token), &poll).await;
        assert!(work["result"].is_array(), "{work}");
    }
    assert_eq!(bench.server.access().sessions(None, 10).len(), 1);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_poll_is_said_in_json() {
    let bench = Bench::start(2, 1 << 40, |_| ()).await;
    let poll = json!({"id": 1, "method": "eth_getWork", "params": []});
    for (path, request, said) in [
        ("/", poll.clone(), "ADDRESS.worker"),
        ("/nobody.rig", poll.clone(), "not an address"),
        ("/own", poll, "own address"),
        ("/addr1", json!({"id": 1, "method": "eth_mine", "params": []}), "eth_getWork"),
        ("/addr1", json!([1, 2]), "not a JSON request"),
        ("/addr1", json!({"id": 1, "method": "eth_getWork", "params": ["x".repeat(5_000)]}), "not a JSON request"),
    ] {
        let answer = ask(&bench, path, &request).await;
        assert!(answer["error"]["message"].as_str().unwrap().contains(said), "{path} {answer}");
    }
    let many = (0..20).map(|n| format!("X-{n}: {}\r\n", "y".repeat(1_000))).collect::<String>();
    let mut stream = TcpStream::connect(bench.server.address(Algorithm::Ethash).unwrap()).await.unwrap();
    let _closed = stream.write_all(format!("POST / HTTP/1.0\r\n{many}").as_bytes()).await;
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.0 200"), "a head without end is cut off");
    assert_eq!(bench.server.access().sessions(None, 10), []);
    bench.server.shutdown().await;
}
