//! The Ethash dialects of other pools, spoken line by line.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pool;

use std::sync::Arc;

use bq_miner::{Endpoint, MinerConfig};
use bq_pow::{EthashWorkHash, PowVerifier, ethash_seed};
use bq_primitives::Algorithm;
use pool::{Connection, Pool, eventually, start, stats, stop};
use serde_json::{Value, json};

const HEADER: [u8; 32] = [0x5a; 32];
/// One hash in four.
const BOUNDARY: &str = "3fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

fn config(pool: &Pool, scheme: &str) -> MinerConfig {
    let endpoint: Endpoint = format!("{scheme}://{}", pool.address).parse().unwrap();
    let config = MinerConfig::new(vec![(Algorithm::Ethash, endpoint)], "wallet.rig1".to_owned());
    MinerConfig { cpu_priority: None, ..config }
}

async fn say(connection: &mut Connection, line: Value) {
    connection.write(&format!("{line}\n")).await;
}

/// The nonce meets the boundary; returns its mix.
fn mix_of(pow: &PowVerifier, nonce: &str) -> String {
    let nonce = u64::from_str_radix(nonce.trim_start_matches("0x"), 16).unwrap();
    let proof = pow.ethash_hash(0, &EthashWorkHash(HEADER), nonce).unwrap();
    assert!(proof.value.0[0] < 0x40);
    format!("0x{}", hex::encode(proof.mix))
}

async fn eth_proxy(connection: &mut Connection, pow: &PowVerifier) -> Value {
    let request = connection.request("eth_submitLogin").await;
    assert_eq!((&request["params"], &request["worker"]), (&json!(["wallet", "x"]), &json!("rig1")));
    say(connection, json!({"id": request["id"], "jsonrpc": "2.0", "result": true})).await;
    let request = connection.request("eth_getWork").await;
    let (header, seed) = (format!("0x{}", hex::encode(HEADER)), format!("0x{}", hex::encode(ethash_seed(0))));
    let work = json!([header, seed, format!("0x{BOUNDARY}")]);
    say(connection, json!({"id": request["id"], "jsonrpc": "2.0", "result": work})).await;
    let share = connection.request("eth_submitWork").await;
    let params = &share["params"];
    assert_eq!((&params[1], &params[2]), (&json!(header), &json!(mix_of(pow, params[0].as_str().unwrap()))));
    share["id"].clone()
}

async fn version1(connection: &mut Connection, pow: &PowVerifier) -> Value {
    let request = connection.request("mining.subscribe").await;
    assert_eq!(request["params"][1], "EthereumStratum/1.0.0");
    let result = json!([["mining.notify", "ae6812eb", "EthereumStratum/1.0.0"], "a2ee"]);
    say(connection, json!({"id": request["id"], "result": result, "error": null})).await;
    let request = connection.request("mining.extranonce.subscribe").await;
    say(connection, json!({"id": request["id"], "result": true, "error": null})).await;
    let request = connection.request("mining.authorize").await;
    assert_eq!(request["params"], json!(["wallet.rig1", "x"]));
    say(connection, json!({"id": request["id"], "result": true, "error": null})).await;
    // Four hashes a share, in units of 2^32 hashes; and from the next job on another extranonce.
    say(connection, json!({"id": null, "method": "mining.set_difficulty", "params": [4.0 / 4_294_967_296.0]})).await;
    say(connection, json!({"id": null, "method": "mining.set_extranonce", "params": ["af4c"]})).await;
    let job = json!(["1f", hex::encode(ethash_seed(0)), hex::encode(HEADER), true]);
    say(connection, json!({"id": null, "method": "mining.notify", "params": job})).await;
    let share = connection.request("mining.submit").await;
    assert_eq!((&share["params"][0], &share["params"][1]), (&json!("wallet.rig1"), &json!("1f")));
    mix_of(pow, &format!("af4c{}", share["params"][2].as_str().unwrap()));
    share["id"].clone()
}

async fn version2(connection: &mut Connection, pow: &PowVerifier) -> Value {
    let request = connection.request("mining.hello").await;
    let result = json!({"proto": "EthereumStratum/2.0.0", "encoding": "plain", "resume": "0", "timeout": "b4",
        "maxerrors": "5", "node": "pool/1.0"});
    say(connection, json!({"id": request["id"], "result": result})).await;
    let request = connection.request("mining.subscribe").await;
    say(connection, json!({"id": request["id"], "result": "s-12345"})).await;
    let request = connection.request("mining.authorize").await;
    say(connection, json!({"id": request["id"], "result": "w-123"})).await;
    let set = json!({"epoch": "0", "target": BOUNDARY, "algo": "ethash", "extranonce": "0b"});
    say(connection, json!({"method": "mining.set", "params": set})).await;
    say(connection, json!({"method": "mining.notify", "params": ["1f", "10", hex::encode(HEADER), "1"]})).await;
    let share = connection.request("mining.submit").await;
    assert_eq!((&share["params"][0], &share["params"][2]), (&json!("1f"), &json!("w-123")));
    mix_of(pow, &format!("0b{}", share["params"][1].as_str().unwrap()));
    share["id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_dialect_is_spoken() {
    let pow = Arc::new(PowVerifier::default());
    for scheme in ["stratum1+tcp", "stratum2+tcp", "stratum3+tcp"] {
        let pool = Pool::bind(Algorithm::Ethash).await;
        let miner = start(config(&pool, scheme), &pow);
        let mut connection = pool.accept().await;
        let id = match scheme {
            "stratum1+tcp" => eth_proxy(&mut connection, &pow).await,
            "stratum2+tcp" => version1(&mut connection, &pow).await,
            _ => version2(&mut connection, &pow).await,
        };
        say(&mut connection, json!({"id": id, "jsonrpc": "2.0", "result": true})).await;
        eventually(|| stats(&miner, Algorithm::Ethash).accepted == 1).await;
        stop(miner).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_names_no_dialect_is_tried_in_each() {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(Algorithm::Ethash).await;
    let miner = start(config(&pool, "stratum+tcp"), &pow);
    let mut connection = pool.accept().await;
    let request = connection.request("mining.subscribe").await;
    assert_eq!(request["params"], json!([]));
    let error = json!([20, "EthProxy only", null]);
    say(&mut connection, json!({"id": request["id"], "result": null, "error": error})).await;
    connection.ends().await;
    let mut connection = pool.accept().await;
    assert_eq!(connection.request("mining.subscribe").await["params"][1], "EthereumStratum/1.0.0");
    drop(connection);
    let mut connection = pool.accept().await;
    let id = eth_proxy(&mut connection, &pow).await;
    say(&mut connection, json!({"id": id, "jsonrpc": "2.0", "result": true})).await;
    eventually(|| stats(&miner, Algorithm::Ethash).accepted == 1).await;
    // It worked, so it is spoken again.
    drop(connection);
    eth_proxy(&mut pool.accept().await, &pow).await;
    stop(miner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_pool_is_left_for_the_next() {
    let pow = Arc::new(PowVerifier::default());
    let pool = Pool::bind(Algorithm::Ethash).await;
    let dead = Pool::bind(Algorithm::Ethash).await;
    let mut config = config(&pool, "stratum1+tcp");
    config.endpoints.insert(0, (Algorithm::Ethash, Endpoint::from(dead.address)));
    let miner = start(config, &pow);
    for _ in 0..4 {
        drop(dead.accept().await);
    }
    eth_proxy(&mut pool.accept().await, &pow).await;
    stop(miner).await;
}
