//! A Stratum client: keeps one connection to one port alive, turns what the pool says into jobs, and sends shares.

mod connection;
mod dialect;
mod difficulty;
mod ethash;
mod lines;
mod randomx;
mod sha256d;

use std::{sync::Arc, time::Duration};

use bq_primitives::Algorithm;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use self::{connection::Ended, dialect::Dialect};
use crate::{
    Endpoint,
    shared::{FoundShare, Shared},
};

/// Pause before the first attempt to reconnect; doubled after each failure.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Whom the shares are for.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Keeps lane `lane` connected while its algorithm is wanted. Ends when the miner stops.
pub(crate) async fn run(
    shared: Arc<Shared>,
    lane: usize,
    endpoint: Endpoint,
    login: Login,
    mut shares: mpsc::Receiver<FoundShare>,
) {
    let mut settings = shared.settings.subscribe();
    let Some(lane) = shared.lanes.get(lane) else { return };
    let algorithm = lane.algorithm;
    let mut backoff = BACKOFF_MIN;
    let mut connection: u64 = 0;
    loop {
        match settings.wait_for(|settings| settings.stopped || settings.wants(algorithm)).await {
            Ok(now) if !now.stopped => {}
            _ => return,
        }
        connection += 1;
        let dialect = dialect_of(algorithm, login.clone(), connection);
        let ended = connection::run(&shared, lane, &endpoint, dialect, &mut shares, &mut settings).await;
        shared.set_job(lane, None);
        match ended {
            Ended::NotWanted => backoff = BACKOFF_MIN,
            Ended::Failed { error, had_work } => {
                if had_work {
                    backoff = BACKOFF_MIN;
                }
                warn!(algorithm = algorithm.name(), %endpoint, %error, retry_ms = backoff.as_millis(), "pool connection lost");
                lane.stats.failed(error.to_string());
                pause(&mut settings, backoff).await;
                backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
            }
        }
        debug!(algorithm = algorithm.name(), connection, "pool connection ended");
    }
}

/// Waits for `time`, or until the miner stops.
async fn pause(settings: &mut tokio::sync::watch::Receiver<crate::shared::Settings>, time: Duration) {
    // However it ends, the caller looks at the settings again.
    let _ended_early: bool = tokio::time::timeout(time, settings.wait_for(|settings| settings.stopped)).await.is_ok();
}

fn dialect_of(algorithm: Algorithm, login: Login, connection: u64) -> Box<dyn Dialect> {
    match algorithm {
        Algorithm::Sha256d => Box::new(sha256d::Sha256d::new(login, connection)),
        Algorithm::RandomX => Box::new(randomx::RandomX::new(login, connection)),
        Algorithm::Ethash => Box::new(ethash::Ethash::new(login, connection)),
    }
}
