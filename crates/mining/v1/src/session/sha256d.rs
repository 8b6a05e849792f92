use bq_channel::{from_units, of_target, parse_units, units_of};
use bq_share::{Claim, JobWork, Reject, Rolled, Submit, UnixMs, Verdict};
use serde_json::Value;

use super::DialectState;
use super::exchange::{Dialect, Exchange, Known, PendingLogin, SMALL_TALK};
use crate::{
    FrameKind,
    job::{WireJob, WireParts},
    request::{Request, RequestId, hex_bytes, hex_number, job_id},
};

/// Stratum v1 as SHA-256d miners speak it: `mining.*`, errors are arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sha256d {
    subscribed: bool,
    /// Version bits this miner may roll; none before `mining.configure`.
    version_mask: u32,
    /// What the miner was last told, as text.
    difficulty_told: Option<String>,
}

/// Zeros where miners roll: some submit the rolled bits XORed with the job's.
const JOB_VERSION: u32 = 0x2000_0000;
/// Bytes of X that the miner rolls; the rest is the job's.
const EXTRANONCE2_BYTES: usize = 8;

impl Dialect for Sha256d {
    fn handle(&mut self, exchange: &mut Exchange, now: UnixMs, request: &Request) -> Known {
        let id = &request.id;
        match request.method.as_str() {
            "mining.submit" => {
                let submit = self.decode_submit(exchange, request);
                exchange.submit(now, id, submit, share_reply);
            }
            "mining.configure" => {
                let reply = self.configure(exchange, request);
                exchange.reply(result(id, &reply));
            }
            "mining.subscribe" => {
                exchange.note_agent(request.text(0));
                exchange.offer(request.text(1).and_then(|text| text.parse().ok()));
                exchange.reply(result(id, &subscription(exchange)));
                self.subscribed = true;
            }
            "mining.authorize" => authorize(exchange, request),
            "mining.suggest_difficulty" => {
                exchange.reply(result(id, "true"));
                if let Some(difficulty) = request.number(0).and_then(from_units) {
                    exchange.channel.suggest(now, difficulty);
                }
            }
            "mining.suggest_target" => {
                exchange.reply(result(id, "true"));
                if let Some(target) = request.text(0).and_then(hex_bytes::<32>) {
                    exchange.channel.suggest(now, of_target(bq_primitives::U256::from_be_bytes(target)));
                }
            }
            // BFGMiner asks where it is told branches; a list, even an empty one, it would check against them.
            "mining.get_transactions" => exchange.reply(error(id, 20, "Transactions are not told")),
            // NiceHash's, and cpuminer-opt's with three seconds of patience; Bitmain's firmware.
            "mining.extranonce.subscribe" | "mining.multi_version" | "mining.capabilities" => {
                exchange.reply(result(id, "true"));
            }
            "client.get_version" => exchange.reply(result(id, "\"bq\"")),
            "mining.ping" => exchange.reply(result(id, "\"pong\"")),
            method if SMALL_TALK.contains(&method) => exchange.reply(result(id, "true")),
            _ => {
                exchange.reply(error(id, 20, "Unsupported"));
                return Known::No;
            }
        }
        Known::Yes
    }

    fn takes_jobs(&self) -> bool {
        self.subscribed
    }

    fn send_job(&mut self, exchange: &mut Exchange, now: UnixMs) {
        let clean = exchange.channel.tip_moved();
        let Some(job) = exchange.make_job(now) else { return };
        let difficulty = units_of(job.job.difficulty);
        if self.difficulty_told.as_ref() != Some(&difficulty) {
            let line = format!("{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{difficulty}]}}\n");
            exchange.send(FrameKind::Control, line.into_bytes());
            self.difficulty_told = Some(difficulty);
        }
        if let Some(line) = notify(&job, clean) {
            exchange.send(FrameKind::Job, line.into_bytes());
        }
    }

    fn login_granted(&mut self, exchange: &mut Exchange, login: &PendingLogin) {
        exchange.resolve(login.ticket, result(&login.id, "true"));
    }

