use std::{
    io::Write as _,
    net::{IpAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use bq_pool_machine::Webhook;
use bq_primitives::KeyHash;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream, pki_types::PrivateKeyDer};

use crate::{Notice, NoticeCounts, NoticePolicy, Notices, call::Caller, public::is_public, tally::Tallies};

const ACCOUNT: KeyHash = KeyHash([1; 32]);
const PATIENCE: Duration = Duration::from_secs(30);

fn policy() -> NoticePolicy {
    NoticePolicy { may_call_private: true, retry_pause: Duration::from_millis(1), ..NoticePolicy::default() }
}

fn notice(webhook: &str) -> Notice {
    Notice { account: ACCOUNT, webhook: Webhook::new(webhook).unwrap(), body: "{\"event\":\"test\"}".to_owned() }
}

fn read_request(stream: &mut impl std::io::Read) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(b"}") {
        let count = stream.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(text).unwrap()
}

/// Answers each connection with the next of these, and tells what it was asked.
fn listener(answers: &'static [&'static str]) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hear) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
            let _ = heard.send(request);
        }
    });
    (port, hear)
}

/// Waits until the account's counts are such.
fn counts_when(notices: &Notices, is_so: impl Fn(&NoticeCounts) -> bool) -> NoticeCounts {
    let until = Instant::now() + PATIENCE;
    loop {
        let counts = notices.counts(ACCOUNT);
        if is_so(&counts) {
            return counts;
        }
        assert!(Instant::now() < until, "{counts:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn a_notice_is_posted() {
    let (port, hear) = listener(&[OK]);
    let notices = Notices::start(policy()).unwrap();
    notices.send(notice(&format!("http://127.0.0.1:{port}/in?key=1")));
    let request = hear.recv_timeout(PATIENCE).unwrap();
    assert!(request.starts_with("POST /in?key=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains(&format!("host: 127.0.0.1:{port}\r\n")), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"event\":\"test\"}"), "{request}");
    let counts = counts_when(&notices, |counts| counts.sent == 1);
    assert_eq!(counts, NoticeCounts { sent: 1, ..NoticeCounts::default() });
}

#[test]
fn what_fails_for_a_moment_is_tried_again_and_what_fails_for_good_is_not() {
    let (port, hear) = listener(&["HTTP/1.1 503 Busy\r\n\r\n", "no HTTP at all\r\n\r\n", OK]);
    let notices = Notices::start(policy()).unwrap();
    notices.send(notice(&format!("http://127.0.0.1:{port}/")));
    counts_when(&notices, |counts| counts.sent == 1);
    assert_eq!(hear.iter().take(3).count(), 3);
    for (answer, told) in [
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "redirect"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
    ] {
        let answers: &'static [&'static str] = Box::leak(vec![answer].into_boxed_slice());
        let (port, _hear) = listener(answers);
        let notices = Notices::start(policy()).unwrap();
        notices.send(notice(&format!("http://127.0.0.1:{port}/")));
        let counts = counts_when(&notices, |counts| counts.failed == 1);
        assert!(counts.last_failure.is_some_and(|failure| failure.contains(told)), "{told}");
    }
}

#[test]
fn an_endless_answer_and_a_silent_listener_cost_a_bounded_time_and_size() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(64 * 1024));
    let answers: &'static [&'static str] = Box::leak(vec![&*endless.leak()].into_boxed_slice());
    let (port, _hear) = listener(answers);
    let once = NoticePolicy { tries_max: 1, ..policy() };
    let notices = Notices::start(once).unwrap();
    notices.send(notice(&format!("http://127.0.0.1:{port}/")));
    let counts = counts_when(&notices, |counts| counts.failed == 1);
    assert!(counts.last_failure.is_some_and(|failure| failure.contains("no HTTP")));
    // It accepts, by its backlog, and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let notices = Notices::start(NoticePolicy { timeout: Duration::from_millis(50), ..once }).unwrap();
    notices.send(notice(&format!("http://{}/", silent.local_addr().unwrap())));
    let counts = counts_when(&notices, |counts| counts.failed == 1);
    assert!(counts.last_failure.is_some_and(|failure| failure.contains("too long")));
}

