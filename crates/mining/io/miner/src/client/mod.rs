//! A Stratum client: keeps one connection to one of its pools alive, turns what the pool says into jobs, and sends shares.
//! Which pool, when, and what is put up with is decided in `bq_stratum_client`.

mod connection;
mod error;
mod link;
mod look;
pub(crate) mod tables;

use std::{future::pending, sync::Arc, time::Duration};

use bq_primitives::Algorithm;
use bq_stratum_client::{Dialect, DialectError, Endpoint, EthashDialect, Login, Outcome, Pools, dialect_of};
use tokio::{
    sync::{Notify, watch},
    time::sleep_until,
};
use tracing::{debug, info, warn};

use self::{
    connection::{Ended, Way},
    error::ConnectionError,
};
use crate::{
    MinerEvent,
    shared::{Open, Settings, Shared},
};

/// Keeps lane `lane` connected to one of `pools` while its algorithm is wanted. Ends when the miner stops; `_open` tells.
pub(crate) async fn run(shared: Arc<Shared>, lane: usize, pools: Vec<Endpoint>, login: Login, _open: Open) {
    let mut settings = shared.settings.subscribe();
    let Some(algorithm) = shared.lanes.get(lane).map(|lane| lane.algorithm) else { return };
    let mut client = Client {
        pools: Pools::new(pools, algorithm == Algorithm::Ethash, shared.client.clone()),
        shared,
        lane,
        algorithm,
        login,
    };
    loop {
        match settings.wait_for(|settings| settings.stopped || settings.wants(algorithm)).await {
            Ok(now) if !now.stopped => {}
            _ => return,
        }
        let Some((pool, ethash)) = client.pools.current() else { return };
        match client.connect(&pool, ethash, &mut settings).await {
            Ended::NotWanted => client.pools.rested(),
            Ended::Failed { error, worked } => client.failed(&pool, error, worked, &mut settings).await,
        }
        debug!(algorithm = algorithm.name(), "pool connection ended");
    }
}

struct Client {
    pools: Pools,
    shared: Arc<Shared>,
    /// Index of the lane.
    lane: usize,
    algorithm: Algorithm,
    login: Login,
}

impl Client {
    /// One connection, and meanwhile looks at the first pool if it is to another.
    async fn connect(
        &mut self,
        pool: &Endpoint,
        ethash: EthashDialect,
        settings: &mut watch::Receiver<Settings>,
    ) -> Ended {
        let (shared, better) = (Arc::clone(&self.shared), Notify::new());
        let (lane, has_others) = (self.lane, self.pools.has_others());
        let way = Way { shared: &shared, lane, pool, has_others, better: &better };
        let connection = connection::run(way, self.dialect(ethash), settings);
        tokio::pin!(connection);
        loop {
            let look = self.look();
            let gave_work = tokio::select! {
                ended = &mut connection => return ended,
                gave_work = look => gave_work,
            };
            self.pools.looked(gave_work, shared.now());
            if gave_work {
                info!(algorithm = self.algorithm.name(), "the first pool gives work again");
                better.notify_one();
                // However it ends, the first pool is next.
                connection.await;
                return Ended::NotWanted;
            }
        }
    }

    /// The next look at the first pool, in due time; never while it is the one that is mined at.
    fn look(&self) -> impl Future<Output = bool> + use<> {
        let (shared, at) = (Arc::clone(&self.shared), self.pools.looks_at());
        let first = self.pools.first().map(|(pool, ethash)| (pool, self.dialect(ethash)));
        async move {
            let (Some(at), Some((pool, dialect))) = (at, first) else { return pending().await };
            sleep_until(shared.instant(at)).await;
            look::gives_work(&shared, &pool, dialect).await
        }
    }

    fn dialect(&self, ethash: EthashDialect) -> Box<dyn Dialect> {
        // Without randomness it begins at zero, which is right for a pool that gives each connection a header of its own, as
        // ours does.
        let login = Login { first_nonce: random(), ..self.login.clone() };
        dialect_of(self.algorithm, login, ethash)
    }

    async fn failed(
        &mut self,
        pool: &Endpoint,
        error: ConnectionError,
        worked: bool,
        settings: &mut watch::Receiver<Settings>,
    ) {
        let algorithm = self.algorithm;
        let (pool, reason) = (pool.to_string(), error.to_string());
        let retry_in = self.pools.ended(outcome(error, worked), self.shared.now(), random());
        let retry_ms = retry_in.as_millis();
        warn!(algorithm = algorithm.name(), pool, error = reason, retry_ms, "pool connection lost");
        if let Some(lane) = self.shared.lanes.get(self.lane) {
            lane.stats.failed(reason.clone());
        }
        self.shared.tell(MinerEvent::Disconnected { algorithm, pool, reason, retry_in });
        pause(settings, retry_in).await;
    }
}

fn outcome(error: ConnectionError, worked: bool) -> Outcome {
    match error {
        ConnectionError::Dialect(DialectError::Reconnect { host, port, wait }) => {
            Outcome::Reconnect { worked, host, port, wait }
        }
        _ => Outcome::Failed { worked },
    }
}

fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}

/// Waits for `time`, or until the miner stops.
async fn pause(settings: &mut watch::Receiver<Settings>, time: Duration) {
    // However it ends, the caller looks at the settings again.
    let _ended_early: bool = tokio::time::timeout(time, settings.wait_for(|settings| settings.stopped)).await.is_ok();
}
