//! Stratum V2: a device made of the public crates alone, and what no device does.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, ensure};
use bq_front::{AuthMode, Authority, PlaceLimits, Port, StratumConfig, V2Config};
use bq_mining_message::{SharePay, ShareReject, TokenWish};
use bq_tests::{Device, REQUIRES_STANDARD_JOBS, Said, setup_connection};

use crate::{
    Bench,
    access::{address, token_mode},
};

const CHANNELS_MAX: usize = 10;

fn with_v2(config: &mut StratumConfig) {
    config.v2 = Some(V2Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        authority: Arc::new(Authority::of_secret([7; 32]).unwrap()),
        certificate_secs: 60,
        handshake_ms: 60_000,
        handshakes_max: 8,
        channels_max: CHANNELS_MAX,
    });
}

/// Where the pool is, and by which key it is known.
type Pool = (SocketAddr, String);

/// Devices wait for their answers where they stand, so they have a thread of their own.
async fn on_a_device<T: Send + 'static>(bench: &Bench, run: impl FnOnce(Pool) -> Result<T> + Send + 'static) -> T {
    let address = bench.server.address_of(Port::V2).unwrap();
    let key = Authority::of_secret([7; 32]).unwrap().public_text();
    tokio::task::spawn_blocking(move || run((address, key))).await.unwrap().unwrap()
}

