//! The other end: a node in another process, seen through its JSON-RPC server.
mod node_api;
mod reading;

use std::{
    io::Read,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bq_chain_api::{NodeError, TipSummary};
use bq_primitives::{BlockId, Network};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{BODY_BYTES_MAX, BlockchainInfo, MiningConfigShape, MiningInfoShape, PeerShape, RpcLogin, fault::Reason};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a long poll.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Calls a node's JSON-RPC server and waits for the answer: for command-line tools, never on an async worker thread.
/// It is a [`bq_chain_api::NodeApi`].
#[derive(Debug)]
pub struct RpcClient {
    server: Server,
    serial: AtomicU64,
    network: Network,
    genesis_id: BlockId,
    coinbase_maturity: u32,
    tips: watch::Sender<TipSummary>,
}

/// Whom to call, and as whom.
#[derive(Debug)]
struct Server {
    url: String,
    login: Option<RpcLogin>,
}

/// A call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RpcClientError {
    /// Nobody answers, or not as a JSON-RPC server does.
    #[error("{url}: {reason}")]
    Unreachable {
        /// Who was called.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A server is there, and serves as many as it may.
    #[error("{url} serves as many connections as it may (rpc_connections_max): try again")]
    Busy {
        /// Who was called.
        url: String,
    },
    /// The server does not know the login.
    #[error("{url} does not know the login: a cookie is new at every start")]
    Login {
        /// Who was called.
        url: String,
    },
    /// The answer is not what the method answers.
    #[error("{method} answered something else: {reason}")]
    Shape {
        /// What was called.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The server says no.
    #[error("{message} (code {code})")]
    Fault {
        /// See [`crate::Code`].
        code: i32,
        /// For people.
        message: String,
        /// For programs.
        data: Option<Value>,
    },
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Value>,
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i32,
    message: String,
    data: Option<Value>,
}

impl RpcClient {
    /// As [`RpcClient::connect_as`], without a login.
    ///
    /// # Errors
    /// See [`RpcClientError`].
    pub fn connect(address: &str) -> Result<Self, RpcClientError> {
        Self::connect_as(address, None)
    }

    /// Reaches the server at `address` (`127.0.0.1:8332` or a whole `http://` address) and asks which chain it follows. Methods that
    /// change something need a login.
    ///
    /// # Errors
    /// See [`RpcClientError`]; a login that the server does not know is one, too.
    pub fn connect_as(address: &str, login: Option<RpcLogin>) -> Result<Self, RpcClientError> {
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}/") };
        let server = Server { url, login };
        let mut serial = 0;
        let info: BlockchainInfo = server.call(&mut serial, "getblockchaininfo", &json!([]))?;
        let text = |error: String| RpcClientError::Shape { method: "getblockchaininfo", reason: error };
        let network = info.chain.parse().map_err(|error: bq_primitives::UnknownNetwork| text(error.to_string()))?;
        let genesis_id =
            info.genesishash.parse().map_err(|error: bq_primitives::ParseHashError| text(error.to_string()))?;
        let tip = reading::tip(&info).map_err(text)?;
        Ok(Self {
            server,
            serial: AtomicU64::new(serial),
            network,
            genesis_id,
            coinbase_maturity: info.coinbasematurity,
            tips: watch::Sender::new(tip),
        })
    }

    /// Calls any method.
    ///
    /// # Errors
    /// See [`RpcClientError`].
    pub fn call<T: DeserializeOwned>(&self, method: &'static str, params: &Value) -> Result<T, RpcClientError> {
        let mut serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.server.call(&mut serial, method, params)
    }

    /// `getblockchaininfo`.
    ///
    /// # Errors
    /// See [`RpcClientError`].
    pub fn blockchain_info(&self) -> Result<BlockchainInfo, RpcClientError> {
        self.call("getblockchaininfo", &json!([]))
    }

    /// `getmininginfo`.
    ///
    /// # Errors
    /// See [`RpcClientError`].
    pub fn mining_info_shape(&self) -> Result<MiningInfoShape, RpcClientError> {
        self.call("getmininginfo", &json!([]))
    }

    /// `getminingconfig`.
    ///
    /// # Errors
    /// See [`RpcClientError`]; code -1 when the process has no built-in miner.
    pub fn mining_config(&self) -> Result<MiningConfigShape, RpcClientError> {
        self.call("getminingconfig", &json!([]))
    }

    /// `getpeerinfo`.
    ///
    /// # Errors
    /// See [`RpcClientError`].
    pub fn peers(&self) -> Result<Vec<PeerShape>, RpcClientError> {
        self.call("getpeerinfo", &json!([]))
    }
}

impl RpcClientError {
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Fault { data: Some(data), .. } => serde_json::from_value(data.clone()).ok(),
            Self::Fault { data: None, .. }
            | Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Login { .. }
            | Self::Shape { .. } => None,
        }
    }
}

impl From<RpcClientError> for NodeError {
    fn from(error: RpcClientError) -> Self {
        match &error {
            RpcClientError::Fault { code, message, .. } => match code {
                -28 => Self::Closed,
                -20 => Self::Store(message.clone()),
                _ => Self::Request(message.clone()),
            },
            RpcClientError::Unreachable { .. }
            | RpcClientError::Busy { .. }
            | RpcClientError::Login { .. }
            | RpcClientError::Shape { .. } => Self::Store(error.to_string()),
        }
    }
}

impl Server {
    fn call<T: DeserializeOwned>(
        &self,
        serial: &mut u64,
        method: &'static str,
        params: &Value,
    ) -> Result<T, RpcClientError> {
        *serial = serial.wrapping_add(1);
        let request = json!({ "jsonrpc": "2.0", "id": *serial, "method": method, "params": params });
        let answer: Answer = self.exchange(&request)?;
        let shape = |reason: String| RpcClientError::Shape { method, reason };
        match (answer.result, answer.error) {
            (_, Some(AnswerError { code, message, data })) => Err(RpcClientError::Fault { code, message, data }),
            (result, None) => {
                serde_json::from_value(result.unwrap_or(Value::Null)).map_err(|error| shape(error.to_string()))
            }
        }
    }

    fn exchange(&self, request: &Value) -> Result<Answer, RpcClientError> {
        let unreachable = |reason: String| RpcClientError::Unreachable { url: self.url.clone(), reason };
        let mut post = attohttpc::post(&self.url)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(ANSWER_TIMEOUT)
            .proxy_settings(attohttpc::ProxySettings::builder().build())
            .follow_redirects(false)
            .header("Content-Type", "application/json");
        if let Some(login) = &self.login {
            post = post.header("Authorization", login.header());
        }
        let response = post.text(request.to_string()).send().map_err(|error| unreachable(error.to_string()))?;
        let (status, _, body) = response.split();
        if status.as_u16() == 401 {
            return Err(RpcClientError::Login { url: self.url.clone() });
        }
        if status.as_u16() == 429 {
            return Err(RpcClientError::Busy { url: self.url.clone() });
        }
        if !status.is_success() {
            return Err(unreachable(format!("answered {status}")));
        }
        let mut bytes = Vec::new();
        let limit = u64::from(BODY_BYTES_MAX).saturating_add(1024);
        body.take(limit).read_to_end(&mut bytes).map_err(|error| unreachable(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| unreachable(format!("not a JSON-RPC answer: {error}")))
    }
}
