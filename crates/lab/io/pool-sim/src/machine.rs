use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
};

use bq_primitives::{Algorithm, KeyHash, PowHash, Target};
use bq_stratum_client::{Dialect, EthashDialect, Event, FIRST_SUBMIT_ID, Found, FoundShare, Job, Login, dialect_of};
use bq_stratum_v1::LineBuffer;

use crate::{
    front::ConnectionId,
    lottery::{Drawer, meets},
};

/// One mining machine: the client's side of a dialect, and what its person remembers.
pub(crate) struct Machine {
    pub(crate) algorithm: Algorithm,
    pub(crate) dialect: EthashDialect,
    /// Whose account its login names.
    pub(crate) payee: KeyHash,
    pub(crate) login: Login,
    pub(crate) address: IpAddr,
    pub(crate) line: Option<Line>,
    /// The next nonce; none is drawn twice.
    nonce: u64,
}

/// An open connection as its client sees it.
pub(crate) struct Line {
    pub(crate) connection: ConnectionId,
    client: Box<dyn Dialect>,
    heard: LineBuffer,
    /// Bytes that were written and are not read by the front end.
    pub(crate) said: Vec<u8>,
    /// Newest last.
    pub(crate) jobs: VecDeque<Job>,
    submits: BTreeMap<u64, Submitted>,
    next_submit: u64,
    /// The client would hang up: what it was told makes no sense to it, or it was refused.
    pub(crate) gave_up: bool,
}

/// What a client knows of a share that it handed in.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub(crate) value: PowHash,
    pub(crate) job: Job,
    pub(crate) found: Found,
}

/// What a client saw become of a share.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) submitted: Submitted,
    pub(crate) refused: Option<String>,
}

/// Jobs that a client remembers; the front end knows as many.
const JOBS_KEPT: usize = 8;

impl Machine {
    pub(crate) fn new(algorithm: Algorithm, dialect: EthashDialect, payee: KeyHash, login: Login, host: u16) -> Self {
        let [high, low] = host.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, high, low));
        Self { algorithm, dialect, payee, login, address, line: None, nonce: 1 }
    }

    /// The connection is open: the client says hello.
    pub(crate) fn connected(&mut self, connection: ConnectionId) {
        let mut client = dialect_of(self.algorithm, self.login.clone(), self.dialect);
        let said = client.hello().into_bytes();
        self.line = Some(Line {
            connection,
            client,
            heard: LineBuffer::default(),
            said,
            jobs: VecDeque::new(),
            submits: BTreeMap::new(),
            next_submit: FIRST_SUBMIT_ID,
            gave_up: false,
        });
    }

    pub(crate) fn newest_job(&self) -> Option<Job> {
        self.line.as_ref().and_then(|line| line.jobs.back()).cloned()
    }

    /// Draws until a lot fits, at most `lots` times. Says how many it took.
    pub(crate) fn search(&mut self, job: &Job, lots: u64, fits: impl Fn(&PowHash) -> bool) -> (u64, Option<Found>) {
        let mut drawer = None;
        for drawn in 1..=lots {
            let nonce = self.nonce;
            self.nonce += 1;
            let (round, low) = ((nonce >> 32) as u32, nonce as u32);
            let drawer = drawer.get_or_insert_with(|| Drawer::new(&job.work, round));
            let found = drawer.draw(low);
            if fits(&found.value) {
                return (drawn, Some(found));
            }
        }
        (lots, None)
    }

    /// A share of the job and no block, or a block: as an honest machine would have found it.
    pub(crate) fn find(&mut self, job: &Job, block: &Target, is_block: bool) -> Option<Found> {
        const LOTS_MAX: u64 = 100_000;
        let algorithm = self.algorithm;
        let fits = |value: &PowHash| meets(algorithm, value, &job.target) && meets(algorithm, value, block) == is_block;
        self.search(job, LOTS_MAX, fits).1
    }
}

impl Line {
    /// Writes the line that hands a share in.
    pub(crate) fn submit(&mut self, job: &Job, found: &Found) {
        let id = self.next_submit;
        self.next_submit += 1;
        let line = self.client.submit(&FoundShare { job_id: &job.id, work: &job.work, found }, id);
        self.said.extend(line.bytes());
        let submitted = Submitted { value: found.value, job: job.clone(), found: found.clone() };
        self.submits.insert(id, submitted);
    }

    /// Every submit has its answer.
    pub(crate) fn is_answered(&self) -> bool {
        self.submits.is_empty()
    }

    /// Takes bytes of the front end, and says what became of shares.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<Answered> {
        self.heard.push(bytes);
        let mut answered = Vec::new();
        while let Ok(Some(line)) = self.heard.next_line() {
            let Ok(value) = serde_json::from_slice(line) else {
                self.gave_up = true;
                return answered;
            };
            let Ok(events) = self.client.handle(&value) else {
                self.gave_up = true;
                return answered;
            };
            for event in events {
                match event {
                    Event::Send(line) => self.said.extend(line.bytes()),
                    Event::Job(job) => {
                        while self.jobs.len() >= JOBS_KEPT {
                            self.jobs.pop_front();
                        }
                        self.jobs.push_back(job);
                    }
                    Event::Answer { id, refused } => {
                        answered.extend(self.submits.remove(&id).map(|submitted| Answered { submitted, refused }));
                    }
                    Event::Message(_) => {}
                }
            }
        }
        answered
    }
}
