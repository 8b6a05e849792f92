use bq_pow::EthashWorkHash;
use bq_primitives::{Target, U256};
use serde_json::{Value, json};

use super::{ExtraNonce, parts};
use crate::{
    Login,
    dialect::{
        AGENT, Dialect, DialectError, Event, FIRST_SUBMIT_ID, JobIds, KEEPALIVE_ID, error_text, id, line, method,
        reconnect,
    },
    difficulty::workable,
    job::{FoundShare, Job},
};

const HELLO_ID: u64 = 1;
const SUBSCRIBE_ID: u64 = 2;
const AUTHORIZE_ID: u64 = 3;
const PROTOCOL: &str = "EthereumStratum/2.0.0";

/// EthereumStratum/2.0.0 (ethminer's mode 3): numbers are hex without `0x`, and epoch, target and extranonce come apart from
/// the jobs.
pub(super) struct Version2 {
    login: Login,
    /// Names us in submits.
    worker: String,
    /// For jobs from now on, all three.
    epoch: Option<u32>,
    target: Option<Target>,
    extranonce: ExtraNonce,
    /// What the present job's shares leave out.
    of_job: ExtraNonce,
    job_ids: JobIds,
    login_request: Option<u64>,
    is_logged_in: bool,
    /// A job that came before what it takes was set.
    early: Option<Value>,
}

impl Version2 {
    pub(super) fn new(login: Login) -> Self {
        let (extranonce, of_job) = (ExtraNonce::default(), ExtraNonce::default());
        Self {
            login,
            worker: String::new(),
            epoch: None,
            target: None,
            extranonce,
            of_job,
            job_ids: JobIds::default(),
            login_request: Some(HELLO_ID),
            is_logged_in: false,
            early: None,
        }
    }

    /// Members that are missing stay as they were.
    fn set(&mut self, params: &Value) -> Option<()> {
        if let Some(algorithm) = params.get("algo").and_then(Value::as_str)
            && algorithm != "ethash"
        {
            return None;
        }
        if let Some(epoch) = params.get("epoch") {
            self.epoch = Some(u32::from_str_radix(epoch.as_str()?, 16).ok()?);
        }
        if let Some(target) = params.get("target") {
            self.target = Some(workable(Target(U256::from_be_bytes::<32>(padded(target)?)))?);
        }
        if let Some(extranonce) = params.get("extranonce") {
            self.extranonce = ExtraNonce::read(Some(extranonce))?;
        }
        Some(())
    }

    /// `[job, block number, header, clean]`.
    fn notified(&mut self, params: &Value) -> Option<Job> {
        let work = self.extranonce.work(EthashWorkHash(padded(params.get(2)?)?), self.epoch?, self.login.first_nonce);
        let height = params.get(1).and_then(Value::as_str).and_then(|text| u64::from_str_radix(text, 16).ok());
        let id = self.job_ids.read(params.get(0))?;
        // Shares of a job with another extranonce could not be written any more, so it must go.
        let is_clean = params.get(3).and_then(Value::as_str) != Some("0") || self.of_job != self.extranonce;
        self.of_job = self.extranonce.clone();
        Some(Job { is_clean, height, ..Job::new(id, self.target?, work) })
    }

    fn called(&mut self, name: &str, message: &Value) -> Result<Vec<Event>, DialectError> {
        let params = message.get("params").unwrap_or(&Value::Null);
        match name {
            "mining.set" => {
                self.set(params).ok_or(DialectError::Nonsense { what: "mining.set" })?;
                let early = self.early.take_if(|_| self.epoch.is_some() && self.target.is_some());
                Ok(early.and_then(|params| self.notified(&params)).map(Event::Job).into_iter().collect())
            }
            "mining.notify" if self.epoch.is_none() || self.target.is_none() => {
                self.early = Some(params.clone());
                Ok(Vec::new())
            }
            "mining.notify" => {
                let job = self.notified(params).ok_or(DialectError::Nonsense { what: "mining.notify" })?;
                Ok(vec![Event::Job(job)])
            }
            "mining.bye" => Err(DialectError::Refused("the pool said goodbye".to_owned())),
            "client.reconnect" => Err(reconnect(message)),
            _ => Ok(Vec::new()),
        }
    }
}

impl Dialect for Version2 {
    fn hello(&mut self) -> String {
        // The pool may check none of the members, but wants them all.
        let params = json!({"agent": AGENT, "host": "pool", "port": "0", "proto": PROTOCOL});
        line(&json!({"id": HELLO_ID, "method": "mining.hello", "params": params}))
    }

