//! How each of the four dialects spells what all of them say.

use bq_channel::units_of;
use bq_share::{JobWork, Reject, Verdict};
use serde_json::Value;

use crate::{
    job::{WireJob, WireParts},
    request::{Request, RequestId},
};

/// Which dialect a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Mode {
    /// ethminer's `stratum+tcp`: `mining.subscribe` without parameters.
    Plain,
    /// `eth_submitLogin`, `eth_getWork`, `eth_submitWork`.
    EthProxy,
    /// EthereumStratum/1.0.0.
    NiceHash,
    /// EthereumStratum/2.0.0.
    Ethereum2,
}

const NICEHASH_NAME: &str = "EthereumStratum/1.0.0";

/// What the first request of a connection says about its dialect.
pub(super) fn mode_of(request: &Request) -> Mode {
    match request.method.as_str() {
        "mining.hello" => Mode::Ethereum2,
        "mining.subscribe" if request.text(1).is_some_and(|name| name.starts_with("EthereumStratum/")) => {
            Mode::NiceHash
        }
        method if method.starts_with("eth_") => Mode::EthProxy,
        _ => Mode::Plain,
    }
}

/// A positive reply; `json` is its result.
pub(super) fn result(mode: Mode, id: &RequestId, json: &str) -> Option<Vec<u8>> {
    let id = id.text()?;
    Some(
        match mode {
            Mode::Plain => format!("{{\"id\":{id},\"jsonrpc\":\"2.0\",\"result\":{json},\"error\":null}}\n"),
            Mode::EthProxy => format!("{{\"id\":{id},\"jsonrpc\":\"2.0\",\"result\":{json}}}\n"),
            Mode::NiceHash => format!("{{\"id\":{id},\"result\":{json},\"error\":null}}\n"),
            Mode::Ethereum2 => format!("{{\"id\":{id},\"result\":{json}}}\n"),
        }
        .into_bytes(),
    )
}

/// A negative reply. In 2.0.0 codes are texts, and one that starts with 2 would count as accepted.
pub(super) fn error(mode: Mode, id: &RequestId, code: u32, text: &str) -> Option<Vec<u8>> {
    let id = id.text()?;
    let text = Value::from(text);
    Some(
        match mode {
            Mode::Plain | Mode::EthProxy => format!(
                "{{\"id\":{id},\"jsonrpc\":\"2.0\",\"result\":false,\"error\":{{\"code\":{code},\"message\":{text}}}}}\n"
            ),
            Mode::NiceHash => format!("{{\"id\":{id},\"result\":false,\"error\":[{code},{text},null]}}\n"),
            Mode::Ethereum2 => {
                let code = match code {
                    21 => 404,
                    22 => 409,
                    23 => 406,
                    24 => 401,
                    _ => 400,
                };
                format!("{{\"id\":{id},\"error\":{{\"code\":\"{code}\",\"message\":{text}}}}}\n")
            }
        }
        .into_bytes(),
    )
}

/// The reply to a submit.
pub(super) fn share_reply(mode: Mode, id: &RequestId, verdict: Verdict) -> Option<Vec<u8>> {
    let (code, text) = match verdict {
        Verdict::Accepted { .. } => return result(mode, id, "true"),
        Verdict::Rejected(Reject::Malformed(what)) => (20, what),
        Verdict::Rejected(Reject::UnknownJob) => (21, "Job not found"),
        Verdict::Rejected(Reject::Stale) => (21, "Stale share"),
        Verdict::Rejected(Reject::Duplicate) => (22, "Duplicate share"),
        Verdict::Rejected(Reject::LowDifficulty) => (23, "Low difficulty share"),
        Verdict::Rejected(Reject::Unauthorized) => (24, "Unauthorized worker"),
        Verdict::Rejected(Reject::BadProof) => (20, "Invalid mix"),
        Verdict::Rejected(Reject::Busy) => (20, "Server busy"),
    };
    error(mode, id, code, text)
}

/// All six members are required.
pub(super) fn hello(id: &RequestId) -> Option<Vec<u8>> {
    result(
        Mode::Ethereum2,
        id,
        "{\"proto\":\"EthereumStratum/2.0.0\",\"encoding\":\"plain\",\"resume\":\"0\",\"timeout\":\"b4\",\
         \"maxerrors\":\"5\",\"node\":\"bq/0.1\"}",
    )
}

