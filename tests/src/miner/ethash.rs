//! The Ethash dialects: EthProxy, "Stratum" (mode 0) and EthereumStratum/2.0.0. Version 1.0.0 cannot say difficulties as low as
//! those of the test networks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::miner::{Dialect, LightEthash, LineClient, Submission};

const LIMIT: Duration = Duration::from_secs(20);
const NONCES_AT_ONCE: u64 = 64;
const SUBMIT_ID: u64 = 40;

/// Which of the dialects that share the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EthashMode {
    /// `mining.*` with 0x-prefixed jobs; ethminer's `stratum+tcp`.
    Stratum,
    /// `eth_*`; ethminer's `stratum1+tcp`.
    EthProxy,
    /// EthereumStratum/2.0.0; ethminer's `stratum3+tcp`.
    Version2,
}

/// The dialect's state. It holds a 16 MiB cache for the seed it last saw.
#[derive(Debug)]
pub struct EthashMiner {
    mode: EthashMode,
    address: String,
    worker: String,
    /// What the server set for later jobs in [`EthashMode::Version2`]: the first bytes of each nonce, and the boundary.
    extranonce: Vec<u8>,
    boundary: Option<f64>,
    /// The server's name for us there.
    worker_id: String,
    job: Option<Job>,
    hasher: Option<([u8; 32], LightEthash)>,
    next_nonce: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Job {
    id: String,
    header: [u8; 32],
    seed: [u8; 32],
    /// Fraction of 2^256 that a final value must not exceed.
    boundary: f64,
}

/// A miner that logs in as `address.worker`. `nonce_start` plays the random start of a stock miner.
#[must_use]
pub fn miner(mode: EthashMode, address: &str, worker: &str, nonce_start: u64) -> EthashMiner {
    EthashMiner {
        mode,
        address: address.to_owned(),
        worker: worker.to_owned(),
        extranonce: Vec::new(),
        boundary: None,
        worker_id: String::new(),
        job: None,
        hasher: None,
        next_nonce: nonce_start,
    }
}

impl Dialect for EthashMiner {
    fn log_in(&mut self, client: &mut LineClient) -> Result<()> {
        self.job = None;
        self.boundary = None;
        match self.mode {
            EthashMode::Stratum => self.log_in_stratum(client),
            EthashMode::EthProxy => self.log_in_eth_proxy(client),
            EthashMode::Version2 => self.log_in_version_2(client),
        }
    }

    fn notified(&mut self, message: &Value) -> Result<bool> {
        if message["method"] == "mining.set" && self.mode == EthashMode::Version2 {
            self.set(&message["params"]).with_context(|| format!("set: {message}"))?;
            return Ok(false);
        }
        let job = match self.mode {
            EthashMode::Stratum if message["method"] == "mining.notify" => read_stratum_job(&message["params"]),
            EthashMode::EthProxy if message["result"].is_array() => read_work(&message["result"]),
            EthashMode::Version2 if message["method"] == "mining.notify" => {
                read_version_2_job(&message["params"], self.boundary)
            }
            EthashMode::Stratum | EthashMode::EthProxy | EthashMode::Version2 => return Ok(false),
        };
        let job = job.with_context(|| format!("job: {message}"))?;
        let is_new = self.job.as_ref() != Some(&job);
        self.job = Some(job);
        Ok(is_new)
    }

    fn has_job(&self) -> bool {
        self.job.is_some()
    }

    fn search(&mut self) -> Result<Option<Submission>> {
        let Some(job) = self.job.clone() else { return Ok(None) };
        if self.hasher.as_ref().is_none_or(|(seed, _)| *seed != job.seed) {
            let ethash = LightEthash::of_seed(job.seed).context("seed is not a genuine epoch seed")?;
            self.hasher = Some((job.seed, ethash));
        }
        for _ in 0..NONCES_AT_ONCE {
            let nonce = self.nonce();
            self.next_nonce = self.next_nonce.wrapping_add(1);
            let Some((_, ethash)) = self.hasher.as_ref() else { return Ok(None) };
            let (mix, last) = ethash.hash(&job.header, nonce);
            if big_endian_fraction(&last) <= job.boundary {
                return Ok(Some(Submission { request: self.submit(&job, nonce, &mix), is_block: false }));
            }
        }
        Ok(None)
    }

    fn verdict(&self, answer: &Value) -> Result<Result<(), String>> {
        let error = &answer["error"];
        ensure!(!error.is_boolean(), "stock miners count \"error\":false as an error: {answer}");
        if error.is_null() {
            ensure!(answer["result"] == true, "answer to a submit: {answer}");
            return Ok(Ok(()));
        }
        let text = if error.is_array() { &error[1] } else { &error["message"] };
        Ok(Err(text.as_str().with_context(|| format!("error without a text: {answer}"))?.to_owned()))
    }
}

impl EthashMiner {
    fn log_in_stratum(&self, client: &mut LineClient) -> Result<()> {
        client.send(&json!({ "id": 1, "jsonrpc": "2.0", "method": "mining.subscribe", "params": [] }))?;
        accepted(&client.expect(LIMIT)?, 1)?;
        let login = format!("{}.{}", self.address, self.worker);
        client.send(&json!({ "id": 3, "jsonrpc": "2.0", "method": "mining.authorize", "params": [login, "x"] }))?;
        accepted(&client.expect(LIMIT)?, 3)
    }

