use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bq_primitives::{Address, Algorithm, KeyHash, Network};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Plan, ServerPlan, booked::booked_shares, metrics::Metrics, server_process::ServerProcess};

/// The server under test, and its throw-away folder if it was started for the run.
pub(crate) struct Lab {
    pub(crate) ports: [Option<SocketAddr>; Algorithm::COUNT],
    pub(crate) user: String,
    process: Option<ServerProcess>,
    /// Its pages, if it was started for the run.
    http: Option<SocketAddr>,
    own: Option<Arc<Mutex<Own>>>,
}

/// A server that was started for the run.
pub(crate) struct Own {
    program: PathBuf,
    child: Child,
    folder: PathBuf,
    /// Where it listens, as it told when it was ready for the first time.
    addresses: Value,
}

/// What became of a server that was killed.
pub(crate) struct Killed {
    /// Shares in its log.
    pub(crate) booked: u64,
    /// `bq audit` found its books to be what the log says.
    pub(crate) is_audited: bool,
    /// From its second start until it was ready.
    pub(crate) ready_after: Duration,
}

/// Where shares are forged, a few make a miner trusted: twenty would take each run a while.
pub(crate) const TRUSTED_AFTER: u8 = 4;
const READY_MAX: Duration = Duration::from_secs(120);
const STOP_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

impl Lab {
    /// Starts the server, or takes the given one.
    ///
    /// # Errors
    /// It is not ready in time; the text has what it said last.
    pub(crate) fn open(plan: &Plan) -> anyhow::Result<Self> {
        match &plan.server {
            ServerPlan::Given(given) => Ok(Self {
                ports: given.ports,
                user: given.user.clone(),
                process: given.pid.map(ServerProcess::new),
                http: None,
                own: None,
            }),
            ServerPlan::Own(program) => Self::start(program, plan),
        }
    }

    fn start(program: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("bq-swarm-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        std::fs::write(folder.join("lab.toml"), config_text(plan))?;
        let child = spawn(program, &folder, &Value::Null, &[])?;
        let mut own = Own { program: program.to_owned(), child, folder, addresses: Value::Null };
        own.addresses = own.ready()?;
        let address = |name: &str| own.addresses[name].as_str().and_then(|text| text.parse().ok());
        let user = Address { network: Network::Regtest, key_hash: KeyHash([7; 32]) }.to_string();
        let ports = Algorithm::ALL.map(|algorithm| address(&format!("stratum_{algorithm}")));
        let http = address("http");
        Ok(Self { ports, user, process: None, http, own: Some(Arc::new(Mutex::new(own))) })
    }

    pub(crate) fn port(&self, algorithm: Algorithm) -> anyhow::Result<SocketAddr> {
        self.ports[algorithm.index()].with_context(|| format!("the server has no port for {algorithm}"))
    }

    /// What the server says of itself, if it can be asked.
    pub(crate) fn metrics(&self) -> Option<Metrics> {
        Metrics::read(self.http?).ok()
    }

    /// The server's process.
    pub(crate) fn process(&self) -> Option<ServerProcess> {
        let of_own = |own: &Arc<Mutex<Own>>| ServerProcess::new(lock(own).child.id());
        self.own.as_ref().map(of_own).or(self.process)
    }

    /// A server that was started for the run, to be replaced.
    pub(crate) fn own(&self) -> Option<Arc<Mutex<Own>>> {
        self.own.clone()
    }

    /// Ends a server that was started for the run, and says how.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.own.as_ref().map_or(Ok(()), |own| lock(own).stop())
    }
}

fn lock(own: &Mutex<Own>) -> MutexGuard<'_, Own> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has another process take over from the server, and waits until it is ready and the older one has ended well. Blocks.
///
/// # Errors
/// One of the two failed.
pub(crate) fn replace(own: &Mutex<Own>) -> anyhow::Result<()> {
    let mut own = lock(own);
    std::fs::remove_file(own.folder.join("ready.json"))?;
    let newer = spawn(&own.program, &own.folder, &own.addresses, &["--takeover"])?;
    let mut older = std::mem::replace(&mut own.child, newer);
    let ready = own.ready();
    let status = older.wait()?;
    anyhow::ensure!(status.success(), "the older server ended with {status}: {}", own.last_words());
    ready.map(|_| ())
}

/// Kills the server (SIGKILL), looks at what it left, and starts it again where it listened. Blocks.
///
/// # Errors
/// Its log cannot be read, or it does not start.
pub(crate) fn kill(own: &Mutex<Own>) -> anyhow::Result<Killed> {
    let mut own = lock(own);
    own.child.kill()?;
    own.child.wait()?;
    let booked = booked_shares(&own.folder.join("data"))?;
    let is_audited = own.audit()?;
    std::fs::remove_file(own.folder.join("ready.json"))?;
    let begun = Instant::now();
    own.child = spawn(&own.program, &own.folder, &own.addresses, &[])?;
    own.ready()?;
    Ok(Killed { booked, is_audited, ready_after: begun.elapsed() })
}

