use std::time::Duration;

use bq_pow::EthashWorkHash;
use serde_json::{Value, json};

use super::{Epochs, ExtraNonce, FIRST_ANSWER_WITHIN, boundary, name_and_worker, parts};
use crate::{
    Login,
    dialect::{Dialect, DialectError, Event, FIRST_SUBMIT_ID, bytes, error_text, id, line, method, reconnect},
    job::{FoundShare, Job},
};

const SUBSCRIBE_ID: u64 = 1;
const AUTHORIZE_ID: u64 = 3;

/// Ethash "Stratum" (ethminer's mode 0): jobs carry header, seed and boundary, so nothing but the job sets the difficulty.
pub(super) struct Stratum {
    login: Login,
    epochs: Epochs,
}

impl Stratum {
    pub(super) fn new(login: Login) -> Self {
        Self { login, epochs: Epochs::default() }
    }

    fn notified(&mut self, params: &Value) -> Option<Job> {
        let work_hash = EthashWorkHash(bytes(params.get(1))?);
        let epoch = self.epochs.of(params.get(2))?;
        let target = boundary(params.get(3))?;
        let id = params.get(0)?.as_str()?.to_owned();
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
                let job = self.notified(params).ok_or(DialectError::Malformed { what: "mining.notify" })?;
                return Ok(vec![Event::Job(job)]);
            }
            Some("client.reconnect") => return Err(reconnect(message)),
            Some(_) => return Ok(Vec::new()),
            None => {}
        }
        let accepted = message.get("result").and_then(Value::as_bool) == Some(true);
        let refused = error_text(message).or_else(|| (!accepted).then(|| "refused".to_owned()));
        match (id(message), refused) {
            (Some(SUBSCRIBE_ID | AUTHORIZE_ID), Some(text)) => Err(DialectError::Refused(text)),
            (Some(SUBSCRIBE_ID), None) => {
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
            share.job_id,
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

    fn first_answer_within(&self) -> Option<Duration> {
        Some(FIRST_ANSWER_WITHIN)
    }
}
