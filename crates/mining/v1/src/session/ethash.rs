mod wire;

use bq_channel::{NICEHASH_HASHES_MAX, NICEHASH_HASHES_MIN, parse_hashes};
use bq_share::{Claim, JobId, JobWork, Reject, Rolled, Submit, UnixMs, Verdict};

use self::wire::Mode;
use super::DialectState;
use super::exchange::{Dialect, Exchange, Known, PendingLogin, SMALL_TALK};
use crate::{
    CloseReason, FrameKind,
    request::{Request, RequestId, hex_bytes, hex_bytes_0x, job_id},
};

/// The four dialects of Ethash miners on one port, told apart by the first line.
#[derive(Debug, Default)]
pub(super) struct Ethash {
    mode: Option<Mode>,
    /// The miner asked for jobs in its dialect's way.
    ready: bool,
    /// What the miner was last told with a control line, as text.
    told: Option<String>,
    /// An `eth_getWork` that was sent right behind the login, and waits for its answer.
    asked_early: Option<RequestId>,
}

/// What an [`Ethash`] leaves to the one that goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct EthashState {
    mode: Option<Mode>,
    ready: bool,
    told: Option<String>,
}

/// Bytes of the nonce that 1.0.0 and 2.0.0 want assigned. The work hash is the connection's own anyway.
const NONCE_PREFIX_BYTES: usize = 2;
const INEXPRESSIBLE: &str = "Blocks of this network are easier than EthereumStratum/1.0.0 can say: use stratum1+tcp, stratum+tcp or stratum3+tcp";
const LOG_IN_FIRST: &str = "Log in first";
const NONCE_REST_BYTES: usize = 8 - NONCE_PREFIX_BYTES;

impl Dialect for Ethash {
    fn handle(&mut self, exchange: &mut Exchange, now: UnixMs, request: &Request) -> Known {
        let mode = *self.mode.get_or_insert_with(|| wire::mode_of(request));
        if mode == Mode::NiceHash {
            exchange.channel.express_only(NICEHASH_HASHES_MIN, NICEHASH_HASHES_MAX);
        }
        let id = &request.id;
        match (request.method.as_str(), mode) {
            ("mining.submit" | "eth_submitWork", _) => {
                let submit = decode_submit(exchange, request, mode);
                exchange.submit(now, id, submit, |id, verdict| wire::share_reply(mode, id, verdict));
            }
            ("eth_submitLogin" | "eth_login", Mode::EthProxy) => self.login(exchange, request, mode),
            ("eth_getWork", Mode::EthProxy) => self.get_work(exchange, now, request),
            ("mining.hello", Mode::Ethereum2) => {
                exchange.note_agent(request.named("agent"));
                exchange.reply(wire::hello(id));
            }
            ("mining.subscribe", Mode::Plain | Mode::NiceHash | Mode::Ethereum2) => {
                exchange.note_agent(request.text(0));
                exchange.reply(wire::subscription(mode, id, exchange.seed.session_id, nonce_prefix(exchange)));
            }
            ("mining.authorize", Mode::Plain | Mode::NiceHash | Mode::Ethereum2) => self.login(exchange, request, mode),
            ("mining.bye", Mode::Ethereum2) => exchange.close(CloseReason::Goodbye),
            ("mining.extranonce.subscribe" | "mining.hashrate" | "eth_submitHashrate", _) => {
                exchange.reply(wire::result(mode, id, "true"));
            }
            (method, _) if SMALL_TALK.contains(&method) => exchange.reply(wire::result(mode, id, "true")),
            _ => {
                exchange.reply(wire::error(mode, id, 20, "Method not found"));
                return Known::No;
            }
        }
        Known::Yes
    }

    fn takes_jobs(&self) -> bool {
        self.ready
    }

    fn send_job(&mut self, exchange: &mut Exchange, now: UnixMs) {
        let Some(mode) = self.mode else { return };
        let clean = exchange.channel.tip_moved();
        let Some(job) = exchange.make_job(now) else { return };
        if let (Some(id), Some(work)) = (self.asked_early.take(), wire::work_json(&job)) {
            return exchange.reply(wire::result(mode, &id, &work));
        }
        if let Some((told, line)) = wire::control(mode, &job, nonce_prefix(exchange))
            && self.told.as_ref() != Some(&told)
        {
            exchange.send(FrameKind::Control, line.into_bytes());
            self.told = Some(told);
        }
        if let Some(line) = wire::notify(mode, &job, clean) {
            exchange.send(FrameKind::Job, line.into_bytes());
        }
    }

