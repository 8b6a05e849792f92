use bq_pow::EthashWorkHash;
use serde_json::{Value, json};

use super::{Epochs, ExtraNonce, boundary, name_and_worker, parts};
use crate::{
    Login,
    dialect::{Dialect, DialectError, Event, FIRST_SUBMIT_ID, bytes, error_text, id, line, method, reconnect},
    job::{FoundShare, Job},
};

const LOGIN_ID: u64 = 1;
const GET_WORK_ID: u64 = 5;
/// Pools push jobs under this id.
const PUSH_ID: u64 = 0;

/// EthProxy (ethminer's mode 1): jobs have no id, the header hash is their name; there is no extranonce.
pub(super) struct EthProxy {
    login: Login,
    epochs: Epochs,
    login_request: Option<u64>,
    is_logged_in: bool,
}

impl EthProxy {
    pub(super) fn new(login: Login) -> Self {
        Self { login, epochs: Epochs::default(), login_request: Some(LOGIN_ID), is_logged_in: false }
    }

    /// `[header, seed, boundary]`, perhaps a block number after them. Nothing says whether older jobs still count.
    fn work(&mut self, result: &Value) -> Option<Job> {
        let header: [u8; 32] = bytes(result.get(0))?;
        let epoch = self.epochs.of(result.get(1))?;
        let work = ExtraNonce::default().work(EthashWorkHash(header), epoch, self.login.first_nonce);
        Some(Job { is_clean: false, ..Job::new(hex::encode(header), boundary(result.get(2))?, work) })
    }

    fn request(&self, id: u64, method: &str, params: &Value) -> String {
        let mut request = json!({"id": id, "jsonrpc": "2.0", "method": method, "params": params});
        if let (Some(worker), Some(members)) = (name_and_worker(&self.login).1, request.as_object_mut()) {
            members.insert("worker".to_owned(), json!(worker));
        }
        line(&request)
    }
}

impl Dialect for EthProxy {
    fn hello(&mut self) -> String {
        let params = json!([name_and_worker(&self.login).0, self.login.password]);
        self.request(LOGIN_ID, "eth_submitLogin", &params)
    }

    fn handle(&mut self, message: &Value) -> Result<Vec<Event>, DialectError> {
        match method(message) {
            Some("client.reconnect") => return Err(reconnect(message)),
            Some(_) => return Ok(Vec::new()),
            None => {}
        }
        let result = message.get("result").unwrap_or(&Value::Null);
        let refused = error_text(message).or_else(|| (result.as_bool() == Some(false)).then(|| "refused".to_owned()));
        match id(message) {
            Some(LOGIN_ID) => match refused {
                Some(text) => Err(DialectError::Refused(text)),
                None => {
                    (self.login_request, self.is_logged_in) = (None, true);
                    Ok(vec![Event::Send(self.request(GET_WORK_ID, "eth_getWork", &json!([])))])
                }
            },
            Some(PUSH_ID | GET_WORK_ID) | None if result.is_array() => {
                let job = self.work(result).ok_or(DialectError::Nonsense { what: "eth_getWork" })?;
                Ok(vec![Event::Job(job)])
            }
            Some(id) if id >= FIRST_SUBMIT_ID => Ok(vec![Event::Answer { id, refused }]),
            _ => Ok(Vec::new()),
        }
    }

    fn submit(&self, share: &FoundShare<'_>, id: u64) -> String {
        let (header, nonce, mix) = parts(share);
        let params =
            json!([format!("{nonce:#018x}"), format!("0x{}", hex::encode(header)), format!("0x{}", hex::encode(mix))]);
        self.request(id, "eth_submitWork", &params)
    }

    fn is_logged_in(&self) -> bool {
        self.is_logged_in
    }

    fn login_request(&self) -> Option<u64> {
        self.login_request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_asked_for_once_and_pushed_from_then_on() {
        let mut dialect =
            EthProxy::new(Login { user: "wallet.rig".to_owned(), password: "x".to_owned(), first_nonce: 7 });
        let hello: Value = serde_json::from_str(&dialect.hello()).unwrap();
        assert_eq!(hello["params"], json!(["wallet", "x"]));
        assert_eq!(hello["worker"], "rig");
        let asked = dialect.handle(&json!({"id": 1, "jsonrpc": "2.0", "result": true})).unwrap();
        assert!(matches!(&asked[..], [Event::Send(line)] if line.contains("eth_getWork")));
        let header = format!("0x{}", "5".repeat(64));
        let work = json!([header, format!("0x{}", "0".repeat(64)), format!("0x{}", "f".repeat(64))]);
        for id in [5, 0] {
            let told = dialect.handle(&json!({"id": id, "jsonrpc": "2.0", "result": work})).unwrap();
            assert!(matches!(&told[..], [Event::Job(job)] if job.id == "5".repeat(64)), "{id}");
        }
        let refused = json!({"id": 100, "result": false, "error": {"code": 23, "message": "Low difficulty share"}});
        let told = dialect.handle(&refused).unwrap();
        assert!(
            matches!(&told[..], [Event::Answer { id: 100, refused: Some(text) }] if text == "Low difficulty share")
        );
        assert!(dialect.handle(&json!({"id": 0, "result": ["0x12"]})).is_err());
    }
}
