use bq_primitives::BlockId;
use serde_json::{Value, json};

use crate::{
    Login,
    dialect::{
        AGENT, Dialect, DialectError, Event, FIRST_SUBMIT_ID, JobIds, KEEPALIVE_ID, byte_string, bytes, error_text, id,
        line, method, reconnect, shown_message,
    },
    difficulty::randomx_target_of_text,
    job::{FoundShare, Job, Proof, Work},
};

const LOGIN_ID: u64 = 1;
const BLOB_BYTES_MIN: usize = 43;
const BLOB_BYTES_MAX: usize = 407;
/// Where the nonce lies. One that is not zero makes its last byte the pool's.
const BLOB_NONCE: std::ops::Range<usize> = 39..43;
/// The names that pools have for RandomX v1.
const NAMES: [&str; 4] = ["rx/0", "rx", "randomx", "randomx/0"];

/// The login/job/submit dialect of RandomX pools.
pub(super) struct RandomX {
    login: Login,
    /// Given by the pool at login.
    session: String,
    /// The pool asked for keepalives.
    keeps_alive: bool,
    /// Height of the last job's block, if the pool tells.
    height: Option<u64>,
    job_ids: JobIds,
    is_logged_in: bool,
    /// A job that came before the login's answer.
    early: Option<Value>,
}

impl RandomX {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login,
            session: String::new(),
            keeps_alive: false,
            height: None,
            job_ids: JobIds::default(),
            is_logged_in: false,
            early: None,
        }
    }

    fn logged_in(&mut self, result: &Value) -> Result<Vec<Event>, DialectError> {
        let session = JobIds::default().read(result.get("id"));
        self.session = session.ok_or(DialectError::Malformed { what: "login reply" })?;
        self.is_logged_in = true;
        let extensions = result.get("extensions").and_then(Value::as_array);
        self.keeps_alive = extensions.is_some_and(|all| all.iter().any(|one| one == "keepalive"));
        // A pool that has no work now sends it later.
        let early = self.early.take();
        let job = result.get("job").filter(|job| !job.is_null()).cloned().or(early);
        job.map_or(Ok(Vec::new()), |job| self.job(&job))
    }

    fn job(&mut self, job: &Value) -> Result<Vec<Event>, DialectError> {
        let algorithm = job.get("algo").and_then(Value::as_str).unwrap_or("rx/0");
        if !NAMES.contains(&algorithm) {
            return Err(DialectError::Unsupported { algorithm: algorithm.to_owned() });
        }
        let mut job = self.read_job(job).ok_or(DialectError::Nonsense { what: "job" })?;
        // No member says that older jobs are worthless. A new height does; without heights the pool must tell by itself.
        let before = self.height;
        self.height = job.height;
        job.is_clean = before != job.height;
        Ok(vec![Event::Job(job)])
    }

    fn read_job(&mut self, job: &Value) -> Option<Job> {
        let blob = byte_string(job.get("blob"), BLOB_BYTES_MAX).filter(|blob| blob.len() >= BLOB_BYTES_MIN)?;
        let key = BlockId(bytes(job.get("seed_hash"))?);
        let target = randomx_target_of_text(job.get("target")?.as_str()?)?;
        let id = self.job_ids.read(job.get("job_id"))?;
        let is_top_byte_fixed = blob.get(BLOB_NONCE)?.iter().any(|byte| *byte != 0);
        let height = job.get("height").and_then(Value::as_u64);
        Some(Job { height, ..Job::new(id, target, Work::RandomX { blob, key, is_top_byte_fixed }) })
    }
}

/// Refusals of a share after which no other would be accepted, by the words that xmrig knows them.
fn ends_the_session(refusal: &str) -> bool {
    ["Unauthenticated", "your IP is banned", "IP Address currently banned"]
        .iter()
        .any(|words| refusal.starts_with(words))
}

impl Dialect for RandomX {
    fn hello(&mut self) -> String {
        let Login { user, password, .. } = &self.login;
        let mut params = json!({"login": user, "pass": password, "agent": AGENT, "algo": ["rx/0"]});
        if let (Some((_, worker)), Some(members)) = (user.split_once('.'), params.as_object_mut()) {
            members.insert("rigid".to_owned(), json!(worker));
        }
        line(&json!({"id": LOGIN_ID, "jsonrpc": "2.0", "method": "login", "params": params}))
    }

    fn handle(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        match method(message) {
            Some("job") if self.is_logged_in => return self.job(message.get("params").unwrap_or(&Value::Null)),
            Some("job") => {
                self.early = message.get("params").cloned();
                return Ok(Vec::new());
            }
            Some("client.show_message") => return Ok(shown_message(message).into_iter().collect()),
            Some("client.reconnect") => return Err(reconnect(message)),
            Some(_) => return Ok(Vec::new()),
            None => {}
        }
        let refused = error_text(message);
        match id(message) {
            Some(LOGIN_ID) => {
                if let Some(text) = refused {
                    return Err(DialectError::Refused(text));
                }
                self.logged_in(message.get("result").unwrap_or(&Value::Null))
            }
            Some(id) if id >= FIRST_SUBMIT_ID => match refused {
                Some(text) if ends_the_session(&text) => Err(DialectError::Refused(text)),
                refused => Ok(vec![Event::Answer { id, refused }]),
            },
            Some(KEEPALIVE_ID) => Ok(Vec::new()),
            // An error that names no request is about the connection.
            _ => refused.map_or(Ok(Vec::new()), |text| Err(DialectError::Refused(text))),
        }
    }

    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String {
        let nonce = match share.found.proof {
            Proof::RandomX { nonce } => nonce,
            Proof::Sha256d { .. } | Proof::Ethash { .. } => 0,
        };
        let params = json!({
            "id": self.session,
            "job_id": self.job_ids.write(share.job_id),
            "nonce": hex::encode(nonce.to_le_bytes()),
            "result": hex::encode(share.found.value.0),
            "algo": "rx/0",
        });
        line(&json!({"id": id, "jsonrpc": "2.0", "method": "submit", "params": params}))
    }

