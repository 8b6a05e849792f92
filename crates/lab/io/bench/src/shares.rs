//! Shares per second, from a miner's socket to the share log and back: each is verified in full and written before it is
//! answered. Proofs are made before the clock starts, so that only the server works while it runs.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bq_pow::{EthashWorkHash, PowConfig, PowVerifier, RandomXMode};
use bq_primitives::{Algorithm, BlockId};
use serde_json::{Value, json};

use super::{
    client::{Client, hex_field},
    host::{Host, SystemUnderTest},
    table::Table,
};

const CONNECTIONS: usize = 16;
/// Shares of one connection on their way at a time; the server takes a connection with hundreds for a flood.
const WINDOW: usize = 64;

/// Shares a second of all connections together, and shares of each, where the wait for an answer is measured.
const PACE: u32 = 2_000;
const PACED_SHARES: usize = 500;

/// The id of every submit.
const SUBMIT_ID: u64 = 4;

/// Shares that each connection submits; the cost of a proof differs by five powers of ten.
const fn shares_per_connection(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Sha256d => 5_000,
        Algorithm::RandomX => 6,
        Algorithm::Ethash => 100,
    }
}

/// As many as the server takes.
pub(super) fn end_to_end(host: &dyn Host, algorithm: Algorithm, table: &Table<'_>) -> anyhow::Result<()> {
    let (system, mut miners) = ready(host, algorithm, shares_per_connection(algorithm))?;
    let start = Instant::now();
    let took = all_at_once(&mut miners, |_, miner| miner.submit_all(start))?;
    let slowest = took.into_iter().max().context("no client ran")?;
    let shares = u32::try_from(CONNECTIONS * shares_per_connection(algorithm))?;
    table.rate(
        &format!("{algorithm} shares, socket to log and back"),
        f64::from(shares) / slowest.as_secs_f64(),
        "1/s",
    );
    system.stop()
}

/// How long a share waits for its answer while shares come evenly, [`PACE`] a second in all.
pub(super) fn paced(host: &dyn Host, algorithm: Algorithm, table: &Table<'_>) -> anyhow::Result<()> {
    let (system, mut miners) = ready(host, algorithm, PACED_SHARES)?;
    let connections = u32::try_from(CONNECTIONS)?;
    let interval = Duration::from_secs(1) * connections / PACE;
    let start = Instant::now();
    let waits = all_at_once(&mut miners, |index, miner| {
        miner.submit_paced(start + interval * u32::try_from(index)? / connections, interval)
    })?
    .concat();
    let what = format!("{algorithm} shares, {PACE} a second, until answered");
    let mean = waits.iter().sum::<f64>() / f64::from(u32::try_from(waits.len())?);
    table.rate(&format!("{what}, mean"), mean, "ms");
    table.percentiles(&what, waits);
    system.stop()
}

/// A system with one algorithm whose blocks are out of reach and whose every hash is a share, and miners with their submits ready.
fn ready(
    host: &dyn Host,
    algorithm: Algorithm,
    shares: usize,
) -> anyhow::Result<(Box<dyn SystemUnderTest>, Vec<Miner>)> {
    let system = host.start_system(&[(algorithm, "1b00ffff")])?;
    let port = system.stratum(algorithm)?;
    let pow = PowVerifier::new(PowConfig {
        randomx_mode: RandomXMode::Light,
        build_threads: NonZeroUsize::MIN,
        idle_vms_max: CONNECTIONS,
    });
    let user = system.address();
    let miners = (0..CONNECTIONS)
        .map(|_| Miner::prepare(algorithm, port, &user, shares, &pow))
        .collect::<anyhow::Result<_>>()?;
    Ok((system, miners))
}

/// What each miner gives, all working at the same time.
fn all_at_once<T: Send>(
    miners: &mut [Miner],
    work: impl Fn(usize, &mut Miner) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> =
            miners.iter_mut().enumerate().map(|(index, miner)| scope.spawn(move || work(index, miner))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client thread panicked"))?)
            .collect()
    })
}

/// One logged-in connection and the submits it will send.
struct Miner {
    client: Client,
    submits: Vec<Value>,
}

impl Miner {
    fn prepare(
        algorithm: Algorithm,
        port: SocketAddr,
        user: &str,
        count: usize,
        pow: &PowVerifier,
    ) -> anyhow::Result<Self> {
        let mut client = Client::connect(port)?;
        let submits = match algorithm {
            Algorithm::Sha256d => sha256d_submits(&mut client, user, count)?,
            Algorithm::RandomX => randomx_submits(&mut client, user, count, pow)?,
            Algorithm::Ethash => ethash_submits(&mut client, user, count, pow)?,
        };
        Ok(Self { client, submits })
    }

