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

use crate::{
    Notice, NoticeCounts, NoticePolicy, Notices,
    call::Caller,
    public::is_public,
    queue::{Class, Queue, Waiting},
    tally::Tallies,
};

const ACCOUNT: KeyHash = KeyHash([1; 32]);
const PATIENCE: Duration = Duration::from_secs(30);

fn policy() -> NoticePolicy {
    NoticePolicy { may_call_private: true, retry_pause: Duration::from_millis(1), ..NoticePolicy::default() }
}

fn notice(webhook: &str) -> Notice {
    of(ACCOUNT, webhook, "test")
}

fn of(account: KeyHash, webhook: &str, event: &str) -> Notice {
    let webhook = Webhook::new(webhook).unwrap();
    Notice { account, webhook, event: event.to_owned(), body: format!("{{\"event\":\"{event}\"}}") }
}

fn stranger(number: u16) -> KeyHash {
    let mut account = [9; 32];
    account[..2].copy_from_slice(&number.to_be_bytes());
    KeyHash(account)
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

fn says_without_end(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        while stream.write_all(text.repeat(100).as_bytes()).is_ok() {}
    });
    port
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
    // It says without end that an answer follows: the bytes end it, not the time.
    let port = says_without_end("HTTP/1.1 100 Continue\r\n\r\n");
    let notices = Notices::start(NoticePolicy { timeout: Duration::from_secs(3), ..once }).unwrap();
    notices.send(notice(&format!("http://127.0.0.1:{port}/")));
    let counts = counts_when(&notices, |counts| counts.failed == 1);
    assert!(counts.last_failure.is_some_and(|failure| failure.contains("no HTTP")));
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
    let notices = Notices::start(NoticePolicy { may_call_private: false, tries_max: 1, ..policy() }).unwrap();
    // Names that lead there, and numbers that resolvers read as 127.0.0.1, among them.
    let places = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0.0.0.0"];
    for (count, host) in (1..).zip(places) {
        notices.send(notice(&format!("http://{host}:{port}/")));
        let counts = counts_when(&notices, |counts| counts.failed == count);
        assert_eq!(counts.last_failure.as_deref(), Some(NO_ADDRESS), "{host}");
    }
    assert!(listener.accept().is_err(), "nobody connected");
}

const NO_ADDRESS: &str = "no public address is known of it";

