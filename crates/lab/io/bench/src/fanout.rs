//! How long a new tip takes to reach every connected miner, and what the pool weighs meanwhile.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bq_primitives::Algorithm;
use serde_json::json;

use super::{
    blocks::{mine_block, prepare_tables},
    client::Client,
    host::Host,
    table::Table,
};

const CONNECTIONS: usize = 500;
const TIPS: usize = 5;

pub(super) fn fanout(host: &dyn Host, table: &Table<'_>) -> anyhow::Result<()> {
    let system = host.start_system(&Algorithm::ALL.map(|algorithm| (algorithm, "207fffff")))?;
    prepare_tables(system.node(), system.pow())?;
    let port = system.stratum(Algorithm::Sha256d)?;
    let user = system.address();
    let mut clients = (0..CONNECTIONS)
        .map(|_| {
            let mut client = Client::connect(port)?;
            client.call(1, "mining.subscribe", &json!(["bq-bench"]))?;
            let (_, seen) = client.call(2, "mining.authorize", &json!([user, "x"]))?;
            client.notification("mining.notify", seen)?;
            Ok(client)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut samples_ms = Vec::new();
    for _ in 0..TIPS {
        let start = Instant::now();
        mine_block(system.node(), system.pow())?;
        let mined = start.elapsed();
        samples_ms.extend(until_all_know(&mut clients, start, mined)?);
    }
    table.percentiles(&format!("new tip to {CONNECTIONS} miners"), samples_ms);
    table.memory(&format!("resident memory, 3 algorithms, {CONNECTIONS} miners"));
    system.stop()
}

/// Milliseconds from the tip's acceptance to each connection's clean job. One thread reads them in turn, so that a late
/// figure may be the reader's; the last one is right.
fn until_all_know(clients: &mut [Client], start: Instant, mined: Duration) -> anyhow::Result<Vec<f64>> {
    clients
        .iter_mut()
        .map(|client| {
            loop {
                let job = client.notification("mining.notify", Vec::new())?;
                if job[8].as_bool().context("a job without its clean flag")? {
                    return Ok(start.elapsed().saturating_sub(mined).as_secs_f64() * 1e3);
                }
            }
        })
        .collect()
}
