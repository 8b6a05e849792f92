//! The server over real sockets.

mod common;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use bq_chain_api::DifficultyView;
use bq_condition::ConditionList;
use bq_http::HttpLimits;
use bq_primitives::{Height, Network};
use bq_views::{BlocksView, Event, MinerView, PoolView, SettingsView};
use common::{ShelfPool, address_of, atoms, block, site, site_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn the_api_answers_with_the_pools_views() {
    let site = site(ShelfPool::default()).await;
    assert_ne!(site.http.address().port(), 0);

    let reply = site.get("/api/v1/pool").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let pool: PoolView = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((pool.height, pool.algorithms.len()), (7, 3));

    for (path, count) in [("/api/v1/blocks", 50), ("/api/v1/blocks?limit=3", 3)] {
        let blocks: BlocksView = serde_json::from_str(&site.get(path).await.body).unwrap();
        assert_eq!(blocks.blocks.len(), count, "{path}");
        assert_eq!(blocks.blocks[0].height, 100);
    }

    let address = address_of(5, Network::Devnet);
    let reply = site.get(&format!("/api/v1/miners/{address}")).await;
    let miner: MinerView = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((miner.address, miner.workers[0].name.as_str()), (address, "rig-001"));

    let difficulty: DifficultyView = serde_json::from_str(&site.get("/api/v1/difficulty").await.body).unwrap();
    assert_eq!(difficulty.height, Height(7));

    let connect = site.get("/api/v1/connect").await.json();
    assert_eq!(connect["network"], "devnet");
    assert_eq!(connect["ports"][1]["address"], "127.0.0.1:3334");
    let commands: Vec<&str> = (0..4).map(|index| connect["ports"][index]["command"].as_str().unwrap()).collect();
    assert_eq!(commands[0], "minerd -a sha256d -o stratum+tcp://HOST:3333 -u ADDRESS.worker -p x");
    assert_eq!(commands[1], "xmrig -a rx/0 -o HOST:3334 -u ADDRESS.worker -p x");
    assert_eq!(commands[2], "ethminer --farm-retries 99 --retry-delay 2 -P stratum1+tcp://ADDRESS.worker@HOST:3335");
    assert_eq!(commands[3], "stratum2+tcp://HOST:3336/KEY");
    site.http.shutdown().await;
}

#[tokio::test]
async fn settings_are_shown_and_bad_ones_are_refused_before_anybody_is_asked() {
    let site = site(ShelfPool::default()).await;
    let (miner, stranger) = (address_of(5, Network::Devnet), address_of(6, Network::Devnet));
    let path = format!("/api/v1/accounts/{miner}/settings");
    let view: SettingsView = serde_json::from_str(&site.get(&path).await.body).unwrap();
    assert_eq!((view.next_number, view.pending.map(|pending| pending.from_height)), (3, Some(440)));
    let text = site.get(&path).await.body;
    assert!(text.contains(r#""webhook":true"#) && !text.contains("https://"), "{text}");
    assert_eq!(site.get(&format!("/api/v1/accounts/{stranger}/settings")).await.status, 404);
    let post = |body: String| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json");
        format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let of = |address: &str, wish: &str| {
        let request = format!("bq request 1\\ngenesis 00\\naddress {address}\\ntime 1\\n{wish}\\n");
        post(format!(r#"{{"request":"{request}","public_key":"","signature":""}}"#))
    };
    for (request, status, code) in [
        (post("{}".to_owned()), 400, "bad_request"),
        (post(r#"{"request":"","public_key":"","signature":"","more":1}"#.to_owned()), 400, "bad_request"),
        (of("", "settings"), 400, "other_account"),
        (of(&stranger, "settings"), 400, "other_account"),
        (of(&miner, "lock"), 400, "malformed"),
        // This site has no Stratum server that could take it.
        (of(&miner, "settings"), 404, "no_such_path"),
        (of(&miner, "cancel x 1"), 404, "no_such_path"),
    ] {
        let reply = site.ask(&request).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &code.into()), "{request}");
    }
    let reply = site.ask(&post("x".repeat(16 * 1024 + 1))).await;
    assert!(matches!(reply.status, 400 | 413), "{}", reply.body);
}

/// Whoever follows `next` has every row once.
#[tokio::test]
async fn lists_are_read_page_by_page() {
    let limits = HttpLimits { page_max: 7, ..HttpLimits::default() };
    let site = site_with(ShelfPool::default(), limits).await;
    let miner = format!("/api/v1/miners/{}", address_of(5, Network::Devnet));
    let lists = [
        ("/api/v1/blocks".to_owned(), "blocks", 100),
        (format!("{miner}/workers"), "workers", 100),
        (format!("{miner}/payouts"), "payouts", 99),
        (format!("{miner}/earnings"), "earnings", 99),
    ];
    for (path, name, count) in lists {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let page = site.get(&format!("{path}?limit=7{after}")).await.json();
            let of_page = page[name].as_array().unwrap_or_else(|| panic!("{path}: {page}"));
            assert!(of_page.len() <= 7);
            rows.extend(of_page.iter().map(ToString::to_string));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(rows.len(), count, "{path}");
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), count, "{path}");
        assert_eq!(site.get(&format!("{path}?limit=8")).await.status, 400, "{path}: the setting bounds it");
        assert_eq!(site.get(&path).await.json()[name].as_array().map(Vec::len), Some(7), "{path}");
    }
    for path in ["/api/v1/pool/history", &format!("{miner}/history?worker=rig-001")] {
        let history = site.get(path).await.json();
        assert_eq!((&history["step"], &history["algorithms"]["randomx"][0]["work"]), (&"5m".into(), &"750".into()));
    }
    assert_eq!(site.get("/api/v1/pool/history?step=1d").await.json()["step"], "1d");
}

#[tokio::test]
async fn senseless_requests_get_a_json_error() {
    let site = site(ShelfPool::default()).await;
    let mainnet = format!("/api/v1/miners/{}", address_of(5, Network::Mainnet));
    let stranger = format!("/api/v1/miners/{}", address_of(6, Network::Devnet));
    let of_stranger = [
        ("workers", 404, "unknown_miner"),
        ("payouts", 404, "unknown_miner"),
        ("earnings", 404, "unknown_miner"),
        ("history", 404, "unknown_miner"),
        ("history?worker=a%20b", 400, "bad_step"),
        ("history?step=1y", 400, "bad_step"),
        ("workers?after=rig", 400, "bad_cursor"),
        ("payouts?after=-1", 400, "bad_cursor"),
        ("earnings?limit=501", 400, "bad_limit"),
    ];
    let of_stranger = of_stranger.map(|(what, status, code)| (format!("{stranger}/{what}"), status, code));
    let cases = [
        ("/nowhere", 404, "no_such_path"),
        ("/api/v2/pool", 404, "no_such_path"),
        ("/api/v1/miners/", 404, "no_such_path"),
        ("/api/v1/miners/nobody", 400, "bad_address"),
        ("/api/v1/miners/%3Cscript%3E", 400, "bad_address"),
        (mainnet.as_str(), 400, "bad_address"),
        (stranger.as_str(), 404, "unknown_miner"),
        ("/api/v1/blocks?limit=0", 400, "bad_limit"),
        ("/api/v1/blocks?limit=501", 400, "bad_limit"),
        ("/api/v1/blocks?limit=-1", 400, "bad_limit"),
        ("/api/v1/blocks?limt=1", 400, "bad_limit"),
        ("/api/v1/blocks?after=7", 400, "bad_cursor"),
        ("/api/v1/blocks?after=%3Cscript%3E", 400, "bad_cursor"),
        ("/api/v1/pool/history?step=2m", 400, "bad_step"),
        ("/api/v1/pool/history?worker=rig", 400, "bad_step"),
        ("/api/v1/miners/nobody/workers", 400, "bad_address"),
    ];
    let of_stranger = of_stranger.iter().map(|(path, status, code)| (path.as_str(), *status, *code));
    for (path, status, code) in cases.into_iter().chain(of_stranger) {
        let reply = site.get(path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(reply.json()["error"]["code"], code, "{path}");
        assert!(reply.json()["error"]["message"].is_string());
    }
    let post = "POST /api/v1/pool HTTP/1.1\r\nHost: pool\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let reply = site.ask(post).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (405, &"method_not_allowed".into()));
}

#[tokio::test]
async fn a_broken_ledger_is_503_and_keeps_its_secrets() {
    let site = site(ShelfPool { broken: true, ..ShelfPool::default() }).await;
    let miner = format!("/api/v1/miners/{}", address_of(5, Network::Devnet));
    for path in ["/api/v1/pool", "/api/v1/blocks", miner.as_str()] {
        let reply = site.get(path).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &"ledger_unavailable".into()));
        assert!(!reply.body.contains("secret"), "{}", reply.body);
    }
    assert_eq!(site.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn ready_means_that_no_condition_says_otherwise() {
    let site = site(ShelfPool::default()).await;
    site.idle.store(true, Ordering::Relaxed);
    let reply = site.get("/health/ready").await;
    assert_eq!((reply.status, &reply.json()["ready"]), (503, &false.into()));
    assert_eq!(reply.json()["reasons"], serde_json::json!(["no_template: no work yet"]));
    assert_eq!(site.get("/health/live").await.status, 200);
    site.idle.store(false, Ordering::Relaxed);
    let reply = site.get("/health/ready").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json(), serde_json::json!({ "ready": true, "reasons": [], "height": 7 }));
}

#[tokio::test]
async fn health_and_metrics_name_every_condition() {
    let site = site(ShelfPool::default()).await;
    let fine = serde_json::json!({ "state": "ok", "conditions": [] });
    let well = serde_json::json!({ "status": "ok", "components": { "node": fine, "pool": fine } });
    assert_eq!(site.get("/health").await.json(), well);
    site.idle.store(true, Ordering::Relaxed);
    let reply = site.get("/health").await;
    let condition = serde_json::json!(
        { "name": "no_template", "reason": "no work yet", "since": 1_800_000_000, "blocks_readiness": true }
    );
    let down = serde_json::json!({ "state": "down", "conditions": [condition] });
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json(), serde_json::json!({ "status": "down", "components": { "node": fine, "pool": down } }));
    let series = |value| format!("bq_condition{{component=\"pool\",name=\"no_template\"}} {value}");
    let metrics = site.get("/metrics").await.body;
    assert!(metrics.contains(&series(1)), "{metrics}");
    site.idle.store(false, Ordering::Relaxed);
    let metrics = site.get("/metrics").await.body;
    assert!(metrics.contains(&series(0)), "{metrics}");
}

#[tokio::test]
async fn a_stopped_node_is_503_with_the_reason() {
    let site = site(ShelfPool::default()).await;
    site.stopped.store(true, Ordering::Relaxed);
    let reply = site.get("/health/ready").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["reasons"], serde_json::json!(["chain_store_stopped: no room"]));
    site.stopped.store(false, Ordering::Relaxed);
    assert_eq!(site.get("/health/ready").await.status, 200);
}

#[tokio::test]
async fn metrics_hold_what_was_counted() {
    let site = site(ShelfPool::default()).await;
    metrics::counter!("bq_test_total", "algorithm" => "ethash").increment(3);
    metrics::histogram!("bq_test_seconds").record(0.03);
    site.get("/api/v1/pool").await;
    let reply = site.get("/metrics").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "bq_test_total{algorithm=\"ethash\"} 3",
        "bq_test_seconds_bucket{le=\"0.02\"} 0",
        "bq_test_seconds_bucket{le=\"0.05\"} 1",
        "bq_ledger_imbalance_atoms 0",
        "# TYPE bq_http_requests_total counter",
    ] {
        assert!(reply.body.contains(line), "{line} is missing in\n{}", reply.body);
    }
    let counted = reply
        .body
        .lines()
        .any(|line| line.starts_with("bq_http_requests_total{route=\"/api/v1/pool\",status=\"200\"}"));
    assert!(counted, "{}", reply.body);
}