/// How often it was tried, and the text in the end, are the same for a name without an address and for one that may not be called.
#[test]
fn nobody_learns_which_names_are_known_here() {
    let seen = ["localhost", "no-such-name.invalid"].map(|host| {
        let webhook = Webhook::new(&format!("http://{host}:1/")).unwrap();
        let no_private = NoticePolicy { may_call_private: false, ..policy() };
        let caller = Caller::new(no_private, RootCertStore::empty()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(caller.call(Class::Unproven, &webhook, "".into())).unwrap_err();
        (error.to_string(), error.name(), error.is_passing())
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].0, NO_ADDRESS);
}

#[test]
fn what_clouds_serve_their_customers_alone_is_not_public() {
    let inside = [
        // Azure, Alibaba, Oracle, AWS and its containers, Scaleway, Tencent, Huawei.
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.42.42",
        "169.254.0.23",
        "100.125.1.250",
        "::ffff:168.63.129.16",
        "64:ff9b::a83f:8110",
        "2600:1f00::5efe:168.63.129.16",
        "2600:1f00::200:5efe:10.0.0.1",
        "fd00:ec2::254",
        "fd00:ec2::253",
        "fd20:ce::254",
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "fe80::a9fe:a9fe",
        // IBM.
        "161.26.0.10",
        "161.26.255.255",
        "166.8.0.1",
        "166.9.48.63",
        "166.11.255.255",
        // Google.
        "199.36.153.4",
        "199.36.153.11",
        "35.199.192.1",
        "35.199.223.255",
        "34.126.0.1",
        "34.126.63.255",
        "2600:2d00:2:1000::1",
        "2600:2d00:2:20ff::1",
        "2001:4860:8040::1",
        "2001:4860:807f::1",
        // DigitalOcean.
        "67.207.67.2",
        "67.207.67.3",
    ];
    let beside = [
        "168.63.129.15",
        "168.63.129.17",
        "161.25.255.255",
        "161.27.0.0",
        "166.7.255.255",
        "166.12.0.0",
        "199.36.153.3",
        "199.36.153.12",
        "35.199.191.255",
        "35.199.224.0",
        "34.126.64.0",
        "67.207.67.4",
        "2600:2d00:2:1100::1",
        "2600:2d00:3:1000::1",
        "2001:4860:8080::1",
        "2001:4860:4860::8888",
    ];
    let is = |text: &str| is_public(text.parse::<IpAddr>().unwrap());
    assert_eq!(inside.into_iter().find(|text| is(text)), None);
    assert_eq!(beside.into_iter().find(|text| !is(text)), None);
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
    // One is called, and one waits in the place of the unproven.
    let notices = Notices::start(NoticePolicy { queue_max: 2, at_once_max: 1, ..policy() }).unwrap();
    for event in ["a", "b", "c", "d", "e"] {
        notices.send(of(ACCOUNT, &webhook, event));
    }
    assert_eq!(notices.counts(ACCOUNT).left_out, 3);
    let off = Notices::start(NoticePolicy { is_on: false, ..policy() }).unwrap();
    off.send(notice(&webhook));
    assert_eq!(off.counts(ACCOUNT), NoticeCounts::default());
}

/// What takes `count` notices of strangers: an account each, at a host that says nothing.
fn flood(notices: &Notices, count: u16) -> TcpListener {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = format!("http://{}/", silent.local_addr().unwrap());
    for number in 0..count {
        notices.send(of(stranger(number), &webhook, "settings_changed"));
    }
    silent
}

#[test]
fn strangers_who_fill_the_queue_keep_no_warning_from_an_owner() {
    // One whose webhook answered before.
    let (port, hear) = listener(&[OK, OK]);
    let notices = Notices::start(policy()).unwrap();
    let owners = format!("http://127.0.0.1:{port}/");
    notices.send(of(ACCOUNT, &owners, "settings_changed"));
    counts_when(&notices, |counts| counts.sent == 1);
    let _silent = flood(&notices, 1_150);
    notices.send(of(ACCOUNT, &owners, "settings_pending"));
    assert!(hear.recv_timeout(PATIENCE).unwrap().contains("settings_changed"));
    assert!(hear.recv_timeout(PATIENCE).unwrap().contains("settings_pending"));
    counts_when(&notices, |counts| *counts == NoticeCounts { sent: 2, ..NoticeCounts::default() });
    // One that was never called, as all are after a start.
    let (port, hear) = listener(&[OK]);
    let notices = Notices::start(NoticePolicy { timeout: Duration::from_millis(200), ..policy() }).unwrap();
    let _silent = flood(&notices, 1_150);
    notices.send(of(ACCOUNT, &format!("http://localhost:{port}/"), "settings_pending"));
    assert!(hear.recv_timeout(PATIENCE).unwrap().contains("settings_pending"));
    counts_when(&notices, |counts| *counts == NoticeCounts { sent: 1, ..NoticeCounts::default() });
}

/// A queue with so many places and callers, and what is done with it.
struct Desk(Queue, Instant);

impl Desk {
    fn new(places: usize, callers: usize) -> Self {
        Self(Queue::new(places, callers), Instant::now())
    }

    fn add(&mut self, class: Class, account: u16, host: &str, event: &str) -> Vec<KeyHash> {
        let notice = of(stranger(account), &format!("http://{host}/"), event);
        self.0.add(class, Waiting::new(notice, self.1))
    }

    /// Everything that may be called now, by account.
    fn take(&mut self) -> Vec<(Class, Waiting)> {
        std::iter::from_fn(|| self.0.take(self.1)).collect()
    }
}

fn accounts(taken: &[(Class, Waiting)]) -> Vec<KeyHash> {
    taken.iter().map(|(_, waiting)| waiting.notice.account).collect()
}

#[test]
fn each_class_has_places_and_callers_of_its_own() {
    let mut desk = Desk::new(8, 4);
    for number in 0..20 {
        desk.add(Class::Unproven, number, &format!("{number}.example"), "a");
    }
    for number in 100..106 {
        assert_eq!(desk.add(Class::Proven, number, &format!("{number}.example"), "a"), []);
    }
    let taken = desk.take();
    // Of the unproven two are left, the newest, for one caller; of the proven six, for three.
    assert_eq!(accounts(&taken), [100, 101, 102, 18].map(stranger));
    let (class, waiting) = &taken[3];
    desk.0.ended(*class, waiting);
    assert_eq!(accounts(&desk.take()), [stranger(19)]);
    for (class, waiting) in &taken[..3] {
        desk.0.ended(*class, waiting);
    }
    assert_eq!(accounts(&desk.take()), [103, 104, 105].map(stranger));
}

#[test]
fn who_has_most_makes_room_and_of_a_kind_one_waits() {
    let mut desk = Desk::new(16, 4);
    assert_eq!(desk.add(Class::Unproven, 1, "a.example", "a"), []);
    assert_eq!(desk.add(Class::Unproven, 1, "a.example", "a"), [stranger(1)], "the newest of its kind replaces");
    assert_eq!(desk.add(Class::Unproven, 2, "b.example", "a"), []);
    assert_eq!(desk.add(Class::Unproven, 3, "b.example", "a"), []);
    assert_eq!(desk.add(Class::Unproven, 4, "c.example", "a"), []);
    assert_eq!(desk.add(Class::Unproven, 5, "d.example", "a"), [stranger(2)], "of the host that has most the oldest");
    assert_eq!(
        desk.add(Class::Unproven, 4, "e.example", "b"),
        [stranger(4)],
        "of the account that has most the oldest"
    );
    assert_eq!(accounts(&desk.take()), [stranger(1)]);
}

#[test]
fn hosts_take_turns_and_a_webhook_that_fails_is_one_of_all() {
    let mut desk = Desk::new(100, 8);
    for number in 0..5 {
        desk.add(Class::Unproven, number, "silent.example", "a");
    }
    desk.add(Class::Unproven, 9, "other.example", "a");
    let taken = desk.take();
    assert_eq!(accounts(&taken), [0, 9].map(stranger), "the second caller is not the first one's host's");
    // What waits for a webhook goes with its class.
    desk.add(Class::Proven, 7, "good.example", "a");
    desk.add(Class::Proven, 7, "good.example", "b");
    let taken = desk.take();
    assert_eq!(taken.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [Class::Proven; 2]);
    desk.add(Class::Proven, 7, "good.example", "c");
    assert_eq!(desk.0.reclass(&taken[0].1.notice, Class::Unproven), []);
    assert!(desk.take().is_empty(), "no caller of the unproven is free");
    assert_eq!(desk.0.reclass(&taken[0].1.notice, Class::Proven), []);
    assert_eq!(accounts(&desk.take()), [stranger(7)]);
    let (mut tallies, now) = (Tallies::default(), Instant::now());
    let notice = notice("http://good.example/");
    assert_eq!(tallies.class(ACCOUNT, &notice.webhook), Class::Unproven);
    tallies.tried(now, &notice, Class::Proven);
    assert_eq!(tallies.class(ACCOUNT, &notice.webhook), Class::Proven);
    assert_eq!(tallies.class(ACCOUNT, &Webhook::new("http://other.example/").unwrap()), Class::Unproven);
    tallies.tried(now, &notice, Class::Unproven);
    assert_eq!(tallies.class(ACCOUNT, &notice.webhook), Class::Unproven);
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
