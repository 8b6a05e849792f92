use std::{
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Result;
use serde_json::Value;

use crate::miner::{LineClient, client::Silence};

const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_millis(100);

/// One dialect and its hashing: what differs between the miners.
pub trait Dialect {
    /// Logs in on a new connection, up to the point where jobs may arrive.
    ///
    /// # Errors
    /// The server refused or broke the protocol.
    fn log_in(&mut self, client: &mut LineClient) -> Result<()>;

    /// Takes in a notification; true when it brought a new job.
    ///
    /// # Errors
    /// The server broke the protocol.
    fn notified(&mut self, message: &Value) -> Result<bool>;

    /// A job came since the login.
    fn has_job(&self) -> bool;

    /// Hashes a little of the current job (well under a second). Nothing without a job or luck.
    ///
    /// # Errors
    /// The job is not what the protocol allows.
    fn search(&mut self) -> Result<Option<Submission>>;

    /// How the server's answer to a submit reads: accepted, or the reason.
    ///
    /// # Errors
    /// The answer is not of the dialect's shape.
    fn verdict(&self, answer: &Value) -> Result<Result<(), String>>;
}

/// A share to be sent.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The submit request, with its id.
    pub request: Value,
    /// The proof meets the network's target too, as far as the dialect tells.
    pub is_block: bool,
}

/// What a miner lived through, over all its connections.
#[derive(Clone, Debug, Default)]
pub struct MinerReport {
    /// Times it logged in.
    pub logins: u64,
    /// Jobs received.
    pub jobs: u64,
    /// Shares that the server acknowledged.
    pub accepted: u64,
    /// Shares that met the network's target and were acknowledged.
    pub accepted_blocks: u64,
    /// Shares sent whose answer never came: the connection broke first.
    pub unanswered: u64,
    /// Reasons of refused shares.
    pub rejected: Vec<String>,
    /// Times it gave a connection up because nothing came for longer than a stock miner waits.
    pub silences: u64,
    /// Breaches of the protocol; connection losses are not among them.
    pub breaches: Vec<String>,
}

/// As many breaches are kept as a reader needs.
const BREACHES_MAX: usize = 10;

impl MinerReport {
    fn note_breach(&mut self, text: String) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(text);
        }
    }
}

/// A miner on a thread of its own. It connects to the address it was last given, and again after every loss.
#[derive(Debug)]
pub struct Miner {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    address: Mutex<Option<SocketAddr>>,
    wake: Condvar,
    stop: AtomicBool,
    report: Mutex<MinerReport>,
}

impl Miner {
    /// Starts mining at `address`. The dialect is made on the miner's own thread.
    pub fn start<D: Dialect>(address: SocketAddr, dialect: impl FnOnce() -> D + Send + 'static) -> Self {
        let shared = Arc::new(Shared { address: Mutex::new(Some(address)), ..Shared::default() });
        let inside = Arc::clone(&shared);
        let thread = std::thread::spawn(move || mine(&inside, &mut dialect()));
        Self { shared, thread: Some(thread) }
    }

    /// From the next connection on, mine there; `None` pauses it once the present connection is lost.
    pub fn set_address(&self, address: Option<SocketAddr>) {
        *lock(&self.shared.address) = address;
        self.shared.wake.notify_all();
    }

    /// What happened so far.
    #[must_use]
    pub fn report(&self) -> MinerReport {
        lock(&self.shared.report).clone()
    }

    /// Stops and tells what happened.
    #[must_use]
    pub fn stop(mut self) -> MinerReport {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.end();
    }
}

fn mine(shared: &Shared, dialect: &mut impl Dialect) {
    while let Some(address) = shared.next_address() {
        let Ok(mut client) = LineClient::connect(address) else {
            shared.pause();
            continue;
        };
        if let Err(error) = mine_on(shared, dialect, &mut client) {
            let text = format!("{error:#}");
            let lost = error.is::<std::io::Error>() || text.contains("connection closed");
            let mut report = lock(&shared.report);
            if error.is::<Silence>() {
                report.silences += 1;
            } else if !lost {
                report.note_breach(text);
            }
            drop(report);
            shared.pause();
        }
    }
}

/// One connection, until it is lost or the miner is stopped.
fn mine_on(shared: &Shared, dialect: &mut impl Dialect, client: &mut LineClient) -> Result<()> {
    dialect.log_in(client)?;
    lock(&shared.report).logins += 1;
    while !shared.stop.load(Ordering::SeqCst) {
        let patience = if dialect.has_job() { Duration::ZERO } else { IDLE };
        while let Some(message) = client.receive(patience)? {
            shared.note(dialect, &message)?;
        }
        if let Some(submission) = dialect.search()? {
            submit(shared, dialect, client, &submission)?;
        }
    }
    Ok(())
}

/// Sends a share and waits for its answer, so that every acknowledgement is counted or known to be missing.
fn submit(shared: &Shared, dialect: &mut impl Dialect, client: &mut LineClient, submission: &Submission) -> Result<()> {
    lock(&shared.report).unanswered += 1;
    client.send(&submission.request)?;
    let id = &submission.request["id"];
    loop {
        let message = client.expect(ANSWER_LIMIT)?;
        if &message["id"] != id || message.get("method").is_some() {
            shared.note(dialect, &message)?;
            continue;
        }
        let verdict = dialect.verdict(&message)?;
        let mut report = lock(&shared.report);
        report.unanswered -= 1;
        match verdict {
            Ok(()) => {
                report.accepted += 1;
                report.accepted_blocks += u64::from(submission.is_block);
            }
            Err(reason) => report.rejected.push(reason),
        }
        return Ok(());
    }
}

impl Shared {
    fn note(&self, dialect: &mut impl Dialect, message: &Value) -> Result<()> {
        let is_job = dialect.notified(message)?;
        lock(&self.report).jobs += u64::from(is_job);
        Ok(())
    }

    /// Waits for an address; nothing once the miner is stopped.
    fn next_address(&self) -> Option<SocketAddr> {
        let mut address = lock(&self.address);
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(address) = *address {
                return Some(address);
            }
            address = self.wake.wait_timeout(address, IDLE).map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
        }
    }

    /// A short rest before the next attempt to connect; a new address ends it early.
    fn pause(&self) {
        let address = lock(&self.address);
        drop(self.wake.wait_timeout(address, IDLE));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
