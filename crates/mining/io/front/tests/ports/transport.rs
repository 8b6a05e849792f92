//! What lies between a socket and its session: TLS, the PROXY protocol, kernel buffers, and bytes that are none of these.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bq_front::{CertificateFiles, Certificates, StratumConfig, TlsConfig};
use bq_primitives::Algorithm;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Bench, miner::Client};

/// A certificate for `localhost`, written where [`CertificateFiles`] says.
pub(crate) fn write_certificate(dir: &Path) -> CertificateFiles {
    write_dated(dir, &CertificateParams::new(["localhost".to_owned()]).unwrap())
}

fn write_dated(dir: &Path, params: &CertificateParams) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let files = CertificateFiles { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
    std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// One that is good from so many days before or after now to so many.
fn of_days(begins: i64, ends: i64) -> CertificateParams {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at =
        |days: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.saturating_add_signed(days * 86_400));
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (at(begins), at(ends));
    params
}

pub(crate) fn with_tls(config: &mut StratumConfig, files: &CertificateFiles) -> Arc<Certificates> {
    let certificates = Arc::new(Certificates::read(files.clone()).unwrap());
    config.tls = Some(TlsConfig {
        certificates: Arc::clone(&certificates),
        warning_days: 14,
        handshake_ms: 60_000,
        handshakes_max: 32,
    });
    certificates
}

