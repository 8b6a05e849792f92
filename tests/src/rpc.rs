use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http::http_post;

/// Calls of the node's JSON-RPC, one connection each.
#[derive(Clone, Debug)]
pub struct RpcClient {
    address: SocketAddr,
    login: Option<String>,
}

impl RpcClient {
    /// A client of the server at `address`.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, login: None }
    }

    /// The same with a login, `USER:PASSWORD`.
    #[must_use]
    pub fn with_login(self, login: &str) -> Self {
        Self { login: Some(login.trim().to_owned()), ..self }
    }

    /// The result of `method`.
    ///
    /// # Errors
    /// No answer, or an error object; its text is part of the error.
    pub fn call(&self, method: &str, params: &Value) -> Result<Value> {
        let answer = self.call_raw(method, params)?;
        match answer.get("error") {
            Some(error) if !error.is_null() => bail!("{method}: {error}"),
            _ => answer.get("result").cloned().with_context(|| format!("{method}: answer without result: {answer}")),
        }
    }

    /// The whole answer object, error or not.
    ///
    /// # Errors
    /// No answer, or one that is not JSON.
    pub fn call_raw(&self, method: &str, params: &Value) -> Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        http_post(self.address, "/", self.login.as_deref(), &body)?.json()
    }
}