    fn login_granted(&mut self, exchange: &mut Exchange, login: &PendingLogin) {
        let Some(mode) = self.mode else { return };
        if !exchange.channel.expresses_difficulty() {
            exchange.resolve(login.ticket, wire::error(mode, &login.id, 20, INEXPRESSIBLE));
            return exchange.close(CloseReason::Inexpressible);
        }
        exchange.resolve(login.ticket, wire::login_reply(mode, &login.id, exchange.seed.session_id));
        // An EthProxy miner asks for its first job; one more by itself would be dropped or waste the first.
        self.ready |= mode != Mode::EthProxy || self.asked_early.is_some();
    }

    fn login_refused(&mut self, exchange: &mut Exchange, login: &PendingLogin, text: &str) {
        let mode = self.mode.unwrap_or(Mode::Plain);
        exchange.resolve(login.ticket, wire::error(mode, &login.id, 24, text));
        if let Some(id) = self.asked_early.take() {
            exchange.reply(wire::error(mode, &id, 24, LOG_IN_FIRST));
        }
    }

    fn state(&self) -> Option<DialectState> {
        let (mode, ready, told) = (self.mode, self.ready, self.told.clone());
        self.asked_early.is_none().then_some(DialectState::Ethash(EthashState { mode, ready, told }))
    }

    fn share_reply(&self, id: &RequestId, verdict: Verdict) -> Option<Vec<u8>> {
        wire::share_reply(self.mode.unwrap_or(Mode::Plain), id, verdict)
    }

    fn error_reply(&self, id: &RequestId, text: &str) -> Option<Vec<u8>> {
        wire::error(self.mode.unwrap_or(Mode::Plain), id, 20, text)
    }
}

impl Ethash {
    pub(super) fn resume(EthashState { mode, ready, told }: EthashState) -> Self {
        Self { mode, ready, told, asked_early: None }
    }

    fn login(&mut self, exchange: &mut Exchange, request: &Request, mode: Mode) {
        let (name, password) = (request.text(0).unwrap_or_default(), request.text(1).unwrap_or_default());
        let asked = exchange.login(&request.id, name, request.worker.as_deref(), (password, parse_hashes));
        if let Err(text) = asked {
            exchange.reply(wire::error(mode, &request.id, 24, &text));
        }
    }

    /// The newest job again if there is one: miners poll.
    fn get_work(&mut self, exchange: &mut Exchange, now: UnixMs, request: &Request) {
        if exchange.first_miner().is_none() {
            if exchange.login_is_pending() && self.asked_early.is_none() {
                self.asked_early = Some(request.id.clone());
                return;
            }
            return exchange.reply(wire::error(Mode::EthProxy, &request.id, 24, LOG_IN_FIRST));
        }
        self.ready = true;
        let job = match exchange.newest_job() {
            Some(job) if !exchange.channel.tip_moved() => Some(job.clone()),
            _ => exchange.make_job(now),
        };
        match job.and_then(|job| wire::work_json(&job)) {
            Some(work) => exchange.reply(wire::result(Mode::EthProxy, &request.id, &work)),
            None => exchange.reply(wire::error(Mode::EthProxy, &request.id, 20, "No work yet")),
        }
    }
}

/// Format, login, job where the dialect names it by its work.
fn decode_submit(exchange: &Exchange, request: &Request, mode: Mode) -> Result<Submit, Reject> {
    let fields = match mode {
        Mode::EthProxy => eth_proxy_fields(exchange, request)?,
        Mode::Plain => plain_fields(exchange, request)?,
        Mode::NiceHash | Mode::Ethereum2 => prefixed_fields(exchange, request, mode)?,
    };
    Ok(Submit {
        job: fields.job,
        rolled: Rolled::Ethash { nonce: fields.nonce },
        claim: fields.mix.map_or(Claim::None, Claim::EthashMix),
        worker: fields.miner.worker.clone(),
    })
}

