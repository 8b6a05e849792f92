use bq_pow::EthashWorkHash;
use bq_primitives::{Target, U256};
use serde_json::{Value, json};

use super::{Epochs, ExtraNonce, parts};
use crate::{
    Login,
    dialect::{
        AGENT, Dialect, DialectError, Event, FIRST_SUBMIT_ID, JobIds, bytes, error_text, id, line, method, reconnect,
        shown_message,
    },
    difficulty::sha256d_target,
    job::{FoundShare, Job},
};

const SUBSCRIBE_ID: u64 = 1;
const EXTRANONCE_ID: u64 = 2;
const AUTHORIZE_ID: u64 = 3;
const PROTOCOL: &str = "EthereumStratum/1.0.0";

/// EthereumStratum/1.0.0 (NiceHash, ethminer's mode 2): the pool keeps the first bytes of each nonce, and difficulty has
/// Bitcoin's unit.
pub(super) struct Version1 {
    login: Login,
    epochs: Epochs,
    /// For jobs from now on, both.
    extranonce: ExtraNonce,
    target: Target,
    /// What the present job's shares leave out.
    of_job: ExtraNonce,
    job_ids: JobIds,
    login_request: Option<u64>,
    is_subscribed: bool,
    is_logged_in: bool,
    /// A job that came before the extranonce which its shares take.
    early: Option<Value>,
}

impl Version1 {
    pub(super) fn new(login: Login) -> Self {
        // Difficulty 1 until the pool says otherwise.
        let target = Target(U256::from(0xffff_u64) << 208_usize);
        let (extranonce, of_job) = (ExtraNonce::default(), ExtraNonce::default());
        Self {
            login,
            epochs: Epochs::default(),
            extranonce,
            target,
            of_job,
            job_ids: JobIds::default(),
            login_request: Some(SUBSCRIBE_ID),
            is_subscribed: false,
            is_logged_in: false,
            early: None,
        }
    }

    /// `[job, seed, header, clean]`: the other way round than in the other dialects.
    fn notified(&mut self, params: &Value) -> Option<Job> {
        let epoch = self.epochs.of(params.get(1))?;
        let work = self.extranonce.work(EthashWorkHash(bytes(params.get(2))?), epoch, self.login.first_nonce);
        let id = self.job_ids.read(params.get(0))?;
        // Shares of a job with another extranonce could not be written any more, so it must go.
        let is_clean = params.get(3).and_then(Value::as_bool).unwrap_or(true) || self.of_job != self.extranonce;
        self.of_job = self.extranonce.clone();
        Some(Job { is_clean, ..Job::new(id, self.target, work) })
    }

    fn called(&mut self, name: &str, message: &Value) -> Result<Vec<Event>, DialectError> {
        let params = message.get("params").unwrap_or(&Value::Null);
        match name {
            "mining.set_difficulty" => {
                let target = params.get(0).and_then(Value::as_f64).and_then(sha256d_target);
                self.target = target.ok_or(DialectError::Nonsense { what: "mining.set_difficulty" })?;
                Ok(Vec::new())
            }
            "mining.set_extranonce" => {
                self.extranonce =
                    ExtraNonce::read(params.get(0)).ok_or(DialectError::Nonsense { what: "mining.set_extranonce" })?;
                Ok(Vec::new())
            }
            "mining.notify" if !self.is_subscribed => {
                self.early = Some(params.clone());
                Ok(Vec::new())
            }
            "mining.notify" => {
                let job = self.notified(params).ok_or(DialectError::Nonsense { what: "mining.notify" })?;
                Ok(vec![Event::Job(job)])
            }
            "client.reconnect" => Err(reconnect(message)),
            "client.show_message" => Ok(shown_message(message).into_iter().collect()),
            _ => Ok(Vec::new()),
        }
    }

    fn subscribed(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        if let Some(text) = error_text(message) {
            return Err(DialectError::Refused(text));
        }
        let result = message.get("result").unwrap_or(&Value::Null);
        self.extranonce =
            ExtraNonce::read(result.get(1)).ok_or(DialectError::Malformed { what: "mining.subscribe reply" })?;
        let Login { user, password, .. } = &self.login;
        let requests = [
            json!({"id": EXTRANONCE_ID, "method": "mining.extranonce.subscribe", "params": []}),
            json!({"id": AUTHORIZE_ID, "method": "mining.authorize", "params": [user, password]}),
        ];
        (self.login_request, self.is_subscribed) = (Some(AUTHORIZE_ID), true);
        let mut events: Vec<Event> = requests.iter().map(|request| Event::Send(line(request))).collect();
        // One that means nothing is not worth the login.
        events.extend(self.early.take().and_then(|params| self.notified(&params)).map(Event::Job));
        Ok(events)
    }
}

impl Dialect for Version1 {
    fn hello(&mut self) -> String {
        line(&json!({"id": SUBSCRIBE_ID, "method": "mining.subscribe", "params": [AGENT, PROTOCOL]}))
    }

    fn handle(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        if let Some(name) = method(message) {
            return self.called(name, message);
        }
        let accepted = message.get("result").and_then(Value::as_bool) == Some(true);
        let refused = error_text(message).or_else(|| (!accepted).then(|| "refused".to_owned()));
        match (id(message), refused) {
            (Some(SUBSCRIBE_ID), _) => self.subscribed(message),
            (Some(AUTHORIZE_ID), Some(text)) => Err(DialectError::Refused(text)),
            (Some(AUTHORIZE_ID), None) => {
                (self.login_request, self.is_logged_in) = (None, true);
                Ok(Vec::new())
            }
            (Some(id), refused) if id >= FIRST_SUBMIT_ID => Ok(vec![Event::Answer { id, refused }]),
            _ => Ok(Vec::new()),
        }
    }

    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String {
        let (_, nonce, _) = parts(share);
        let params = json!([self.login.user, self.job_ids.write(share.job_id), self.of_job.rest_of(nonce)]);
        line(&json!({"id": id, "method": "mining.submit", "params": params}))
    }

    fn is_logged_in(&self) -> bool {
        self.is_logged_in
    }

    fn login_request(&self) -> Option<u64> {
        self.login_request
    }
}
