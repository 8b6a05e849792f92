//! The server over real sockets: a fake pool behind it, miners that really search in front of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

mod access;
mod counted;
mod getwork;
mod miner;
mod networks;
mod pool;
mod takeover;
mod tickets;
mod transport;
mod v2;

use std::{sync::Arc, time::Duration};

use bq_front::{
    CpuTime, Handover, JudgePolicy, KeptFiles, Port, SchemePort, SessionPolicy, StratumConfig, StratumHandle,
    StratumServer, VardiffPolicy,
};
use bq_mining_message::{AccountScheme, SharePay, ShareReject};
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, Block, BlockId, KeyHash, ShareDifficulty, Target, U256};

use crate::{
    counted::Counted,
    miner::{Client, EthashJob, RandomXJob, Sha256dJob},
    pool::{FakePool, OWN_ROOT},
};

/// A server on free ports. Every `share` hashes is a share, and the chain asks for `1 / network` of all values.
struct Bench {
    pool: Arc<FakePool>,
    verifier: Arc<PowVerifier>,
    hashes: Arc<Counted>,
    server: StratumHandle,
    config: StratumConfig,
}

fn randomx_submit(session: &str, job: &str, nonce: &str, result: &str) -> String {
    format!(
        r#"{{"id":5,"method":"submit","params":{{"id":"{session}","job_id":"{job}","nonce":"{nonce}","result":"{result}"}}}}"#
    )
}

const KEY: BlockId = BlockId([7; 32]);

fn kept(folder: &std::path::Path) -> KeptFiles {
    KeptFiles {
        workers: folder.join("workers"),
        bans: folder.join("bans"),
        tickets: folder.join("tickets"),
        period_ms: 3_600_000,
    }
}

impl Bench {
    async fn start(share: u64, network: u64, change: impl FnOnce(&mut StratumConfig)) -> Self {
        let pool = Arc::new(FakePool::new(Target(U256::MAX / U256::from(network)), KEY));
        pool.set_tip(1, 0);
        let difficulty = ShareDifficulty::from_hashes(share);
        let vardiff =
            VardiffPolicy { start: difficulty, floor: difficulty, cap_divisor: 1, ..VardiffPolicy::default() };
        let session = SessionPolicy { vardiff, job_gap_ms: 0, ..SessionPolicy::default() };
        let mut config = StratumConfig {
            listen: [Some("127.0.0.1:0".parse().unwrap()); Algorithm::COUNT],
            sessions: [session.clone(), session.clone(), session],
            seed: [42; 32],
            ..StratumConfig::default()
        };
        change(&mut config);
        let verifier = Arc::new(PowVerifier::default());
        let hashes = Arc::new(Counted::new(Arc::clone(&verifier)));
        let server = StratumServer::start(config.clone(), pool.clone(), hashes.clone()).await.unwrap();
        Self { pool, verifier, hashes, server, config }
    }

    /// Another server in place of this one, which leaves it what it can if it takes over.
    async fn replaced(self, takes_over: bool) -> Self {
        let Self { pool, verifier, hashes, server, mut config } = self;
        // As every start has.
        config.seed[0] += 1;
        let handed = if takes_over {
            server.hand_over().await
        } else {
            server.shutdown().await;
            Handover::default()
        };
        let server =
            StratumServer::resume(config.clone(), pool.clone(), hashes.clone(), (handed, || Ok(()))).await.unwrap();
        Self { pool, verifier, hashes, server, config }
    }

    async fn connect(&self, algorithm: Algorithm) -> Client {
        Client::connect(self.server.address(algorithm).unwrap()).await
    }

    /// Three forged RandomX claims of blocks, which end a connection. False if none is let in any more.
    async fn forge(&self) -> bool {
        let mut forger = self.connect(Algorithm::RandomX).await;
        if forger.is_refused().await {
            return false;
        }
        let (session, job) = forger.log_in_randomx("addr1.rig1").await;
        for nonce in 0..3 {
            let line = randomx_submit(&session, &job.id, &format!("{nonce:08x}"), &"00".repeat(32));
            forger.send_raw(format!("{line}\n").as_bytes()).await;
        }
        assert!(forger.is_closed().await);
        true
    }

