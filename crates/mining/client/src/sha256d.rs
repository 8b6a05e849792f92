use bq_primitives::{Target, U256};
use serde_json::{Value, json};

use crate::{
    Login,
    dialect::{
        AGENT, Dialect, DialectError, Event, FIRST_SUBMIT_ID, JobIds, byte_string, bytes, error_text, id, line, method,
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
    job_ids: JobIds,
    login_request: Option<u64>,
    is_logged_in: bool,
    /// A job that came before the extranonce which its shares take.
    early: Option<Value>,
}

impl Sha256d {
    pub(super) fn new(login: Login) -> Self {
        // Difficulty 1 until the pool says otherwise.
        let target = Target(U256::from(0xffff_u64) << 208_usize);
        Self {
            login,
            extranonce1: Vec::new(),
            extranonce2_bytes: 0,
            target,
            job_ids: JobIds::default(),
            login_request: None,
            is_logged_in: false,
            early: None,
        }
    }

    fn set_extranonce(&mut self, extranonce1: Option<&Value>, extranonce2_bytes: Option<&Value>) -> Option<()> {
        let bytes = usize::try_from(extranonce2_bytes?.as_u64()?).ok().filter(|bytes| (1..=32).contains(bytes))?;
        self.extranonce1 = byte_string(extranonce1, EXTRANONCE1_BYTES_MAX)?;
        self.extranonce2_bytes = bytes;
        Some(())
    }

    fn notified(&mut self, params: &Value) -> Option<Job> {
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
        let id = self.job_ids.read(field(0))?;
        let is_clean = field(8).and_then(Value::as_bool).unwrap_or(true);
        Some(Job { is_clean, ..Job::new(id, self.target, Work::Sha256d(template)) })
    }

    fn job(&mut self, params: &Value) -> Result<Job, DialectError> {
        self.notified(params).ok_or(DialectError::Nonsense { what: "mining.notify" })
    }

    fn subscribed(&mut self, result: &Value) -> Result<Vec<Event>, DialectError> {
        self.set_extranonce(result.get(1), result.get(2))
            .ok_or(DialectError::Malformed { what: "mining.subscribe reply" })?;
        self.login_request = Some(AUTHORIZE_ID);
        let Login { user, password, .. } = &self.login;
        let authorize = json!({"id": AUTHORIZE_ID, "method": "mining.authorize", "params": [user, password]});
        let mut events = vec![Event::Send(line(&authorize))];
        // One that means nothing is not worth the login.
        events.extend(self.early.take().and_then(|params| self.notified(&params)).map(Event::Job));
        Ok(events)
    }

    fn called(&mut self, name: &str, message: &Value) -> Result<Vec<Event>, DialectError> {
        let params = message.get("params").unwrap_or(&Value::Null);
        match name {
            "mining.set_difficulty" => {
                let target = params.get(0).and_then(decimal).and_then(sha256d_target);
                self.target = target.ok_or(DialectError::Nonsense { what: "mining.set_difficulty" })?;
                Ok(Vec::new())
            }
            "mining.set_extranonce" => {
                let set = self.set_extranonce(params.get(0), params.get(1));
                set.map(|()| Vec::new()).ok_or(DialectError::Nonsense { what: "mining.set_extranonce" })
            }
            "mining.notify" if self.extranonce2_bytes == 0 => {
                self.early = Some(params.clone());
                Ok(Vec::new())
            }
            "mining.notify" => Ok(vec![Event::Job(self.job(params)?)]),
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
        self.login_request = Some(SUBSCRIBE_ID);
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
                self.subscribed(result)
            }
            Some(AUTHORIZE_ID) if result.as_bool() != Some(true) => {
                Err(DialectError::Refused(refused.unwrap_or_else(|| "not authorized".to_owned())))
            }
            // Whether it will tell us of a new extranonce or not: a refusal means no more than that it never has one.
            Some(AUTHORIZE_ID) => {
                (self.login_request, self.is_logged_in) = (None, true);
                Ok(vec![Event::Send(line(
                    &json!({"id": EXTRANONCE_ID, "method": "mining.extranonce.subscribe", "params": []}),
                ))])
            }
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
            self.job_ids.write(share.job_id),
            hex::encode(extranonce2),
            format!("{ntime:08x}"),
            format!("{nonce:08x}")
        ]);
        line(&json!({"id": id, "method": "mining.submit", "params": params}))
    }

    fn is_logged_in(&self) -> bool {
        self.is_logged_in
    }

    fn login_request(&self) -> Option<u64> {
        self.login_request
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::name_answer;

    fn dialect() -> Sha256d {
        Sha256d::new(Login { user: "wallet.rig".to_owned(), password: "x".to_owned(), first_nonce: 0 })
    }

    fn notify(id: &Value) -> Value {
        let (head, tail) = ("11".repeat(50), "22".repeat(50));
        let params = json!([id, "0".repeat(64), head, tail, [], "20000000", "1d00ffff", "6a000000", true]);
        json!({"id": null, "method": "mining.notify", "params": params})
    }

    #[test]
    fn a_job_before_the_answer_to_subscribe_is_kept() {
        let mut dialect = dialect();
        dialect.hello();
        assert!(dialect.handle(&notify(&json!("early"))).unwrap().is_empty());
        let subscribed = json!({"id": "1", "result": [[], "abcd", 4], "error": null});
        let told = dialect.handle(&subscribed).unwrap();
        let [Event::Send(_), Event::Job(job)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(job.id, "early");
        let Work::Sha256d(template) = &job.work else { panic!("{:?}", job.work) };
        assert_eq!(template.coinbase_head[50..], [0xab, 0xcd]);
        assert!(!dialect.is_logged_in());
        dialect.handle(&json!({"id": 2, "result": true, "error": null})).unwrap();
        assert!(dialect.is_logged_in());
    }

    #[test]
    fn answers_without_an_id_are_those_of_the_oldest_request() {
        let mut dialect = dialect();
        dialect.hello();
        let mut heard = |mut message: Value, oldest| {
            name_answer(&dialect, &mut message, oldest);
            dialect.handle(&message).unwrap();
            message["id"].clone()
        };
        assert_eq!(heard(json!({"id": null, "result": [[], "abcd", 4], "error": null}), None), 1);
        assert_eq!(heard(notify(&json!(7)), Some(100)), json!(null));
        assert_eq!(heard(json!({"result": true, "error": null}), None), 2);
        assert_eq!(heard(json!({"id": null, "result": true}), Some(104)), 104);
        assert_eq!(heard(json!({"id": null, "result": null, "error": [21, "stale"]}), Some(105)), 105);
        assert_eq!(heard(json!({"id": 103, "result": true}), Some(105)), 103);
    }

    #[test]
    fn names_of_jobs_go_back_as_they_came() {
        let mut dialect = dialect();
        dialect.handle(&json!({"id": 1, "result": [[], "abcd", 4], "error": null})).unwrap();
        for id in [json!(17), json!("17")] {
            let told = dialect.handle(&notify(&id)).unwrap();
            let [Event::Job(job)] = &told[..] else { panic!("{told:?}") };
            let proof = Proof::Sha256d { extranonce2: vec![0; 4], nonce: 1 };
            let found = crate::Found { proof, value: bq_primitives::PowHash([0; 32]) };
            let line = dialect.submit(&FoundShare { job_id: &job.id, work: &job.work, found: &found }, 100);
            let submit: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(submit["params"][1], id);
        }
    }

    /// What means nothing is passed over, and what was said before stands.
    #[test]
    fn nonsense_is_told_from_what_ends_the_connection() {
        let mut dialect = dialect();
        dialect.handle(&json!({"id": 1, "result": [[], "abcd", 4], "error": null})).unwrap();
        let mut bad = vec![
            json!({"method": "mining.set_difficulty", "params": [0]}),
            json!({"method": "mining.set_difficulty", "params": [-1]}),
            json!({"method": "mining.set_difficulty", "params": ["NaN"]}),
            json!({"method": "mining.set_difficulty", "params": [1e300]}),
            json!({"method": "mining.set_difficulty", "params": []}),
            json!({"method": "mining.set_extranonce", "params": ["abc", 4]}),
            json!({"method": "mining.set_extranonce", "params": ["abcd", 0]}),
            json!({"method": "mining.set_extranonce", "params": ["abcd", 400]}),
        ];
        for (field, value) in [
            (0, json!([])),
            (1, json!("00")),
            (2, json!("abc")),
            (3, json!("00".repeat(9_000))),
            (4, json!(["00"])),
            (4, json!(vec!["00".repeat(32); 33])),
            (5, json!("2000000")),
            (6, json!(5)),
            (7, json!("zzzzzzzz")),
        ] {
            let mut job = notify(&json!("1"));
            job["params"][field] = value;
            bad.push(job);
        }
        for message in bad {
            let error = dialect.handle(&message).unwrap_err();
            assert!(!error.ends_connection(), "{message}: {error}");
        }
        let told = dialect.handle(&notify(&json!("1"))).unwrap();
        let [Event::Job(job)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(job.target, Target(U256::from(0xffff_u64) << 208_usize));
        assert!(dialect.handle(&json!({"id": 1, "result": "no"})).unwrap_err().ends_connection());
    }
}