#[tokio::test]
async fn the_dashboard_is_whole_and_loads_nothing_from_elsewhere() {
    let site = site(ShelfPool::default()).await;
    let page = site.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for path in ["/style.css", "/app.js", "/icon.svg"] {
        assert!(page.body.contains(path), "{path} is not used");
        let reply = site.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        let foreign = reply.body.replace("http://www.w3.org/", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{path} names another host");
    }
    assert!(!page.body.contains("://"), "the page names another host");
    // What the policy forbids would be dead on the page.
    for forbidden in ["<style", "style=", "onclick=", "javascript:"] {
        assert!(!page.body.contains(forbidden), "{forbidden}");
    }
    let script = site.get("/app.js").await.body;
    for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = site(ShelfPool::default()).await;
    for path in ["/", "/app.js", "/api/v1/pool", "/metrics", "/nowhere", "/health/ready"] {
        let reply = site.get(path).await;
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert!(reply.header("cache-control").is_some(), "{path}");
    }
}

#[tokio::test]
async fn events_reach_every_listener() {
    let site = site(ShelfPool::default()).await;
    let mut feeds = [site.listen().await, site.listen().await];
    assert!(feeds[0].text.contains("text/event-stream"));
    let tip = Event::Tip { height: 8, id: "ab".repeat(32), algorithm: "ethash".to_owned(), time: 1_800_000_001 };
    site.events.send(tip.clone()).unwrap();
    site.events.send(Event::Block(block(8))).unwrap();
    let payout = Event::Payout { txid: "cd".repeat(32), amount: atoms(5), payees: 2, state: "broadcast".to_owned() };
    site.events.send(payout).unwrap();
    for feed in &mut feeds {
        feed.until("event: payout\n").await;
        feed.until("\"state\":\"broadcast\"}").await;
        let json = serde_json::to_string(&tip).unwrap();
        assert!(feed.text.contains(&format!("event: tip\ndata: {json}\n\n")), "{}", feed.text);
        assert!(feed.text.contains("event: block\ndata: {\"type\":\"block\",\"id\":"), "{}", feed.text);
    }
    let metrics = site.get("/metrics").await.body;
    assert!(metrics.contains("bq_http_event_streams "), "{metrics}");
}

/// The channel holds four events, and the test's one thread sends them all before the server's task runs again.
#[tokio::test]
async fn a_listener_that_fell_behind_is_told() {
    let site = site(ShelfPool::default()).await;
    let mut feed = site.listen().await;
    for height in 0..14 {
        site.events.send(Event::Block(block(height))).unwrap();
    }
    feed.until("event: lagged\ndata: {\"missed\":10}").await;
    feed.until("\"height\":13").await;
    assert!(!feed.text.contains("\"height\":9,"), "{}", feed.text);
}

#[tokio::test]
async fn too_long_a_head_is_refused() {
    let site = site(ShelfPool::default()).await;
    let reply = site.get(&format!("/{}", "a".repeat(20_000))).await;
    assert!(reply.status == 431 || reply.status == 414, "{}", reply.status);
    let reply = site.get(&format!("/api/v1/miners/{}", "q".repeat(5_000))).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &"bad_address".into()));
}