    async fn sha256d(&self, login: &str) -> (Client, Sha256dJob) {
        let mut client = self.connect(Algorithm::Sha256d).await;
        let job = client.log_in_sha256d(login).await;
        (client, job)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sha256d_share_is_booked_once_whoever_sends_it_however_often() {
    let bench = Bench::start(64, 1 << 40, |_| ()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    let share = job.find(64, 1 << 40);
    assert_eq!(client.submit(&share).await, "true");
    assert_eq!(client.submit(&share).await, "22");
    assert_eq!(
        client.submit(&share.to_uppercase().replace("ADDR1.RIG1", "addr1.rig1")).await,
        "22",
        "another spelling is the same share"
    );
    assert_eq!(client.submit(&job.find_worse(64)).await, "23");
    let booked = bench.pool.shares();
    assert_eq!(booked.len(), 1);
    let (accepted, block) = &booked[0];
    assert_eq!((accepted.difficulty.hashes(), accepted.network_difficulty.hashes()), (64, (1 << 40) - 1));
    assert_eq!((accepted.worker.as_str(), accepted.height.0, accepted.block_id), ("rig1", 2, None));
    assert!(block.is_none());
    assert_eq!(bench.pool.rejected(), [ShareReject::Duplicate, ShareReject::Duplicate, ShareReject::LowDifficulty]);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_another_scheme_has_work_of_its_own_and_its_shares_say_so() {
    let bench = Bench::start(4, 64, |_| ()).await;
    for login in ["addr1.rig1", "addr200.rig1"] {
        let (mut client, job) = bench.sha256d(login).await;
        assert_eq!(client.submit(&job.find_block(64)).await, "true");
    }
    let booked = bench.pool.shares();
    let pays: Vec<_> = booked.iter().map(|(share, _)| share.pay).collect();
    assert_eq!(pays, [SharePay::Window, SharePay::Solo]);
    let is_own = |block: &Option<Block>| block.as_ref().map(|block| block.header.tx_root == OWN_ROOT);
    assert_eq!(booked.iter().map(|(_, block)| is_own(block)).collect::<Vec<_>>(), [Some(false), Some(true)]);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheme_that_is_chosen_later_holds_for_the_jobs_of_an_open_connection() {
    let bench = Bench::start(4, 64, |_| ()).await;
    let (mut client, old) = bench.sha256d("addr1.rig1").await;
    bench.pool.choose_solo(KeyHash([1; 32]));
    bench.pool.set_tip(2, 0);
    let job = client.next_sha256d_job(&old).await;
    assert_eq!(client.submit(&job.find_block(64)).await, "true");
    let (share, block) = bench.pool.shares().pop().expect("booked");
    assert_eq!((share.pay, block.map(|block| block.header.tx_root)), (SharePay::Solo, Some(OWN_ROOT)));
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_says_how_everybody_there_is_paid_and_so_does_its_successor() {
    let ports = [AccountScheme::Solo, AccountScheme::Pplns].map(|scheme| SchemePort {
        scheme,
        algorithm: Algorithm::Sha256d,
        address: "127.0.0.1:0".parse().unwrap(),
    });
    let bench = Bench::start(4, 64, |config| config.scheme_ports = ports.to_vec()).await;
    let at = |scheme| bench.server.address_of(Port::Scheme(scheme, Algorithm::Sha256d)).unwrap();
    // The first chose nothing, the second solo.
    let (solo, windows) = (at(AccountScheme::Solo), at(AccountScheme::Pplns));
    let (mut one, mut two) = (Client::connect(solo).await, Client::connect(windows).await);
    let (of_one, of_two) = (one.log_in_sha256d("addr1.rig1").await, two.log_in_sha256d("addr200.rig1").await);
    assert_eq!(one.submit(&of_one.find(4, 64)).await, "true");
    assert_eq!(two.submit(&of_two.find(4, 64)).await, "true");
    let bench = bench.replaced(true).await;
    bench.pool.set_tip(2, 0);
    let (of_one, of_two) = (one.sha256d_job_on_next_tip(&of_one).await, two.sha256d_job_on_next_tip(&of_two).await);
    assert_eq!(one.submit(&of_one.find(4, 64)).await, "true");
    assert_eq!(two.submit(&of_two.find(4, 64)).await, "true");
    let pays: Vec<_> = bench.pool.shares().iter().map(|(share, _)| share.pay).collect();
    assert_eq!(pays, [SharePay::Solo, SharePay::Window, SharePay::Solo, SharePay::Window]);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_connections_job_is_unknown_here() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let (_first, job) = bench.sha256d("addr1.rig1").await;
    let (mut second, own) = bench.sha256d("addr1.rig1").await;
    assert_ne!(job.id, own.id);
    assert_ne!(job.extranonce1, own.extranonce1);
    let stolen = job.find(16, 1 << 40);
    assert_eq!(second.submit(&stolen).await, "21");
    assert!(bench.pool.shares().is_empty());
    assert_eq!(bench.pool.rejected(), [ShareReject::UnknownJob]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_carries_its_body_and_a_new_tip_makes_the_rest_stale() {
    let bench = Bench::start(4, 64, |_| ()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    assert_eq!(client.submit(&job.find_block(64)).await, "true");
    let (accepted, block) = bench.pool.shares().remove(0);
    let block = block.unwrap();
    assert_eq!(accepted.block_id, Some(block.id()));
    assert_eq!((block.transactions.len(), block.header.parent_id), (1, BlockId([1; 32])));
    assert!(
        bench
            .verifier
            .verify(&block.header, &block.seal, &bq_primitives::PowKey::Sha256d, &Target(U256::MAX / U256::from(64)))
            .is_ok()
    );

    bench.pool.set_tip(1, 1); // only the body changes: late shares stay good
    let refreshed = client.next_sha256d_job(&job).await;
    assert!(!refreshed.clean && refreshed.parent == job.parent);
    assert_eq!(client.submit(&job.find(4, 64)).await, "true");
    bench.pool.set_tip(2, 0);
    let next = client.next_sha256d_job(&job).await;
    assert!(next.clean && next.parent != job.parent);
    assert_eq!(client.submit(&refreshed.find(4, 64)).await, "21");
    assert_eq!(client.submit(&next.find(4, 64)).await, "true");
    assert_eq!(bench.pool.rejected(), [ShareReject::Stale]);
    assert_eq!(bench.pool.shares().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_answered_or_ends_the_connection() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    let share = job.find(16, 1 << 40);
    let (head, nonce) = share.split_at(share.len() - 3); // cuts into the nonce
    assert_eq!(client.submit(&format!("{head}zz{}", &nonce[2..])).await, "20");
    assert_eq!(client.submit(&format!("{head}0{nonce}")).await, "20", "nine digits");
    let reply = client.request(r#"{"id":77,"method":"mining.dance","params":[]}"#).await;
    assert_eq!(reply["error"][1], "Unsupported");
    assert_eq!(client.submit(&share).await, "true", "still mining");

    client.send_raw(&[b'x'; 9000]).await;
    assert!(client.is_closed().await, "a line of 9000 bytes");
    let mut http = bench.connect(Algorithm::Sha256d).await;
    http.send_raw(b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(http.is_closed().await);
    for algorithm in Algorithm::ALL {
        let mut refused = bench.connect(algorithm).await;
        refused.send_raw(b"{\"id\":1,\"method\":\"login\",\"params\":{\"login\":\"bad address\"}}\n").await;
        let reply = refused.line().await;
        assert!(!reply["error"].is_null(), "{algorithm}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unbooked_share_is_not_confirmed_and_may_come_again() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    let share = job.find(16, 1 << 40);
    bench.pool.fail_records(true);
    assert_eq!(client.submit(&share).await, "20");
    bench.pool.fail_records(false);
    assert_eq!(client.submit(&share).await, "true");
    assert_eq!(bench.pool.shares().len(), 1);
    assert_eq!(bench.pool.rejected(), [ShareReject::Busy]);
}

/// SPEC 11.5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_passes_every_bound_and_a_newer_tip() {
    let bench = Bench::start(4, 64, |config| {
        let session = &mut config.sessions[Algorithm::Sha256d.index()];
        session.judge = JudgePolicy { shares_per_job_max: 1, ..session.judge };
        session.job_gap_ms = 3_600_000;
        config.verify.queue_max[Algorithm::Sha256d.index()] = 1;
    })
    .await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    assert_eq!(client.submit(&job.find(4, 64)).await, "true");
    assert_eq!(client.submit(&job.find_other(4, 64)).await, "20", "the job has earned all it can");
    assert_eq!(client.submit(&job.find_block(64)).await, "true");
    bench.pool.set_tip(2, 0);
    let next = client.next_sha256d_job(&job).await;
    assert_eq!(client.submit(&job.find_other(4, 64)).await, "21");
    assert_eq!(client.submit(&job.find_other_block(64)).await, "true", "a late block may still win");
    assert_eq!(client.submit(&next.find(16, 64)).await, "true", "being busy doubled the difficulty");
    let blocks = bench.pool.shares().into_iter().filter_map(|(_, block)| block).map(|block| block.header.parent_id);
    assert_eq!(blocks.collect::<Vec<_>>(), [BlockId([1; 32]), BlockId([1; 32])]);
    assert_eq!(bench.pool.rejected(), [ShareReject::Busy, ShareReject::Stale]);
}

/// Fifty miners before a queue of one: whoever finds no room waits, and nobody is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_keeps_miners_waiting_and_loses_nothing() {
    let bench = Bench::start(4, 1 << 40, |config| config.verify.queue_max[0] = 1).await;
    let mut miners = Vec::new();
    for n in 0..50 {
        miners.push(bench.sha256d(&format!("addr1.rig{n}")).await);
    }
    let submits = miners.into_iter().map(|(mut client, job)| {
        tokio::spawn(async move {
            let shares = [job.find(4, 1 << 40), job.find_other(4, 1 << 40)];
            for share in &shares {
                assert_eq!(client.submit(share).await, "true");
            }
        })
    });
    for submit in submits.collect::<Vec<_>>() {
        submit.await.unwrap();
    }
    assert_eq!(bench.pool.shares().len(), 100);
}

/// As many senders as there are threads to serve everybody: each is read at its rate, and waits in its own socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_of_empty_lines_at_full_speed_keep_nobody_waiting() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let mut senders = Vec::new();
    for _ in 0..2 {
        let mut sender = bench.connect(Algorithm::Sha256d).await;
        senders.push(tokio::spawn(async move {
            loop {
                sender.send_raw(&[b'\n'; 65_536]).await;
            }
        }));
    }
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    for (n, share) in [job.find(16, 1 << 40), job.find_other(16, 1 << 40)].into_iter().enumerate() {
        assert_eq!(client.submit(&share).await, "true", "share {n}");
    }
    senders.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(bench.pool.shares().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_panics_goes_on_and_people_can_see_it() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    let share = job.find(16, 1 << 40);
    assert!(bench.server.conditions().is_empty());
    bench.pool.panic_once();
    assert_eq!(client.submit(&share).await, "20", "the share was not booked");
    assert_eq!(client.submit(&share).await, "true", "by the same thread");
    let conditions = bench.server.conditions();
    assert_eq!(conditions.len(), 1);
    assert_eq!(conditions[0].name, "verify_thread_panicked");
    assert_eq!(conditions[0].reason, "verify-sha256d panicked and was restarted: the books fell over");
    bench.pool.fail_records(true);
    assert_eq!(client.submit(&job.find_other(16, 1 << 40)).await, "20");
    let names = |conditions: Vec<bq_condition::Condition>| conditions.into_iter().map(|c| c.name).collect::<Vec<_>>();
    assert_eq!(names(bench.server.conditions()), ["shares_not_booked", "verify_thread_panicked"]);
    bench.pool.fail_records(false);
    assert_eq!(client.submit(&job.find_other(16, 1 << 40)).await, "true");
    assert_eq!(names(bench.server.condition_reader()()), ["verify_thread_panicked"]);
    bench.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pools_own_address_is_refused_with_the_reason_in_every_dialect() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let authorize = r#"{"id":7,"method":"mining.authorize","params":["own.rig","x"]}"#;
    let subscribe = r#"{"id":1,"method":"mining.subscribe","params":[]}"#;
    let dialects: [(Algorithm, &[&str]); 6] = [
        (Algorithm::Sha256d, &[subscribe, authorize]),
        (Algorithm::RandomX, &[r#"{"id":7,"method":"login","params":{"login":"own.rig"}}"#]),
        (Algorithm::Ethash, &[subscribe, authorize]),
        (Algorithm::Ethash, &[r#"{"id":7,"method":"eth_submitLogin","params":["own"]}"#]),
        (
            Algorithm::Ethash,
            &[r#"{"id":1,"method":"mining.subscribe","params":["m","EthereumStratum/1.0.0"]}"#, authorize],
        ),
        (Algorithm::Ethash, &[r#"{"id":1,"method":"mining.hello","params":{}}"#, authorize]),
    ];
    for (algorithm, lines) in dialects {
        let mut client = bench.connect(algorithm).await;
        let mut reply = serde_json::Value::Null;
        for line in lines {
            reply = client.request(line).await;
        }
        assert!(reply["error"].to_string().contains("the pool's own address"), "{algorithm}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn randomx_shares_are_recomputed() {
    let bench = Bench::start(2, 1 << 40, |_| ()).await;
    let mut client = bench.connect(Algorithm::RandomX).await;
    let (session, job) = client.log_in_randomx("addr1.rig1").await;
    let verifier = Arc::clone(&bench.verifier);
    let found = tokio::task::spawn_blocking(move || job.find(&verifier, KEY)).await.unwrap();
    let RandomXJob { id, nonce, result, .. } = found;
    let submit = |nonce: &str, result: &str, job: &str| {
        format!(
            r#"{{"id":5,"jsonrpc":"2.0","method":"submit","params":{{"id":"{session}","job_id":"{job}","nonce":"{nonce}","result":"{result}","algo":"rx/0"}}}}"#
        )
    };
    let reply = client.request(&submit(&nonce, &result, &id)).await;
    assert_eq!(reply["result"]["status"], "OK", "{reply}");
    let mut refused = Vec::new();
    for line in [
        submit(&nonce, &result, &id),
        submit("ffffff00", &"00".repeat(32), &id),
        submit("ffffff01", &"ff".repeat(32), &id),
        submit(&nonce, &result, "00000000"),
        submit("zzzz", &result, &id),
    ] {
        refused.push(client.request(&line).await["error"]["message"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        refused,
        ["Duplicate share", "Invalid result", "Low difficulty share", "Job not found", "Malformed nonce"]
    );
    bench.pool.set_tip(2, 0);
    assert_eq!(client.line().await["method"], "job");
    let stale = client.request(&submit(&nonce, &result, &id)).await;
    assert_eq!(stale["error"]["message"], "Duplicate share");
    assert_eq!(bench.pool.shares().len(), 1);
    assert_eq!(bench.pool.shares()[0].0.difficulty.hashes(), 2);
    assert_eq!(bench.verifier.counters().randomx_cache_builds, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethash_shares_with_and_without_a_mix() {
    let bench = Bench::start(2, 2, |_| ()).await;
    // EthProxy sends the mix.
    let mut proxy = bench.connect(Algorithm::Ethash).await;
    let job = proxy.log_in_eth_proxy("addr1", "rig1").await;
    let verifier = Arc::clone(&bench.verifier);
    let (good, forged) = tokio::task::spawn_blocking(move || {
        let good = EthashJob::find(&verifier, &job.header, 0);
        (good, job)
    })
    .await
    .map(|(good, job)| (job.submit(&good), job.submit(&good.forged())))
    .unwrap();
    assert_eq!(proxy.request(&good).await["result"], true);
    let reply = proxy.request(&forged).await;
    assert_eq!((reply["result"].clone(), reply["error"]["code"].clone()), (false.into(), 20.into()), "{reply}");
    assert_eq!(proxy.request(&good).await["error"]["code"], 22);
    // EthereumStratum/2.0.0 does not: the block's mix is the server's.
    let mut mixless = bench.connect(Algorithm::Ethash).await;
    let (prefix, worker, job) = mixless.log_in_ethereum_2("addr1.rig2").await;
    let verifier = Arc::clone(&bench.verifier);
    let header = job.header.clone();
    let found = tokio::task::spawn_blocking(move || EthashJob::find(&verifier, &header, prefix)).await.unwrap();
    let line = format!(
        r#"{{"id":9,"method":"mining.submit","params":["{}","{}","{worker}"]}}"#,
        job.id,
        &found.nonce_hex()[4..]
    );
    assert_eq!(mixless.request(&line).await["result"], true);
    let shares = bench.pool.shares();
    assert_eq!(shares.len(), 2);
    for (share, block) in shares {
        let block = block.expect("every share is a block at this difficulty");
        assert_eq!(share.block_id, Some(block.id()));
        let key = bq_primitives::PowKey::Ethash(0);
        assert!(bench.verifier.verify(&block.header, &block.seal, &key, &Target(U256::MAX / U256::from(2))).is_ok());
    }
    assert_eq!(bench.pool.rejected(), [ShareReject::BadProof, ShareReject::Duplicate]);
    assert_eq!(bench.verifier.counters().ethash_cache_builds, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_proved_nothing_makes_room_and_a_miner_does_not() {
    let bench = Bench::start(16, 1 << 40, |config| {
        config.trust_loopback = false;
        config.places.per_peer = 2;
    })
    .await;
    let mut miners = Vec::new();
    for worker in ["addr1.a", "addr1.b"] {
        let (mut miner, job) = bench.sha256d(worker).await;
        assert_eq!(miner.submit(&job.find(16, 1 << 40)).await, "true");
        miners.push(miner);
    }
    let mut third = bench.connect(Algorithm::Sha256d).await;
    assert!(third.is_closed().await);
    assert_eq!(bench.server.connections(), 2);
    drop(miners.pop());
    // The server notices when it reads the end: retry until the place is free.
    let mut silent = loop {
        let mut again = bench.connect(Algorithm::Sha256d).await;
        // One that is turned away is told so in a line, too.
        if again.answers().await {
            break again;
        }
    };
    let (_newest, _) = bench.sha256d("addr1.c").await;
    assert!(silent.is_closed().await, "it gave way");
    assert!(!miners[0].is_refused().await, "it works on");
}

/// SPEC 11.12.5: with the way out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_all_places_are_taken_is_told() {
    let bench = Bench::start(16, 1 << 40, |config| {
        config.trust_loopback = false;
        config.places.total = 1;
        config.places.proof_lapses_ms = 3_600_000;
    })
    .await;
    let (mut miner, job) = bench.sha256d("addr1.a").await;
    assert_eq!(miner.submit(&job.find(16, 1 << 40)).await, "true");
    assert_eq!(bench.server.conditions(), []);
    assert!(bench.connect(Algorithm::Sha256d).await.is_closed().await);
    let told = bench.server.conditions();
    assert!(told[0].name == "server_full" && told[0].reason.contains("proof_lapses_secs"), "{told:?}");
    assert!(!told[0].blocks_readiness && !miner.is_refused().await, "it works on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_results_are_cut_off_and_then_banned() {
    let bench = Bench::start(1, 1 << 40, |config| config.trust_loopback = false).await;
    assert!(bench.forge().await, "three forged shares are enough");
    assert!(!bench.forge().await);
    assert_eq!(bench.pool.rejected(), [ShareReject::BadProof; 3]);
    assert!(bench.pool.shares().is_empty());
}

/// SPEC 11.6.8: however many connections an address has, and whether or not they wait for an answer, three of its forged claims are hashed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fourth_forged_share_of_an_address_is_hashed() {
    for algorithm in [Algorithm::RandomX, Algorithm::Ethash] {
        let bench = Bench::start(1 << 40, 1 << 48, |config| config.trust_loopback = false).await;
        let mut forgers = Vec::new();
        for number in 0..8 {
            let mut forger = bench.connect(algorithm).await;
            forgers.push((forger.forgery(algorithm, number).await, forger));
        }
        let leaves = forgers.split_off(4);
        for (line, forger) in &mut forgers {
            forger.send_raw(line.as_bytes()).await;
        }
        for (line, mut forger) in leaves {
            forger.send_raw(line.as_bytes()).await;
        }
        for (_, mut forger) in forgers {
            assert!(forger.is_closed().await, "{algorithm}");
        }
        assert!(bench.connect(algorithm).await.is_refused().await, "{algorithm}: banned");
        bench.server.shutdown().await;
        assert_eq!(bench.hashes.count(), 3, "{algorithm}");
        assert!(bench.pool.shares().is_empty());
    }
}

/// SPEC 11.6.7: one rig of a farm forges. It uses up what the farm's strangers may cost, and whoever mines already mines on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forger_among_miners_of_one_address_costs_them_nothing() {
    let bench = Bench::start(1, 1 << 40, |config| {
        config.trust_loopback = false;
        config.bans.exempt_ratio = 0;
        config.allowance.burst = CpuTime(150_000);
        config.allowance.per_second = CpuTime(100_000);
        for session in &mut config.sessions {
            session.judge = JudgePolicy { trusted_after: 1, ..session.judge };
        }
    })
    .await;
    let mut honest = bench.connect(Algorithm::RandomX).await;
    let (session, job) = honest.log_in_randomx("addr1.rig1").await;
    let verifier = Arc::clone(&bench.verifier);
    let finds = tokio::task::spawn_blocking(move || job.find_two(&verifier, KEY)).await.unwrap();
    let mut mine = async |found: &RandomXJob| {
        let reply = honest.request(&randomx_submit(&session, &found.id, &found.nonce, &found.result)).await;
        assert_eq!(reply["result"]["status"], "OK", "{reply}");
    };
    mine(&finds[0]).await;
    let mut connections = 0;
    while bench.forge().await {
        connections += 1;
        assert!(connections < 10, "nobody makes it wait");
    }
    mine(&finds[1]).await;
    // What it owed comes back, and a new rig of the farm is let in: nobody was banned.
    while bench.connect(Algorithm::RandomX).await.is_refused().await {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.pool.shares().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_books_what_was_taken_and_closes_everything() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    assert_eq!(client.submit(&job.find(16, 1 << 40)).await, "true");
    let address = bench.server.address(Algorithm::Sha256d).unwrap();
    bench.server.shutdown().await;
    assert!(client.is_closed().await);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(bench.pool.shares().len(), 1);
}

/// A proxy that collected shares for a while; below the burst of lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_submits_in_one_write_are_each_answered() {
    let bench = Bench::start(1, 1 << 40, |config| {
        config.sessions[0].judge.shares_in_flight_max = 200;
        config.sessions[0].judge.unproven_in_flight_max = 200;
    })
    .await;
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    let line = |nonce: u32| {
        let (id, ntime) = (&job.id, &job.ntime);
        format!(
            "{{\"id\":{},\"method\":\"mining.submit\",\"params\":[\"addr1.rig1\",\"{id}\",\"0000000000000000\",\"{ntime}\",\"{nonce:x}\"]}}\n",
            nonce + 10
        )
    };
    client.send_raw((0..300).map(line).collect::<String>().as_bytes()).await;
    let (mut ids, mut accepted) = (Vec::new(), 0);
    while ids.len() < 300 {
        let reply = client.line().await;
        if let Some(id) = reply["id"].as_u64() {
            ids.push(id);
            accepted += u32::from(reply["result"] == true);
        }
    }
    assert_eq!((ids, accepted), ((10..310).collect(), 300));
    assert_eq!(bench.pool.shares().len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_finds_its_difficulty_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers");
    let payee = KeyHash([1; 32]);
    std::fs::write(&path, format!("sha256d {payee} rig1 4294967296\nnonsense\n")).unwrap();
    let bench = Bench::start(16, 1 << 40, |config| {
        config.kept = Some(kept(folder.path()));
    })
    .await;
    for (login, told) in [("addr1.rig1", 1.0), ("addr1.rig2", 16.0 / 4_294_967_296.0)] {
        let mut client = bench.connect(Algorithm::Sha256d).await;
        client.request(r#"{"id":1,"method":"mining.subscribe","params":[]}"#).await;
        client.request(&format!(r#"{{"id":2,"method":"mining.authorize","params":["{login}","x"]}}"#)).await;
        let line = client.line().await;
        assert_eq!((line["method"].as_str(), line["params"][0].as_f64()), (Some("mining.set_difficulty"), Some(told)));
    }
    bench.server.shutdown().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("sha256d {payee} rig1 4294967296\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_miners_each_get_the_new_tip() {
    let bench = Bench::start(16, 1 << 40, |_| ()).await;
    let mut miners = Vec::new();
    for n in 0..200 {
        miners.push(bench.sha256d(&format!("addr1.rig{n}")).await);
    }
    assert_eq!(bench.server.connections(), 200);
    bench.pool.set_tip(2, 0);
    let mut ids = std::collections::BTreeSet::new();
    for (client, job) in &mut miners {
        let next = tokio::time::timeout(Duration::from_secs(20), client.next_sha256d_job(job)).await.unwrap();
        assert!(next.clean);
        assert!(ids.insert(next.extranonce1.clone()), "each has its own extranonce");
    }
}
