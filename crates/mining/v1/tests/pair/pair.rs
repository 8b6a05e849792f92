//! Two ends of a connection and the wire between them, on one clock that only the test moves.

use std::{collections::VecDeque, sync::Arc};

use bq_pow::{EthashWorkHash, ethash_final, ethash_work_hash, randomx_blob, sha256d_work_header};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, KeyHash, MerkleRoot, NetworkDifficulty, PowHash, PowKey,
    PowValue, Seal, ShareDifficulty, Target, Timestamp, U256, double_sha256,
};
use bq_share::{ExtranoncePrefix, SessionTicket, SessionTicketId, ShareCandidate, UnixMs, Verdict};
use bq_stratum_client::{
    Dialect, DialectError, EthashDialect, Event, FIRST_SUBMIT_ID, Found, FoundShare, Job, Login, Proof, Work,
    dialect_of,
};
use bq_stratum_v1::{
    CloseReason, JobTemplate, LoginOutcome, Output, Session, SessionPolicy, SessionSeed, VardiffPolicy,
};

pub(crate) const DIALECTS: [(Algorithm, EthashDialect); 6] = [
    (Algorithm::Sha256d, EthashDialect::Stratum),
    (Algorithm::RandomX, EthashDialect::Stratum),
    (Algorithm::Ethash, EthashDialect::Stratum),
    (Algorithm::Ethash, EthashDialect::EthProxy),
    (Algorithm::Ethash, EthashDialect::Version1),
    (Algorithm::Ethash, EthashDialect::Version2),
];

/// A server's session and a client's dialect.
pub(crate) struct Pair {
    pub(crate) session: Session,
    client: Box<dyn Dialect>,
    to_server: VecDeque<String>,
    now: UnixMs,
    /// Every line that the server sent.
    pub(crate) heard: Vec<String>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) candidates: Vec<ShareCandidate>,
    pub(crate) answers: Vec<(u64, Option<String>)>,
    pub(crate) client_gave_up: Option<DialectError>,
    pub(crate) closed: Option<CloseReason>,
    submits: u64,
}

/// A template on `tip` repeated, for a chain whose blocks take `network` hashes.
pub(crate) fn template(algorithm: Algorithm, tip: u8, network: u128) -> Arc<JobTemplate> {
    let key = match algorithm {
        Algorithm::Sha256d => PowKey::Sha256d,
        Algorithm::RandomX => PowKey::RandomX(BlockId([9; 32])),
        Algorithm::Ethash => PowKey::Ethash(0),
    };
    let header = Header {
        version: 1,
        parent_id: BlockId([tip; 32]),
        tx_root: MerkleRoot([2; 32]),
        witness_root: MerkleRoot([3; 32]),
        time: Timestamp(1_800_000_000),
        height: Height(70_000 + u32::from(tip)),
        bits: CompactTarget(0x1d00_ffff),
        algorithm,
    };
    let mut template =
        JobTemplate::new(header, Target(U256::MAX / U256::from(network)), key, bq_primitives::UnsealedBody::default())
            .unwrap();
    Arc::make_mut(&mut template.work).network_difficulty = NetworkDifficulty::from_hashes(network);
    Arc::new(template)
}

impl Pair {
    pub(crate) fn new(algorithm: Algorithm, ethash: EthashDialect, start: u64) -> Self {
        let now = UnixMs(1_778_384_896_000);
        let vardiff = VardiffPolicy { start: ShareDifficulty::from_hashes(start), ..VardiffPolicy::default() };
        let policy = SessionPolicy { vardiff, ..SessionPolicy::default() };
        let prefix = ExtranoncePrefix { server_id: 3, connection: 0xabcd };
        let ticket = SessionTicket { id: SessionTicketId(1), tag: [0; 16] };
        let seed = SessionSeed { session_id: 0xc0ff_ee01, first_job_id: 0x1f, prefix, ticket };
        let login = Login { user: "wallet.rig1".to_owned(), password: "x".to_owned(), first_nonce: 0 };
        let mut client = dialect_of(algorithm, login, ethash);
        let hello = client.hello();
        Self {
            session: Session::new(now, algorithm, Arc::new(policy), seed),
            client,
            to_server: [hello].into(),
            now,
            heard: Vec::new(),
            jobs: Vec::new(),
            candidates: Vec::new(),
            answers: Vec::new(),
            client_gave_up: None,
            closed: None,
            submits: 0,
        }
    }

    pub(crate) fn template(&mut self, template: &Arc<JobTemplate>) {
        self.session.handle_template(self.now, Some(Arc::clone(template)));
        self.drive();
    }

    pub(crate) fn pass(&mut self, span_ms: u64) {
        self.now = self.now.after_ms(span_ms);
        self.session.handle_timeout(self.now);
        self.drive();
    }

    pub(crate) fn newest(&self) -> &Job {
        self.jobs.last().expect("a job came")
    }

