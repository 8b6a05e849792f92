use bq_pow::{EthashWorkHash, ethash_epoch_of_seed};
use bq_primitives::{Target, U256};
use serde_json::{Value, json};

use super::{
    Login,
    dialect::{Dialect, DialectError, Event, FIRST_SUBMIT_ID, bytes, error_text, line, method},
};
use crate::{
    job::{Job, Proof, Work},
    shared::FoundShare,
};

const SUBSCRIBE_ID: u64 = 1;
const AUTHORIZE_ID: u64 = 3;

/// Ethash "Stratum" (ethminer's mode 0): jobs carry header, seed and boundary, so nothing but the job sets the difficulty.
pub(super) struct Ethash {
    login: Login,
    connection: u64,
    /// The last seed and its epoch: finding an epoch takes up to 32,640 hashes.
    epoch: ([u8; 32], u32),
}

impl Ethash {
    pub(super) const fn new(login: Login, connection: u64) -> Self {
        Self { login, connection, epoch: ([0; 32], 0) }
    }

    fn notified(&mut self, params: &Value) -> Option<Job> {
        let work_hash = EthashWorkHash(bytes(params.get(1))?);
        let seed = bytes(params.get(2))?;
        if seed != self.epoch.0 {
            self.epoch = (seed, ethash_epoch_of_seed(&seed)?);
        }
        let target = Target(U256::from_be_bytes::<32>(bytes(params.get(3))?));
        let id = params.get(0)?.as_str()?.to_owned();
        let work = Work::Ethash { work_hash, epoch: self.epoch.1, first_nonce: random_nonce() };
        Some(Job::new(id, self.connection, target, work))
    }

    /// The login's name and its worker, which this dialect sends apart.
    fn name_and_worker(&self) -> (&str, Option<&str>) {
        match self.login.user.split_once('.') {
            Some((name, worker)) => (name, Some(worker)),
            None => (&self.login.user, None),
        }
    }
}

impl Dialect for Ethash {
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
            Some("client.reconnect") => return Err(DialectError::Reconnect),
            Some(_) => return Ok(Vec::new()),
            None => {}
        }
        let accepted = message.get("result").and_then(Value::as_bool) == Some(true);
        let refused = error_text(message).or_else(|| (!accepted).then(|| "refused".to_owned()));
        match (message.get("id").and_then(Value::as_u64), refused) {
            (Some(SUBSCRIBE_ID | AUTHORIZE_ID), Some(text)) => Err(DialectError::Refused(text)),
            (Some(SUBSCRIBE_ID), None) => {
                let Login { user, password } = &self.login;
                let params = json!([user, password]);
                Ok(vec![Event::Send(line(
                    &json!({"id": AUTHORIZE_ID, "jsonrpc": "2.0", "method": "mining.authorize", "params": params}),
                ))])
            }
            (Some(id), refused) if id >= FIRST_SUBMIT_ID => Ok(vec![Event::Answer { id, refused }]),
            _ => Ok(Vec::new()),
        }
    }

    fn submit(&self, share: &FoundShare, id: u64) -> String {
        let (nonce, mix) = match share.found.proof {
            Proof::Ethash { nonce, mix } => (nonce, mix),
            Proof::Sha256d { .. } | Proof::RandomX { .. } => (0, [0; 32]),
        };
        let header = match share.job.work {
            Work::Ethash { work_hash, .. } => work_hash.0,
            Work::Sha256d(_) | Work::RandomX { .. } => [0; 32],
        };
        let (name, worker) = self.name_and_worker();
        let params = json!([
            name,
            share.job.id,
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
}

/// Where to begin: two miners on one header must not search the same nonces. Without randomness it begins at zero, which is
/// right for a pool that gives each connection a header of its own, as ours does.
fn random_nonce() -> u64 {
    getrandom::u64().unwrap_or(0)
}