#[test]
fn private_addresses_are_called_only_where_that_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let notices = Notices::start(NoticePolicy { may_call_private: false, ..policy() }).unwrap();
    // Names that lead there, and numbers that resolvers read as 127.0.0.1, among them.
    let places = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0.0.0.0"];
    for (count, host) in (1..).zip(places) {
        notices.send(notice(&format!("http://{host}:{port}/")));
        let counts = counts_when(&notices, |counts| counts.failed == count);
        let told = counts.last_failure.unwrap();
        // Where there is no such name, that is as good.
        assert!(told.contains("not a public one") || told.contains("no address"), "{host}: {told}");
        if count == 1 {
            assert!(told.contains("not a public one"), "{told}");
        }
    }
    assert!(listener.accept().is_err(), "nobody connected");
}

#[test]
fn the_public_internet_is_what_no_registry_says_otherwise_of() {
    let public =
        ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1", "2001:4860::1"];
    let special = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
    ];
    let is = |text: &str| is_public(text.parse::<IpAddr>().unwrap());
    assert_eq!(public.into_iter().find(|text| !is(text)), None);
    assert_eq!(special.into_iter().find(|text| is(text)), None);
}

#[test]
fn there_are_so_many_in_an_hour_and_so_many_at_all() {
    let (mut tallies, now) = (Tallies::default(), Instant::now());
    let allowed = |tallies: &mut Tallies, at| (0..5).filter(|_| tallies.allow(at, ACCOUNT, 3)).count();
    assert_eq!(allowed(&mut tallies, now), 3);
    assert_eq!(tallies.counts(ACCOUNT).left_out, 2);
    assert!(tallies.allow(now, KeyHash([2; 32]), 3), "another account has its own");
    assert_eq!(allowed(&mut tallies, now + Duration::from_secs(3599)), 0);
    assert_eq!(allowed(&mut tallies, now + Duration::from_secs(3600)), 3);

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = format!("http://{}/", silent.local_addr().unwrap());
    let notices = Notices::start(NoticePolicy { queue_max: 2, at_once_max: 1, ..policy() }).unwrap();
    for _ in 0..5 {
        notices.send(notice(&webhook));
    }
    assert_eq!(notices.counts(ACCOUNT).left_out, 3);
    let off = Notices::start(NoticePolicy { is_on: false, ..policy() }).unwrap();
    off.send(notice(&webhook));
    assert_eq!(off.counts(ACCOUNT), NoticeCounts::default());
}

#[test]
fn a_certificate_must_be_of_the_name_and_of_somebody_who_is_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = Arc::new(server.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut tls) = (stream.unwrap(), ServerConnection::new(Arc::clone(&server)).unwrap());
            let mut stream = Stream::new(&mut tls, &mut stream);
            if !read_request(&mut stream).is_empty() {
                let _ = stream.write_all(OK.as_bytes());
            }
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let once = NoticePolicy { tries_max: 1, ..policy() };
    let trusting = Notices::with(once, Caller::new(once, roots).unwrap()).unwrap();
    trusting.send(notice(&format!("https://localhost:{port}/")));
    counts_when(&trusting, |counts| counts.sent == 1);
    trusting.send(notice(&format!("https://127.0.0.1:{port}/")));
    let counts = counts_when(&trusting, |counts| counts.failed == 1);
    assert!(counts.last_failure.is_some_and(|failure| failure.contains("certificate")));
    let others = Notices::start(once).unwrap();
    others.send(notice(&format!("https://localhost:{port}/")));
    let counts = counts_when(&others, |counts| counts.failed == 1);
    assert!(counts.last_failure.is_some_and(|failure| failure.contains("certificate")));
}
