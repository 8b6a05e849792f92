use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bq_primitives::Algorithm;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use crate::{
    CrowdPlan,
    board::Board,
    lab::Lab,
    miner::{Arrived, Miner, PATIENCE},
    order::Order,
    wire::Wiring,
};

/// Miners that are connected and do nothing.
pub(crate) struct Crowd {
    orders: Vec<Order>,
    wiring: Wiring,
    board: Board,
    idle: JoinSet<()>,
}

/// How the crowd came.
pub(crate) struct Coming {
    pub(crate) took: Duration,
    pub(crate) arrived: Vec<Arrived>,
    /// Who came at the second attempt or later.
    pub(crate) again: usize,
    /// Who never came.
    pub(crate) lost: usize,
    /// Why the last attempt that failed did.
    pub(crate) why: Option<String>,
}

/// Before a miner that was turned away tries again.
const PAUSE: Duration = Duration::from_millis(100);

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new(plan: &CrowdPlan, lab: &Lab, wiring: Wiring, board: Board) -> anyhow::Result<Self> {
        let mut orders = Vec::new();
        for algorithm in Algorithm::ALL {
            let count = plan.miners[algorithm.index()];
            for place in 0..count {
                let (number, port) = (orders.len(), lab.port(algorithm)?);
                let proves = algorithm == Algorithm::Sha256d && place + plan.proven >= count;
                let address = lab.user.clone();
                orders.push(Order { number, algorithm, port, address, proves, easiest: false, ethash: None });
            }
        }
        Ok(Self { orders, wiring, board, idle: JoinSet::new() })
    }

    pub(crate) fn len(&self) -> usize {
        self.orders.len()
    }

    /// How many are connected still.
    pub(crate) fn present(&mut self) -> usize {
        while self.idle.try_join_next().is_some() {}
        self.idle.len()
    }

    /// All come, so many at a time. Whoever is turned away tries again until patience ends.
    pub(crate) async fn come(&mut self, opening_max: usize) -> Coming {
        let begun = Instant::now();
        let doors = Arc::new(Semaphore::new(opening_max));
        let mut coming = JoinSet::new();
        for order in self.orders.clone() {
            let (wiring, doors) = (self.wiring.clone(), Arc::clone(&doors));
            coming.spawn(async move { come(&order, &wiring, &doors, begun).await });
        }
        let mut came = Coming { took: Duration::ZERO, arrived: Vec::new(), again: 0, lost: 0, why: None };
        while let Some(joined) = coming.join_next().await {
            let Ok((miner, attempts, why)) = joined else {
                came.lost += 1;
                continue;
            };
            came.why = why.or(came.why);
            let Some((miner, arrived)) = miner else {
                came.lost += 1;
                continue;
            };
            came.again += usize::from(attempts > 1);
            came.arrived.push(arrived);
            let board = self.board.clone();
            self.idle.spawn(async move { miner.idle(&board).await });
        }
        came.took = begun.elapsed();
        came
    }

    /// All leave at once, without a word.
    pub(crate) async fn leave(&mut self) {
        self.idle.shutdown().await;
    }
}

/// What became of a miner that comes: itself, how often it tried, why an attempt failed.
type Came = (Option<(Miner, Arrived)>, u32, Option<String>);

async fn come(order: &Order, wiring: &Wiring, doors: &Semaphore, begun: Instant) -> Came {
    let (mut attempts, mut why) = (0, None);
    loop {
        let door = doors.acquire().await;
        attempts += 1;
        let opened = open(order, wiring).await;
        drop(door);
        match opened {
            Ok(opened) => return (Some(opened), attempts, why),
            Err(error) => why = Some(format!("{error:#}")),
        }
        if begun.elapsed() > PATIENCE {
            return (None, attempts, why);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn open(order: &Order, wiring: &Wiring) -> anyhow::Result<(Miner, Arrived)> {
    let (mut miner, arrived) = Miner::open(order, wiring).await?;
    if order.proves {
        timeout(PATIENCE, miner.prove()).await.context("a share was not answered in time")??;
    }
    Ok((miner, arrived))
}