    /// Keeps up to [`WINDOW`] shares unanswered until all are, and tells how long after `start` the last answer came.
    fn submit_all(&mut self, start: Instant) -> anyhow::Result<Duration> {
        let mut waiting = 0;
        let mut unsent = self.submits.as_slice();
        loop {
            if waiting <= WINDOW / 2 {
                let (now, later) = unsent.split_at(unsent.len().min(WINDOW - waiting));
                self.client.send_lines(now)?;
                waiting += now.len();
                unsent = later;
            }
            if waiting == 0 {
                return Ok(start.elapsed());
            }
            accepted(&mut self.client)?;
            waiting -= 1;
        }
    }

    /// Sends one share per interval and tells how many milliseconds after its time each was answered. A share that could not
    /// be sent in time, because the one before was still out, has waited since then all the same.
    fn submit_paced(&mut self, start: Instant, interval: Duration) -> anyhow::Result<Vec<f64>> {
        let mut due = start;
        let mut waits = Vec::with_capacity(self.submits.len());
        for submit in &self.submits {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.client.send(submit)?;
            accepted(&mut self.client)?;
            waits.push(due.elapsed().as_secs_f64() * 1e3);
            due += interval;
        }
        Ok(waits)
    }
}

/// Waits until a share is accepted.
fn accepted(client: &mut Client) -> anyhow::Result<()> {
    loop {
        let message = client.receive()?;
        // Anything else is new work, which one dialect sends as an answer to nothing.
        if message["id"] != json!(SUBMIT_ID) {
            continue;
        }
        let result = &message["result"];
        if *result != json!(true) && result["status"] != "OK" {
            bail!("a share was refused: {message}");
        }
        return Ok(());
    }
}

fn sha256d_submits(client: &mut Client, user: &str, count: usize) -> anyhow::Result<Vec<Value>> {
    client.call(1, "mining.subscribe", &json!(["bq-bench"]))?;
    let (_, seen) = client.call(2, "mining.authorize", &json!([user, "x"]))?;
    let job = client.notification("mining.notify", seen)?;
    let (id, ntime) = (&job[0], &job[7]);
    Ok((0..count)
        .map(|index| json!({ "id": SUBMIT_ID, "method": "mining.submit", "params": [user, id, format!("{index:016x}"), ntime, "00000000"] }))
        .collect())
}

fn randomx_submits(client: &mut Client, user: &str, count: usize, pow: &PowVerifier) -> anyhow::Result<Vec<Value>> {
    let login = json!({ "login": user, "pass": "x", "agent": "bq-bench", "algo": ["rx/0"] });
    let (result, _) = client.call(1, "login", &login)?;
    let (session, job) = (&result["id"], &result["job"]);
    let key = BlockId(hex_field(&job["seed_hash"])?);
    let mut blob: [u8; 76] = hex_field(&job["blob"])?;
    let mut submits = Vec::with_capacity(count);
    for nonce in 0..u32::try_from(count)? {
        blob[39..43].copy_from_slice(&nonce.to_le_bytes());
        let hash = pow.randomx_hash(&key, &blob)?;
        let params = json!({
            "id": session, "job_id": job["job_id"], "nonce": hex::encode(nonce.to_le_bytes()), "result": hash.to_string(),
        });
        submits.push(json!({ "id": SUBMIT_ID, "method": "submit", "params": params }));
    }
    Ok(submits)
}

fn ethash_submits(client: &mut Client, user: &str, count: usize, pow: &PowVerifier) -> anyhow::Result<Vec<Value>> {
    client.call(1, "eth_submitLogin", &json!([user, "x"]))?;
    let (job, _) = client.call(2, "eth_getWork", &json!([]))?;
    let work_hash = EthashWorkHash(hex_field(&job[0])?);
    let mut submits = Vec::with_capacity(count);
    for nonce in 0..u64::try_from(count)? {
        let proof = pow.ethash_hash(0, &work_hash, nonce)?;
        let params = json!([
            format!("0x{nonce:016x}"),
            format!("0x{}", hex::encode(work_hash.0)),
            format!("0x{}", hex::encode(proof.mix)),
        ]);
        submits.push(json!({ "id": SUBMIT_ID, "method": "eth_submitWork", "params": params }));
    }
    Ok(submits)
}
