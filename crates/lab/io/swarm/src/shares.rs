use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use bq_stratum_client::{Event, FIRST_SUBMIT_ID};
use tokio::task::JoinSet;

use crate::{
    SharePlan,
    miner::{Heard, Miner},
    order::Order,
    quiver::Fletcher,
    wire::Wiring,
};

/// A difficulty that was asked for is kept for shares that come no more often than every half second (SPEC 11.8, 5).
const PROOF_INTERVAL: Duration = Duration::from_millis(600);
/// A server that is to be killed is gone by then.
const CUT_PATIENCE: Duration = Duration::from_secs(60);
/// Of a miner that shows that it mines: the server may be busy building a table.
const REFUSALS_MAX: usize = 20;

/// What became of shares.
#[derive(Default)]
pub(crate) struct Fate {
    pub(crate) accepted: usize,
    /// By what the server said.
    pub(crate) refused: BTreeMap<String, usize>,
    /// From a submit to its answer.
    pub(crate) waits: Vec<Duration>,
    pub(crate) took: Duration,
}

impl Fate {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
        self.waits.extend(other.waits);
        self.took = self.took.max(other.took);
    }

    pub(crate) fn refusals(&self) -> usize {
        self.refused.values().sum()
    }
}

/// A logged-in connection and the submits it will send.
pub(crate) struct Archer {
    miner: Miner,
    unsent: VecDeque<Vec<u8>>,
    next_id: u64,
    /// Of the numbers that shares of the newest job are searched for among.
    next_number: u64,
    sent: VecDeque<(u64, Instant)>,
    fate: Fate,
    fletcher: Arc<Fletcher>,
}

/// Connections with their shares made.
pub(crate) async fn ready(
    orders: &[Order],
    wiring: &Wiring,
    count: usize,
    fletcher: &Arc<Fletcher>,
) -> anyhow::Result<Vec<Archer>> {
    let mut archers = Vec::new();
    for order in orders {
        let (miner, _) = Miner::open(order, wiring).await?;
        archers.push(Archer::new(miner, count / orders.len().max(1), fletcher)?);
    }
    Ok(archers)
}

/// All send as fast as they are answered.
pub(crate) async fn send_all(archers: Vec<Archer>, plan: &SharePlan) -> anyhow::Result<Fate> {
    let (begun, window) = (Instant::now(), plan.window.get());
    let mut sending = JoinSet::new();
    for archer in archers {
        sending.spawn(archer.send(window, begun));
    }
    let mut fate = Fate::default();
    while let Some(joined) = sending.join_next().await {
        fate.add(joined??);
    }
    Ok(fate)
}

/// All send one share per interval for so long, evenly spread.
pub(crate) async fn send_paced(archers: Vec<Archer>, interval: Duration, time: Duration) -> anyhow::Result<Fate> {
    let (begun, count) = (Instant::now(), u32::try_from(archers.len().max(1))?);
    let mut sending = JoinSet::new();
    for (number, archer) in (0..).zip(archers) {
        sending.spawn(archer.pace(begun + interval * number / count, interval, begun + time));
    }
    let mut fate = Fate::default();
    while let Some(joined) = sending.join_next().await {
        fate.add(joined??);
    }
    Ok(fate)
}

/// All send one share per interval until the server is gone: how many were accepted, and how many never answered.
pub(crate) async fn send_until_cut(archers: Vec<Archer>, interval: Duration) -> (usize, usize) {
    let begun = Instant::now();
    let mut sending = JoinSet::new();
    for mut archer in archers {
        sending.spawn(async move {
            // An error is the end that is waited for.
            let _cut = archer.pace_on(begun, interval, begun + CUT_PATIENCE).await;
            (archer.fate.accepted, archer.sent.len())
        });
    }
    let (mut accepted, mut unanswered) = (0, 0);
    while let Some(joined) = sending.join_next().await {
        let (of_one, without) = joined.unwrap_or_default();
        accepted += of_one;
        unanswered += without;
    }
    (accepted, unanswered)
}

/// All have so many shares accepted, one at a time, and then make so many more for what comes.
pub(crate) async fn prove_all(archers: Vec<Archer>, count: usize, more: usize) -> anyhow::Result<Vec<Archer>> {
    let mut proving = JoinSet::new();
    for archer in archers {
        proving.spawn(archer.prove(count, more));
    }
    let mut proven = Vec::new();
    while let Some(joined) = proving.join_next().await {
        proven.push(joined??);
    }
    Ok(proven)
}

