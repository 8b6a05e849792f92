//! Who may mine, and what is told to those who may not.

use std::time::Duration;

use bq_access::{AuthMode, Registry, RegistryPolicy, TokenKey};
use bq_front::{AccessConfig, KeptFiles};
use bq_mining_message::{AccessError, SignedRequest, TokenWish};
use bq_primitives::{Address, Algorithm, BlockId, KeyHash, Network, account_request_hash};
use bq_request::Request;
use bq_signature::KeyPair;
use serde_json::Value;

use crate::{Bench, kept, miner::Client};

pub(crate) fn token_mode(mode: AuthMode) -> AccessConfig {
    let policy = RegistryPolicy {
        mode,
        signed_requests: true,
        request_window_ms: 600_000,
        tokens_max: 10,
        tokens_per_address_max: 10,
    };
    let registry = Registry::new(policy, Network::Devnet, BlockId([0; 32]), TokenKey([3; 32]));
    AccessConfig { registry, ..AccessConfig::default() }
}

pub(crate) fn address(n: u8) -> String {
    Address { network: Network::Devnet, key_hash: KeyHash([n; 32]) }.to_string()
}

async fn authorize(client: &mut Client, login: &str, password: &str) -> Value {
    client.request(r#"{"id":1,"method":"mining.subscribe","params":[]}"#).await;
    client.request(&format!(r#"{{"id":2,"method":"mining.authorize","params":["{login}","{password}"]}}"#)).await
}

/// SPEC 11.11.2 and 3: every dialect takes the token from the password, and refuses in its own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tokens_nobody_else_mines_and_a_revoked_one_ends_its_sessions() {
    let bench = Bench::start(16, 1 << 40, |config| config.access = token_mode(AuthMode::Token)).await;
    let access = bench.server.access();
    let wish = TokenWish { address: address(1), username: Some("alice".to_owned()), worker: None };
    let token = access.make_token(&wish).unwrap();
    let mut stranger = bench.connect(Algorithm::Sha256d).await;
    let refused = authorize(&mut stranger, &format!("{}.rig", address(1)), "x").await;
    assert!(refused["error"][1].as_str().unwrap().contains("wants a worker token"), "{refused}");
    let why = access.why(&address(1), None);
    assert!(why.refusals[0].reason.contains("wants a worker token") && why.refusals[0].what == "login", "{why:?}");

    let login = |password: &str| {
        format!(r#"{{"id":1,"method":"login","params":{{"login":"alice","pass":"{password}","agent":"test"}}}}"#)
    };
    let mut stranger = bench.connect(Algorithm::RandomX).await;
    let refused = stranger.request(&login("bqt_000000000000000000000000000000000000000000000000")).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("unknown or was taken back"), "{refused}");

    let (mut of_randomx, mut of_ethash) =
        (bench.connect(Algorithm::RandomX).await, bench.connect(Algorithm::Ethash).await);
    let granted = of_randomx.request(&login(&format!("d=16,{}", token.token))).await;
    assert_eq!(granted["result"]["status"], "OK", "{granted}");
    let line = format!(r#"{{"id":1,"method":"eth_submitLogin","params":["alice.rig","{}"]}}"#, token.token);
    assert_eq!(of_ethash.request(&line).await["result"], true);

    let sessions = access.sessions(Some(&address(1)), 10);
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert!(sessions.iter().all(|session| session.token.as_ref() == Some(&token.info.id) && session.authorised > 0));
    assert_eq!(access.revoke_token(&token.info.id), Ok(2));
    assert!(of_randomx.is_closed().await && of_ethash.is_closed().await);
    assert_eq!(access.revoke_token(&token.info.id), Err(AccessError::NoSuchToken(token.info.id)));
    while !access.sessions(None, 10).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each of those who ban at once, and the server that writes now and then what peers did, leaves the file whole and the newest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bans_that_come_together_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Bench::start(1, 1 << 40, |config| {
            config.kept = Some(KeptFiles { period_ms: 1, ..kept(folder.path()) });
        })
    };
    let bench = start().await;
    let access = bench.server.access();
    std::thread::scope(|scope| {
        for subnet in 0..8 {
            let access = &access;
            scope.spawn(move || (0..25).for_each(|n| drop(access.ban(&format!("203.0.{subnet}.{n}"), 600).unwrap())));
        }
    });
    bench.server.shutdown().await;
    let bench = start().await;
    assert_eq!(bench.server.access().bans().len(), 200);
    bench.server.shutdown().await;
}

/// SPEC 11.11.5: a ban is typed and lasts over a restart; it is lifted by whoever runs the pool, and what led to it is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_is_told_kept_and_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Bench::start(1, 1 << 40, |config| {
            config.trust_loopback = false;
            config.kept = Some(kept(folder.path()));
        })
    };
    let bench = start().await;
    while bench.forge().await {}
    let banned = bench.server.access().bans();
    assert_eq!((banned[0].peer.as_str(), banned[0].reason.as_str(), banned[0].bans), ("127.0.0.1", "forged_shares", 1));
    assert!(banned[0].until >= banned[0].since + 600);
    let asker = "127.0.0.1".parse().ok();
    let why = bench.server.access().why(&address(1), asker);
    assert_eq!(why.your_ban.as_ref(), Some(&banned[0]));
    bench.server.shutdown().await;

    let bench = start().await;
    let access = bench.server.access();
    assert_eq!(access.bans(), banned);
    assert!(bench.connect(Algorithm::Ethash).await.is_refused().await);
    assert_eq!(access.lift_ban("127.0.0.1"), Ok(true));
    assert_eq!(access.lift_ban("127.0.0.1"), Ok(false));
    assert_eq!(access.lift_ban("elsewhere"), Err(AccessError::Peer("elsewhere".to_owned())));
    let mut client = bench.connect(Algorithm::Sha256d).await;
    assert_eq!(authorize(&mut client, "addr1.rig", "x").await["result"], true);

    let told = access.ban("127.0.0.1", 3_600).unwrap();
    assert_eq!((told.reason.as_str(), told.until - told.since), ("operator", 3_600));
    let last = client.line_of("client.show_message").await;
    assert!(last["params"][0].as_str().unwrap().contains("banned"), "{last}");
    assert!(client.is_closed().await);
    let text = std::fs::read_to_string(folder.path().join("bans")).unwrap();
    assert!(text.starts_with("127.0.0.1 operator "), "written at once: {text}");
    bench.server.shutdown().await;
}

