//! One miner that hashes at a steady speed behind a link, the real session at the other end, and a verifier that takes its time: the slow
//! and obvious account of what vardiff does to it. Hashing is a lottery without memory, so a share is a waiting time and nothing is
//! computed.

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
use bq_share::{
    ExtranoncePrefix, JudgePolicy, Reject, SessionTicket, SessionTicketId, ShareTicket, UnixMs, Verdict, randomx_bound,
};
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

/// What is mined, by which rules, and what that costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    /// SHA-256d or RandomX.
    pub(crate) algorithm: Algorithm,
    /// How difficulty moves.
    pub(crate) vardiff: VardiffPolicy,
    /// What the miner asks for by `d=` with it; 0: nothing.
    pub(crate) pinned: u64,
    /// The miner builds its dataset for so long before it mines for the first time.
    pub(crate) dataset_ms: f64,
    /// Milliseconds in which one thread verifies a share; 0: at once.
    pub(crate) verify_ms: f64,
    /// Threads that verify.
    pub(crate) threads: usize,
    /// A share that would wait for longer is refused as busy.
    pub(crate) queue_ms: f64,
}

impl Port {
    /// As a server on its own is.
    pub(crate) fn sha256d() -> Self {
        let vardiff =
            VardiffPolicy { start: ShareDifficulty::from_hashes(START), cap_divisor: 1, ..VardiffPolicy::default() };
        let algorithm = Algorithm::Sha256d;
        Self { algorithm, vardiff, pinned: 0, dataset_ms: 0.0, verify_ms: 0.0, threads: 1, queue_ms: f64::INFINITY }
    }

    /// That of a large network on a machine of two cores, and miners that build their dataset for a minute.
    pub(crate) fn randomx() -> Self {
        let vardiff = VardiffPolicy {
            start: ShareDifficulty::from_hashes(10_000),
            floor: ShareDifficulty::from_hashes(1_000),
            cap_divisor: 10,
            fine_divisors: [0, 0],
            share_interval_ms: 15_000,
            seek_interval_ms: 700,
            first_share_ms: 300_000,
        };
        let algorithm = Algorithm::RandomX;
        Self { algorithm, vardiff, pinned: 0, dataset_ms: 60_000.0, verify_ms: 20.0, threads: 2, queue_ms: 1_000.0 }
    }

    /// The right difficulty for a speed.
    pub(crate) fn ideal(&self, speed: f64) -> f64 {
        speed * self.vardiff.share_interval_ms as f64 / 1000.0
    }
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
    /// Of SHA-256d.
    ntime: String,
    /// Of RandomX: the session that it is for.
    session: String,
    difficulty: f64,
}

struct World {
    miner: Miner,
    port: Port,
    session: Session,
    policy: Arc<SessionPolicy>,
    template: Arc<JobTemplate>,
    dice: u64,
    now: f64,
    job: Option<Job>,
    jobs: VecDeque<(f64, Job)>,
    lines: VecDeque<(f64, String)>,
    /// When each thread of the verifier has nothing to do any more.
    threads: Vec<f64>,
    /// What it has, in the order in which it will be done.
    verifying: VecDeque<(f64, ShareTicket, ShareDifficulty)>,
    session_id: String,
    next_share: f64,
    nonce: u32,
    connections: u32,
    remembered: Option<ShareDifficulty>,
    outcome: Outcome,
}