pub(super) fn subscription(mode: Mode, id: &RequestId, session: u32, nonce_prefix: [u8; 2]) -> Option<Vec<u8>> {
    let prefix = hex::encode(nonce_prefix);
    let json = match mode {
        Mode::Plain | Mode::EthProxy => "true".to_owned(),
        Mode::NiceHash => format!("[[\"mining.notify\",\"{session:08x}\",\"{NICEHASH_NAME}\"],\"{prefix}\"]"),
        Mode::Ethereum2 => format!("\"s-{session:08x}\""),
    };
    result(mode, id, &json)
}

pub(super) fn login_reply(mode: Mode, id: &RequestId, session: u32) -> Option<Vec<u8>> {
    match mode {
        Mode::Ethereum2 => result(mode, id, &format!("\"{}\"", worker_id(session))),
        Mode::Plain | Mode::EthProxy | Mode::NiceHash => result(mode, id, "true"),
    }
}

/// What 2.0.0 submits name instead of the user.
pub(super) fn worker_id(session: u32) -> String {
    format!("w-{session:08x}")
}

/// What must be said before a job, and the part of it that tells whether it was said already.
pub(super) fn control(mode: Mode, job: &WireJob, nonce_prefix: [u8; 2]) -> Option<(String, String)> {
    let WireParts::Ethash { epoch, .. } = &job.template.wire else { return None };
    match mode {
        Mode::Plain | Mode::EthProxy => None,
        Mode::NiceHash => {
            let difficulty = units_of(job.job.difficulty);
            let line = format!("{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{difficulty}]}}\n");
            Some((difficulty, line))
        }
        Mode::Ethereum2 => {
            let (target, prefix) = (job.job.difficulty.target(), hex::encode(nonce_prefix));
            let line = format!(
                "{{\"method\":\"mining.set\",\"params\":{{\"epoch\":\"{epoch:x}\",\"target\":\"{target}\",\
                 \"algo\":\"ethash\",\"extranonce\":\"{prefix}\",\"timeout\":\"b4\"}}}}\n"
            );
            Some((format!("{epoch:x} {target}"), line))
        }
    }
}

/// A job as a notification. The order of seed and header differs between the dialects.
pub(super) fn notify(mode: Mode, job: &WireJob, clean: bool) -> Option<String> {
    let (WireParts::Ethash { seed, .. }, JobWork::Ethash { work_hash, .. }) = (&job.template.wire, job.job.work) else {
        return None;
    };
    let (id, hash, boundary) = (job.id_hex(), hex::encode(work_hash), job.job.difficulty.target());
    Some(match mode {
        Mode::Plain => format!(
            "{{\"id\":null,\"jsonrpc\":\"2.0\",\"method\":\"mining.notify\",\
             \"params\":[\"{id}\",\"0x{hash}\",\"0x{seed}\",\"0x{boundary}\",{clean}]}}\n"
        ),
        Mode::EthProxy => format!("{{\"id\":0,\"jsonrpc\":\"2.0\",\"result\":{}}}\n", work_json(job)?),
        Mode::NiceHash => format!(
            "{{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"{id}\",\"{seed}\",\"{hash}\",{clean}]}}\n"
        ),
        Mode::Ethereum2 => {
            let (height, clean) = (job.job.template.header.height.0, u8::from(clean));
            format!("{{\"method\":\"mining.notify\",\"params\":[\"{id}\",\"{height:x}\",\"{hash}\",\"{clean}\"]}}\n")
        }
    })
}

/// EthProxy's work: three elements, because a fourth would be taken for a block number that decides the epoch.
pub(super) fn work_json(job: &WireJob) -> Option<String> {
    let (WireParts::Ethash { seed, .. }, JobWork::Ethash { work_hash, .. }) = (&job.template.wire, job.job.work) else {
        return None;
    };
    Some(format!("[\"0x{}\",\"0x{seed}\",\"0x{}\"]", hex::encode(work_hash), job.job.difficulty.target()))
}