/// A client that trusts nothing but the certificate in this file.
pub(crate) fn client_config(
    files: &CertificateFiles,
    version: &'static rustls::SupportedProtocolVersion,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(crate) async fn tls(bench: &Bench, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(bench.server.address(Algorithm::Sha256d).unwrap()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

/// A place is given back a moment after its socket ended.
async fn only_is_left(bench: &Bench, connections: u64) {
    while bench.server.connections() != connections {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn miners_with_and_without_tls_share_a_port() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_certificate(dir.path());
    let bench = Bench::start(16, 1 << 40, |config| drop(with_tls(config, &files))).await;
    let (mut clear, job) = bench.sha256d("addr1.clear").await;
    assert_eq!(clear.submit(&job.find(16, 1 << 40)).await, "true");
    for version in [&TLS12, &TLS13] {
        let mut client = Client::over(tls(&bench, client_config(&files, version)).await.unwrap());
        let job = client.log_in_sha256d("addr1.tls").await;
        assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "true", "{version:?}");
        assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "22");
        // Longer than one read, and shorter than a record: what a record holds beyond the first read is not forgotten.
        let spaces = " ".repeat(6_000);
        let reply = client.request(&format!("{{{spaces}\"id\":77,\"method\":\"mining.dance\",\"params\":[]}}")).await;
        assert_eq!(reply["error"][1], "Unsupported");
    }
    assert_eq!(bench.pool.shares().len(), 3);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_can_be_replaced_while_miners_stay() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_certificate(dir.path());
    let mut shown = None;
    let bench = Bench::start(16, 1 << 40, |config| shown = Some(with_tls(config, &files))).await;
    let old = client_config(&files, &TLS13);
    let mut miner = Client::over(tls(&bench, old.clone()).await.unwrap());
    let job = miner.log_in_sha256d("addr1.rig").await;
    write_certificate(dir.path());
    shown.unwrap().reload().unwrap();
    assert!(tls(&bench, old).await.is_err(), "the old one is not shown any more");
    assert!(tls(&bench, client_config(&files, &TLS13)).await.is_ok());
    assert_eq!(miner.submit(&job.find(16, 1 << 40)).await, "true", "who was there stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_is_told_of_until_it_is_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_dated(dir.path(), &of_days(-30, -1));
    let bench = Bench::start(16, 1 << 40, |config| drop(with_tls(config, &files))).await;
    let (read_again, told) = (bench.server.certificate_reloader(), bench.server.condition_reader());
    let names = || told().into_iter().map(|condition| condition.name).collect::<Vec<_>>();
    assert_eq!(names(), ["certificate_expired"]);
    assert!(told().iter().all(|condition| !condition.blocks_readiness && condition.reason.contains("SIGHUP")));
    for (begins, ends, name) in
        [(-30, 13, Some("certificate_expires_soon")), (1, 30, Some("certificate_not_yet_valid")), (-30, 15, None)]
    {
        write_dated(dir.path(), &of_days(begins, ends));
        read_again();
        assert_eq!(names(), Vec::from_iter(name), "from {begins} to {ends}");
    }
    // What cannot be read leaves the good one where it was.
    std::fs::write(&files.certificate, "nothing").unwrap();
    read_again();
    assert_eq!(names(), ["certificate_unreadable"]);
    // TLS is served whatever the dates are: who compares fingerprints does not look at them.
    write_dated(dir.path(), &of_days(-30, -1));
    read_again();
    assert_eq!(names(), ["certificate_expired"]);
    let socket = TcpStream::connect(bench.server.address(Algorithm::Sha256d).unwrap()).await.unwrap();
    let refused = TlsConnector::from(Arc::new(client_config(&files, &TLS13)))
        .connect(ServerName::try_from("localhost").unwrap(), socket)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("expired"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_stall_keep_nobody_waiting_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_certificate(dir.path());
    let bench = Bench::start(16, 1 << 40, |config| {
        with_tls(config, &files);
        config.tls.as_mut().unwrap().handshakes_max = 1;
        config.tls.as_mut().unwrap().handshake_ms = 3_000;
    })
    .await;
    let mut stalled = Vec::new();
    for n in 0..64 {
        let mut socket = TcpStream::connect(bench.server.address(Algorithm::Sha256d).unwrap()).await.unwrap();
        // The beginning of a record, and for some a hello that is never answered further.
        let hello: &[u8] = if n % 2 == 0 { b"\x16\x03\x01\x02\x00\x01" } else { &[0x16; 600] };
        socket.write_all(hello).await.unwrap();
        stalled.push(socket);
    }
    let mut client = Client::over(tls(&bench, client_config(&files, &TLS13)).await.unwrap());
    let job = client.log_in_sha256d("addr1.rig").await;
    assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "true");
    for mut socket in stalled {
        let mut rest = Vec::new();
        // An alert and an end, or a reset: closed either way.
        let _closed = socket.read_to_end(&mut rest).await;
    }
    only_is_left(&bench, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_neither_lines_nor_tls_is_closed() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    for (bytes, answer) in [
        (b"GET /api HTTP/1.1\r\n\r\n".as_slice(), "HTTP/1.1 400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", ""),
        (b"\x00\x01\x02\x03", ""),
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 50123 3333\r\n", ""),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", ""),
    ] {
        let mut socket = TcpStream::connect(bench.server.address(Algorithm::Ethash).unwrap()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut said = Vec::new();
        let _reset = socket.read_to_end(&mut said).await;
        assert!(said.starts_with(answer.as_bytes()) && (said.is_empty() == answer.is_empty()), "{bytes:?}: {said:?}");
    }
    only_is_left(&bench, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plaintext_can_be_off() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_certificate(dir.path());
    let bench = Bench::start(16, 1 << 40, |config| {
        with_tls(config, &files);
        config.plaintext = false;
    })
    .await;
    assert!(bench.connect(Algorithm::Sha256d).await.is_refused().await);
    let mut client = Client::over(tls(&bench, client_config(&files, &TLS13)).await.unwrap());
    client.log_in_sha256d("addr1.rig").await;
}

async fn proxied(bench: &Bench, header: &[u8]) -> Client {
    let mut socket = TcpStream::connect(bench.server.address(Algorithm::Sha256d).unwrap()).await.unwrap();
    socket.write_all(header).await.unwrap();
    Client::over(socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_listed_proxy_the_address_is_the_miners() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_certificate(dir.path());
    let bench = Bench::start(1, 1 << 40, |config| {
        with_tls(config, &files);
        config.proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.places.per_peer = 1;
    })
    .await;
    let header = |last: u8| format!("PROXY TCP4 198.51.100.{last} 192.0.2.1 50123 3333\r\n").into_bytes();
    let mut first = proxied(&bench, &header(7)).await;
    let job = first.log_in_sha256d("addr1.a").await;
    assert_eq!(first.submit(&job.find(1, 1 << 40)).await, "true");
    assert!(proxied(&bench, &header(7)).await.is_refused().await, "its one place is taken");
    let mut second = proxied(&bench, &header(8)).await;
    second.log_in_sha256d("addr1.b").await;

    assert!(bench.connect(Algorithm::Sha256d).await.is_refused().await, "no header from a listed proxy");
    let v2 =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".as_slice(), &[198, 51, 100, 9, 192, 0, 2, 1, 0xc3, 0xcb, 0x0d, 0x05]]
            .concat();
    proxied(&bench, &v2).await.log_in_sha256d("addr1.c").await;

    let mut socket = TcpStream::connect(bench.server.address(Algorithm::Sha256d).unwrap()).await.unwrap();
    socket.write_all(&header(10)).await.unwrap();
    let config = Arc::new(client_config(&files, &TLS13));
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(config).connect(name, socket).await.unwrap();
    Client::over(tls).log_in_sha256d("addr1.d").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_behind_a_proxy_meets_the_forger_and_nobody_else() {
    let bench = Bench::start(1, 1 << 40, |config| config.proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
    let header = |last: u8| format!("PROXY TCP4 198.51.100.{last} 192.0.2.1 50123 3333\r\n").into_bytes();
    for _ in 0..10 {
        let nonsense = b"{\"id\":1}\nx\nx\nx\nx\nx\nx\n".to_vec();
        let mut stranger = proxied(&bench, &[header(66), nonsense].concat()).await;
        assert!(stranger.is_closed().await);
    }
    assert!(proxied(&bench, &header(66)).await.is_refused().await, "banned");
    proxied(&bench, &header(67)).await.log_in_sha256d("addr1.a").await;
}

/// Clients that ask and never read: what waits for them is bounded in the kernel and in the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_cut_off_after_few_bytes() {
    let bench = Bench::start(16, 1 << 40, |config| {
        config.outbox_bytes_max = 16 * 1024;
        for session in &mut config.sessions {
            (session.lines_per_second, session.line_burst) = (1_000_000, 1_000_000);
        }
    })
    .await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut client = socket.connect(bench.server.address(Algorithm::Sha256d).unwrap()).await.unwrap();
    let line = b"{\"id\":77,\"method\":\"mining.dance\",\"params\":[]}\n";
    let mut sent = 0_usize;
    while client.write_all(line).await.is_ok() {
        sent += line.len();
        assert!(sent < 16 << 20, "nobody ends it");
    }
}