/// SPEC 11.11.6: whoever mines to an address can find out why its shares and logins fail, also where the address is another network's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_told_by_address() {
    let bench = Bench::start(16, 1 << 40, |config| config.trust_loopback = false).await;
    let access = bench.server.access();
    let (mut client, job) = bench.sha256d("addr1.rig1").await;
    for nonce in ["zz", "00000001", "00000001"] {
        let line = format!(
            r#"{{"id":9,"method":"mining.submit","params":["addr1.rig1","{}","0000000000000000","{}","{nonce}"]}}"#,
            job.id, job.ntime
        );
        client.request(&line).await;
    }
    let miner = Address { network: Network::Devnet, key_hash: KeyHash([1; 32]) }.to_string();
    let why = access.why(&miner, None);
    let reasons: Vec<_> = why.refusals.iter().map(|refusal| (refusal.reason.as_str(), refusal.count)).collect();
    assert!(reasons.len() >= 2 && why.refusals.iter().all(|refusal| refusal.worker.as_deref() == Some("rig1")));
    assert!(!why.locked && why.your_ban.is_none() && reasons.iter().all(|(reason, _)| !reason.is_empty()), "{why:?}");

    let elsewhere = Address { network: Network::Testnet, key_hash: KeyHash([1; 32]) }.to_string();
    let mut lost = bench.connect(Algorithm::Sha256d).await;
    assert_eq!(authorize(&mut lost, &format!("{elsewhere}.rig#1"), "x").await["result"], false);
    let mut lost = bench.connect(Algorithm::Sha256d).await;
    authorize(&mut lost, &elsewhere, "x").await;
    let told: Vec<_> = access.why(&elsewhere, None).refusals.into_iter().map(|refusal| refusal.reason).collect();
    assert_eq!(told, ["not an address", "worker name is 1 to 64 of A-Z a-z 0-9 . _ -"]);
    assert_eq!(access.why("<script>", None).refusals, []);
}

/// SPEC 11.11.4: rubbish is refused before anything is counted, and what others have verified in their own names, from the same address, keeps no owner
/// from being heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_uses_up_what_an_owner_behind_the_same_address_may_ask() {
    let bench = Bench::start(16, 1 << 40, |config| config.access = token_mode(AuthMode::Address)).await;
    let access = bench.server.access();
    let shared = "192.0.2.1".parse().ok();
    let key = |n: u8| KeyPair::from_seed(&[n; 32]).unwrap();
    let now_ms = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(now.as_millis()).unwrap()
    };
    let signed = |of: &KeyPair, wish: &str, time_ms: u64| {
        let address = Address { network: Network::Devnet, key_hash: of.key_hash() };
        let text = Request { genesis: BlockId([0; 32]), address, time_ms, wish: wish.to_owned() }.to_string();
        SignedRequest {
            public_key: hex::encode(of.public_key()),
            signature: hex::encode(of.sign(&account_request_hash(&text)).unwrap().as_slice()),
            request: text,
        }
    };
    let (owner, thief) = (key(1), key(2));
    let start = now_ms();
    access.carry_out(shared, &signed(&owner, "token", start)).unwrap();
    let good = signed(&thief, "tokens", start);
    let forged = |signed: &SignedRequest| SignedRequest { signature: "00".repeat(3_309), ..signed.clone() };
    // None of these costs a signature, so none is counted, however many come.
    for rubbish in [
        SignedRequest { signature: "00".to_owned(), ..good.clone() },
        SignedRequest { request: "rubbish".to_owned(), ..good.clone() },
        SignedRequest { public_key: hex::encode(key(3).public_key()), ..good.clone() },
        signed(&thief, "take everything", start),
        signed(&thief, "tokens", start - 3_600_000),
        forged(&signed(&owner, "unlock", start)),
    ] {
        for _ in 0..40 {
            assert_ne!(access.carry_out(shared, &rubbish).unwrap_err(), AccessError::TooFast, "{rubbish:?}");
        }
    }
    // Keys by the dozen, each with a signature that is wrong: counted as one, and not with the owner.
    let strangers: Vec<_> = (10..60).map(|n| forged(&signed(&key(n), "tokens", start))).collect();
    let too_fast = |of: &[SignedRequest]| {
        of.iter().filter(|signed| access.carry_out(shared, signed) == Err(AccessError::TooFast)).count()
    };
    assert!(too_fast(&strangers) >= 30, "ten at once and one a second");
    for (wish, later) in [("lock", 1), ("unlock", 2), ("tokens", 3)] {
        access.carry_out(shared, &signed(&owner, wish, start + later)).unwrap();
    }
    // In the owner's name from elsewhere: nothing of his either.
    let elsewhere = "192.0.2.2".parse().ok();
    let late = forged(&signed(&owner, "tokens", start + 10));
    assert!((0..50).any(|_| access.carry_out(elsewhere, &late) == Err(AccessError::TooFast)));
    access.carry_out(shared, &signed(&owner, "tokens", start + 4)).unwrap();
    bench.server.shutdown().await;
}