    fn login_refused(&mut self, exchange: &mut Exchange, login: &PendingLogin, text: &str) {
        exchange.resolve(login.ticket, refusal(&login.id, text));
    }

    fn told_ticket(&self) -> bool {
        self.subscribed
    }

    fn state(&self) -> Option<DialectState> {
        Some(DialectState::Sha256d(self.clone()))
    }

    fn share_reply(&self, id: &RequestId, verdict: Verdict) -> Option<Vec<u8>> {
        share_reply(id, verdict)
    }

    fn error_reply(&self, id: &RequestId, text: &str) -> Option<Vec<u8>> {
        error(id, 20, text)
    }
}

impl Sha256d {
    /// Answers each extension that was asked for.
    fn configure(&mut self, exchange: &mut Exchange, request: &Request) -> String {
        let asked = request.params.get(0).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let option = |name: &str| request.params.get(1).and_then(|options| options.get(name));
        let mut answers = Vec::new();
        let mut named = Vec::new();
        for extension in asked.iter().filter_map(Value::as_str).take(16) {
            // A key that stands twice means something else to every reader.
            if named.contains(&extension) {
                continue;
            }
            named.push(extension);
            match extension {
                "version-rolling" => {
                    let wanted = option("version-rolling.mask").and_then(Value::as_str).and_then(hex_bytes);
                    self.version_mask = exchange.policy.version_mask & wanted.map_or(u32::MAX, u32::from_be_bytes);
                    answers.push("\"version-rolling\":true".to_owned());
                    answers.push(format!("\"version-rolling.mask\":\"{:08x}\"", self.version_mask));
                }
                "minimum-difficulty" => {
                    let least = option("minimum-difficulty.value").and_then(Value::as_f64).and_then(from_units);
                    answers.push(format!("\"minimum-difficulty\":{}", exchange.channel.want_at_least(least)));
                }
                // It never changes, so whoever subscribes hears of every change.
                "subscribe-extranonce" => answers.push("\"subscribe-extranonce\":true".to_owned()),
                other => {
                    let name = Value::String(other.chars().take(64).collect());
                    answers.push(format!("{name}:false"));
                }
            }
        }
        format!("{{{}}}", answers.join(","))
    }

    /// Format, then login.
    fn decode_submit(&self, exchange: &Exchange, request: &Request) -> Result<Submit, Reject> {
        let malformed = |what| move || Reject::Malformed(what);
        if !matches!(request.count(), 5 | 6) {
            return Err(Reject::Malformed("submit takes 5 or 6 parameters"));
        }
        let text = |index| request.text(index).ok_or(Reject::Malformed("parameters are texts"));
        let field = |index| text(index).map(hex_number);
        let extranonce2: [u8; EXTRANONCE2_BYTES] =
            hex_bytes(text(2)?).ok_or_else(malformed("extranonce2 is 16 hex digits"))?;
        let ntime = field(3)?.ok_or_else(malformed("ntime is 1 to 8 hex digits"))?;
        let nonce = field(4)?.ok_or_else(malformed("nonce is 1 to 8 hex digits"))?;
        let rolled = match request.count() {
            6 => Some(field(5)?.ok_or_else(malformed("version bits are 1 to 8 hex digits"))?),
            _ => None,
        };
        let version = version_of(rolled, self.version_mask).ok_or_else(malformed("version bits outside the mask"))?;
        let miner = exchange.miner_named(text(0)?, None, true).ok_or(Reject::Unauthorized)?;
        let job = job_id(text(1)?).ok_or(Reject::UnknownJob)?;
        let rolled = Rolled::Sha256d { extranonce2, version, ntime, nonce };
        Ok(Submit { job, rolled, claim: Claim::None, worker: miner.worker.clone() })
    }
}