    /// Carries lines until neither end has anything to say.
    pub(crate) fn drive(&mut self) {
        loop {
            while let Some(output) = self.session.poll_output() {
                self.carry_out(output);
            }
            let Some(line) = self.to_server.pop_front() else { return };
            assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
            self.session.handle_line(self.now, line.trim_end().as_bytes());
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(frame) => self.client_hears(&frame.bytes),
            Output::Authorize { ticket, address, worker, .. } => {
                assert_eq!((address.as_str(), worker.as_str()), ("wallet", "rig1"));
                let granted = LoginOutcome::Granted { payee: KeyHash([7; 32]), remembered: None, trust: None };
                self.session.handle_login(self.now, ticket, granted);
            }
            Output::Share(candidate) => self.candidates.push(*candidate),
            Output::LoginRefused { .. } | Output::Rejected { .. } => {}
            Output::Close(reason) => self.closed = Some(reason),
        }
    }

    fn client_hears(&mut self, line: &[u8]) {
        self.heard.push(String::from_utf8(line.to_vec()).unwrap());
        let events = match self.client.handle(&serde_json::from_slice(line).unwrap()) {
            Ok(events) => events,
            Err(error) => {
                self.client_gave_up = Some(error);
                return;
            }
        };
        for event in events {
            match event {
                Event::Send(line) => self.to_server.push_back(line),
                Event::Job(job) => self.jobs.push(job),
                Event::Answer { id, refused } => self.answers.push((id, refused)),
                Event::Message(text) => panic!("nobody speaks to people here: {text}"),
            }
        }
    }

    /// The client sends what it found; returns the request's id.
    pub(crate) fn submit(&mut self, job: &Job, found: &Found) -> u64 {
        let id = FIRST_SUBMIT_ID + self.submits;
        self.submits += 1;
        let line = self.client.submit(&FoundShare { job_id: &job.id, work: &job.work, found }, id);
        self.to_server.push_back(line);
        self.drive();
        id
    }

    /// The pool's word on the only candidate there is.
    pub(crate) fn verdict(&mut self, verdict: Verdict) {
        let candidate = self.candidates.pop().expect("a candidate");
        self.session.handle_verdict(self.now, candidate.ticket, verdict);
        self.drive();
    }
}

/// A proof that the client takes for a share of its job, from nonce `from` on. RandomX is not hashed: a result that is low
/// enough stands for it. Ethash is searched for a mix that passes the cheap check.
pub(crate) fn find(job: &Job, from: u32) -> Found {
    match &job.work {
        Work::Sha256d(template) => {
            let extranonce2 = template.extranonce2(5).unwrap();
            let mut header = template.header(&extranonce2);
            let hit = |nonce: &u32| {
                header[76..].copy_from_slice(&nonce.to_le_bytes());
                PowValue::of(Algorithm::Sha256d, &PowHash(double_sha256(&header))).meets(&job.target)
            };
            let nonce = (from..).find(hit).unwrap();
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            Found { proof: Proof::Sha256d { extranonce2, nonce }, value: PowHash(double_sha256(&header)) }
        }
        Work::RandomX { .. } => {
            Found { proof: Proof::RandomX { nonce: from }, value: PowHash(job.target.0.to_le_bytes()) }
        }
        Work::Ethash { work_hash, first_nonce, .. } => {
            let nonce = *first_nonce + u64::from(from);
            let mix = |n: u16| {
                let mut mix = [0; 32];
                mix[..2].copy_from_slice(&n.to_be_bytes());
                mix
            };
            let value = |mix: &[u8; 32]| ethash_final(work_hash, nonce, mix);
            let hit = |mix: &[u8; 32]| PowValue::of(Algorithm::Ethash, &value(mix)).meets(&job.target);
            // Where no mix is sent any will do.
            let mix = (0..4096).map(mix).find(hit).unwrap_or_default();
            Found { proof: Proof::Ethash { nonce, mix }, value: value(&mix) }
        }
    }
}

/// What the server would hash for a candidate is what the client hashed.
#[track_caller]
pub(crate) fn assert_same_work(candidate: &ShareCandidate, job: &Job, found: &Found) {
    let template = &candidate.template;
    match (candidate.seal, &job.work, &found.proof) {
        (
            Seal::Sha256d { extranonce, version, ntime, nonce },
            Work::Sha256d(told),
            Proof::Sha256d { extranonce2, .. },
        ) => {
            let mut header = told.header(extranonce2);
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            let ours = sha256d_work_header(&template.header, &template.seal_hash, &extranonce, version, ntime, nonce);
            assert_eq!(hex::encode(header), hex::encode(ours));
        }
        (Seal::RandomX { extranonce, nonce }, Work::RandomX { blob, key, .. }, Proof::RandomX { nonce: sent }) => {
            let mut blob = blob.clone();
            blob[39..43].copy_from_slice(&sent.to_le_bytes());
            let ours = randomx_blob(&template.header, &template.seal_hash, &extranonce, nonce);
            assert_eq!(hex::encode(blob), hex::encode(ours));
            assert_eq!(PowKey::RandomX(*key), template.key);
        }
        (
            Seal::Ethash { extranonce, nonce, .. },
            Work::Ethash { work_hash, epoch, .. },
            Proof::Ethash { nonce: sent, .. },
        ) => {
            let ours: EthashWorkHash = ethash_work_hash(&template.seal_hash, &extranonce);
            assert_eq!((*work_hash, *sent, PowKey::Ethash(*epoch)), (ours, nonce, template.key));
        }
        other => panic!("{other:?}"),
    }
}
