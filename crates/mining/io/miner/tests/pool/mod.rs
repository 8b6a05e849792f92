//! A pool of one connection and few words, for each dialect.
#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bq_miner::{AlgorithmStats, ClientSettings, Endpoint, Miner, MinerConfig};
use bq_pow::{EthashWorkHash, PowVerifier, ethash_seed};
use bq_primitives::{Algorithm, BlockId, PowHash, double_sha256};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time::timeout,
};

/// Far longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config(pools: &[&Pool]) -> MinerConfig {
    let endpoints = pools.iter().map(|pool| (pool.algorithm, Endpoint::from(pool.address))).collect();
    let client = ClientSettings { drain: Duration::from_millis(200), ..ClientSettings::default() };
    MinerConfig { cpu_priority: None, client, ..MinerConfig::new(endpoints, "dbq1address.rig7".to_owned()) }
}

pub(crate) fn start(config: MinerConfig, pow: &Arc<PowVerifier>) -> Miner {
    Miner::start(config, Arc::clone(pow), &Handle::current()).unwrap()
}

pub(crate) async fn stop(miner: Miner) {
    tokio::task::spawn_blocking(move || miner.stop()).await.unwrap();
}

pub(crate) fn stats(miner: &Miner, algorithm: Algorithm) -> AlgorithmStats {
    miner.stats().algorithms.into_iter().find(|stats| stats.algorithm == algorithm).unwrap()
}

pub(crate) struct Pool {
    pub(crate) algorithm: Algorithm,
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Pool {
    pub(crate) async fn bind(algorithm: Algorithm) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { algorithm, address: listener.local_addr().unwrap(), listener }
    }

    pub(crate) async fn accept(&self) -> Connection {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        Connection { algorithm: self.algorithm, stream: BufReader::new(stream), login: None, jobs: Vec::new() }
    }
}

pub(crate) struct Connection {
    algorithm: Algorithm,
    stream: BufReader<TcpStream>,
    /// Id of a RandomX login, whose answer holds the first job.
    login: Option<Value>,
    /// Name, content and key of what was sent.
    jobs: Vec<(String, u8, u8)>,
}

/// A submit that was found to be a true share.
pub(crate) struct Share {
    pub(crate) id: Value,
    pub(crate) job: String,
}

impl Connection {
    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    async fn send(&mut self, value: Value) {
        self.write(&format!("{value}\n")).await;
    }