struct Fields {
    miner: std::sync::Arc<crate::job::Miner>,
    job: JobId,
    nonce: u64,
    mix: Option<[u8; 32]>,
}

const NOT_TEXT: Reject = Reject::Malformed("parameters are texts");
const BAD_NONCE: Reject = Reject::Malformed("nonce has a wrong length or is not hex");
const BAD_HASH: Reject = Reject::Malformed("header and mix are 64 hex digits");

/// `[nonce, header, mix]`; the header is the job.
fn eth_proxy_fields(exchange: &Exchange, request: &Request) -> Result<Fields, Reject> {
    let text = |index| request.text(index).ok_or(NOT_TEXT);
    let nonce = hex_bytes_0x(text(0)?).map(u64::from_be_bytes).ok_or(BAD_NONCE)?;
    let header = hex_bytes_0x(text(1)?).ok_or(BAD_HASH)?;
    let mix = hex_bytes_0x(text(2)?).ok_or(BAD_HASH)?;
    let first = exchange.first_miner().ok_or(Reject::Unauthorized)?;
    if request.worker.as_deref().is_some_and(|worker| exchange.is_gone(&first.address, worker)) {
        return Err(Reject::Unauthorized);
    }
    let named = request.worker.as_deref().and_then(|worker| exchange.miner_named(&first.address, Some(worker), false));
    let job = exchange.channel.judge().job_of_work(&header).ok_or(Reject::UnknownJob)?.id;
    Ok(Fields { miner: named.unwrap_or_else(|| first.clone()), job, nonce, mix: Some(mix) })
}

/// `[user, job, nonce, header, mix]`.
fn plain_fields(exchange: &Exchange, request: &Request) -> Result<Fields, Reject> {
    let text = |index| request.text(index).ok_or(NOT_TEXT);
    let nonce = hex_bytes_0x(text(2)?).map(u64::from_be_bytes).ok_or(BAD_NONCE)?;
    let header: [u8; 32] = hex_bytes_0x(text(3)?).ok_or(BAD_HASH)?;
    let mix = hex_bytes_0x(text(4)?).ok_or(BAD_HASH)?;
    let miner = exchange.miner_named(text(0)?, request.worker.as_deref(), false).ok_or(Reject::Unauthorized)?;
    let job = job_id(text(1)?).ok_or(Reject::UnknownJob)?;
    match exchange.channel.judge().job(job).map(|job| job.work) {
        Some(JobWork::Ethash { work_hash, .. }) if work_hash == header => {}
        _ => return Err(Reject::UnknownJob),
    }
    Ok(Fields { miner, job, nonce, mix: Some(mix) })
}

/// `[user, job, rest of nonce]` in 1.0.0 and `[job, rest of nonce, worker id]` in 2.0.0: no mix.
fn prefixed_fields(exchange: &Exchange, request: &Request, mode: Mode) -> Result<Fields, Reject> {
    let text = |index| request.text(index).ok_or(NOT_TEXT);
    let (job, rest) = if mode == Mode::NiceHash { (text(1)?, text(2)?) } else { (text(0)?, text(1)?) };
    let rest: [u8; NONCE_REST_BYTES] = hex_bytes(rest).ok_or(BAD_NONCE)?;
    let miner = if mode == Mode::NiceHash {
        exchange.miner_named(text(0)?, None, false)
    } else {
        exchange.first_miner().filter(|_| request.text(2) == Some(&wire::worker_id(exchange.seed.session_id))).cloned()
    };
    let miner = miner.ok_or(Reject::Unauthorized)?;
    let job = job_id(job).ok_or(Reject::UnknownJob)?;
    let nonce =
        nonce_prefix(exchange).into_iter().chain(rest).fold(0_u64, |nonce, byte| (nonce << 8) | u64::from(byte));
    Ok(Fields { miner, job, nonce, mix: None })
}

/// The first bytes of every nonce in 1.0.0 and 2.0.0.
fn nonce_prefix(exchange: &Exchange) -> [u8; NONCE_PREFIX_BYTES] {
    let [.., high, low] = exchange.seed.prefix.extranonce1();
    [high, low]
}
