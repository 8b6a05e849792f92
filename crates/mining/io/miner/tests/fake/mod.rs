//! SHA-256d pools that follow a script, good or bad, for as many connections as come.
#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bq_miner::{ClientSettings, Endpoint, Miner, MinerConfig};
use bq_primitives::Algorithm;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
};

/// Far longer than anything here takes; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How a pool answers one kind of request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This text for `ID`.
    Say(String),
    Nothing,
    Close,
}

/// What a pool does. [`Script::good`] does what it should.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Before anything is asked.
    pub(crate) greeting: Vec<u8>,
    pub(crate) subscribe: Reply,
    pub(crate) authorize: Reply,
    /// After the answer to the login.
    pub(crate) work: Vec<Value>,
    /// Then again and again, until the miner goes.
    pub(crate) flood: Option<Vec<u8>>,
    /// To the first shares, one each.
    pub(crate) first_shares: Vec<Reply>,
    /// To all others.
    pub(crate) shares: Reply,
    /// One byte at a time.
    pub(crate) drips: bool,
    /// So many connections are closed at once before the script begins.
    pub(crate) closes: u64,
}

pub(crate) fn say(text: &str) -> Reply {
    Reply::Say(text.to_owned())
}

pub(crate) fn refuse(text: &str) -> Reply {
    Reply::Say(json!({"id": "ID", "result": null, "error": [20, text, null]}).to_string().replace("\"ID\"", "ID"))
}

pub(crate) fn difficulty(difficulty: &Value) -> Value {
    json!({"id": null, "method": "mining.set_difficulty", "params": [difficulty]})
}

/// 256 hashes a share.
pub(crate) fn easy() -> Value {
    difficulty(&json!(2.0_f64.powi(-24)))
}

pub(crate) fn notify(id: &Value) -> Value {
    let (head, tail) = ("11".repeat(50), "22".repeat(50));
    let params = json!([id, "0".repeat(64), head, tail, [], "20000000", "1d00ffff", "6a000000", true]);
    json!({"id": null, "method": "mining.notify", "params": params})
}

impl Script {
    pub(crate) fn good() -> Self {
        Self {
            greeting: Vec::new(),
            subscribe: say(r#"{"id":ID,"result":[[["mining.notify","ab"]],"abcd",8],"error":null}"#),
            authorize: say(r#"{"id":ID,"result":true,"error":null}"#),
            work: vec![easy(), notify(&json!("1"))],
            flood: None,
            first_shares: Vec::new(),
            shares: say(r#"{"id":ID,"result":true,"error":null}"#),
            drips: false,
            closes: 0,
        }
    }
}

/// A pool that runs until it is dropped.
pub(crate) struct Pool {
    pub(crate) address: SocketAddr,
    /// Shares that the script accepted in so many words.
    pub(crate) accepted: Arc<AtomicU64>,
    pub(crate) connections: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Pool {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counts, came) = (Arc::clone(&accepted), Arc::clone(&connections));
        let server = tokio::spawn(async move {
            // Dropped with the pool, and its connections with it.
            let mut all = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = came.fetch_add(1, Ordering::SeqCst);
                if number >= script.closes {
                    let (script, accepted) = (script.clone(), Arc::clone(&counts));
                    all.spawn(async move { serve(stream, script, &accepted).await });
                }
            }
        });
        Self { address, accepted, connections, server }
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Follows the script until the miner goes.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite, script: Script, accepted: &AtomicU64) {
    let (reader, writer) = tokio::io::split(stream);
    let (mut lines, mut writer) = (BufReader::new(reader).lines(), std::pin::pin!(writer));
    let mut shares = script.first_shares.clone().into_iter();
    if writer.write_all(&script.greeting).await.is_err() {
        return;
    }
    let mut is_flooding = script.flood.is_some() && matches!(script.subscribe, Reply::Nothing);
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line,
            // Not sent here: what is cancelled half way would be noise.
            () = std::future::ready(()), if is_flooding => {
                let flood = script.flood.as_deref().unwrap_or_default();
                if writer.write_all(flood).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Ok(Some(line)) = line else { return };
        let request: Value = serde_json::from_str(&line).unwrap();
        let reply = match request["method"].as_str() {
            Some("mining.subscribe") => script.subscribe.clone(),
            Some("mining.authorize") => script.authorize.clone(),
            Some("mining.submit") => shares.next().unwrap_or_else(|| script.shares.clone()),
            _ => Reply::Nothing,
        };
        let is_login = request["method"] == "mining.authorize";
        let mut text = match reply {
            Reply::Close => return,
            Reply::Nothing => String::new(),
            Reply::Say(text) => format!("{}\n", text.replace("ID", &request["id"].to_string())),
        };
        if request["method"] == "mining.submit" && text.contains("\"result\":true") {
            accepted.fetch_add(1, Ordering::SeqCst);
        }
        if is_login {
            script.work.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        }
        let pieces: Vec<&[u8]> = if script.drips { text.as_bytes().chunks(1).collect() } else { vec![text.as_bytes()] };
        for piece in pieces {
            if writer.write_all(piece).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        is_flooding |= is_login && script.flood.is_some();
    }
}

pub(crate) fn config(endpoints: &[Endpoint], client: ClientSettings) -> MinerConfig {
    let endpoints = endpoints.iter().map(|endpoint| (Algorithm::Sha256d, endpoint.clone())).collect();
    MinerConfig { cpu_priority: None, client, ..MinerConfig::new(endpoints, "wallet.rig".to_owned()) }
}

/// Waits until `condition` holds; false if it never does.
pub(crate) async fn comes(condition: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.is_ok()
}

pub(crate) async fn stop(miner: Miner) -> Miner {
    tokio::task::spawn_blocking(move || {
        miner.stop();
        miner
    })
    .await
    .unwrap()
}
