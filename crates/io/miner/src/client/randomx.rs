use bq_primitives::BlockId;
use serde_json::{Value, json};

use super::{
    Login,
    dialect::{AGENT, Dialect, DialectError, Event, FIRST_SUBMIT_ID, byte_string, bytes, error_text, line, method},
    difficulty::randomx_target_of_text,
};
use crate::{
    job::{Job, Proof, Work},
    shared::FoundShare,
};

const LOGIN_ID: u64 = 1;
const BLOB_BYTES_MIN: usize = 43;
const BLOB_BYTES_MAX: usize = 407;

/// The login/job/submit dialect of RandomX pools.
pub(super) struct RandomX {
    login: Login,
    connection: u64,
    /// Given by the pool at login.
    session: String,
}

impl RandomX {
    pub(super) const fn new(login: Login, connection: u64) -> Self {
        Self { login, connection, session: String::new() }
    }

    fn job(&self, job: &Value) -> Result<Vec<Event>, DialectError> {
        self.read_job(job).map(|job| vec![Event::Job(job)]).ok_or(DialectError::Malformed { what: "job" })
    }

    fn read_job(&self, job: &Value) -> Option<Job> {
        let blob = byte_string(job.get("blob"), BLOB_BYTES_MAX).filter(|blob| blob.len() >= BLOB_BYTES_MIN)?;
        let key = BlockId(bytes(job.get("seed_hash"))?);
        let target = randomx_target_of_text(job.get("target")?.as_str()?)?;
        let algorithm = job.get("algo").and_then(Value::as_str).unwrap_or("rx/0");
        let id = job.get("job_id")?.as_str()?.to_owned();
        (algorithm == "rx/0").then(|| Job::new(id, self.connection, target, Work::RandomX { blob, key }))
    }
}

impl Dialect for RandomX {
    fn hello(&mut self) -> String {
        let Login { user, password } = &self.login;
        let params = json!({"login": user, "pass": password, "agent": AGENT, "algo": ["rx/0"]});
        line(&json!({"id": LOGIN_ID, "jsonrpc": "2.0", "method": "login", "params": params}))
    }

    fn handle(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        match method(message) {
            Some("job") => return self.job(message.get("params").unwrap_or(&Value::Null)),
            Some("client.reconnect") => return Err(DialectError::Reconnect),
            Some(_) => return Ok(Vec::new()),
            None => {}
        }
        let refused = error_text(message);
        match message.get("id").and_then(Value::as_u64) {
            Some(LOGIN_ID) => {
                if let Some(text) = refused {
                    return Err(DialectError::Refused(text));
                }
                let result = message.get("result").unwrap_or(&Value::Null);
                let session = result.get("id").and_then(Value::as_str);
                session.ok_or(DialectError::Malformed { what: "login reply" })?.clone_into(&mut self.session);
                self.job(result.get("job").unwrap_or(&Value::Null))
            }
            Some(id) if id >= FIRST_SUBMIT_ID => Ok(vec![Event::Answer { id, refused }]),
            // An error that names no request is about the connection.
            _ => refused.map_or(Ok(Vec::new()), |text| Err(DialectError::Refused(text))),
        }
    }

    fn submit(&self, share: &FoundShare, id: u64) -> String {
        let nonce = match share.found.proof {
            Proof::RandomX { nonce } => nonce,
            Proof::Sha256d { .. } | Proof::Ethash { .. } => 0,
        };
        let params = json!({
            "id": self.session,
            "job_id": share.job.id,
            "nonce": hex::encode(nonce.to_le_bytes()),
            "result": hex::encode(share.found.value.0),
            "algo": "rx/0",
        });
        line(&json!({"id": id, "jsonrpc": "2.0", "method": "submit", "params": params}))
    }
}