impl Archer {
    fn new(miner: Miner, count: usize, fletcher: &Arc<Fletcher>) -> anyhow::Result<Self> {
        let mut archer = Self {
            miner,
            unsent: VecDeque::new(),
            next_id: FIRST_SUBMIT_ID,
            next_number: 0,
            sent: VecDeque::new(),
            fate: Fate::default(),
            fletcher: Arc::clone(fletcher),
        };
        archer.make(count)?;
        Ok(archer)
    }

    /// Shares of the newest job in place of those that wait.
    fn make(&mut self, count: usize) -> anyhow::Result<()> {
        let made = self.fletcher.submits(&self.miner, self.next_id, self.next_number, count)?;
        (self.unsent, self.next_number) = (made.submits.into(), made.next);
        Ok(())
    }

    /// Has so many shares accepted, one at a time, and then makes so many more for what comes.
    async fn prove(mut self, count: usize, more: usize) -> anyhow::Result<Self> {
        while self.fate.accepted < count {
            self.make(1)?;
            self.shoot(1).await?;
            while !self.sent.is_empty() {
                self.hear().await?;
            }
            anyhow::ensure!(self.fate.refusals() < REFUSALS_MAX, "no miner to trust: {:?}", self.fate.refused);
            tokio::time::sleep(PROOF_INTERVAL).await;
        }
        self.fate = Fate::default();
        self.make(more)?;
        Ok(self)
    }

    async fn send(mut self, window: usize, begun: Instant) -> anyhow::Result<Fate> {
        while !(self.unsent.is_empty() && self.sent.is_empty()) {
            if self.sent.len() <= window / 2 && !self.unsent.is_empty() {
                self.shoot(window - self.sent.len()).await?;
            }
            self.hear().await?;
        }
        self.fate.took = begun.elapsed();
        Ok(self.fate)
    }

    /// A share that could not be sent when it was due, because the one before was still out, has waited since then all the same.
    async fn pace(mut self, due: Instant, interval: Duration, until: Instant) -> anyhow::Result<Fate> {
        self.pace_on(due, interval, until).await?;
        while !self.sent.is_empty() {
            self.hear().await?;
        }
        Ok(self.fate)
    }

    async fn pace_on(&mut self, mut due: Instant, interval: Duration, until: Instant) -> anyhow::Result<()> {
        while due < until {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {
                    if self.unsent.is_empty() {
                        self.make(64)?;
                    }
                    let before = self.sent.len();
                    self.shoot(1).await?;
                    if let Some((_, at)) = self.sent.get_mut(before) {
                        *at = due;
                    }
                    due += interval;
                }
                heard = self.hear() => heard?,
            }
        }
        Ok(())
    }

    /// Sends so many shares in one write.
    async fn shoot(&mut self, count: usize) -> anyhow::Result<()> {
        let count = count.min(self.unsent.len());
        let bytes: Vec<u8> = self.unsent.drain(..count).flatten().collect();
        let at = Instant::now();
        for _ in 0..count {
            self.sent.push_back((self.next_id, at));
            self.next_id += 1;
        }
        Ok(self.miner.wire.write(&bytes).await?)
    }

    /// Takes one line.
    async fn hear(&mut self) -> anyhow::Result<()> {
        let Heard::Line(line) = self.miner.hear().await? else {
            bail!("the server closed a connection that sends shares")
        };
        // The most frequent line by far, in the words of our own server.
        if line.ends_with(b"\"result\":true,\"error\":null}") {
            self.answered(None);
            return Ok(());
        }
        let before = self.miner.job.id.clone();
        for event in self.miner.understand(&line, self.sent.front().map(|(id, _)| *id))? {
            if let Event::Answer { refused, .. } = event {
                self.answered(refused);
            }
        }
        if self.miner.job.is_clean && self.miner.job.id != before {
            self.make(self.unsent.len())?;
        }
        Ok(())
    }

    /// Answers come in the order of the submits.
    fn answered(&mut self, refused: Option<String>) {
        let Some((_, at)) = self.sent.pop_front() else { return };
        match refused {
            None => {
                self.fate.accepted += 1;
                self.fate.waits.push(at.elapsed());
            }
            Some(reason) => *self.fate.refused.entry(reason).or_default() += 1,
        }
    }
}