#[tokio::test]
async fn shutdown_ends_streams_and_frees_the_port() {
    let site = site(ShelfPool::default()).await;
    let address: SocketAddr = site.http.address();
    let feed = site.listen().await;
    site.http.shutdown().await;
    let text = feed.remainder().await;
    // The last chunk: the stream ended in order, it was not cut off.
    assert!(text.ends_with("0\r\n\r\n"), "{text:?}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "still listening");
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let site = site(ShelfPool::default()).await;
    let parts = bq_http::HttpParts {
        node: Arc::new(common::StillNode::new(Arc::default())),
        views: Arc::new(ShelfPool::default()),
        conditions: ConditionList::default(),
        access: None,
        events: site.events.clone(),
        stratum: Vec::new(),
        stratum_v2: None,
        metrics: bq_http::install_metrics().unwrap(),
        limits: HttpLimits::default(),
        proxies: Vec::new(),
    };
    let error = bq_http::HttpServer::start(site.http.address(), parts).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("http address {}: ", site.http.address())), "{error}");
}

/// Whoever keeps every place of the pages open keeps nobody out, and hides nothing from who watches the pool.
#[tokio::test]
async fn sockets_that_ask_nothing_hide_nothing() {
    let limits = HttpLimits { connections_max: 8, probes_max: 2, ..HttpLimits::default() };
    let site = site_with(ShelfPool::default(), limits).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = site.connect().await;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200", "each newcomer is served");
        held.push(stream);
    }
    // Half a head is no request: the first of those gives way too.
    for _ in 0..16 {
        let mut stream = site.connect().await;
        stream.write_all(b"GET /health/li").await.unwrap();
        held.push(stream);
    }
    assert_eq!(site.get("/health/live").await.status, 200);
    assert_eq!(site.get("/api/v1/pool").await.status, 200);
    // Streams of events are asked for all the time: they stay, and leave only health and metrics to others.
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = site.connect().await;
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        streams.push(stream);
    }
    assert_eq!(site.get("/health/live").await.status, 200);
    assert_eq!(site.get("/metrics").await.status, 200);
    assert_eq!(site.get("/api/v1/pool").await.status, 503);
}

