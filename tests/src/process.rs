use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{HttpResponse, RpcClient, http_get, wait::wait_for};

const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const LOG_TAIL_BYTES: usize = 16_000;

/// A running `bq run` on a network of its own: every port is free-chosen, every file lies in its folder. It is killed
/// when dropped without [`BqProcess::stop`], and then the end of its log is printed: the test is probably failing.
#[derive(Debug)]
pub struct BqProcess {
    child: Child,
    folder: PathBuf,
    ready: Value,
    ended: bool,
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct BqOptions {
    /// Text of the configuration file.
    pub config: String,
    /// More command-line arguments.
    pub arguments: Vec<String>,
    /// A program and its arguments that starts `bq` in its own place.
    pub launcher: Vec<String>,
    /// Environment variables, beside those of this process that are not `BQ_*`.
    pub environment: Vec<(String, String)>,
}

/// It ended before it was ready.
#[derive(Clone, Copy, Debug)]
pub struct EndedEarly(pub ExitStatus);

impl std::fmt::Display for EndedEarly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bq ended early: {}", self.0)
    }
}

impl std::error::Error for EndedEarly {}

/// A command that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    /// Everything it printed to standard output.
    pub stdout: String,
    /// Everything it printed to standard error.
    pub stderr: String,
}

impl BqProcess {
    /// Starts a node and pool in `folder` and waits until it says that it is ready.
    ///
    /// # Errors
    /// [`EndedEarly`], or it was not ready within a minute; the error holds the end of its log.
    pub fn start(folder: &Path, options: &BqOptions) -> Result<Self> {
        let mut child = Self::spawn(folder, options)?;
        let ready_file = folder.join("ready.json");
        let waited = wait_for("the ready file", READY_LIMIT, || {
            if let Some(status) = child.try_wait()? {
                return Err(EndedEarly(status).into());
            }
            Ok(std::fs::read_to_string(&ready_file).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok()))
        });
        match waited {
            Ok(ready) => Ok(Self { child, folder: folder.to_owned(), ready, ended: false }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.context(log_tail(folder)))
            }
        }
    }

    /// Starts another process that takes over from this one, and waits until that is ready and this has ended well.
    ///
    /// # Errors
    /// As [`BqProcess::start`]; or this one failed.
    pub fn taken_over(mut self, options: &BqOptions) -> Result<Self> {
        let mut options = options.clone();
        options.arguments.push("--takeover".to_owned());
        let newer = Self::start(&self.folder, &options)?;
        let status = wait_for("the end of the older process", STOP_LIMIT, || Ok(self.child.try_wait()?))?;
        self.ended = true;
        ensure!(status.success(), "the older process ended with {status}: {}", log_tail(&self.folder));
        Ok(newer)
    }

    /// Starts it and lets it end by itself: for refusals.
    ///
    /// # Errors
    /// It still runs after a minute.
    pub fn start_expecting_exit(folder: &Path, options: &BqOptions) -> Result<Finished> {
        let mut child = Self::spawn(folder, options)?;
        let waited = wait_for("bq to end", READY_LIMIT, || Ok(child.try_wait()?));
        if waited.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let stderr = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
        Ok(Finished { code: waited?.code(), stdout: String::new(), stderr })
    }

    fn spawn(folder: &Path, options: &BqOptions) -> Result<Child> {
        std::fs::create_dir_all(folder)?;
        let config = folder.join("bq.toml");
        std::fs::write(&config, &options.config)?;
        let ready_file = folder.join("ready.json");
        let _ = std::fs::remove_file(&ready_file);
        // One log per folder, appended to: restarts of one node read as one story.
        let log = File::options().create(true).append(true).open(log_path(folder))?;
        let mut command = match options.launcher.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(bq_path());
                command
            }
            None => Command::new(bq_path()),
        };
        command.args(["run", "--network", "regtest", "--data-dir"]).arg(folder.join("data"));
        for port in ["http", "rpc", "p2p", "stratum-sha256d", "stratum-randomx", "stratum-ethash", "stratum-v2"] {
            command.arg(format!("--{port}")).arg("127.0.0.1:0");
        }
        command.arg("--config").arg(&config).arg("--ready-file").arg(&ready_file).args(&options.arguments);
        without_bq_variables(&mut command);
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", bq_path().display()))
    }

    /// The address of a port by its name in the ready file, such as `http` or `stratum_ethash`.
    ///
    /// # Errors
    /// The ready file has no such port.
    pub fn address(&self, port: &str) -> Result<SocketAddr> {
        let text = self.ready.get(port).and_then(Value::as_str);
        Ok(text.with_context(|| format!("no {port} in {}", self.ready))?.parse()?)
    }

    /// The Stratum port of an algorithm.
    ///
    /// # Errors
    /// As [`BqProcess::address`].
    pub fn stratum(&self, algorithm: &str) -> Result<SocketAddr> {
        self.address(&format!("stratum_{algorithm}"))
    }

    /// `GET path` of the HTTP API.
    ///
    /// # Errors
    /// See [`http_get`].
    pub fn get(&self, path: &str) -> Result<HttpResponse> {
        http_get(self.address("http")?, path)
    }

    /// `GET path`, which must be answered with 200 and JSON.
    ///
    /// # Errors
    /// Another status, or no JSON.
    pub fn get_json(&self, path: &str) -> Result<Value> {
        let response = self.get(path)?;
        ensure!(response.status == 200, "GET {path}: {} {}", response.status, response.body);
        response.json()
    }

    /// Its JSON-RPC, with the login in its data directory.
    ///
    /// # Errors
    /// The ready file has no RPC port, or there is no cookie.
    pub fn rpc(&self) -> Result<RpcClient> {
        let cookie = self.folder.join("data/rpc-cookie");
        let login = std::fs::read_to_string(&cookie).with_context(|| cookie.display().to_string())?;
        Ok(RpcClient::new(self.address("rpc")?).with_login(&login))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// SIGKILL: no chance to finish anything.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill_hard(mut self) -> Result<()> {
        self.ended = true;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The exit status of a process that ends for a reason of its own.
    ///
    /// # Errors
    /// It still runs after a minute.
    pub fn ended(mut self) -> Result<ExitStatus> {
        let status = wait_for("its end", STOP_LIMIT, || Ok(self.child.try_wait()?));
        self.ended = status.is_ok();
        status
    }

    /// SIGTERM, and the exit status of the orderly shutdown.
    ///
    /// # Errors
    /// It still runs after a minute.
    pub fn stop(mut self) -> Result<ExitStatus> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "kill -TERM failed");
        let status = wait_for("the orderly shutdown", STOP_LIMIT, || Ok(self.child.try_wait()?));
        self.ended = status.is_ok();
        status
    }
}