impl Own {
    fn audit(&self) -> anyhow::Result<bool> {
        let mut command = of_lab(&self.program, "audit", &self.folder);
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
    }

    fn ready(&mut self) -> anyhow::Result<Value> {
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if let Ok(text) = std::fs::read_to_string(self.folder.join("ready.json")) {
                return Ok(serde_json::from_str(&text)?);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended early, {status}: {}", self.last_words());
            }
            std::thread::sleep(LOOK);
        }
        bail!("the server is not ready: {}", self.last_words())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let start = text.len().saturating_sub(4_000);
        text.get(start..).unwrap_or_default().to_owned()
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                anyhow::ensure!(status.success(), "the server ended with {status}: {}", self.last_words());
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        bail!("the server does not end: {}", self.last_words())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Gone already, if all went well.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}

/// One of the program's commands, about the lab's data.
fn of_lab(program: &Path, what: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args([what, "--network", "regtest", "--data-dir"]).arg(folder.join("data"));
    command.arg("--config").arg(folder.join("lab.toml"));
    // Settings of whoever runs this are not the lab's.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BQ_")) {
        command.env_remove(name);
    }
    command
}

/// `addresses` says where it listens; a port that it does not name is any.
fn spawn(program: &Path, folder: &Path, addresses: &Value, more: &[&str]) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = of_lab(program, "run", folder);
    for port in ["http", "rpc", "p2p", "stratum-sha256d", "stratum-randomx", "stratum-ethash", "stratum-v2"] {
        let address = addresses[port.replace('-', "_")].as_str().unwrap_or("127.0.0.1:0");
        command.arg(format!("--{port}")).arg(address);
    }
    command.arg("--ready-file").arg(folder.join("ready.json")).args(more);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| program.display().to_string())
}

/// A block in 2^20 hashes, of which a share is one: no miner has to search, and a tip takes a moment. Where shares are to be sent as fast as
/// they are answered, limits that keep one miner from being a flood are out of the way; all others are the defaults.
fn config_text(plan: &Plan) -> String {
    let lifted = "lines_per_second = 1000000\nline_burst = 10000000\nshares_per_job_max = 1000000\nrandomx_queue_ms = 60000\nethash_queue_ms = 60000\n\
                  [stratum.sha256d]\n{limits}[stratum.randomx]\n{limits}[stratum.ethash]\n{limits}";
    let limits = "queue_max = 100000\nshares_in_flight_max = 1024\nunproven_in_flight_max = 1024\n";
    let is_fast = plan.shares.iter().any(Option::is_some);
    let lifted = if is_fast { lifted.replace("{limits}", limits) } else { String::new() };
    let places = plan.connections().saturating_mul(2);
    let proxies = if plan.crowd.proxy_headers { "[\"127.0.0.0/8\"]" } else { "[]" };
    let has_forgers = !plan.forged().is_empty();
    let trust = if has_forgers { format!("trusted_after = {TRUSTED_AFTER}\n") } else { String::new() };
    // A share that is no hash at all would be a good one where every hash is: those who forge get hard ones, and no block is found. A harder
    // network would not let anybody have easy ones (SPEC 8.1: at least D / 2^40).
    let (start, divisor, bits) = if has_forgers { (1 << 24, 10, "1c0fffff") } else { (1, 1_000_000, "1e0fffff") };
    // A key of RandomX lasts for 2,048 blocks: these are found in no time, and by SHA-256d alone.
    let quick = if plan.key_changes.is_empty() { bits } else { "207fffff" };
    let lane = format!("share_difficulty_floor = 1\nshare_difficulty_start = {start}\n");
    format!(
        "[miner]\nenabled = false\n[pool]\nshare_difficulty_cap_divisor = {divisor}\n\
         [pool.sha256d]\n{lane}[pool.randomx]\n{lane}[pool.ethash]\n{lane}\
         [stratum]\nconnections_max = {places}\nconnections_per_peer_max = {places}\nconnections_per_subnet_max = {places}\n\
         accepts_per_second = 100000\naccepts_per_subnet_second = 100000\nproxy_networks = {proxies}\n{trust}{lifted}\
         [[regtest.eras]]\nstart = 1\nalgorithms = [\"sha256d\", \"randomx\", \"ethash\"]\n\
         bits = {{ sha256d = \"{quick}\", randomx = \"{bits}\", ethash = \"{bits}\" }}\n"
    )
}
