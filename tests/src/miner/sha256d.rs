//! Stratum v1 with SHA-256d, as a CPU miner speaks it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::miner::{Dialect, LineClient, Submission};

const LIMIT: Duration = Duration::from_secs(20);
const NONCES_AT_ONCE: u32 = 4096;
/// Expected hashes for difficulty 1 by the strict definition: 2^256 / (0xffff * 2^208).
const HASHES_PER_DIFFICULTY: f64 = 4_295_032_833.0;

/// The dialect's state.
#[derive(Debug)]
pub struct Sha256dMiner {
    login: String,
    password: String,
    extranonce1: Vec<u8>,
    extranonce2_len: usize,
    difficulty: f64,
    job: Option<Job>,
    /// What the pool called the last session: shown when the next one begins, as cpuminer does.
    session: Option<String>,
    /// The extranonce2 counter goes on over jobs and connections, as no share may repeat.
    rolls: u64,
}

#[derive(Clone, Debug)]
struct Job {
    id: String,
    /// Bytes 0..36 of the header: version and previous hash.
    head: Vec<u8>,
    coinb1: Vec<u8>,
    coinb2: Vec<u8>,
    branches: Vec<Vec<u8>>,
    ntime: u32,
    bits: u32,
    difficulty: f64,
    next_nonce: u32,
    extranonce2: Vec<u8>,
}

/// A miner that logs in as `login` with `password`.
#[must_use]
pub fn miner(login: &str, password: &str) -> Sha256dMiner {
    Sha256dMiner {
        login: login.to_owned(),
        password: password.to_owned(),
        extranonce1: Vec::new(),
        extranonce2_len: 0,
        difficulty: 1.0,
        job: None,
        session: None,
        rolls: 0,
    }
}

impl Dialect for Sha256dMiner {
    fn log_in(&mut self, client: &mut LineClient) -> Result<()> {
        self.job = None;
        self.difficulty = 1.0;
        let params: Vec<&str> = ["bq-tests/1"].into_iter().chain(self.session.as_deref()).collect();
        client.send(&json!({ "id": 1, "method": "mining.subscribe", "params": params }))?;
        // Stock miners take the first line for the reply, whatever it is.
        let reply = client.expect(LIMIT)?;
        ensure!(reply["id"] == 1 && reply["error"].is_null(), "subscribe: {reply}");
        self.session = Some(reply["result"][0][1][1].as_str().context("session")?.to_owned());
        self.extranonce1 = hex::decode(reply["result"][1].as_str().context("extranonce1")?)?;
        self.extranonce2_len = usize::try_from(reply["result"][2].as_u64().context("extranonce2 size")?)?;
        ensure!(self.extranonce1.len() == 4 && self.extranonce2_len == 8, "extranonce sizes: {reply}");
        client.send(&json!({ "id": 2, "method": "mining.authorize", "params": [self.login, self.password] }))?;
        let reply = client.expect(LIMIT)?;
        ensure!(reply["id"] == 2 && reply["result"] == true && reply["error"].is_null(), "authorize: {reply}");
        Ok(())
    }