    fn keepalive(&self) -> Option<String> {
        let params = json!({"id": self.session});
        let request = json!({"id": KEEPALIVE_ID, "jsonrpc": "2.0", "method": "keepalived", "params": params});
        self.keeps_alive.then(|| line(&request))
    }

    fn is_logged_in(&self) -> bool {
        self.is_logged_in
    }

    fn login_request(&self) -> Option<u64> {
        (!self.is_logged_in).then_some(LOGIN_ID)
    }

    /// An error that names no request is about the connection.
    fn unnamed_answer(&self, is_error: bool, oldest: Option<u64>) -> Option<u64> {
        self.login_request().or(oldest.filter(|_| !is_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> RandomX {
        RandomX::new(Login { user: "wallet.rig".to_owned(), password: "x".to_owned(), first_nonce: 7 })
    }

    fn logged_in() -> RandomX {
        let mut dialect = dialect();
        let answer = json!({"id": 1, "jsonrpc": "2.0", "error": null, "result": {"id": "c0ffee"}});
        assert!(dialect.handle(&answer).unwrap().is_empty(), "no work yet");
        dialect
    }

    fn job(height: Option<u64>, nonce: &str) -> Value {
        let blob = format!("{}{nonce}{}", "10".repeat(39), "20".repeat(33));
        let mut job =
            json!({"blob": blob, "job_id": "1", "target": "b88d0600", "algo": "rx/0", "seed_hash": "9".repeat(64)});
        if let Some(height) = height {
            job["height"] = json!(height);
        }
        json!({"jsonrpc": "2.0", "method": "job", "params": job})
    }

    fn told(dialect: &mut RandomX, message: &Value) -> Job {
        match dialect.handle(message).unwrap().pop() {
            Some(Event::Job(job)) => job,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_height_makes_older_jobs_worthless() {
        let mut dialect = logged_in();
        let heights = [(Some(7), true), (Some(7), false), (Some(8), true), (None, true), (None, false)];
        for (height, is_clean) in heights {
            assert_eq!(told(&mut dialect, &job(height, "00000000")).is_clean, is_clean, "{height:?}");
        }
    }

    #[test]
    fn a_nonce_that_is_not_zero_is_partly_the_pools() {
        for (nonce, expected) in [("00000000", false), ("000000ab", true), ("01000000", true)] {
            let job = told(&mut logged_in(), &job(None, nonce));
            assert!(matches!(job.work, Work::RandomX { is_top_byte_fixed, .. } if is_top_byte_fixed == expected));
        }
    }

    #[test]
    fn pools_that_ask_for_keepalives_get_them() {
        let mut dialect = dialect();
        let hello: Value = serde_json::from_str(&dialect.hello()).unwrap();
        assert_eq!(hello["params"]["rigid"], "rig");
        assert_eq!(dialect.keepalive(), None);
        let result =
            json!({"id": "c0ffee", "job": job(None, "00000000")["params"], "extensions": ["algo", "keepalive"]});
        told(&mut dialect, &json!({"id": "1", "jsonrpc": "2.0", "error": null, "result": result}));
        let keepalive: Value = serde_json::from_str(&dialect.keepalive().unwrap()).unwrap();
        assert_eq!((&keepalive["method"], &keepalive["params"]["id"]), (&json!("keepalived"), &json!("c0ffee")));
        let answer = json!({"id": keepalive["id"], "result": {"status": "KEEPALIVED"}, "error": null});
        assert!(dialect.handle(&answer).unwrap().is_empty());
    }

    #[test]
    fn work_of_another_kind_and_a_lost_session_end_the_connection() {
        let mut other = job(None, "00000000");
        other["params"]["algo"] = json!("rx/wow");
        let error = logged_in().handle(&other).unwrap_err();
        assert_eq!(error, DialectError::Unsupported { algorithm: "rx/wow".to_owned() });
        let answer = |text: &str| json!({"id": 100, "error": {"code": -1, "message": text}});
        assert!(dialect().handle(&answer("Unauthenticated")).is_err());
        assert!(matches!(dialect().handle(&answer("Stale share")).unwrap()[..], [Event::Answer { id: 100, .. }]));
    }
    #[test]
    fn a_job_before_the_login_is_kept_and_one_that_means_nothing_is_passed_over() {
        let mut early = dialect();
        assert!(early.handle(&job(Some(7), "00000000")).unwrap().is_empty());
        let told = early.handle(&json!({"id": 1, "result": {"id": 17, "job": null}})).unwrap();
        assert!(matches!(&told[..], [Event::Job(job)] if job.height == Some(7)));
        for (member, value) in [
            ("blob", json!("10")),
            ("blob", json!("10".repeat(500))),
            ("seed_hash", json!("9".repeat(63))),
            ("target", json!("00000000")),
            ("target", json!("b88d06")),
            ("job_id", json!({})),
        ] {
            let mut bad = job(None, "00000000");
            bad["params"][member] = value;
            let error = early.handle(&bad).unwrap_err();
            assert!(!error.ends_connection(), "{member}: {error}");
        }
    }
}
