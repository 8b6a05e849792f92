use bq_pow::EthashWorkHash;
use serde_json::{Value, json};

use super::{Epochs, ExtraNonce, boundary, name_and_worker, parts};
use crate::{
    Login,
    dialect::{
        Dialect, DialectError, Event, FIRST_SUBMIT_ID, JobIds, bytes, error_text, id, line, method, reconnect,
        shown_message,
    },
    job::{FoundShare, Job},
};

const SUBSCRIBE_ID: u64 = 1;
const AUTHORIZE_ID: u64 = 3;

/// Ethash "Stratum" (ethminer's mode 0): jobs carry header, seed and boundary, so nothing but the job sets the difficulty.
pub(super) struct Stratum {
    login: Login,
    epochs: Epochs,
    job_ids: JobIds,
    login_request: Option<u64>,
    is_logged_in: bool,
}

impl Stratum {
    pub(super) fn new(login: Login) -> Self {
        let (epochs, job_ids) = (Epochs::default(), JobIds::default());
        Self { login, epochs, job_ids, login_request: Some(SUBSCRIBE_ID), is_logged_in: false }
    }

    fn notified(&mut self, params: &Value) -> Option<Job> {
        let work_hash = EthashWorkHash(bytes(params.get(1))?);
        let epoch = self.epochs.of(params.get(2))?;
        let target = boundary(params.get(3))?;
        let id = self.job_ids.read(params.get(0))?;
        let is_clean = params.get(4).and_then(Value::as_bool).unwrap_or(true);
        Some(Job {
            is_clean,
            ..Job::new(id, target, ExtraNonce::default().work(work_hash, epoch, self.login.first_nonce))
        })
    }
}

impl Dialect for Stratum {
    fn hello(&mut self) -> String {
        line(&json!({"id": SUBSCRIBE_ID, "jsonrpc": "2.0", "method": "mining.subscribe", "params": []}))
    }

    fn handle(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        match method(message) {
            Some("mining.notify") => {
                let params = message.get("params").unwrap_or(&Value::Null);
                let job = self.notified(params).ok_or(DialectError::Nonsense { what: "mining.notify" })?;
                return Ok(vec![Event::Job(job)]);
            }
            Some("client.show_message") => return Ok(shown_message(message).into_iter().collect()),
            Some("client.reconnect") => return Err(reconnect(message)),
            Some(_) => return Ok(Vec::new()),
            None => {}
        }
        let accepted = message.get("result").and_then(Value::as_bool) == Some(true);
        let refused = error_text(message).or_else(|| (!accepted).then(|| "refused".to_owned()));
        match (id(message), refused) {
            (Some(SUBSCRIBE_ID | AUTHORIZE_ID), Some(text)) => Err(DialectError::Refused(text)),
            (Some(AUTHORIZE_ID), None) => {
                (self.login_request, self.is_logged_in) = (None, true);
                Ok(Vec::new())
            }
            (Some(SUBSCRIBE_ID), None) => {
                self.login_request = Some(AUTHORIZE_ID);
                let Login { user, password, .. } = &self.login;
                let params = json!([user, password]);
                Ok(vec![Event::Send(line(
                    &json!({"id": AUTHORIZE_ID, "jsonrpc": "2.0", "method": "mining.authorize", "params": params}),
                ))])
            }
            (Some(id), refused) if id >= FIRST_SUBMIT_ID => Ok(vec![Event::Answer { id, refused }]),
            _ => Ok(Vec::new()),
        }
    }

    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String {
        let (header, nonce, mix) = parts(share);
        let (name, worker) = name_and_worker(&self.login);
        let params = json!([
            name,
            self.job_ids.write(share.job_id),
            format!("{nonce:#018x}"),
            format!("0x{}", hex::encode(header)),
            format!("0x{}", hex::encode(mix))
        ]);
        let mut request = json!({"id": id, "jsonrpc": "2.0", "method": "mining.submit", "params": params});
        if let (Some(worker), Some(members)) = (worker, request.as_object_mut()) {
            members.insert("worker".to_owned(), json!(worker));
        }
        line(&request)
    }

    fn is_logged_in(&self) -> bool {
        self.is_logged_in
    }

    fn login_request(&self) -> Option<u64> {
        self.login_request
    }
}
