//! `bq status`: one look at a running pool, through its public API.

use bq_views::{HealthView, PoolView, hashrate_text};

use super::http;
use crate::{cli::StatusArgs, exit::say, run::condition_line};

pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let body = http::get(args.http, "/api/v1/pool")?;
    let health = http::get(args.http, "/health")?;
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