    fn log_in_eth_proxy(&mut self, client: &mut LineClient) -> Result<()> {
        let params = json!([self.address, "x"]);
        client.send(&json!({ "id": 1, "method": "eth_submitLogin", "worker": self.worker, "params": params }))?;
        accepted(&client.expect(LIMIT)?, 1)?;
        client.send(&json!({ "id": 5, "method": "eth_getWork", "params": [] }))?;
        let reply = client.expect(LIMIT)?;
        if reply["error"].is_null() {
            self.notified(&reply)?;
        } else {
            // No work yet, as while the algorithm is not active: the first job is pushed.
            ensure!(reply["error"]["message"].is_string(), "eth_getWork: {reply}");
        }
        Ok(())
    }

    fn log_in_version_2(&mut self, client: &mut LineClient) -> Result<()> {
        let hello = json!({ "agent": "bq-tests/1", "host": "pool", "port": "0", "proto": "EthereumStratum/2.0.0" });
        client.send(&json!({ "id": 1, "method": "mining.hello", "params": hello }))?;
        let reply = client.expect(LIMIT)?;
        ensure!(reply["id"] == 1 && reply["result"]["proto"] == "EthereumStratum/2.0.0", "hello: {reply}");
        client.send(&json!({ "id": 2, "method": "mining.subscribe" }))?;
        let reply = client.expect(LIMIT)?;
        ensure!(reply["id"] == 2 && reply["result"].is_string(), "subscribe: {reply}");
        let login = format!("{}.{}", self.address, self.worker);
        client.send(&json!({ "id": 3, "method": "mining.authorize", "params": [login, "x"] }))?;
        let reply = client.expect(LIMIT)?;
        ensure!(reply["id"] == 3, "authorize: {reply}");
        text(&reply["result"])?.clone_into(&mut self.worker_id);
        Ok(())
    }

    fn set(&mut self, params: &Value) -> Result<()> {
        ensure!(params["epoch"] == "0" && params["algo"] == "ethash", "only the first epoch is mined here");
        self.extranonce = hex::decode(text(&params["extranonce"])?)?;
        self.boundary = Some(big_endian_fraction(&hash(text(&params["target"])?)?));
        Ok(())
    }

    /// The counter below the assigned bytes, which stay in front.
    fn nonce(&self) -> u64 {
        let mut bytes = self.next_nonce.to_be_bytes();
        bytes[..self.extranonce.len()].copy_from_slice(&self.extranonce);
        u64::from_be_bytes(bytes)
    }

    fn submit(&self, job: &Job, nonce: u64, mix: &[u8; 32]) -> Value {
        let (header, mix) = (format!("0x{}", hex::encode(job.header)), format!("0x{}", hex::encode(mix)));
        let text = format!("{nonce:016x}");
        let prefixed = format!("0x{text}");
        match self.mode {
            EthashMode::Stratum => json!({
                "id": SUBMIT_ID, "jsonrpc": "2.0", "method": "mining.submit", "worker": self.worker,
                "params": [self.address, job.id, prefixed, header, mix]
            }),
            EthashMode::EthProxy => json!({
                "id": SUBMIT_ID, "method": "eth_submitWork", "worker": self.worker, "params": [prefixed, header, mix]
            }),
            EthashMode::Version2 => {
                let own = &text[2 * self.extranonce.len()..];
                json!({ "id": SUBMIT_ID, "method": "mining.submit", "params": [job.id, own, self.worker_id] })
            }
        }
    }
}

fn accepted(reply: &Value, id: u64) -> Result<()> {
    ensure!(reply["id"] == id && reply["result"] == true && reply["error"].is_null(), "refused: {reply}");
    Ok(())
}

/// `[job, header, seed, boundary, clean]`.
fn read_stratum_job(params: &Value) -> Result<Job> {
    let id = params[0].as_str().context("job id")?.to_owned();
    let boundary = big_endian_fraction(&hash_0x(&params[3])?);
    Ok(Job { id, header: hash_0x(&params[1])?, seed: hash_0x(&params[2])?, boundary })
}

/// `[header, seed, boundary]`.
fn read_work(result: &Value) -> Result<Job> {
    let boundary = big_endian_fraction(&hash_0x(&result[2])?);
    Ok(Job { id: String::new(), header: hash_0x(&result[0])?, seed: hash_0x(&result[1])?, boundary })
}

/// `[job, height, header, clean]`; the boundary was set before, and the seed is the first epoch's.
fn read_version_2_job(params: &Value, boundary: Option<f64>) -> Result<Job> {
    let id = params[0].as_str().context("job id")?.to_owned();
    let boundary = boundary.context("no target was set")?;
    Ok(Job { id, header: hash(text(&params[2])?)?, seed: [0; 32], boundary })
}

fn hash_0x(value: &Value) -> Result<[u8; 32]> {
    hash(text(value)?.strip_prefix("0x").with_context(|| format!("no 0x: {value}"))?)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("not a text: {value}"))
}

fn hash(text: &str) -> Result<[u8; 32]> {
    hex::decode(text)?.try_into().ok().with_context(|| format!("not 32 bytes: {text}"))
}

fn big_endian_fraction(hash: &[u8; 32]) -> f64 {
    hash.iter().rev().fold(0.0, |sum, byte| (sum + f64::from(*byte)) / 256.0)
}
