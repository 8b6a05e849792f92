use bq_primitives::{Target, U256};
use serde_json::{Value, json};

use crate::{
    Login,
    dialect::{
        AGENT, Dialect, DialectError, Event, FIRST_SUBMIT_ID, byte_string, bytes, error_text, id, line, method,
        reconnect, shown_message,
    },
    difficulty::sha256d_target,
    job::{FoundShare, Job, Proof, Sha256dTemplate, Work},
};

const SUBSCRIBE_ID: u64 = 1;
const AUTHORIZE_ID: u64 = 2;
const EXTRANONCE_ID: u64 = 3;
/// Bounds on what a pool may make us store.
const EXTRANONCE1_BYTES_MAX: usize = 64;
const COINBASE_BYTES_MAX: usize = 8192;
const BRANCHES_MAX: usize = 32;

/// Stratum v1 (`mining.subscribe`, `mining.authorize`, `mining.notify`, `mining.submit`). It rolls no version bits: the
/// extranonce gives work enough.
pub(super) struct Sha256d {
    login: Login,
    extranonce1: Vec<u8>,
    extranonce2_bytes: usize,
    /// For jobs from now on.
    target: Target,
}

impl Sha256d {
    pub(super) fn new(login: Login) -> Self {
        // Difficulty 1 until the pool says otherwise.
        let target = Target(U256::from(0xffff_u64) << 208_usize);
        Self { login, extranonce1: Vec::new(), extranonce2_bytes: 0, target }
    }

    fn set_extranonce(&mut self, extranonce1: Option<&Value>, extranonce2_bytes: Option<&Value>) -> Option<()> {
        let bytes = usize::try_from(extranonce2_bytes?.as_u64()?).ok().filter(|bytes| (1..=32).contains(bytes))?;
        self.extranonce1 = byte_string(extranonce1, EXTRANONCE1_BYTES_MAX)?;
        self.extranonce2_bytes = bytes;
        Some(())
    }

    fn notified(&self, params: &Value) -> Option<Job> {
        let field = |index: usize| params.get(index);
        let word = |index| bytes(field(index)).map(u32::from_be_bytes);
        let mut coinbase_head = byte_string(field(2), COINBASE_BYTES_MAX)?;
        coinbase_head.extend(&self.extranonce1);
        let branches = field(4)?.as_array().filter(|branches| branches.len() <= BRANCHES_MAX)?;
        let template = Sha256dTemplate {
            version: word(5)?,
            prev_hash: swap_words(bytes(field(1))?),
            coinbase_head,
            extranonce2_bytes: self.extranonce2_bytes,
            coinbase_tail: byte_string(field(3), COINBASE_BYTES_MAX)?,
            branches: branches.iter().map(|branch| bytes(Some(branch))).collect::<Option<_>>()?,
            ntime: word(7)?,
            bits: word(6)?,
        };
        let id = field(0)?.as_str()?.to_owned();
        let is_clean = field(8).and_then(Value::as_bool).unwrap_or(true);
        let job = || Job { is_clean, ..Job::new(id, self.target, Work::Sha256d(template)) };
        (self.extranonce2_bytes > 0).then(job)
    }

    fn called(&mut self, name: &str, message: &Value) -> Result<Vec<Event>, DialectError> {
        let params = message.get("params").unwrap_or(&Value::Null);
        match name {
            "mining.set_difficulty" => {
                let target = params.get(0).and_then(decimal).and_then(sha256d_target);
                self.target = target.ok_or(DialectError::Malformed { what: "mining.set_difficulty" })?;
                Ok(Vec::new())
            }
            "mining.set_extranonce" => {
                let set = self.set_extranonce(params.get(0), params.get(1));
                set.map(|()| Vec::new()).ok_or(DialectError::Malformed { what: "mining.set_extranonce" })
            }
            "mining.notify" => {
                let job = self.notified(params).ok_or(DialectError::Malformed { what: "mining.notify" })?;
                Ok(vec![Event::Job(job)])
            }
            "client.reconnect" => Err(reconnect(message)),
            "client.show_message" => Ok(shown_message(message).into_iter().collect()),
            "client.get_version" => {
                Ok(vec![Event::Send(line(&json!({"id": message.get("id"), "result": AGENT, "error": null})))])
            }
            "mining.ping" => {
                Ok(vec![Event::Send(line(&json!({"id": message.get("id"), "result": "pong", "error": null})))])
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Dialect for Sha256d {
    fn hello(&mut self) -> String {
        line(&json!({"id": SUBSCRIBE_ID, "method": "mining.subscribe", "params": [AGENT]}))
    }

    fn handle(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        if let Some(name) = method(message) {
            return self.called(name, message);
        }
        let refused = error_text(message);
        let result = message.get("result").unwrap_or(&Value::Null);
        match id(message) {
            Some(SUBSCRIBE_ID) => {
                if let Some(text) = refused {
                    return Err(DialectError::Refused(text));
                }
                self.set_extranonce(result.get(1), result.get(2))
                    .ok_or(DialectError::Malformed { what: "mining.subscribe reply" })?;
                let Login { user, password, .. } = &self.login;
                Ok(vec![Event::Send(line(
                    &json!({"id": AUTHORIZE_ID, "method": "mining.authorize", "params": [user, password]}),
                ))])
            }
            Some(AUTHORIZE_ID) if result.as_bool() != Some(true) => {
                Err(DialectError::Refused(refused.unwrap_or_else(|| "not authorized".to_owned())))
            }
            // Whether it will tell us of a new extranonce or not: a refusal means no more than that it never has one.
            Some(AUTHORIZE_ID) => Ok(vec![Event::Send(line(
                &json!({"id": EXTRANONCE_ID, "method": "mining.extranonce.subscribe", "params": []}),
            ))]),
            Some(id) if id >= FIRST_SUBMIT_ID => {
                let accepted = refused.is_none() && result.as_bool() == Some(true);
                let refused = (!accepted).then(|| refused.unwrap_or_else(|| "refused".to_owned()));
                Ok(vec![Event::Answer { id, refused }])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String {
        let (extranonce2, nonce) = match &share.found.proof {
            Proof::Sha256d { extranonce2, nonce } => (extranonce2.as_slice(), *nonce),
            Proof::RandomX { .. } | Proof::Ethash { .. } => (&[][..], 0),
        };
        let ntime = match share.work {
            Work::Sha256d(template) => template.ntime,
            Work::RandomX { .. } | Work::Ethash { .. } => 0,
        };
        let params = json!([
            self.login.user,
            share.job_id,
            hex::encode(extranonce2),
            format!("{ntime:08x}"),
            format!("{nonce:08x}")
        ]);
        line(&json!({"id": id, "method": "mining.submit", "params": params}))
    }
}

/// A number, or one in a text.
fn decimal(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// The wire's order of the previous hash: bytes reversed within each 4-byte word.
fn swap_words(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
    bytes
}
