//! SPEC 11.14 over real sockets: who comes back with a ticket, and what he has then.

use bq_front::{DepartedPolicy, PlaceLimits, StratumConfig, TicketConfig, TicketKey};
use bq_primitives::Algorithm;

use crate::{
    Bench, kept,
    miner::Client,
    networks::from,
    transport::{client_config, tls, with_tls, write_certificate},
};

/// Two places for an address, so that a third connection shows who proved something: he is not the one who leaves.
fn two_places(config: &mut StratumConfig, folder: &std::path::Path) {
    config.trust_loopback = false;
    config.places = PlaceLimits { total: 100, per_peer: 2, per_subnet: 100, proof_lapses_ms: 1_800_000 };
    config.kept = Some(kept(folder));
    config.tickets = TicketConfig { key: TicketKey([9; 32]), departed: DepartedPolicy::default() };
}

async fn start(folder: &std::path::Path) -> Bench {
    Bench::start(16, 1 << 40, |config| two_places(config, folder)).await
}

/// Subscribes with a ticket, or none, and logs in; returns the ticket of this connection.
async fn log_in(client: &mut Client, login: &str, ticket: Option<&str>) -> String {
    let shown = ticket.map_or_else(String::new, |ticket| format!(r#","{ticket}""#));
    let told = client.request(&format!(r#"{{"id":1,"method":"mining.subscribe","params":["test"{shown}]}}"#)).await;
    let granted = client.request(&format!(r#"{{"id":2,"method":"mining.authorize","params":["{login}","x"]}}"#)).await;
    assert_eq!(granted["result"], true, "nobody is refused for a ticket");
    told["result"][0][1][1].as_str().unwrap().to_owned()
}

/// A place is given back a moment after its socket ended.
async fn nobody_is_left(bench: &Bench) {
    while bench.server.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

/// One connection that has a share accepted and ends: its ticket.
async fn proven(bench: &Bench, login: &str) -> String {
    let (mut client, job) = bench.sha256d(login).await;
    let ticket = client.ticket().to_owned();
    assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "true");
    drop(client);
    nobody_is_left(bench).await;
    ticket
}

/// Whether a miner that comes with this ticket is proven before it has sent a share: of two that are logged in and prove nothing the older leaves
/// for the third.
async fn is_proven(bench: &Bench, login: &str, ticket: &str) -> bool {
    let mut client = bench.connect(Algorithm::Sha256d).await;
    log_in(&mut client, login, Some(ticket)).await;
    stays(bench, client).await
}

async fn stays(bench: &Bench, mut client: Client) -> bool {
    let mut younger = bench.connect(Algorithm::Sha256d).await;
    log_in(&mut younger, "addr3.younger", None).await;
    let mut third = bench.connect(Algorithm::Sha256d).await;
    log_in(&mut third, "addr3.third", None).await;
    let (stays, leaves) = (client.answers().await, younger.answers().await);
    assert_ne!(stays, leaves, "one of two makes room");
    drop((client, younger, third));
    nobody_is_left(bench).await;
    stays
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miner_that_comes_back_is_proven_at_once_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let bench = start(folder.path()).await;
    let ticket = proven(&bench, "addr1.rig1").await;
    assert!(is_proven(&bench, "addr1.rig1", &ticket).await);
    assert!(!is_proven(&bench, "addr1.rig1", &ticket).await, "a second time");
    // What came back and ended again is there to come back to, with a ticket of its own.
    let first = proven(&bench, "addr1.rig1").await;
    let mut client = bench.connect(Algorithm::Sha256d).await;
    let second = log_in(&mut client, "addr1.rig1", Some(&first)).await;
    assert_ne!(first, second);
    drop(client);
    nobody_is_left(&bench).await;
    assert!(!is_proven(&bench, "addr1.rig1", &first).await);
    assert!(is_proven(&bench, "addr1.rig1", &second).await);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ticket_but_ones_own_brings_anything_back() {
    let folder = tempfile::tempdir().unwrap();
    let bench = start(folder.path()).await;
    let ticket = proven(&bench, "addr1.rig1").await;
    let mut forged = ticket.clone();
    let last = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(last);
    for (login, shown) in [
        ("addr1.rig1", forged.as_str()),
        ("addr1.rig1", &ticket[..16]),
        ("addr1.rig1", "000000000000000000000000000000000000000000000000"),
        ("addr2.rig1", &ticket),
        ("addr1.rig2", &ticket),
    ] {
        assert!(!is_proven(&bench, login, shown).await, "{login} {shown}");
    }
    assert!(is_proven(&bench, "addr1.rig1", &ticket).await, "and takes nothing away from whose it is");

    // Of a connection that is open; of one that proved nothing; of one that was banned.
    let (mut open, job) = bench.sha256d("addr1.rig1").await;
    let of_open = open.ticket().to_owned();
    assert_eq!(open.submit(&job.find(16, 1 << 40)).await, "true");
    let mut thief = bench.connect(Algorithm::Sha256d).await;
    log_in(&mut thief, "addr1.rig1", Some(&of_open)).await;
    let mut third = bench.connect(Algorithm::Sha256d).await;
    log_in(&mut third, "addr3.third", None).await;
    assert!(!thief.answers().await && open.answers().await, "the thief is as any newcomer");
    drop((thief, third));
    bench.server.access().ban("127.0.0.1", 600).unwrap();
    assert!(open.is_closed().await);
    nobody_is_left(&bench).await;
    bench.server.access().lift_ban("127.0.0.1").unwrap();
    assert!(!is_proven(&bench, "addr1.rig1", &of_open).await, "who was banned has nothing to come back to");
    let (mut rude, job) = bench.sha256d("addr1.rig1").await;
    let of_rude = rude.ticket().to_owned();
    assert_eq!(rude.submit(&job.find(16, 1 << 40)).await, "true");
    rude.send_raw(&b"{\n".repeat(20)).await;
    assert!(rude.is_closed().await);
    nobody_is_left(&bench).await;
    assert!(!is_proven(&bench, "addr1.rig1", &of_rude).await, "nor who was closed against the protocol");
    let (idle, _) = bench.sha256d("addr1.rig1").await;
    let of_idle = idle.ticket().to_owned();
    drop(idle);
    nobody_is_left(&bench).await;
    assert!(!is_proven(&bench, "addr1.rig1", &of_idle).await);
    bench.server.shutdown().await;
}

/// What was earned at an address that is banned now is not to be had from another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_takes_along_what_its_address_left() {
    let folder = tempfile::tempdir().unwrap();
    let bench = start(folder.path()).await;
    let mut tickets = Vec::new();
    for address in ["127.0.0.3", "127.0.0.4"] {
        let mut client = from(&bench, address, Algorithm::Sha256d).await;
        let job = client.log_in_sha256d("addr1.rig1").await;
        tickets.push(client.ticket().to_owned());
        assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "true");
    }
    nobody_is_left(&bench).await;
    bench.server.access().ban("127.0.0.3", 600).unwrap();
    assert!(!is_proven(&bench, "addr1.rig1", &tickets[0]).await);
    assert!(is_proven(&bench, "addr1.rig1", &tickets[1]).await);
    bench.server.shutdown().await;
}

/// The keys of TLS do not leave their process, and neither a restart nor a takeover leaves the connection open: the ticket is what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_ticket_outlives_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_certificate(folder.path());
    let start = || {
        Bench::start(16, 1 << 40, |config| {
            two_places(config, folder.path());
            drop(with_tls(config, &files));
        })
    };
    let mut bench = start().await;
    for takes_over in [false, true, false] {
        let connect = async |bench: &Bench| {
            Client::over(tls(bench, client_config(&files, &rustls::version::TLS13)).await.unwrap())
        };
        let mut client = connect(&bench).await;
        let job = client.log_in_sha256d("addr1.rig1").await;
        assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "true");
        let ticket = client.ticket().to_owned();
        bench = bench.replaced(takes_over).await;
        assert!(client.is_closed().await);
        let mut client = connect(&bench).await;
        log_in(&mut client, "addr1.rig1", Some(&ticket)).await;
        assert!(stays(&bench, client).await, "takes over: {takes_over}");
        assert!(!is_proven(&bench, "addr1.rig1", &ticket).await, "once");
    }
    bench.server.shutdown().await;
}

/// A connection that is handed over has not ended: its ticket is good when it does, at the successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_goes_along_with_a_connection_that_is_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let bench = start(folder.path()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "true");
    let ticket = client.ticket().to_owned();
    let bench = bench.replaced(true).await;
    assert!(client.answers().await);
    let mut thief = bench.connect(Algorithm::Sha256d).await;
    log_in(&mut thief, "addr1.rig1", Some(&ticket)).await;
    let mut third = bench.connect(Algorithm::Sha256d).await;
    log_in(&mut third, "addr3.third", None).await;
    assert!(!thief.answers().await && client.answers().await, "it is open still");
    drop((client, thief, third));
    nobody_is_left(&bench).await;
    assert!(is_proven(&bench, "addr1.rig1", &ticket).await);
    bench.server.shutdown().await;
}