    fn notified(&mut self, message: &Value) -> Result<bool> {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("mining.set_difficulty") => {
                self.difficulty = params[0].as_f64().with_context(|| format!("difficulty: {message}"))?;
                ensure!(self.difficulty > 0.0, "difficulty: {message}");
                Ok(false)
            }
            Some("mining.notify") => {
                let job = self.read_job(params).with_context(|| format!("job: {message}"))?;
                ensure!(self.job.as_ref().is_none_or(|old| old.id != job.id), "job id repeats: {message}");
                self.job = Some(job);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn has_job(&self) -> bool {
        self.job.is_some()
    }

    fn search(&mut self) -> Result<Option<Submission>> {
        let Some(job) = self.job.as_mut() else { return Ok(None) };
        let mut header = job.header(&self.extranonce1)?;
        for _ in 0..NONCES_AT_ONCE {
            let nonce = job.next_nonce;
            job.next_nonce = job.next_nonce.wrapping_add(1);
            header[76..80].copy_from_slice(&nonce.to_le_bytes());
            let value = little_endian_fraction(&double_sha256(&header));
            let is_block = value <= target_fraction(job.bits);
            if value * HASHES_PER_DIFFICULTY * job.difficulty <= 1.0 {
                let params = json!([
                    self.login,
                    job.id,
                    hex::encode(&job.extranonce2),
                    format!("{:08x}", job.ntime),
                    format!("{nonce:08x}")
                ]);
                let request = json!({ "id": 4, "method": "mining.submit", "params": params });
                return Ok(Some(Submission { request, is_block }));
            }
        }
        Ok(None)
    }

    fn verdict(&self, answer: &Value) -> Result<Result<(), String>> {
        if answer["error"].is_null() {
            ensure!(answer["result"] == true, "answer to a submit: {answer}");
            return Ok(Ok(()));
        }
        let error = &answer["error"];
        let shape = error.as_array().is_some_and(|parts| parts.len() == 3 && parts[0].is_u64() && parts[1].is_string());
        ensure!(shape && answer["result"].is_null(), "error is not [code, text, null]: {answer}");
        Ok(Err(error[1].as_str().unwrap_or_default().to_owned()))
    }
}

impl Sha256dMiner {
    fn read_job(&mut self, params: &Value) -> Result<Job> {
        let text = |index: usize| params[index].as_str().with_context(|| format!("parameter {index}"));
        let word = |index: usize| -> Result<u32> { Ok(u32::from_str_radix(text(index)?, 16)?) };
        let previous = hex::decode(text(1)?)?;
        ensure!(previous.len() == 32 && text(5)?.len() == 8 && text(6)?.len() == 8 && text(7)?.len() == 8, "lengths");
        ensure!(params[8].is_boolean(), "clean flag");
        let mut head = word(5)?.to_le_bytes().to_vec();
        for four in previous.chunks(4) {
            head.extend(four.iter().rev());
        }
        let branches = params[4].as_array().context("branches")?;
        let branches = branches.iter().map(|branch| Ok(hex::decode(branch.as_str().context("branch")?)?));
        self.rolls += 1;
        let extranonce2 = self.rolls.to_be_bytes().to_vec();
        Ok(Job {
            id: text(0)?.to_owned(),
            head,
            coinb1: hex::decode(text(2)?)?,
            coinb2: hex::decode(text(3)?)?,
            branches: branches.collect::<Result<_>>()?,
            ntime: word(7)?,
            bits: word(6)?,
            difficulty: self.difficulty,
            next_nonce: 0,
            extranonce2,
        })
    }
}

impl Job {
    /// The 80 bytes with nonce zero.
    fn header(&self, extranonce1: &[u8]) -> Result<Vec<u8>> {
        let coinbase = [&self.coinb1, extranonce1, &self.extranonce2, &self.coinb2].concat();
        let mut root = double_sha256(&coinbase);
        for branch in &self.branches {
            root = double_sha256(&[root.as_slice(), branch].concat());
        }
        let mut header = self.head.clone();
        header.extend(root);
        header.extend(self.ntime.to_le_bytes());
        header.extend(self.bits.to_le_bytes());
        header.extend([0; 4]);
        ensure!(header.len() == 80, "header of {} bytes", header.len());
        Ok(header)
    }
}

fn double_sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// A hash as a fraction of 2^256, its last byte the most significant.
fn little_endian_fraction(hash: &[u8; 32]) -> f64 {
    hash.iter().fold(0.0, |sum, byte| (sum + f64::from(*byte)) / 256.0)
}

/// A compact target as a fraction of 2^256.
fn target_fraction(bits: u32) -> f64 {
    let exponent = i32::from(bits.to_be_bytes()[0]);
    f64::from(bits & 0x007f_ffff) * 2_f64.powi(8 * (exponent - 3) - 256)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{double_sha256, miner, target_fraction};
    use crate::miner::Dialect;

    /// The worked example of the protocol description: work hash a0..bf, parent 40..5f, height 70000.
    #[test]
    fn builds_the_header_of_the_published_example() {
        let mut miner = miner("wallet.rig", "x");
        miner.extranonce1 = hex::decode("0001000000000007").unwrap();
        let coinb1 = concat!(
            "01000000010000000000000000000000000000000000000000000000000000000000000000",
            "ffffffff150370110110"
        );
        let coinb2 = concat!(
            "ffffffff010000000000000000226a20",
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf00000000"
        );
        let previous = "43424140474645444b4a49484f4e4d4c53525150575655545b5a59585f5e5d5c";
        let params = json!(["1f", previous, coinb1, coinb2, [], "20000000", "1d00ffff", "6a000000", true]);
        miner.notified(&json!({ "id": null, "method": "mining.notify", "params": params })).unwrap();
        let job = miner.job.as_mut().unwrap();
        job.extranonce2 = vec![0; 8];
        let mut header = job.header(&miner.extranonce1).unwrap();
        header[76..].copy_from_slice(&0x1234_5678_u32.to_le_bytes());
        let mut hash = double_sha256(&header);
        hash.reverse();
        assert_eq!(hex::encode(hash), "0fb0ceca545ec3c20a37234513806deffeb8ab83a6b5486fb07e5ed1fbd34ecf");
    }

    #[test]
    fn reads_compact_targets() {
        assert!((target_fraction(0x1d00_ffff) * 65_536.0 * 65_536.0 - 1.0).abs() < 1e-4);
        assert!((target_fraction(0x207f_ffff) - 0.5).abs() < 1e-4);
    }
}
