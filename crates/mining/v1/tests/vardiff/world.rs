//! One SHA-256d miner that hashes at a steady speed behind a link, and the real session at the other end: the slow and obvious
//! account of what vardiff does to it. Hashing is a lottery without memory, so a share is a waiting time and nothing is computed.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "simulated times and difficulties are positive and far below 2^63"
)]

use std::{collections::VecDeque, sync::Arc};

use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, KeyHash, MerkleRoot, PowKey, ShareDifficulty, Target, Timestamp,
    U256,
};
use bq_share::{ExtranoncePrefix, SessionTicket, SessionTicketId, UnixMs, Verdict};
use bq_stratum_v1::{FrameKind, JobTemplate, LoginOutcome, Output, Session, SessionPolicy, SessionSeed, VardiffPolicy};

/// A miner and its line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Miner {
    /// Hashes per second.
    pub(crate) speed: f64,
    /// Most lines that it sends per second, however many shares it finds.
    pub(crate) lines_per_second: f64,
    /// One way, in milliseconds.
    pub(crate) delay_ms: f64,
    /// A share takes up to so much longer.
    pub(crate) jitter_ms: f64,
    /// Every two minutes the line stalls for so long, and then everything arrives at once.
    pub(crate) stall_ms: f64,
    /// It comes back on a new connection so often; 0: never.
    pub(crate) reconnect_ms: f64,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Time and difficulty of every change.
    pub(crate) issued: Vec<(f64, f64)>,
    /// Difficulty of the accepted shares of the first minute and of the time after.
    pub(crate) credit: [f64; 2],
    /// Accepted shares.
    pub(crate) accepted: u32,
    /// Those of the first minute.
    pub(crate) accepted_in_minute: u32,
    /// Refused shares.
    pub(crate) refused: u32,
    /// The server ended a connection.
    pub(crate) closed: bool,
}

/// The pool's usual start on the SHA-256d port.
pub(crate) const START: u64 = 1 << 24;
const BEGAN: u64 = 1_778_384_896_000;
const STALL_EVERY_MS: f64 = 120_000.0;
const MINUTE_MS: f64 = 60_000.0;

struct Job {
    id: String,
    ntime: String,
    difficulty: f64,
}

struct World {
    miner: Miner,
    session: Session,
    policy: Arc<SessionPolicy>,
    template: Arc<JobTemplate>,
    dice: u64,
    now: f64,
    job: Option<Job>,
    jobs: VecDeque<(f64, Job)>,
    lines: VecDeque<(f64, String)>,
    next_share: f64,
    nonce: u32,
    connections: u32,
    remembered: Option<ShareDifficulty>,
    outcome: Outcome,
}

/// Lets it mine for `span_ms`.
#[must_use]
pub(crate) fn mine(miner: Miner, seed: u64, span_ms: f64) -> Outcome {
    let vardiff =
        VardiffPolicy { start: ShareDifficulty::from_hashes(START), cap_divisor: 1, ..VardiffPolicy::default() };
    let policy = Arc::new(SessionPolicy { vardiff, ..SessionPolicy::default() });
    let mut world = World {
        miner,
        session: session(&policy, 0, 0.0),
        policy,
        template: Arc::new(template(miner.speed)),
        // Neighbouring seeds, and the same of two speeds, have nothing in common.
        dice: (seed ^ miner.speed.to_bits()).wrapping_mul(0xd134_2543_de82_ef95),
        now: 0.0,
        job: None,
        jobs: VecDeque::new(),
        lines: VecDeque::new(),
        next_share: f64::INFINITY,
        nonce: 0,
        connections: 0,
        remembered: None,
        outcome: Outcome::default(),
    };
    world.connect();
    let mut reconnect = if miner.reconnect_ms > 0.0 { miner.reconnect_ms } else { f64::INFINITY };
    while world.now < span_ms && !world.outcome.closed {
        if world.now >= reconnect {
            reconnect += miner.reconnect_ms;
            world.connect();
        }
        world.step();
    }
    world.outcome
}

impl World {
    /// Hangs up, loses what is on its way, and logs in again.
    fn connect(&mut self) {
        self.remembered = self.session.settled_difficulty().or(self.remembered);
        self.connections += 1;
        self.session = session(&self.policy, self.connections, self.now);
        (self.job, self.next_share) = (None, f64::INFINITY);
        self.jobs.clear();
        self.lines.clear();
        self.session.handle_template(self.at(), Some(Arc::clone(&self.template)));
        for line in [
            r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
            r#"{"id":2,"method":"mining.authorize","params":["wallet.rig1","x"]}"#,
        ] {
            self.session.handle_line(self.at(), line.as_bytes());
            self.drive();
        }
    }

    /// The next thing that happens.
    fn step(&mut self) {
        let reads = self.session.reads_at().map_or(f64::INFINITY, |at| (at.0 - BEGAN) as f64);
        let line = self.lines.front().map_or(f64::INFINITY, |(at, _)| at.max(reads));
        let job = self.jobs.front().map_or(f64::INFINITY, |(at, _)| *at);
        let timeout = ((self.session.next_timeout().0 - BEGAN) as f64).max(self.now + 1.0);
        self.now = line.min(job).min(timeout).min(self.next_share).max(self.now);
        if self.now >= line {
            let (_, line) = self.lines.pop_front().expect("it is what happens");
            self.session.handle_line(self.at(), line.as_bytes());
        } else if self.now >= job {
            self.job = self.jobs.pop_front().map(|(_, job)| job);
            self.next_share = self.now + self.wait_ms();
        } else if self.now >= self.next_share {
            self.find();
        } else {
            self.session.handle_timeout(self.at());
        }
        self.drive();
    }