    async fn next_line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await.unwrap();
        // A peer that closes with data unread resets the connection: also an end.
        read.ok().filter(|bytes| *bytes > 0).map(|_| serde_json::from_str(&line).unwrap())
    }

    /// The next line, which must call `method`.
    pub(crate) async fn request(&mut self, method: &str) -> Value {
        let request = self.next_line().await.unwrap();
        assert_eq!(request["method"], method);
        request
    }

    /// Reads until the answer to request `id`.
    pub(crate) async fn answer_to(&mut self, id: u64) {
        while self.next_line().await.unwrap()["id"] != id {}
    }

    /// Reads until the miner closes.
    pub(crate) async fn ends(&mut self) {
        while self.next_line().await.is_some() {}
    }

    pub(crate) async fn answer(&mut self, id: &Value, error: Option<(i32, &str)>) {
        let answer = match (self.algorithm, error) {
            (Algorithm::RandomX, None) => {
                json!({"id": id, "jsonrpc": "2.0", "error": null, "result": {"status": "OK"}})
            }
            (Algorithm::RandomX, Some((_, text))) => {
                json!({"id": id, "jsonrpc": "2.0", "error": {"code": -1, "message": text}})
            }
            (_, None) => json!({"id": id, "result": true, "error": null}),
            (Algorithm::Sha256d, Some((code, text))) => json!({"id": id, "result": null, "error": [code, text, null]}),
            (Algorithm::Ethash, Some((code, text))) => {
                json!({"id": id, "jsonrpc": "2.0", "result": false, "error": {"code": code, "message": text}})
            }
        };
        self.send(answer).await;
    }

    pub(crate) async fn log_in(&mut self, name: &str, worker: &str, password: &str) {
        let user = format!("{name}.{worker}");
        match self.algorithm {
            Algorithm::Sha256d => {
                let id = self.request("mining.subscribe").await["id"].clone();
                let result = json!([[["mining.notify", "abcd"]], "0001000000000007", 8]);
                self.send(json!({"id": id, "result": result, "error": null})).await;
                let request = self.request("mining.authorize").await;
                assert_eq!(request["params"], json!([user, password]));
                self.answer(&request["id"], None).await;
                let request = self.request("mining.extranonce.subscribe").await;
                self.answer(&request["id"], Some((20, "Unsupported"))).await;
                self.send(json!({"id": null, "method": "mining.set_difficulty", "params": [2.0_f64.powi(-14)]})).await;
            }
            Algorithm::RandomX => {
                let request = self.request("login").await;
                assert_eq!(request["params"]["login"], user);
                assert_eq!(request["params"]["pass"], password);
                self.login = Some(request["id"].clone());
            }
            Algorithm::Ethash => {
                let request = self.request("mining.subscribe").await;
                assert_eq!(request["params"], json!([]));
                self.answer(&request["id"], None).await;
                let request = self.request("mining.authorize").await;
                assert_eq!(request["params"], json!([user, password]));
                self.answer(&request["id"], None).await;
            }
        }
    }

    /// Sends a job named `id` whose content follows from `content`.
    pub(crate) async fn send_job(&mut self, id: &str, content: u8) {
        self.send_job_under(id, content, 0).await;
    }

    /// The same under another RandomX key or Ethash epoch, at another height.
    pub(crate) async fn send_job_under(&mut self, id: &str, content: u8, key: u8) {
        self.jobs.push((id.to_owned(), content, key));
        match self.algorithm {
            Algorithm::Sha256d => {
                let prev_hash = "43424140474645444b4a49484f4e4d4c53525150575655545b5a59585f5e5d5c";
                let (head, tail) = (hex::encode([content; 47]), hex::encode([0xee; 52]));
                let params = json!([id, prev_hash, head, tail, [], "20000000", "1d00ffff", "6a000000", true]);
                self.send(json!({"id": null, "method": "mining.notify", "params": params})).await;
            }
            Algorithm::RandomX => {
                // One hash of sixteen is a share: two threads must not find them faster than one here looks at them.
                let job = json!({
                    "blob": hex::encode(blob(content, [0; 4])), "job_id": id, "target": "ffffffffffffff0f",
                    "algo": "rx/0", "height": 70_000 + u32::from(key), "seed_hash": hex::encode(randomx_key(key).0),
                });
                match self.login.take() {
                    Some(login) => {
                        let result = json!({"id": "c0ffee01", "job": job, "extensions": ["algo"], "status": "OK"});
                        self.send(json!({"id": login, "jsonrpc": "2.0", "error": null, "result": result})).await;
                    }
                    None => self.send(json!({"jsonrpc": "2.0", "method": "job", "params": job})).await,
                }
            }
            Algorithm::Ethash => {
                let header = format!("0x{}", hex::encode([content; 32]));
                let (seed, boundary) =
                    (format!("0x{}", hex::encode(ethash_seed(epoch(key)))), format!("0x003{}", "f".repeat(61)));
                let params = json!([id, header, seed, boundary, true]);
                self.send(json!({"id": null, "jsonrpc": "2.0", "method": "mining.notify", "params": params})).await;
            }
        }
    }

    /// The next submit, checked in full against what its job was.
    pub(crate) async fn share(&mut self, pow: &PowVerifier) -> Share {
        let method = if self.algorithm == Algorithm::RandomX { "submit" } else { "mining.submit" };
        let request = self.request(method).await;
        let params = &request["params"];
        let job = match self.algorithm {
            Algorithm::RandomX => params["job_id"].as_str(),
            Algorithm::Sha256d | Algorithm::Ethash => params[1].as_str(),
        };
        let job = job.unwrap().to_owned();
        let (_, content, key) = self.jobs.iter().find(|sent| sent.0 == job).cloned().unwrap();
        match self.algorithm {
            Algorithm::Sha256d => {
                assert_eq!(params[0], "dbq1address.rig7");
                assert_eq!(params[3], "6a000000");
                assert!(sha256d_value(params, content) <= [&[0, 3][..], &[0xff; 30]].concat());
            }
            Algorithm::RandomX => {
                assert_eq!(params["id"], "c0ffee01");
                let nonce = bytes(&params["nonce"]).try_into().unwrap();
                let value = pow.randomx_hash(&randomx_key(key), &blob(content, nonce)).unwrap();
                assert_eq!(value, PowHash(bytes(&params["result"]).try_into().unwrap()));
                assert!(value.0[31] < 0x80);
            }
            Algorithm::Ethash => {
                assert_eq!((&params[0], &request["worker"]), (&json!("dbq1address"), &json!("rig7")));
                assert_eq!(bytes(&params[3]), [content; 32]);
                let nonce = u64::from_be_bytes(bytes(&params[2]).try_into().unwrap());
                let proof = pow.ethash_hash(epoch(key), &EthashWorkHash([content; 32]), nonce).unwrap();
                assert_eq!(bytes(&params[4]), proof.mix);
                assert!(proof.value.0[..2] < [0, 0x40][..]);
            }
        }
        Share { id: request["id"].clone(), job }
    }
}

const fn randomx_key(key: u8) -> BlockId {
    BlockId([9 + key; 32])
}

fn epoch(key: u8) -> u32 {
    1 + u32::from(key)
}

fn blob(content: u8, nonce: [u8; 4]) -> Vec<u8> {
    [&[content; 39][..], &nonce, &[content; 33]].concat()
}

fn bytes(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}

/// Rebuilds the work header from a submit; most significant byte first.
fn sha256d_value(params: &Value, content: u8) -> Vec<u8> {
    let (extranonce2, nonce) = (bytes(&params[2]), bytes(&params[4]));
    assert_eq!((extranonce2.len(), nonce.len()), (8, 4));
    let coinbase = [&[content; 47][..], &[0, 1, 0, 0, 0, 0, 0, 7], extranonce2.as_slice(), &[0xee; 52]].concat();
    let parent: Vec<u8> = (0x40..0x60).collect();
    let mut header = [&[0, 0, 0, 0x20], parent.as_slice(), &double_sha256(&coinbase)].concat();
    header.extend([0, 0, 0, 0x6a, 0xff, 0xff, 0, 0x1d]);
    header.extend(nonce.iter().rev());
    assert_eq!(header.len(), 80);
    double_sha256(&header).into_iter().rev().collect()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}