impl Drop for BqProcess {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A test that goes well ends its processes itself, or its captured output is never shown.
        print_to_stderr(&log_tail(&self.folder));
    }
}

/// The program under test: `BQ_BINARY`, or `bq` of the target folder that this test was built into, built on first use.
pub fn bq_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os("BQ_BINARY") {
        Some(path) => PathBuf::from(path),
        None => build_bq(),
    })
}

fn build_bq() -> PathBuf {
    // target/PROFILE/deps/test-binary: the program lies two folders up.
    let test = std::env::current_exe().expect("a running test has a path");
    let profile_folder = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").to_owned();
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--locked", "-p", "bq"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile_folder.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo can be started").success(), "cargo build -p bq failed");
    profile_folder.join("bq")
}

/// Runs a subcommand to its end.
///
/// # Errors
/// It cannot be started.
pub fn run_bq<I, S>(arguments: I) -> Result<Finished>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let mut command = Command::new(bq_path());
    without_bq_variables(&mut command);
    let output = command.args(arguments).stdin(Stdio::null()).output()?;
    Ok(Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The environment is a source of configuration: a developer's own settings must not reach the tests.
pub(crate) fn without_bq_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BQ_") {
            command.env_remove(name);
        }
    }
}

/// What the processes of a folder said so far.
///
/// # Errors
/// None was started there.
pub fn said(folder: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(log_path(folder))?).into_owned())
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("bq.log")
}

fn log_tail(folder: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(log_path(folder)) {
        let mut bytes = Vec::new();
        let _ = file.read_to_end(&mut bytes);
        let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
        text = String::from_utf8_lossy(&bytes[start..]).into_owned();
    }
    format!("end of {}:\n{text}", log_path(folder).display())
}

#[expect(clippy::print_stderr, reason = "a failing test's only way to show the log of the process it drove")]
fn print_to_stderr(text: &str) {
    eprintln!("{text}");
}
