use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bq_primitives::Algorithm;
use bq_stratum_client::{Dialect, Event, FIRST_SUBMIT_ID, Job, Lines, name_answer};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    board::Board,
    order::Order,
    quiver::Fletcher,
    wire::{Wire, Wiring},
};

/// One miner that is logged in and has work.
pub(crate) struct Miner {
    pub(crate) algorithm: Algorithm,
    pub(crate) wire: Wire,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) lines: Lines,
    /// The newest.
    pub(crate) job: Job,
    /// It had a share accepted.
    pub(crate) is_proven: bool,
}

/// How long each step took, from the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    /// Connected, TLS included.
    pub(crate) connected: Duration,
    /// Logged in, with a first job.
    pub(crate) working: Duration,
}

/// A server that does not answer a login for this long has lost the miner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// No line of a pool is longer.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What one read brought.
pub(crate) enum Heard {
    Line(Vec<u8>),
    End,
}

impl Miner {
    /// Connects and logs in until there is work.
    pub(crate) async fn open(order: &Order, wiring: &Wiring) -> anyhow::Result<(Self, Arrived)> {
        timeout(PATIENCE, Self::open_patiently(order, wiring)).await.context("no work in time")?
    }

    async fn open_patiently(order: &Order, wiring: &Wiring) -> anyhow::Result<(Self, Arrived)> {
        let begun = Instant::now();
        let mut wire = wiring.connect(order.port, order.number).await?;
        let connected = begun.elapsed();
        let (mut dialect, mut lines, mut job) = (order.dialect(), Lines::new(LINE_BYTES_MAX), None);
        wire.write(dialect.hello().as_bytes()).await?;
        loop {
            if dialect.is_logged_in()
                && let Some(job) = job.take()
            {
                let arrived = Arrived { connected, working: begun.elapsed() };
                let algorithm = order.algorithm;
                return Ok((Self { algorithm, wire, dialect, lines, job, is_proven: false }, arrived));
            }
            let Heard::Line(line) = next_line(&mut wire, &mut lines).await? else {
                bail!("closed before there was work")
            };
            for event in understood(dialect.as_mut(), &line, None)? {
                match event {
                    Event::Send(line) => wire.write(line.as_bytes()).await?,
                    Event::Job(newer) => job = Some(newer),
                    Event::Message(_) | Event::Answer { .. } => {}
                }
            }
        }
    }

    /// The next line.
    pub(crate) async fn hear(&mut self) -> io::Result<Heard> {
        next_line(&mut self.wire, &mut self.lines).await
    }

    /// Takes a line: keeps a job, and returns what else it means.
    pub(crate) fn understand(&mut self, line: &[u8], oldest: Option<u64>) -> anyhow::Result<Vec<Event>> {
        let mut others = Vec::new();
        for event in understood(self.dialect.as_mut(), line, oldest)? {
            match event {
                Event::Job(job) => self.job = job,
                other => others.push(other),
            }
        }
        Ok(others)
    }

    /// Has one share accepted, if it mines SHA-256d and any hash is one.
    pub(crate) async fn prove(&mut self) -> anyhow::Result<()> {
        let submit = Fletcher::new().submits(self, FIRST_SUBMIT_ID, 0, 1)?.submits.concat();
        self.wire.write(&submit).await?;
        loop {
            let Heard::Line(line) = self.hear().await? else { bail!("closed before a share was answered") };
            for event in self.understand(&line, Some(FIRST_SUBMIT_ID))? {
                if let Event::Answer { refused, .. } = event {
                    self.is_proven = refused.is_none();
                    return Ok(());
                }
            }
        }
    }

    /// Reads until the server ends it, and tells the board of each tip. An error is an end too.
    pub(crate) async fn idle(mut self, board: &Board) {
        // EthProxy never says whether older jobs count: there, every job is taken for a tip.
        let says_clean = self.job.is_clean;
        while let Ok(Heard::Line(line)) = self.hear().await {
            let at = Instant::now();
            match self.is_tip(&line, says_clean) {
                Ok(true) => board.note_tip(at, self.is_proven),
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether a line is the first job on a new tip.
    fn is_tip(&mut self, line: &[u8], says_clean: bool) -> anyhow::Result<bool> {
        if self.algorithm == Algorithm::Sha256d && is_notify(line) {
            // Read without parsing: ten thousand jobs come at once, and parsing them would be what is measured.
            return Ok(line.ends_with(b"true]}"));
        }
        let mut is_tip = false;
        for event in understood(self.dialect.as_mut(), line, None)? {
            if let Event::Job(job) = event {
                let has_moved = job.height.is_none() || job.height != self.job.height;
                is_tip |= has_moved && (job.is_clean || !says_clean);
                self.job = job;
            }
        }
        Ok(is_tip)
    }
}

fn is_notify(line: &[u8]) -> bool {
    line.starts_with(b"{\"id\":null,\"method\":\"mining.notify\"")
}

async fn next_line(wire: &mut Wire, lines: &mut Lines) -> io::Result<Heard> {
    loop {
        if let Some(line) = lines.cut().map_err(io::Error::other)? {
            return Ok(Heard::Line(line));
        }
        if wire.read(lines.buffer()).await? == 0 {
            return Ok(Heard::End);
        }
    }
}

fn understood(dialect: &mut dyn Dialect, line: &[u8], oldest: Option<u64>) -> anyhow::Result<Vec<Event>> {
    let mut message: Value = serde_json::from_slice(line).context("not JSON")?;
    name_answer(dialect, &mut message, oldest);
    Ok(dialect.handle(&message)?)
}