fn device((address, key): &Pool) -> Result<Device> {
    Device::set_up(*address, key, 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_of_one_connection_earn_for_their_own_accounts() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    on_a_device(&bench, |pool| {
        let mut device = device(&pool)?;
        let standard = device.open_standard("addr1.rig1")?;
        let extended = device.open_extended("addr2.rig2")?;
        let prefixes: Vec<_> = device.channels.values().map(|channel| channel.prefix.clone()).collect();
        ensure!(prefixes[0][..4] != prefixes[1][..4], "{prefixes:?}");
        for channel in [standard, extended] {
            let share = device.mine(channel, 0)?.unwrap();
            let again = device.submit(&share)?;
            ensure!(device.answer(again)? == Err("duplicate-share".to_owned()));
        }
        Ok(())
    })
    .await;
    let booked = bench.pool.shares();
    let of: Vec<_> = booked.iter().map(|(share, _)| (share.payee.0[0], share.worker.as_str().to_owned())).collect();
    assert_eq!(of, [(1, "rig1".to_owned()), (2, "rig2".to_owned())]);
    assert_eq!(bench.pool.rejected(), [ShareReject::Duplicate; 2]);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_channels_of_a_connection_are_paid_alike() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    on_a_device(&bench, |pool| {
        for [first, other] in [["addr200", "addr1"], ["addr1", "addr200"]] {
            let mut device = device(&pool)?;
            let channel = device.open_standard(first)?;
            let request = device.ask_standard(other, 0.0, [0xff; 32])?;
            ensure!(device.opened(request)? == Err("unknown-user".to_owned()));
            // It goes on, and has its place again.
            device.open_standard(first)?;
            device.mine(channel, 0)?.unwrap();
        }
        Ok(())
    })
    .await;
    let pays: Vec<_> = bench.pool.shares().iter().map(|(share, _)| (share.payee.0[0], share.pay)).collect();
    assert_eq!(pays, [(200, SharePay::Solo), (1, SharePay::Window)]);
    let told = bench.server.access().why("addr1", None).refusals;
    assert!(told.iter().any(|refusal| refusal.reason.contains("another scheme")), "{told:?}");
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_shares_its_jobs_and_a_new_tip_makes_the_old_ones_stale() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    let pool = Arc::clone(&bench.pool);
    on_a_device(&bench, move |address| {
        let mut device = device(&address)?;
        let channels =
            [device.open_standard("addr1.a")?, device.open_extended("addr1.b")?, device.open_standard("addr3")?];
        let mut old = Vec::new();
        for channel in channels {
            device.wait_for_work(channel)?;
            old.push(device.search(channel, 0, false)?);
        }
        for (tip, body) in [(1, 1), (2, 0)] {
            let before = device.channels[&channels[0]].jobs.len();
            pool.set_tip(tip, body);
            let is_told = |device: &Device| {
                let first = &device.channels[&channels[0]];
                first.jobs.len() > before && first.active == Some(newest_job(device, channels[0]))
            };
            while !is_told(&device) {
                device.hear()?;
            }
            for channel in channels {
                let newest = device.channels[&channel].jobs.last().unwrap();
                ensure!(newest.is_of_group && newest.min_ntime.is_none() == (tip == 2), "{newest:?}");
                let share = device.mine(channel, 0)?.unwrap();
                ensure!(share.job == newest_job(&device, channel));
            }
            // The same tip: what was found before still earns. Another: it is too late.
            let sequence = device.submit(&old.remove(0))?;
            let answer = device.answer(sequence)?;
            ensure!(answer == if tip == 1 { Ok(()) } else { Err("stale-share".to_owned()) }, "{answer:?}");
        }
        Ok(())
    })
    .await;
    assert_eq!(bench.pool.shares().len(), 7);
}

fn newest_job(device: &Device, channel: u32) -> u32 {
    device.channels[&channel].jobs.last().unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_standard_jobs_gets_them_for_each_channel() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    let pool = Arc::clone(&bench.pool);
    on_a_device(&bench, move |(address, key)| {
        let mut device = Device::set_up(address, &key, REQUIRES_STANDARD_JOBS)?;
        let request = device.ask_extended("addr1", 4)?;
        ensure!(device.opened(request)? == Err("extended-channels-not-supported-for-standard-jobs".to_owned()));
        let channels = [device.open_standard("addr1.a")?, device.open_standard("addr1.b")?];
        for channel in channels {
            device.wait_for_work(channel)?;
        }
        pool.set_tip(2, 0);
        while channels.iter().any(|channel| device.channels[channel].prev_hash.unwrap().0 != [2; 32]) {
            device.hear()?;
        }
        for channel in channels {
            ensure!(device.channels[&channel].jobs.iter().all(|job| !job.is_of_group));
            device.mine(channel, 0)?.unwrap();
        }
        Ok(())
    })
    .await;
    assert_eq!(bench.pool.shares().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_refused_with_the_reason_in_the_protocols_words() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    on_a_device(&bench, |pool| {
        let mut device = device(&pool)?;
        let all = [0xff; 32];
        let mut asked = vec![
            (device.ask_standard("nobody.rig1", 0.0, all)?, "unknown-user"),
            (device.ask_standard("own", 0.0, all)?, "unknown-user"),
            (device.ask_standard("", 0.0, all)?, "invalid-user-identity"),
            (device.ask_standard("addr1.<script>", 0.0, all)?, "invalid-user-identity"),
            (device.ask_standard("addr1+much", 0.0, all)?, "invalid-user-identity"),
            (device.ask_standard("addr1", -1.0, all)?, "invalid-nominal-hashrate"),
            (device.ask_standard("addr1", f32::NAN, all)?, "invalid-nominal-hashrate"),
            (device.ask_standard("addr1", 0.0, [0; 32])?, "max-target-out-of-range"),
            (device.ask_extended("addr1", 9)?, "min-extranonce-size-too-large"),
        ];
        for (request, code) in asked.drain(..) {
            let answer = device.opened(request)?;
            ensure!(answer == Err(code.to_owned()), "{code}: {answer:?}");
        }
        for _ in 0..CHANNELS_MAX {
            device.open_standard("addr1")?;
        }
        let request = device.ask_standard("addr1", 0.0, all)?;
        ensure!(device.opened(request)? == Err("channel-capacity-exhausted".to_owned()));
        Ok(())
    })
    .await;
    let access = bench.server.access();
    let told = |login: &str| access.why(login, None).refusals.into_iter().map(|refusal| refusal.reason);
    assert_eq!(told("nobody").collect::<Vec<_>>(), ["not an address"]);
    let of_address: Vec<_> = told("addr1").collect();
    assert!(of_address.len() == 2 && of_address[1].starts_with("worker name is"), "{of_address:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_share_is_refused_with_the_reason_in_the_protocols_words() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    on_a_device(&bench, |pool| {
        let mut device = device(&pool)?;
        let (standard, extended) = (device.open_standard("addr1")?, device.open_extended("addr1")?);
        let mut stranger = self::device(&pool)?;
        let strange = stranger.open_extended("addr2")?;
        device.wait_for_work(standard)?;
        device.wait_for_work(extended)?;
        stranger.wait_for_work(strange)?;
        let (of_standard, of_extended) = (device.search(standard, 0, false)?, device.search(extended, 0, false)?);
        let job_ntime = of_extended.ntime;
        // Each is sure to miss: other bytes meet the target of 64 hashes by chance once in 64 times.
        let mut too_low = of_extended.clone();
        while device.meets(&too_low)? {
            too_low.extranonce[0] = too_low.extranonce[0].wrapping_add(1);
        }
        // What another connection found is another's work, whatever it is called.
        let (extended_job, mut start) = (of_extended.job, 0);
        let stolen = loop {
            let mut stolen = stranger.search(strange, start, false)?;
            start = stolen.nonce + 1;
            (stolen.channel, stolen.job) = (extended, extended_job);
            if !device.meets(&stolen)? {
                break stolen;
            }
        };
        let mut wrong = Vec::new();
        let mut case =
            |share: &bq_tests::DeviceShare, code: &'static str, change: fn(&mut bq_tests::DeviceShare, u32)| {
                let mut share = share.clone();
                change(&mut share, job_ntime);
                wrong.push((share, code));
            };
        case(&of_extended, "invalid-channel-id", |share, _| share.channel = 99);
        case(&of_extended, "invalid-job-id", |share, _| share.job ^= 0x8000_0000);
        case(&of_extended, "bad-extranonce-size", |share, _| share.extranonce.truncate(4));
        case(&of_extended, "invalid-non-rollable-version-bit", |share, _| share.version ^= 1);
        case(&of_extended, "invalid-share", |share, ntime| share.ntime = ntime - 1);
        case(&of_extended, "invalid-share", |share, ntime| share.ntime = ntime + 7_201);
        case(&of_extended, "invalid-share", |share, _| share.extranonce.clear());
        case(&of_standard, "invalid-share", |share, _| share.extranonce = vec![0; 8]);
        wrong.push((too_low, "difficulty-too-low"));
        wrong.push((stolen, "difficulty-too-low"));
        for (share, code) in wrong {
            let sequence = device.submit(&share)?;
            let answer = device.answer(sequence)?;
            ensure!(answer == Err(code.to_owned()), "{code}: {answer:?} {share:?}");
        }
        Ok(())
    })
    .await;
    assert!(bench.pool.shares().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_v2_is_closed_and_counts_against_its_address() {
    let bench = Bench::start(64, 1 << 40, |config| {
        with_v2(config);
        config.trust_loopback = false;
        config.bans.points = 6;
    })
    .await;
    on_a_device(&bench, |(address, key)| {
        // Keys that belong to nobody, then bytes that nobody encrypted: that may be another protocol, and costs nothing.
        let mut garbage = TcpStream::connect(address)?;
        garbage.write_all(&[0x80; 64])?;
        garbage.read_exact(&mut [0; 234])?;
        garbage.write_all(&[0x80; 200])?;
        is_closed(&mut garbage)?;
        let mut broken = Device::set_up(address, &key, 0)?;
        broken.send_bytes(&[0x80; 22])?;
        broken.expect_closed()?;
        // More than is ever read, and less than a message.
        let mut oversized = Device::set_up(address, &key, 0)?;
        oversized.send_payload(0x10, &vec![0; 9_000])?;
        oversized.expect_closed()?;
        // A channel before the connection was set up.
        let mut early = Device::connect(address, &key)?;
        early.ask_standard("addr1", 0.0, [0xff; 32])?;
        early.expect_closed()?;
        // Nonsense, and a setup that comes again: some is put up with.
        let mut mad = Device::set_up(address, &key, 0)?;
        for _ in 0..3 {
            mad.send_payload(0x10, &[1, 2, 3])?;
            mad.send(setup_connection(0), 0x00, false)?;
        }
        mad.expect_closed()?;
        // A message that nobody knows changes nothing.
        let mut polite = Device::set_up(address, &key, 0)?;
        polite.send_payload(0x7f, &[1, 2, 3])?;
        polite.open_standard("addr1")?;
        // Two more points, and this address is banned.
        for _ in 0..2 {
            let mut early = Device::connect(address, &key)?;
            early.send_payload(0x1a, &[0; 24])?;
            early.expect_closed()?;
        }
        let mut banned = TcpStream::connect(address)?;
        let _may_be_gone = banned.write_all(&[0x80; 64]);
        is_closed(&mut banned)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setup_that_cannot_be_kept_is_refused_by_name() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    on_a_device(&bench, |(address, key)| {
        let refused = |setup: common_messages_sv2::SetupConnectionOwned, code: &str| {
            let mut device = Device::connect(address, &key)?;
            device.send(setup, 0x00, false)?;
            let (kind, payload) = device.read()?;
            ensure!(kind == 0x02 && payload.ends_with(code.as_bytes()), "{code}: {kind} {payload:?}");
            device.expect_closed()
        };
        refused(setup_connection(0b10), "unsupported-feature-flags")?;
        let mut setup = setup_connection(0);
        setup.max_version = 1;
        setup.min_version = 1;
        refused(setup, "protocol-version-mismatch")?;
        let mut setup = setup_connection(0);
        setup.protocol = common_messages_sv2::Protocol::JobDeclarationProtocol;
        refused(setup, "unsupported-protocol")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_handshake_keeps_nobody_waiting_and_ends() {
    let bench = Bench::start(64, 1 << 40, |config| {
        with_v2(config);
        config.v2.as_mut().unwrap().handshake_ms = 300;
        config.v2.as_mut().unwrap().handshakes_max = 1;
    })
    .await;
    on_a_device(&bench, |pool| {
        let mut halves = Vec::new();
        for _ in 0..20 {
            let mut half = TcpStream::connect(pool.0)?;
            half.write_all(&[0x80; 63])?;
            halves.push(half);
        }
        let mut device = device(&pool)?;
        let channel = device.open_standard("addr1")?;
        device.mine(channel, 0)?.unwrap();
        halves.iter_mut().try_for_each(is_closed)
    })
    .await;
    assert_eq!(bench.pool.shares().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn miners_of_v1_and_pages_are_told_that_they_mistook_the_port() {
    let bench = Bench::start(64, 1 << 40, with_v2).await;
    on_a_device(&bench, |(address, _)| {
        for (said, answer) in [
            ("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n", "This port speaks Stratum V2"),
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        ] {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(said.as_bytes())?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            ensure!(text.contains(answer), "{text}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_channel_but_the_first_takes_a_place_and_gives_it_back() {
    let bench = Bench::start(64, 1 << 40, |config| {
        with_v2(config);
        config.v2.as_mut().unwrap().channels_max = 1_000;
        config.places = PlaceLimits { total: 1_000, per_peer: 20, per_subnet: 1_000, proof_lapses_ms: 600_000 };
        config.trust_loopback = false;
    })
    .await;
    on_a_device(&bench, |pool| {
        let mut device = device(&pool)?;
        let first = device.open_standard("addr1")?;
        device.mine(first, 0)?.unwrap();
        // A thousand at once: as many as there are places for are opened, each other is told so.
        let requests = (0..1_000).map(|_| device.ask_standard("addr1", 0.0, [0xff; 32])).collect::<Result<Vec<_>>>()?;
        let (mut opened, mut refused) = (vec![first], 0);
        while opened.len() + refused < 1 + requests.len() {
            match device.hear()? {
                Said::Opened { channel, .. } => opened.push(channel),
                Said::Refused { code, .. } => {
                    ensure!(code == "channel-capacity-exhausted", "{code}");
                    refused += 1;
                }
                _ => {}
            }
        }
        ensure!(opened.len() == 20, "{}", opened.len());
        // Closing one makes room for one.
        device.send(
            mining_sv2::CloseChannelOwned { channel_id: opened[5], reason_code: "".try_into().unwrap() },
            0x18,
            true,
        )?;
        device.open_standard("addr1")?;
        let request = device.ask_standard("addr1", 0.0, [0xff; 32])?;
        ensure!(device.opened(request)?.is_err());
        let prefixes: std::collections::BTreeSet<_> =
            device.channels.values().map(|channel| channel.prefix.clone()).collect();
        ensure!(prefixes.len() == device.channels.len(), "no two channels share a part of X");
        Ok(())
    })
    .await;
    assert_eq!(bench.server.connections(), 1);
}

/// SPEC 11.11.7: what one owner takes back ends nobody else's channels on the same connection, and all of his own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_closes_the_channels_of_its_address_alone() {
    let bench = Bench::start(64, 1 << 40, |config| {
        with_v2(config);
        config.access = token_mode(AuthMode::Address);
        config.trust_loopback = false;
    })
    .await;
    let access = bench.server.access();
    let made =
        |owner: u8| access.make_token(&TokenWish { address: address(owner), username: None, worker: None }).unwrap();
    let (first, second, others) = (made(1), made(1), made(2));
    let revoked = Arc::clone(&access);
    on_a_device(&bench, move |pool| {
        let mut proxy = device(&pool)?;
        // Two channels of the same name, let in by different tokens, and one of somebody else.
        let one = proxy.open_standard(&format!("{}.rig,{}", address(1), first.token))?;
        let two = proxy.open_standard(&format!("{}.rig,{}", address(1), second.token))?;
        let other = proxy.open_standard(&format!("{}.rig,{}", address(2), others.token))?;
        ensure!(revoked.sessions(None, 10).len() == 3);
        for (token, expected) in [(&first, one), (&second, two)] {
            ensure!(revoked.revoke_token(&token.info.id) == Ok(1));
            ensure!(closed(&mut proxy)? == (expected, "revoked".to_owned()));
        }
        let again = proxy.ask_standard(&format!("{}.rig,{}", address(1), first.token), 0.0, [0xff; 32])?;
        ensure!(proxy.opened(again)? == Err("invalid-worker-token".to_owned()));
        proxy.mine(other, 0)?.unwrap();
        ensure!(revoked.sessions(None, 10).len() == 1);
        // The last login is gone: the connection may open another.
        ensure!(revoked.revoke_token(&others.info.id) == Ok(1));
        // A connection that ends first is told nothing more.
        ensure!(closed(&mut proxy)? == (other, "revoked".to_owned()));
        proxy.open_standard("addr3")
    })
    .await;
    let why = |owner: u8| access.why(&address(owner), None).refusals;
    let ended: Vec<_> = why(1).into_iter().filter(|refusal| refusal.what == "connection").collect();
    assert!(ended.len() == 1 && ended[0].count == 2 && why(3).is_empty(), "{ended:?}");
    assert_eq!(why(2).len(), 1, "of its own token alone");
}

/// The next channel that is closed, and why.
fn closed(device: &mut Device) -> Result<(u32, String)> {
    loop {
        if let Said::Closed { channel, reason } = device.hear()? {
            return Ok((channel, reason));
        }
    }
}

/// SPEC 11.6.3: a browser behind a miner's address can be made to say such things to any port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_another_protocol_ban_nobody() {
    let bench = Bench::start(64, 1 << 40, |config| {
        with_v2(config);
        config.trust_loopback = false;
        config.bans.points = 1;
    })
    .await;
    let v1 = bench.server.address(bq_primitives::Algorithm::Sha256d).unwrap();
    on_a_device(&bench, move |(v2, key)| {
        let turn = b"\x00\x03\x00\x08\x21\x12\xa4\x42request-of-12\x00\x19\x00\x04\x11\x00\x00\x00".as_slice();
        let hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".as_slice(), &[0x5a; 508]].concat();
        let text = b"USER anonymous\r\nhelo there\r\n".as_slice();
        let long = [b'x'; 9_000];
        for (port, bytes) in [(v1, turn), (v1, text), (v1, b"helo there\r\n"), (v1, &long), (v2, &hello), (v2, &long)] {
            let mut stream = TcpStream::connect(port)?;
            let _may_be_gone = stream.write_all(bytes);
            let _answer = stream.read_to_end(&mut Vec::new());
        }
        Device::set_up(v2, &key, 0)?.open_standard("addr1")
    })
    .await;
    assert_eq!(bench.server.access().bans(), []);
}

/// SPEC 11.12.3 and 4: places are counted, not connections, and channels leave without their connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_proved_nothing_make_room_and_their_connection_goes_on() {
    let bench = Bench::start(64, 1 << 40, |config| {
        with_v2(config);
        config.places.per_peer = 4;
        config.trust_loopback = false;
    })
    .await;
    on_a_device(&bench, |pool| {
        let mut farm = device(&pool)?;
        let channels = (0..4).map(|_| farm.open_standard("addr1.rig")).collect::<Result<Vec<_>>>()?;
        let first = farm.mine(channels[3], 0)?.unwrap();
        // Each takes the place of a channel: the first stands in the connection's own.
        let mut newcomers = Vec::new();
        for _ in 0..2 {
            let mut newcomer = device(&pool)?;
            newcomer.open_standard("addr2")?;
            newcomers.push(newcomer);
        }
        let mut closed = Vec::new();
        while closed.len() < 2 {
            if let Said::Closed { channel, reason } = farm.hear()? {
                closed.push((channel, reason));
            }
        }
        ensure!(closed == [(channels[1], "made_room".to_owned()), (channels[2], "made_room".to_owned())], "{closed:?}");
        farm.mine(channels[0], 0)?.unwrap();
        farm.mine(channels[3], first.nonce + 1)?.unwrap();
        drop(newcomers);
        Ok(())
    })
    .await;
    let key = bq_primitives::KeyHash([1; 32]);
    let address = bq_primitives::Address { network: bq_primitives::Network::Devnet, key_hash: key }.to_string();
    let why = bench.server.access().why(&address, None);
    assert!(why.refusals[0].reason.contains("the server is full") && why.refusals[0].count == 2, "{why:?}");
}

fn is_closed(stream: &mut TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    match stream.read(&mut [0; 1]) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        other => anyhow::bail!("{other:?} instead of an end"),
    }
}