/// Whatever of a request cannot be read, programs find the same shape.
#[tokio::test]
async fn every_error_of_the_api_is_json() {
    let site = site(ShelfPool::default()).await;
    let known = address_of(5, Network::Devnet);
    let list = ["", "/workers", "/payouts", "/coinbases", "/earnings", "/history", "/proof/owed", "/proof/%ff"];
    let mut paths: Vec<String> = list.iter().map(|end| format!("/api/v1/miners/%ff{end}")).collect();
    paths.extend(
        ["/api/v1/why/%ff", "/api/v1/accounts/%ff/settings", "/api/v1/nothing", "/api/v1/%ff"].map(str::to_owned),
    );
    paths.extend(list.iter().map(|end| format!("/api/v1/miners/{known}{end}?limit=%ff&worker=%ff&epoch=x")).skip(1));
    paths.extend(["/api/v1/blocks?limit=x", "/api/v1/pool/history?step=%ff"].map(str::to_owned));
    let mut requests: Vec<String> =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).collect();
    for (path, kind) in [("/api/v1/requests", "text/plain"), ("/api/v1/accounts/%ff/settings", "application/json")] {
        for body in ["", "{", "\u{fffd}", r#"{"request":1}"#] {
            requests.push(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    }
    requests.push("DELETE /api/v1/blocks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned());
    for request in requests {
        let reply = site.ask(&request).await;
        assert!(reply.status >= 400, "{request}: {}", reply.status);
        assert_eq!(reply.header("content-type"), Some("application/json"), "{request}: {}", reply.body);
        let error = &reply.json()["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{request}: {}", reply.body);
    }
}

fn get(path: &str, from: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.77, {from}\r\n\r\n")
}

/// What one stranger asks for keeps others waiting for one of his, and for none of what is cheap.
#[tokio::test]
async fn a_dear_proof_keeps_no_cheap_one_from_anybody() {
    let gate = Arc::new(common::Gate::default());
    let site = site(ShelfPool { gate: Some(Arc::clone(&gate)), ..ShelfPool::default() }).await;
    let miner = format!("/api/v1/miners/{}/proof", address_of(5, Network::Devnet));
    let shares = format!("{miner}/shares");
    let mut waiting = Vec::new();
    for from in ["198.51.100.1", "198.51.100.1", "198.51.100.1", "198.51.100.2", "2001:db8::1"] {
        let mut stream = site.connect().await;
        stream.write_all(get(&shares, from).as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    gate.first().await;
    for cheap in ["owed", &format!("credit?block={}", block(7).id), "share?share=3"] {
        let reply = site.ask(&get(&format!("{miner}/{cheap}"), "198.51.100.2")).await;
        assert_eq!(reply.status, 404, "{cheap}: answered, and there is none: {}", reply.body);
    }
    assert_eq!(site.get("/api/v1/pool").await.status, 200);
    assert_eq!(gate.begun(), 1, "one at a time");
    gate.open();
    for mut stream in waiting {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 404"), "nobody was sent away: {text}");
    }
    assert_eq!(gate.begun(), 5);
}

/// Who hangs up leaves no work behind that another begins beside.
#[tokio::test]
async fn a_proof_keeps_its_place_until_it_is_done_whoever_waits_for_it() {
    let gate = Arc::new(common::Gate::default());
    let site = site(ShelfPool { gate: Some(Arc::clone(&gate)), ..ShelfPool::default() }).await;
    let miner = format!("/api/v1/miners/{}/proof", address_of(5, Network::Devnet));
    let shares = format!("{miner}/shares");
    for _ in 0..4 {
        let mut stream = site.connect().await;
        stream.write_all(get(&shares, "198.51.100.1").as_bytes()).await.unwrap();
        gate.first().await;
        drop(stream);
        assert_eq!(site.ask(&get(&format!("{miner}/owed"), "198.51.100.2")).await.status, 404);
    }
    let mut last = site.connect().await;
    last.write_all(get(&shares, "198.51.100.3").as_bytes()).await.unwrap();
    assert_eq!(site.ask(&get(&format!("{miner}/owed"), "198.51.100.2")).await.status, 404);
    assert_eq!(gate.begun(), 1, "of five");
    gate.open();
    let mut text = String::new();
    last.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
}

/// Behind a proxy each of its clients has an address of his own, and nobody chooses one.
#[tokio::test]
async fn behind_a_listed_proxy_limits_count_the_clients_own_address() {
    let limits = HttpLimits { event_streams_max: 1, ..HttpLimits::default() };
    let site = site_with(ShelfPool::default(), limits).await;
    let open = async |from: &str| {
        let mut stream = site.connect().await;
        stream.write_all(get("/api/v1/events", from).as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        (String::from_utf8_lossy(&first).into_owned(), stream)
    };
    let first = open("198.51.100.1").await;
    assert_eq!(first.0, "HTTP/1.1 200");
    assert_eq!(open("198.51.100.1").await.0, "HTTP/1.1 503", "the same client");
    assert_eq!(open("::ffff:198.51.100.1").await.0, "HTTP/1.1 503", "and still the same");
    assert_eq!(open("198.51.100.2").await.0, "HTTP/1.1 200", "another");
}
