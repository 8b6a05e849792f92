//! The login/job/submit dialect with RandomX (`rx/0`), hashed by the reference library in light mode.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use randomx_rs::{RandomXCache, RandomXFlag, RandomXVM};
use serde_json::{Value, json};

use crate::miner::{Dialect, LineClient, Submission};

const LIMIT: Duration = Duration::from_secs(20);
const NONCES_AT_ONCE: u32 = 8;
const NONCE_OFFSET: usize = 39;

/// The dialect's state. It holds a 256 MiB cache for the seed it last saw.
#[derive(Debug, Default)]
pub struct RandomXMiner {
    login: String,
    password: String,
    session: String,
    job: Option<Job>,
    hasher: Option<(String, RandomXVM)>,
    last_id: u64,
}

#[derive(Clone, Debug)]
struct Job {
    id: String,
    blob: Vec<u8>,
    target: u64,
    seed_hash: String,
    next_nonce: u32,
}

/// A miner that logs in as `login` with `password`.
#[must_use]
pub fn miner(login: &str, password: &str) -> RandomXMiner {
    RandomXMiner { login: login.to_owned(), password: password.to_owned(), ..RandomXMiner::default() }
}

impl Dialect for RandomXMiner {
    fn log_in(&mut self, client: &mut LineClient) -> Result<()> {
        self.job = None;
        let params = json!({ "login": self.login, "pass": self.password, "agent": "bq-tests/1", "algo": ["rx/0"] });
        client.send(&json!({ "id": 1, "jsonrpc": "2.0", "method": "login", "params": params }))?;
        let reply = client.expect(LIMIT)?;
        let result = &reply["result"];
        ensure!(reply["id"] == 1 && reply["error"].is_null() && result["status"] == "OK", "login: {reply}");
        self.session = result["id"].as_str().context("session id")?.to_owned();
        self.job = Some(read_job(&result["job"]).with_context(|| format!("job: {reply}"))?);
        self.last_id = 1;
        Ok(())
    }

    fn notified(&mut self, message: &Value) -> Result<bool> {
        if message["method"] != "job" {
            return Ok(false);
        }
        let job = read_job(&message["params"]).with_context(|| format!("job: {message}"))?;
        if let Some(old) = &self.job {
            let same = old.id == job.id && old.target == job.target && old.blob == job.blob;
            ensure!(!same, "stock miners reconnect on a repeated job: {message}");
        }
        self.job = Some(job);
        Ok(true)
    }

    fn has_job(&self) -> bool {
        self.job.is_some()
    }

    fn search(&mut self) -> Result<Option<Submission>> {
        let Some(job) = self.job.as_mut() else { return Ok(None) };
        if self.hasher.as_ref().is_none_or(|(seed, _)| *seed != job.seed_hash) {
            self.hasher = Some((job.seed_hash.clone(), light_vm(&job.seed_hash)?));
        }
        let Some((_, vm)) = self.hasher.as_ref() else { return Ok(None) };
        let mut blob = job.blob.clone();
        for _ in 0..NONCES_AT_ONCE {
            let nonce = job.next_nonce.to_le_bytes();
            job.next_nonce = job.next_nonce.wrapping_add(1);
            blob[NONCE_OFFSET..NONCE_OFFSET + 4].copy_from_slice(&nonce);
            let hash = vm.calculate_hash(&blob)?;
            let top = u64::from_le_bytes(hash[24..32].try_into()?);
            if top < job.target {
                self.last_id += 1;
                let params = json!({
                    "id": self.session, "job_id": job.id, "nonce": hex::encode(nonce),
                    "result": hex::encode(&hash), "algo": "rx/0"
                });
                let request = json!({ "id": self.last_id, "jsonrpc": "2.0", "method": "submit", "params": params });
                return Ok(Some(Submission { request, is_block: false }));
            }
        }
        Ok(None)
    }

    fn verdict(&self, answer: &Value) -> Result<Result<(), String>> {
        if answer["error"].is_null() {
            ensure!(answer["result"]["status"] == "OK", "answer to a submit: {answer}");
            return Ok(Ok(()));
        }
        let message = answer["error"]["message"].as_str();
        Ok(Err(message.with_context(|| format!("error is not {{code, message}}: {answer}"))?.to_owned()))
    }
}

fn read_job(job: &Value) -> Result<Job> {
    let text = |name: &str| job[name].as_str().with_context(|| format!("no {name}"));
    let blob = hex::decode(text("blob")?)?;
    ensure!(blob.len() == 76, "blob of {} bytes", blob.len());
    ensure!(blob[NONCE_OFFSET..NONCE_OFFSET + 4] == [0; 4], "nonce bytes of a job are zero");
    ensure!(text("algo")? == "rx/0" && text("seed_hash")?.len() == 64 && job["height"].is_u64(), "fields");
    let target = hex::decode(text("target")?)?;
    let target = match target.len() {
        4 => {
            let short = u64::from(u32::from_le_bytes(target.as_slice().try_into()?));
            ensure!(short > 0, "a zero target kills stock miners");
            u64::MAX / (u64::from(u32::MAX) / short)
        }
        8 => u64::from_le_bytes(target.as_slice().try_into()?),
        other => anyhow::bail!("target of {other} bytes"),
    };
    let (id, seed_hash) = (text("job_id")?.to_owned(), text("seed_hash")?.to_owned());
    Ok(Job { id, blob, target, seed_hash, next_nonce: 0 })
}

/// A light hasher for a key given in hex.
///
/// # Errors
/// The key is not hex, or there is no memory.
pub fn light_vm(seed_hash: &str) -> Result<RandomXVM> {
    let flags = RandomXFlag::get_recommended_flags();
    let cache = RandomXCache::new(flags, &hex::decode(seed_hash)?)?;
    Ok(RandomXVM::new(flags, Some(cache), None)?)
}

#[cfg(test)]
mod tests {
    use super::light_vm;

    /// The worked example of the protocol description, mined by a stock miner.
    #[test]
    fn hashes_the_published_example() {
        let vm = light_vm("19b25856e1c150ca834cffc8b59b23adbd0ec0389e58eb22b3b64768098d002b").unwrap();
        let blob = concat!(
            "101080cae2d006404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f2f000000",
            "1561686098292529ad51b5e93fecd470060020a7193ac7b0760a875268ada3fc01"
        );
        let hash = vm.calculate_hash(&hex::decode(blob).unwrap()).unwrap();
        assert_eq!(hex::encode(hash), "4188aed206a1a7cf65b52cb26db36d81c7a0b4697447dd0131b0f11c129b0001");
    }
}