    /// A share, on its way.
    fn find(&mut self) {
        let Some(job) = &self.job else { return };
        self.nonce = self.nonce.wrapping_add(1);
        let (id, ntime, nonce) = (&job.id, &job.ntime, self.nonce);
        let line = format!(
            r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","{id}","0000000000000000","{ntime}","{nonce:08x}"]}}"#
        );
        let jitter = self.unit() * self.miner.jitter_ms;
        let arrives = self.unstalled(self.now + self.miner.delay_ms + jitter);
        let behind = self.lines.back().map_or(0.0, |(at, _)| *at);
        self.lines.push_back((arrives.max(behind), line));
        // What it finds before it may send again it throws away.
        self.next_share = self.now + self.wait_ms().max(1000.0 / self.miner.lines_per_second);
    }

    fn unstalled(&self, at: f64) -> f64 {
        let begins = (at / STALL_EVERY_MS).floor() * STALL_EVERY_MS;
        if begins > 0.0 && at < begins + self.miner.stall_ms { begins + self.miner.stall_ms } else { at }
    }

    fn drive(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) if frame.kind == FrameKind::Job => self.hear(&frame.bytes),
                Output::Send(_) => {}
                Output::Authorize { ticket, .. } => {
                    let outcome =
                        LoginOutcome::Granted { payee: KeyHash([7; 32]), remembered: self.remembered, trust: None };
                    self.session.handle_login(self.at(), ticket, outcome);
                }
                Output::Share(share) => {
                    self.outcome.accepted += 1;
                    self.outcome.accepted_in_minute += u32::from(self.now < MINUTE_MS);
                    self.outcome.credit[usize::from(self.now >= MINUTE_MS)] += share.difficulty.hashes() as f64;
                    self.session.handle_verdict(self.at(), share.ticket, Verdict::Accepted { block: false });
                }
                Output::LoginRefused { .. } => {}
                Output::Rejected { .. } => self.outcome.refused += 1,
                Output::Close(_) => self.outcome.closed = true,
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let line: serde_json::Value = serde_json::from_slice(bytes).expect("the server speaks JSON");
        let text = |index: usize| line["params"][index].as_str().unwrap_or_default().to_owned();
        let difficulty = self.session.newest_difficulty().map_or(1.0, |value| value.hashes() as f64);
        if self.outcome.issued.last().is_none_or(|(_, before)| *before != difficulty) {
            self.outcome.issued.push((self.now, difficulty));
        }
        let arrives = self.unstalled(self.now + self.miner.delay_ms);
        self.jobs.push_back((arrives, Job { id: text(0), ntime: text(7), difficulty }));
    }

    fn wait_ms(&mut self) -> f64 {
        let difficulty = self.job.as_ref().map_or(f64::INFINITY, |job| job.difficulty);
        -(1.0 - self.unit()).ln() * difficulty / self.miner.speed * 1000.0
    }

    /// SplitMix64, so that every run sees the same arrivals.
    fn unit(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn at(&self) -> UnixMs {
        UnixMs(BEGAN + self.now as u64)
    }
}

impl Outcome {
    /// What was in force at a time.
    #[must_use]
    pub(crate) fn difficulty_at(&self, at_ms: f64) -> f64 {
        self.issued.iter().rev().find(|(since, _)| *since <= at_ms).map_or(0.0, |(_, difficulty)| *difficulty)
    }

    /// From when on the difficulty was within 20 % of `ideal` for five minutes.
    #[must_use]
    pub(crate) fn settled_ms(&self, ideal: f64) -> f64 {
        let is_good = |difficulty: f64| (difficulty / ideal - 1.0).abs() <= 0.2;
        let ends = self.issued.iter().skip(1).map(|(at, _)| *at).chain([f64::INFINITY]);
        let mut since = None;
        for ((at, difficulty), end) in self.issued.iter().zip(ends) {
            since = if is_good(*difficulty) { since.or(Some(*at)) } else { None };
            if since.is_some_and(|since| end - since >= 300_000.0) {
                break;
            }
        }
        since.unwrap_or(f64::INFINITY)
    }

    /// How often it moved from a time on.
    #[must_use]
    pub(crate) fn changes_after(&self, at_ms: f64) -> usize {
        self.issued.iter().filter(|(at, _)| *at > at_ms).count()
    }
}

fn session(policy: &Arc<SessionPolicy>, connection: u32, now: f64) -> Session {
    let prefix = ExtranoncePrefix { server_id: 1, connection };
    let ticket = SessionTicket { id: SessionTicketId(1), tag: [0; 16] };
    let seed = SessionSeed { session_id: connection, first_job_id: connection << 16, prefix, ticket };
    Session::new(UnixMs(BEGAN + now as u64), Algorithm::Sha256d, Arc::clone(policy), seed)
}

/// A chain whose blocks take a thousand seconds of this speed: neither its cap nor its floor matters.
fn template(speed: f64) -> JobTemplate {
    let bits = (speed * 1000.0).log2().ceil() as usize;
    let header = Header {
        version: 1,
        parent_id: BlockId([1; 32]),
        tx_root: MerkleRoot([1; 32]),
        witness_root: MerkleRoot([1; 32]),
        time: Timestamp(1_800_000_000),
        height: Height(70_000),
        bits: CompactTarget(0x1d00_ffff),
        algorithm: Algorithm::Sha256d,
    };
    JobTemplate::new(header, Target(U256::MAX.wrapping_shr(bits)), PowKey::Sha256d, Arc::default())
        .expect("a SHA-256d template")
}
