//! SPEC 11.11.8 over real sockets: networks that are denied, and networks that are allowed. Every address of 127.0.0.0/8 is this machine's.

use std::net::SocketAddr;

use bq_front::{Networks, PlaceLimits, StratumConfig};
use bq_primitives::Algorithm;
use tokio::net::{TcpSocket, TcpStream};

use crate::{Bench, miner::Client};

fn decide(config: &mut StratumConfig, denied: &[&str], allowed: &[&str]) {
    let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    config.trust_loopback = false;
    config.access.networks = Networks { denied: read(denied), allowed: read(allowed) };
}

async fn socket(source: &str, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

pub(crate) async fn from(bench: &Bench, source: &str, algorithm: Algorithm) -> Client {
    Client::over(socket(source, bench.server.address(algorithm).unwrap()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_network_is_refused_on_every_port_and_behind_a_proxy() {
    let bench = Bench::start(16, 1 << 40, |config| {
        decide(config, &["127.0.0.2/31", "192.0.2.0/24"], &["127.0.0.0/8", "192.0.2.7/32"]);
        config.proxies = vec!["127.0.0.9/32".parse().unwrap(), "127.0.0.2/32".parse().unwrap()];
    })
    .await;
    for algorithm in Algorithm::ALL {
        for (source, is_denied) in
            [("127.0.0.1", false), ("127.0.0.2", true), ("127.0.0.3", true), ("127.0.0.4", false)]
        {
            let mut client = from(&bench, source, algorithm).await;
            assert_eq!(!client.answers().await, is_denied, "{source} on {algorithm}");
        }
    }
    for (proxy, named, is_denied) in
        [("127.0.0.9", "192.0.2.7", true), ("127.0.0.9", "198.51.100.7", false), ("127.0.0.2", "198.51.100.7", true)]
    {
        let mut behind = from(&bench, proxy, Algorithm::Sha256d).await;
        behind.send_raw(format!("PROXY TCP4 {named} 203.0.113.1 5000 3333\r\n").as_bytes()).await;
        assert_eq!(!behind.answers().await, is_denied, "{named} behind {proxy}");
    }
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_network_is_not_banned_nor_limited_but_by_the_whole() {
    let bench = Bench::start(16, 1 << 40, |config| {
        decide(config, &[], &["127.0.0.2/32"]);
        config.places = PlaceLimits { total: 4, per_peer: 1, per_subnet: 1, proof_lapses_ms: 1_800_000 };
        config.accepts_per_second = 1;
        config.accepts_per_subnet_second = 1;
    })
    .await;
    let access = bench.server.access();
    access.ban("127.0.0.1", 600).unwrap();
    access.ban("127.0.0.2", 600).unwrap();
    assert!(!from(&bench, "127.0.0.1", Algorithm::Sha256d).await.answers().await, "a ban holds elsewhere");
    let why = |address: &str| access.why("addr1", address.parse().ok()).your_ban.is_some();
    assert!(why("127.0.0.1") && !why("127.0.0.2"), "and is told there alone");
    for _ in 0..12 {
        assert!(
            from(&bench, "127.0.0.2", Algorithm::Sha256d).await.answers().await,
            "ten at once are let in elsewhere"
        );
    }
    let mut miners = Vec::new();
    for _ in 0..4 {
        let mut miner = from(&bench, "127.0.0.2", Algorithm::Sha256d).await;
        let job = miner.log_in_sha256d("addr1.rig1").await;
        assert_eq!(miner.submit(&job.find(16, 1 << 40)).await, "true");
        miners.push(miner);
    }
    let mut fifth = from(&bench, "127.0.0.2", Algorithm::Sha256d).await;
    assert!(fifth.line().await["params"][0].as_str().unwrap().contains("server is full"));
    access.ban("127.0.0.2", 600).unwrap();
    for miner in &mut miners {
        assert!(miner.answers().await, "nobody made room, and nobody was ended");
    }
    // A place that proved nothing makes room where all are taken, whoever's it is.
    drop(miners.pop());
    while bench.server.connections() > 3 {
        tokio::task::yield_now().await;
    }
    let mut idle = from(&bench, "127.0.0.2", Algorithm::Sha256d).await;
    assert!(idle.answers().await);
    let mut sixth = from(&bench, "127.0.0.2", Algorithm::Sha256d).await;
    assert!(sixth.answers().await && !idle.answers().await);
    bench.server.shutdown().await;
}

/// Forged shares of a network that is allowed end their connection, and no ban begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forger_of_an_allowed_network_is_cut_off_and_not_banned() {
    let bench = Bench::start(1, 1 << 40, |config| decide(config, &[], &["127.0.0.1/32"])).await;
    for _ in 0..3 {
        assert!(bench.forge().await, "let in again");
    }
    assert!(bench.server.access().bans().is_empty());
    bench.server.shutdown().await;
}