/// The header's version: bits inside the mask come from the miner, the rest from the job. Some firmware sends the whole
/// rolled version instead of its bits, which is as good if nothing outside the mask changed.
fn version_of(rolled: Option<u32>, mask: u32) -> Option<u32> {
    let Some(bits) = rolled else { return Some(JOB_VERSION) };
    if bits & !mask == 0 {
        return Some((JOB_VERSION & !mask) | bits);
    }
    (bits & !mask == JOB_VERSION & !mask).then_some(bits)
}

fn authorize(exchange: &mut Exchange, request: &Request) {
    let password = request.text(1).unwrap_or_default();
    let login = request.text(0).unwrap_or_default();
    let asked = exchange.login(&request.id, login, None, (password, parse_units));
    if let Err(text) = asked {
        exchange.reply(refusal(&request.id, &text));
    }
}

/// Where miners expect the id of their session stands the ticket that they may come back with (SPEC 11.14): cpuminer, cpuminer-opt and BFGMiner
/// send it as second parameter of their next `mining.subscribe`.
fn subscription(exchange: &Exchange) -> String {
    let prefix = hex::encode(exchange.seed.prefix.extranonce1());
    let ticket = exchange.seed.ticket;
    format!("[[[\"mining.set_difficulty\",\"1\"],[\"mining.notify\",\"{ticket}\"]],\"{prefix}\",{EXTRANONCE2_BYTES}]")
}

/// The four bytes of X before extranonce1 are the end of `coinb1` (SPEC 11.2).
fn notify(job: &WireJob, clean: bool) -> Option<String> {
    let (WireParts::Sha256d { parent, prefix, suffix, bits }, JobWork::Sha256d { head: [a, b, c, d, ..], ntime }) =
        (&job.template.wire, job.job.work)
    else {
        return None;
    };
    let (id, own) = (job.id_hex(), hex::encode([a, b, c, d]));
    Some(format!(
        "{{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"{id}\",\"{parent}\",\"{prefix}{own}\",\"{suffix}\",[],\
         \"{JOB_VERSION:08x}\",\"{bits}\",\"{ntime:08x}\",{clean}]}}\n"
    ))
}

/// Logged by cpuminer, cpuminer-opt, BFGMiner and new ESP-Miner; the others pass over what they do not know.
pub(super) fn show_message(text: &str) -> Option<Vec<u8>> {
    let text = Value::from(text);
    Some(format!("{{\"id\":null,\"method\":\"client.show_message\",\"params\":[{text}]}}\n").into_bytes())
}

fn share_reply(id: &RequestId, verdict: Verdict) -> Option<Vec<u8>> {
    let (code, text) = match verdict {
        Verdict::Accepted { .. } => return result(id, "true"),
        // Miners take a text with "job" in it for a stale share, so only those say it.
        Verdict::Rejected(Reject::UnknownJob) => (21, "Job not found"),
        Verdict::Rejected(Reject::Stale) => (21, "Stale share"),
        Verdict::Rejected(Reject::Duplicate) => (22, "Duplicate share"),
        Verdict::Rejected(Reject::LowDifficulty) => (23, "Low difficulty share"),
        Verdict::Rejected(Reject::Unauthorized) => (24, "Unauthorized worker"),
        Verdict::Rejected(Reject::BadProof) => (20, "Invalid proof"),
        Verdict::Rejected(Reject::Busy) => (20, "Server busy"),
        Verdict::Rejected(Reject::Malformed(what)) => (20, what),
    };
    error(id, code, text)
}

fn result(id: &RequestId, json: &str) -> Option<Vec<u8>> {
    Some(format!("{{\"id\":{},\"result\":{json},\"error\":null}}\n", id.text()?).into_bytes())
}

fn error(id: &RequestId, code: u32, text: &str) -> Option<Vec<u8>> {
    let text = Value::from(text);
    Some(format!("{{\"id\":{},\"result\":null,\"error\":[{code},{text},null]}}\n", id.text()?).into_bytes())
}

fn refusal(id: &RequestId, text: &str) -> Option<Vec<u8>> {
    let text = Value::from(text);
    Some(format!("{{\"id\":{},\"result\":false,\"error\":[24,{text},null]}}\n", id.text()?).into_bytes())
}
