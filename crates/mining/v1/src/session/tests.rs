mod comes_back;
mod conversations;
mod credit;
mod firmware;
mod model;
mod properties;
mod rental;
mod vectors;

use std::sync::Arc;

use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, KeyHash, MerkleRoot, PowKey, ShareDifficulty, Target, Timestamp,
    U256,
};
use bq_share::{
    ExtranoncePrefix, JudgePolicy, Reject, SessionTicket, SessionTicketId, ShareCandidate, UnixMs, Verdict,
};

use super::{Session, SessionSeed};
use crate::{CloseReason, FrameKind, JobTemplate, LoginOutcome, Output, SessionPolicy, VardiffPolicy};

pub(super) const PAYEE: KeyHash = KeyHash([7; 32]);

pub(super) const SEED: SessionSeed = SessionSeed {
    session_id: 0xc0ff_ee01,
    first_job_id: 0x1f,
    prefix: ExtranoncePrefix { server_id: 1, connection: 7 },
    ticket: SessionTicket { id: SessionTicketId(0x7e57), tag: [0xa5; 16] },
};

/// A template whose parent is `tip` repeated and whose body is told by `body`.
pub(super) fn template(algorithm: Algorithm, tip: u8, body: u8) -> JobTemplate {
    let key = match algorithm {
        Algorithm::Sha256d => PowKey::Sha256d,
        Algorithm::RandomX => PowKey::RandomX(BlockId([9; 32])),
        Algorithm::Ethash => PowKey::Ethash(1),
    };
    let header = Header {
        version: 1,
        parent_id: BlockId([tip; 32]),
        tx_root: MerkleRoot([body; 32]),
        witness_root: MerkleRoot([body; 32]),
        time: Timestamp(1_800_000_000),
        height: Height(70_000),
        bits: CompactTarget(0x1d00_ffff),
        algorithm,
    };
    JobTemplate::new(header, Target(U256::MAX >> 40), key, bq_primitives::UnsealedBody::default()).unwrap()
}

pub(super) fn policy(start: u64) -> SessionPolicy {
    let start = ShareDifficulty::from_hashes(start);
    SessionPolicy { vardiff: VardiffPolicy { start, ..VardiffPolicy::default() }, ..SessionPolicy::default() }
}

/// What another process makes of a session that is handed to it; nothing while that cannot be.
pub(super) fn handed_over(
    session: &Session,
    now: UnixMs,
    (algorithm, policy): (Algorithm, Arc<SessionPolicy>),
    seed: SessionSeed,
) -> Option<Session> {
    let templates = session.templates().map(|work| (work.id(), Arc::clone(work))).collect();
    Session::resume(now, algorithm, policy, (seed, session.state()?), &templates)
}

/// A session with somebody at the other end who carries out its outputs.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) now: UnixMs,
    /// Lines sent and not looked at yet.
    pub(super) sent: Vec<(FrameKind, String)>,
    pub(super) shares: Vec<ShareCandidate>,
    pub(super) rejected: Vec<Reject>,
    /// Logins that were refused, and why.
    pub(super) refused: Vec<(String, String)>,
    pub(super) closed: Option<CloseReason>,
    pub(super) login: LoginOutcome,
    pub(super) logins: Vec<(String, String)>,
    /// The tickets that they came with.
    pub(super) came_back: Vec<Option<SessionTicket>>,
}

impl Rig {
    pub(super) fn new(algorithm: Algorithm, policy: SessionPolicy) -> Self {
        Self::with_seed(algorithm, policy, SEED)
    }

    pub(super) fn with_seed(algorithm: Algorithm, policy: SessionPolicy, seed: SessionSeed) -> Self {
        let now = UnixMs(1_778_384_896_000); // ntime 6a000000
        Self {
            session: Session::new(now, algorithm, Arc::new(policy), seed),
            now,
            sent: Vec::new(),
            shares: Vec::new(),
            rejected: Vec::new(),
            refused: Vec::new(),
            closed: None,
            login: LoginOutcome::Granted { payee: PAYEE, remembered: None, trust: None },
            logins: Vec::new(),
            came_back: Vec::new(),
        }
    }

    pub(super) fn drive(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) => {
                    let text = String::from_utf8(frame.bytes).unwrap();
                    assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{text:?}");
                    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                    assert!(json.is_object());
                    self.sent.push((frame.kind, text.trim_end().to_owned()));
                }
                Output::Authorize { ticket, address, worker, comes_back, .. } => {
                    self.came_back.push(comes_back);
                    self.logins.push((address, worker.as_str().to_owned()));
                    self.session.handle_login(self.now, ticket, self.login.clone());
                }
                Output::Share(share) => self.shares.push(*share),
                Output::LoginRefused { login, reason, .. } => self.refused.push((login, reason)),
                Output::Rejected { reason, .. } => self.rejected.push(reason),
                Output::Close(reason) => self.closed = Some(reason),
            }
        }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.session.handle_line(self.now, line.as_bytes());
        self.drive();
    }

    pub(super) fn template(&mut self, template: &JobTemplate) {
        self.session.handle_template(self.now, Some(Arc::new(template.clone())));
        self.drive();
    }

    pub(super) fn verdict(&mut self, verdict: Verdict) {
        let share = self.shares.remove(0);
        self.session.handle_verdict(self.now, share.ticket, verdict);
        self.drive();
    }

    pub(super) fn pass(&mut self, span_ms: u64) {
        self.now = self.now.after_ms(span_ms);
        self.session.handle_timeout(self.now);
        self.drive();
    }

    /// Lines sent since the last look.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|(_, line)| line).collect()
    }

    /// What came back for one line.
    #[track_caller]
    pub(super) fn check(&mut self, line: &str, replies: &[&str]) {
        self.line(line);
        assert_eq!(self.take(), replies, "after {line}");
    }
}
