use bq_channel::{parse_hashes, password_worker};
use bq_pow::randomx_blob;
use bq_share::{Claim, JobWork, Reject, Rolled, Submit, UnixMs, Verdict, randomx_bound};
use serde_json::Value;

use super::DialectState;
use super::exchange::{Dialect, Exchange, Known, PendingLogin, SMALL_TALK};
use crate::{
    CloseReason, FrameKind,
    job::{WireJob, WireParts},
    request::{Request, RequestId, hex_bytes, job_id},
};

/// The login/job/submit dialect of xmrig and its proxies: results and errors are objects.
#[derive(Debug, Default)]
pub(super) struct RandomX {
    /// A granted login: its reply must hold the first job.
    unanswered: Option<(u64, RequestId)>,
    logged_in: bool,
}

/// Names under which miners know RandomX v1.
const ALGORITHM_NAMES: [&str; 4] = ["rx/0", "rx", "randomx", "randomx/0"];

impl Dialect for RandomX {
    fn handle(&mut self, exchange: &mut Exchange, now: UnixMs, request: &Request) -> Known {
        let id = &request.id;
        match request.method.as_str() {
            "submit" => {
                let submit = decode_submit(exchange, request);
                exchange.submit(now, id, submit, share_reply);
            }
            "login" => login(exchange, request),
            "keepalived" => exchange.reply(result(id, "{\"status\":\"KEEPALIVED\"}")),
            "getjob" => self.get_job(exchange, now, request),
            method if SMALL_TALK.contains(&method) => exchange.reply(result(id, "{\"status\":\"OK\"}")),
            _ => {
                exchange.reply(error(id, "Unsupported method"));
                return Known::No;
            }
        }
        Known::Yes
    }

    fn takes_jobs(&self) -> bool {
        self.logged_in
    }

    fn send_job(&mut self, exchange: &mut Exchange, now: UnixMs) {
        let Some(job) = exchange.make_job(now).and_then(|job| job_json(&job)) else { return };
        match self.unanswered.take() {
            None => {
                let line = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"job\",\"params\":{job}}}\n");
                exchange.send(FrameKind::Job, line.into_bytes());
            }
            Some((ticket, id)) => {
                let session = exchange.seed.session_id;
                let reply = format!(
                    "{{\"id\":\"{session:08x}\",\"job\":{job},\"extensions\":[\"algo\",\"keepalive\"],\"status\":\"OK\"}}"
                );
                exchange.resolve(ticket, result(&id, &reply));
            }
        }
    }

    fn login_granted(&mut self, exchange: &mut Exchange, login: &PendingLogin) {
        if self.logged_in {
            exchange.resolve(login.ticket, error(&login.id, "Already logged in"));
        } else {
            self.logged_in = true;
            self.unanswered = Some((login.ticket, login.id.clone()));
        }
    }

    fn login_refused(&mut self, exchange: &mut Exchange, login: &PendingLogin, text: &str) {
        exchange.resolve(login.ticket, error(&login.id, text));
        // xmrig only logs the error and would wait for ever.
        exchange.close(CloseReason::Refused);
    }

    fn state(&self) -> Option<DialectState> {
        (self.logged_in && self.unanswered.is_none()).then_some(DialectState::RandomX)
    }

    fn share_reply(&self, id: &RequestId, verdict: Verdict) -> Option<Vec<u8>> {
        share_reply(id, verdict)
    }

    fn error_reply(&self, id: &RequestId, text: &str) -> Option<Vec<u8>> {
        error(id, text)
    }
}

impl RandomX {
    /// Of a miner that logged in and has its first job.
    pub(super) const fn resume() -> Self {
        Self { unanswered: None, logged_in: true }
    }

    /// Old miners ask for jobs. A job that was sent before would make xmrig reconnect, so this is a fresh one.
    fn get_job(&mut self, exchange: &mut Exchange, now: UnixMs, request: &Request) {
        let session = request.named("id").and_then(hex_bytes).map(u32::from_be_bytes);
        if !self.logged_in || self.unanswered.is_some() || session != Some(exchange.seed.session_id) {
            return exchange.reply(error(&request.id, "Unauthenticated"));
        }
        match exchange.make_job(now).and_then(|job| job_json(&job)) {
            Some(job) => exchange.reply(result(&request.id, &job)),
            None => exchange.reply(error(&request.id, "No work yet")),
        }
    }
}

