//! `bq status`: one look at a running pool, through its public API.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bq_views::{HealthView, PoolView, hashrate_text};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{cli::StatusArgs, exit::say, run::condition_line};

/// Longest answer that is read.
const BODY_BYTES_MAX: usize = 1 << 20;

pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = |path| {
        let answer = runtime.block_on(get(args.http, path));
        answer.with_context(|| format!("no pool answers at {}: is `bq run` running?", args.http))
    };
    let body = ask("/api/v1/pool")?;
    let health = ask("/health")?;
    if args.json {
        let mut view: serde_json::Value = serde_json::from_str(&body)?;
        view["health"] = serde_json::from_str(&health)?;
        say(&view.to_string());
        return Ok(());
    }
    let pool: PoolView = serde_json::from_str(&body)?;
    let health: HealthView = serde_json::from_str(&health)?;
    say(&format!("{} height {} tip {}", pool.network, pool.height, pool.tip_id));
    say(&format!(
        "{} miners, {} connections, {} blocks found, {} orphaned",
        pool.miners_active, pool.connections, pool.blocks_found, pool.blocks_orphaned
    ));
    for (name, algorithm) in &pool.algorithms {
        let rejected: u64 = algorithm.shares.rejected.values().sum();
        say(&format!(
            "{name:<8} pool {:>11}  network {:>11}  difficulty {:>14}  shares {}/{rejected}  effort {:.0}%  blocks {}",
            hashrate_text(algorithm.pool_hashrate),
            hashrate_text(algorithm.network_hashrate),
            algorithm.network_difficulty,
            algorithm.shares.accepted,
            algorithm.effort * 100.0,
            algorithm.blocks,
        ));
    }
    say(&format!(
        "atoms    immature {}  payable {}  in flight {}  paid {}  ledger imbalance {}",
        pool.immature.0, pool.payable.0, pool.in_flight.0, pool.paid.0, pool.ledger_imbalance
    ));
    say(&format!("health   {}", health.status));
    for (component, condition) in health.conditions() {
        say(&format!("  {}", condition_line(component, condition)));
    }
    Ok(())
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body =
        Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?;
    let text = String::from_utf8(body.to_bytes().to_vec())?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    Ok(text)
}