/// Lets it mine for `span_ms`.
#[must_use]
pub(crate) fn mine_on(port: Port, miner: Miner, seed: u64, span_ms: f64) -> Outcome {
    let policy =
        Arc::new(SessionPolicy { vardiff: port.vardiff, judge: judge(port.algorithm), ..SessionPolicy::default() });
    let mut world = World {
        miner,
        session: session(port.algorithm, &policy, 0, 0.0),
        policy,
        template: Arc::new(template(port.algorithm, miner.speed)),
        threads: vec![0.0; port.threads],
        verifying: VecDeque::new(),
        session_id: String::new(),
        port,
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
        self.session = session(self.port.algorithm, &self.policy, self.connections, self.now);
        (self.job, self.next_share) = (None, f64::INFINITY);
        self.jobs.clear();
        self.lines.clear();
        // What is in verification is booked whoever waits for the answer.
        while let Some((_, _, difficulty)) = self.verifying.pop_front() {
            self.accept(difficulty);
        }
        self.session.handle_template(self.at(), Some(Arc::clone(&self.template)));
        let password = if self.port.pinned > 0 { format!("d={}", self.port.pinned) } else { "x".to_owned() };
        let hello = match self.port.algorithm {
            Algorithm::RandomX => vec![format!(
                r#"{{"id":1,"method":"login","params":{{"login":"wallet.rig1","pass":"{password}","agent":"rig"}}}}"#
            )],
            Algorithm::Sha256d | Algorithm::Ethash => vec![
                r#"{"id":1,"method":"mining.subscribe","params":[]}"#.to_owned(),
                format!(r#"{{"id":2,"method":"mining.authorize","params":["wallet.rig1","{password}"]}}"#),
            ],
        };
        for line in hello {
            self.session.handle_line(self.at(), line.as_bytes());
            self.drive();
        }
    }

    /// The next thing that happens.
    fn step(&mut self) {
        let reads = self.session.reads_at().map_or(f64::INFINITY, |at| (at.0 - BEGAN) as f64);
        let line = self.lines.front().map_or(f64::INFINITY, |(at, _)| at.max(reads));
        let job = self.jobs.front().map_or(f64::INFINITY, |(at, _)| *at);
        let verdict = self.verifying.front().map_or(f64::INFINITY, |(at, ..)| *at);
        let timeout = ((self.session.next_timeout().0 - BEGAN) as f64).max(self.now + 1.0);
        self.now = line.min(job).min(timeout).min(self.next_share).min(verdict).max(self.now);
        if self.now >= verdict {
            let (_, ticket, difficulty) = self.verifying.pop_front().expect("it is what happens");
            self.accept(difficulty);
            self.session.handle_verdict(self.at(), ticket, Verdict::Accepted { block: false });
        } else if self.now >= line {
            let (_, line) = self.lines.pop_front().expect("it is what happens");
            self.session.handle_line(self.at(), line.as_bytes());
        } else if self.now >= job {
            self.job = self.jobs.pop_front().map(|(_, job)| job);
            self.next_share = self.now.max(self.port.dataset_ms) + self.wait_ms();
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
        let line = submit(self.port.algorithm, job, self.nonce);
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
                Output::Send(frame) if frame.kind == FrameKind::Job || self.port.algorithm == Algorithm::RandomX => {
                    self.hear(&frame.bytes);
                }
                Output::Send(_) => {}
                Output::Authorize { ticket, .. } => {
                    let outcome =
                        LoginOutcome::Granted { payee: KeyHash([7; 32]), remembered: self.remembered, trust: None };
                    self.session.handle_login(self.at(), ticket, outcome);
                }
                Output::Share(share) => self.verify(share.ticket, share.difficulty),
                Output::LoginRefused { .. } => {}
                Output::Rejected { .. } => self.outcome.refused += 1,
                Output::Close(_) => self.outcome.closed = true,
            }
        }
    }

    /// Has it hashed, in turn with what came before.
    fn verify(&mut self, ticket: ShareTicket, difficulty: ShareDifficulty) {
        if self.port.verify_ms <= 0.0 {
            self.accept(difficulty);
            return self.session.handle_verdict(self.at(), ticket, Verdict::Accepted { block: false });
        }
        let free = self.threads.iter_mut().min_by(|one, other| one.total_cmp(other)).expect("a thread");
        let begins = free.max(self.now);
        if begins - self.now > self.port.queue_ms {
            self.outcome.refused += 1;
            return self.session.handle_verdict(self.at(), ticket, Verdict::Rejected(Reject::Busy));
        }
        *free = begins + self.port.verify_ms;
        self.verifying.push_back((*free, ticket, difficulty));
    }

    fn accept(&mut self, difficulty: ShareDifficulty) {
        let is_later = self.now >= self.port.dataset_ms + MINUTE_MS;
        self.outcome.accepted += 1;
        self.outcome.accepted_in_minute += u32::from(!is_later);
        self.outcome.credit[usize::from(is_later)] += difficulty.hashes() as f64;
    }

    fn hear(&mut self, bytes: &[u8]) {
        let line: serde_json::Value = serde_json::from_slice(bytes).expect("the server speaks JSON");
        let text = |index: usize| match self.port.algorithm {
            Algorithm::RandomX => {
                let job = if line["method"] == "job" { &line["params"] } else { &line["result"]["job"] };
                job["job_id"].as_str().unwrap_or_default().to_owned()
            }
            Algorithm::Sha256d | Algorithm::Ethash => line["params"][index].as_str().unwrap_or_default().to_owned(),
        };
        if text(0).is_empty() {
            return;
        }
        if let Some(id) = line["result"]["id"].as_str() {
            id.clone_into(&mut self.session_id);
        }
        let difficulty = self.session.newest_difficulty().map_or(1.0, |value| value.hashes() as f64);
        if self.outcome.issued.last().is_none_or(|(_, before)| *before != difficulty) {
            self.outcome.issued.push((self.now, difficulty));
        }
        let arrives = self.unstalled(self.now + self.miner.delay_ms);
        let job = Job { id: text(0), ntime: text(7), session: self.session_id.clone(), difficulty };
        self.jobs.push_back((arrives, job));
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

fn submit(algorithm: Algorithm, job: &Job, nonce: u32) -> String {
    let id = &job.id;
    if algorithm == Algorithm::RandomX {
        // The hardest to reach that is a share still: never a block.
        let bound = randomx_bound(ShareDifficulty::from_hashes(job.difficulty as u64)).saturating_sub(1);
        let result = format!("{}{:016x}", "ff".repeat(24), bound.swap_bytes());
        let session = &job.session;
        return format!(
            r#"{{"id":4,"method":"submit","params":{{"id":"{session}","job_id":"{id}","nonce":"{nonce:08x}","result":"{result}"}}}}"#
        );
    }
    let ntime = &job.ntime;
    format!(
        r#"{{"id":4,"method":"mining.submit","params":["wallet.rig1","{id}","0000000000000000","{ntime}","{nonce:08x}"]}}"#
    )
}

/// As the ports are set up.
fn judge(algorithm: Algorithm) -> JudgePolicy {
    match algorithm {
        Algorithm::RandomX => {
            JudgePolicy { unproven_in_flight_max: 4, shares_in_flight_max: 32, ..JudgePolicy::default() }
        }
        Algorithm::Sha256d | Algorithm::Ethash => JudgePolicy::default(),
    }
}

fn session(algorithm: Algorithm, policy: &Arc<SessionPolicy>, connection: u32, now: f64) -> Session {
    let prefix = ExtranoncePrefix { server_id: 1, connection };
    let ticket = SessionTicket { id: SessionTicketId(1), tag: [0; 16] };
    let seed = SessionSeed { session_id: connection, first_job_id: connection << 16, prefix, ticket };
    Session::new(UnixMs(BEGAN + now as u64), algorithm, Arc::clone(policy), seed)
}

/// A chain whose blocks take a thousand seconds of this speed: neither its cap nor its floor matters.
fn template(algorithm: Algorithm, speed: f64) -> JobTemplate {
    let bits = (speed * 1000.0).log2().ceil() as usize;
    let header = Header {
        version: 1,
        parent_id: BlockId([1; 32]),
        tx_root: MerkleRoot([1; 32]),
        witness_root: MerkleRoot([1; 32]),
        time: Timestamp(1_800_000_000),
        height: Height(70_000),
        bits: CompactTarget(0x1d00_ffff),
        algorithm,
    };
    let key = if algorithm == Algorithm::RandomX { PowKey::RandomX(BlockId([2; 32])) } else { PowKey::Sha256d };
    JobTemplate::new(header, Target(U256::MAX.wrapping_shr(bits)), key, bq_primitives::UnsealedBody::default())
        .expect("a template")
}