fn login(exchange: &mut Exchange, request: &Request) {
    if let Some(text) = unserved(request) {
        exchange.reply(error(&request.id, text));
        return exchange.close(CloseReason::Refused);
    }
    exchange.note_agent(request.named("agent"));
    let (name, password) = (request.named("login").unwrap_or_default(), request.named("pass").unwrap_or_default());
    let worker = request.named("rigid").filter(|name| !name.is_empty()).or_else(|| password_worker(password));
    let asked = exchange.login(&request.id, name, worker, (password, parse_hashes));
    if let Err(text) = asked {
        exchange.reply(error(&request.id, &text));
        exchange.close(CloseReason::Refused);
    }
}

/// Why this client cannot be served, if it cannot.
fn unserved(request: &Request) -> Option<&'static str> {
    if request.named("mode") == Some("self-select") {
        return Some("Self-select mode is not supported");
    }
    if request.named("agent").is_some_and(|agent| agent.starts_with("xmr-node-proxy")) {
        return Some("Proxies that build their own blocks are not supported");
    }
    let known = |name: &Value| name.as_str().is_some_and(|name| ALGORITHM_NAMES.contains(&name));
    let offered = request.params.get("algo").and_then(Value::as_array);
    let useless = offered.is_some_and(|names| !names.is_empty() && !names.iter().any(known));
    useless.then_some("This port needs algorithm rx/0")
}

/// Format, then session.
fn decode_submit(exchange: &Exchange, request: &Request) -> Result<Submit, Reject> {
    let text = |name| request.named(name).ok_or(Reject::Malformed("Malformed share"));
    let nonce = hex_bytes(text("nonce")?).ok_or(Reject::Malformed("Malformed nonce"))?;
    let result: [u8; 32] = hex_bytes(text("result")?).ok_or(Reject::Malformed("Malformed result"))?;
    let session = hex_bytes(text("id")?).map(u32::from_be_bytes);
    let miner = exchange.first_miner().filter(|_| session == Some(exchange.seed.session_id));
    let worker = miner.ok_or(Reject::Unauthorized)?.worker.clone();
    let job = job_id(text("job_id")?).ok_or(Reject::UnknownJob)?;
    let rolled = Rolled::RandomX { nonce: u32::from_le_bytes(nonce) };
    Ok(Submit { job, rolled, claim: Claim::RandomX(result), worker })
}

fn job_json(job: &WireJob) -> Option<String> {
    let (WireParts::RandomX { seed }, JobWork::RandomX { extranonce }) = (&job.template.wire, job.job.work) else {
        return None;
    };
    let template = &job.job.template;
    let blob = hex::encode(randomx_blob(&template.header, &template.seal_hash, &extranonce, 0));
    let target = hex::encode(randomx_bound(job.job.difficulty).to_le_bytes());
    let (id, height) = (job.id_hex(), template.header.height);
    Some(format!(
        "{{\"blob\":\"{blob}\",\"job_id\":\"{id}\",\"target\":\"{target}\",\"algo\":\"rx/0\",\"height\":{height},\
         \"seed_hash\":\"{seed}\"}}"
    ))
}

fn share_reply(id: &RequestId, verdict: Verdict) -> Option<Vec<u8>> {
    let text = match verdict {
        Verdict::Accepted { .. } => return result(id, "{\"status\":\"OK\"}"),
        // "Invalid job id" would make xmrig drop the connection.
        Verdict::Rejected(Reject::UnknownJob) => "Job not found",
        Verdict::Rejected(Reject::Stale) => "Stale share",
        Verdict::Rejected(Reject::Duplicate) => "Duplicate share",
        Verdict::Rejected(Reject::LowDifficulty) => "Low difficulty share",
        // This one shall: the miner's session is gone.
        Verdict::Rejected(Reject::Unauthorized) => "Unauthenticated",
        Verdict::Rejected(Reject::BadProof) => "Invalid result",
        Verdict::Rejected(Reject::Busy) => "Server busy",
        Verdict::Rejected(Reject::Malformed(what)) => what,
    };
    error(id, text)
}

fn result(id: &RequestId, json: &str) -> Option<Vec<u8>> {
    Some(format!("{{\"id\":{},\"jsonrpc\":\"2.0\",\"error\":null,\"result\":{json}}}\n", id.text()?).into_bytes())
}

fn error(id: &RequestId, text: &str) -> Option<Vec<u8>> {
    let text = Value::from(text);
    let id = id.text()?;
    Some(format!("{{\"id\":{id},\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-1,\"message\":{text}}}}}\n").into_bytes())
}
