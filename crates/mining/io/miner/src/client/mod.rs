//! A Stratum client: keeps one connection to one port alive, turns what the pool says into jobs, and sends shares.

mod connection;
mod lines;
mod pace;
mod pools;

use std::{sync::Arc, time::Duration};

use bq_stratum_client::{DialectError, Login, dialect_of};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use self::{
    connection::{ConnectionError, Ended},
    pools::Pools,
};
use crate::{
    Endpoint, MinerEvent,
    shared::{FoundShare, Settings, Shared},
};

/// Keeps lane `lane` connected to one of `pools` while its algorithm is wanted. Ends when the miner stops.
pub(crate) async fn run(
    shared: Arc<Shared>,
    lane: usize,
    pools: Vec<Endpoint>,
    login: Login,
    mut shares: mpsc::Receiver<FoundShare>,
) {
    let mut settings = shared.settings.subscribe();
    let Some(algorithm) = shared.lanes.get(lane).map(|lane| lane.algorithm) else { return };
    let mut pools = Pools::new(pools);
    loop {
        match settings.wait_for(|settings| settings.stopped || settings.wants(algorithm)).await {
            Ok(now) if !now.stopped => {}
            _ => return,
        }
        let Some((pool, ethash)) = pools.next() else { return };
        // Without randomness it begins at zero, which is right for a pool that gives each connection a header of its own, as
        // ours does.
        let login = Login { first_nonce: getrandom::u64().unwrap_or(0), ..login.clone() };
        let dialect = dialect_of(algorithm, login, ethash);
        let ended = connection::run(&shared, lane, &pool, dialect, &mut shares, &mut settings).await;
        let Some(lane) = shared.lanes.get(lane) else { return };
        shared.set_job(lane, None);
        match ended {
            Ended::NotWanted => pools.rested(),
            Ended::Failed { error, had_work } => {
                let retry_in = retry_in(&mut pools, &error, had_work);
                let retry_ms = retry_in.as_millis();
                warn!(algorithm = algorithm.name(), %pool, %error, retry_ms, "pool connection lost");
                lane.stats.failed(error.to_string());
                let (pool, reason) = (pool.to_string(), error.to_string());
                shared.tell(MinerEvent::Disconnected { algorithm, pool, reason, retry_in });
                pause(&mut settings, retry_in).await;
            }
        }
        debug!(algorithm = algorithm.name(), "pool connection ended");
    }
}

fn retry_in(pools: &mut Pools, error: &ConnectionError, had_work: bool) -> Duration {
    match error {
        ConnectionError::Dialect(DialectError::Reconnect { host, port, wait }) => {
            pools.redirected(host.as_deref(), *port, *wait)
        }
        _ => pools.failed(had_work),
    }
}

/// Waits for `time`, or until the miner stops.
async fn pause(settings: &mut watch::Receiver<Settings>, time: Duration) {
    // However it ends, the caller looks at the settings again.
    let _ended_early: bool = tokio::time::timeout(time, settings.wait_for(|settings| settings.stopped)).await.is_ok();
}