    fn handle(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        if let Some(name) = method(message) {
            return self.called(name, message);
        }
        let (id, refused) = (id(message), error_text(message));
        if let (Some(HELLO_ID | SUBSCRIBE_ID | AUTHORIZE_ID), Some(text)) = (id, &refused) {
            return Err(DialectError::Refused(text.clone()));
        }
        match id {
            Some(HELLO_ID) => {
                let known = message.get("result").and_then(|result| result.get("proto")).is_some();
                self.login_request = Some(SUBSCRIBE_ID);
                let subscribe = line(&json!({"id": SUBSCRIBE_ID, "method": "mining.subscribe"}));
                known
                    .then(|| vec![Event::Send(subscribe)])
                    .ok_or(DialectError::Malformed { what: "mining.hello reply" })
            }
            Some(SUBSCRIBE_ID) => {
                self.login_request = Some(AUTHORIZE_ID);
                let Login { user, password, .. } = &self.login;
                let params = json!([user, password]);
                Ok(vec![Event::Send(line(
                    &json!({"id": AUTHORIZE_ID, "method": "mining.authorize", "params": params}),
                ))])
            }
            Some(AUTHORIZE_ID) => {
                (self.login_request, self.is_logged_in) = (None, true);
                message.get("result").and_then(Value::as_str).unwrap_or_default().clone_into(&mut self.worker);
                Ok(Vec::new())
            }
            Some(id) if id >= FIRST_SUBMIT_ID => {
                // Codes that begin with 2: late, and credited all the same.
                let code = message.get("error").and_then(|error| error.get("code")).and_then(Value::as_str);
                let refused = refused.filter(|_| !code.is_some_and(|code| code.starts_with('2')));
                Ok(vec![Event::Answer { id, refused }])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String {
        let (_, nonce, _) = parts(share);
        let params = json!([self.job_ids.write(share.job_id), self.of_job.rest_of(nonce), self.worker]);
        line(&json!({"id": id, "method": "mining.submit", "params": params}))
    }

    fn keepalive(&self) -> Option<String> {
        Some(line(&json!({"id": KEEPALIVE_ID, "method": "mining.noop"})))
    }

    fn is_logged_in(&self) -> bool {
        self.is_logged_in
    }

    fn login_request(&self) -> Option<u64> {
        self.login_request
    }
}

/// Up to 64 hex digits; leading zeros may be missing.
fn padded(text: &Value) -> Option<[u8; 32]> {
    let text = text.as_str().filter(|text| text.len() <= 64)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(format!("{text:0>64}"), &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Work;

    #[test]
    fn jobs_take_what_was_set_last() {
        let mut dialect =
            Version2::new(Login { user: "wallet.rig".to_owned(), password: "x".to_owned(), first_nonce: 7 });
        let notify = json!({"method": "mining.notify", "params": ["1f", "6526d5", "ab", "0"]});
        assert!(dialect.handle(&notify).unwrap().is_empty(), "nothing was set");
        let target = |first: &str| format!("{first}{}", "0".repeat(40));
        let params = json!({"epoch": "dc", "target": target("ff"), "extranonce": "af4c"});
        let told = dialect.handle(&json!({"method": "mining.set", "params": params})).unwrap();
        let [Event::Job(job)] = &told[..] else { panic!("not kept") };
        assert!(job.is_clean, "the extranonce is another");
        assert_eq!((job.height, job.target), (Some(0x6526d5), Target(U256::from(255) << 160_usize)));
        let Work::Ethash { work_hash, epoch, nonce_bits, .. } = &job.work else { panic!("not Ethash") };
        assert_eq!((work_hash.0[31], *epoch, *nonce_bits), (0xab, 0xdc, 48));
        let set = json!({"method": "mining.set", "params": {"target": target("fe")}});
        assert!(dialect.handle(&set).unwrap().is_empty());
        let told = dialect.handle(&notify).unwrap();
        assert!(
            matches!(&told[..], [Event::Job(job)] if !job.is_clean && job.target == Target(U256::from(254) << 160_usize))
        );
        let other = json!({"method": "mining.set", "params": {"algo": "progpow"}});
        assert!(dialect.handle(&other).is_err());
    }

    #[test]
    fn late_but_credited_is_accepted() {
        let mut dialect = Version2::new(Login { user: "wallet".to_owned(), password: "x".to_owned(), first_nonce: 7 });
        for (code, accepted) in [("200", true), ("406", false)] {
            let answer = json!({"id": 100, "error": {"code": code, "message": "so"}});
            let told = dialect.handle(&answer).unwrap();
            assert!(matches!(&told[..], [Event::Answer { refused, .. }] if refused.is_none() == accepted));
        }
    }
}
