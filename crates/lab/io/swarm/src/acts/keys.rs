//! RandomX's key or Ethash's epoch changes while miners mine: shares of the old one are stale, those of the new one count as soon as its
//! table is built, and nobody else waits for that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bq_pow::{ethash_epoch, randomx_key_height};
use bq_primitives::{Algorithm, Height};
use bq_stratum_client::{Event, FIRST_SUBMIT_ID, Work};
use tokio::task::JoinSet;

use super::{NEWCOMERS_MAX, Run, come_one_by_one};
use crate::{
    figures::millis,
    finder::Finder,
    miner::{Heard, Miner},
    quiver::Fletcher,
};

/// Who mines what changes.
const MINERS: usize = 6;
/// Newcomers of SHA-256d come for so long around the change: nothing may keep them waiting.
const WATCH: Duration = Duration::from_secs(10);
/// A table that is not built by then never is.
const TABLE_PATIENCE: Duration = Duration::from_secs(90);
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// The chain of a run has Ethash from its first block on.
const ETHASH_SINCE: Height = Height(1);

/// What one miner saw of a change.
struct Passage {
    /// Its first job of the new key came.
    job: Instant,
    /// What its share of the old one was refused with; nothing: it was taken.
    old: Option<String>,
    /// Its first share of the new one was made, and accepted.
    made: Instant,
    accepted: Instant,
    /// Refused on the way there.
    refused: usize,
}

impl Run<'_> {
    pub(super) async fn change_key(&mut self, algorithm: Algorithm) -> anyhow::Result<()> {
        let mut finder = Finder::open(&self.order(Algorithm::Sha256d)?, &self.wiring).await?;
        let last = self.last_height_of_key(algorithm).await?;
        let climbed = self.climb(&mut finder, last).await?;
        let fletcher = Arc::new(Fletcher::new());
        let mut passing = JoinSet::new();
        for _ in 0..MINERS {
            let (miner, _) = Miner::open(&self.order(algorithm)?, &self.wiring).await?;
            let (miner, old) = mine_old(miner, &fletcher).await?;
            passing.spawn(pass_over(miner, old, Arc::clone(&fletcher)));
        }
        let newcomer = self.order(Algorithm::Sha256d)?;
        self.numbers += NEWCOMERS_MAX;
        let watch = come_one_by_one(newcomer, self.wiring.clone(), Instant::now() + WATCH);
        let newcomers = tokio::spawn(watch);
        let changed = finder.find().await?;
        finder.next_work().await?;
        let mut passages = Vec::new();
        while let Some(joined) = passing.join_next().await {
            passages.push(joined??);
        }
        let (arrived, failed) = newcomers.await?;
        let what = format!("{algorithm} key");
        self.figures.add(format!("{what}: a block of the way there"), climbed, "ms");
        self.note_passages(&what, changed, &passages);
        self.figures.count(format!("{what}: newcomers without work"), failed);
        self.figures.percentiles(&format!("{what}: a newcomer's first job"), arrived);
        Ok(())
    }

    /// The last height that is mined with the present key. Miners of RandomX are told the height that they mine.
    async fn last_height_of_key(&mut self, algorithm: Algorithm) -> anyhow::Result<u32> {
        let (probe, _) = Miner::open(&self.order(Algorithm::RandomX)?, &self.wiring).await?;
        let now = u32::try_from(probe.job.height.context("a job without a height")?)?;
        let key = |height| match algorithm {
            Algorithm::RandomX => Some(randomx_key_height(Height(height)).0),
            Algorithm::Ethash => ethash_epoch(Height(height), ETHASH_SINCE),
            Algorithm::Sha256d => None,
        };
        (now..now.saturating_add(10_000))
            .find(|height| key(*height) != key(height + 1))
            .context("its key never changes")
    }

    /// Finds blocks until the next one is at this height; milliseconds that one took.
    async fn climb(&mut self, finder: &mut Finder, height: u32) -> anyhow::Result<f64> {
        let (probe, _) = Miner::open(&self.order(Algorithm::RandomX)?, &self.wiring).await?;
        let now = u32::try_from(probe.job.height.context("a job without a height")?)?;
        drop(probe);
        let (begun, count) = (Instant::now(), height.saturating_sub(now));
        for _ in 0..count {
            finder.find().await?;
            finder.next_work().await?;
        }
        Ok(millis(begun.elapsed()) / f64::from(count.max(1)))
    }

    fn note_passages(&mut self, what: &str, changed: Instant, passages: &[Passage]) {
        let figures = &mut self.figures;
        let since = |from: Instant, to: fn(&Passage) -> Instant| {
            passages.iter().map(|passage| to(passage).saturating_duration_since(from)).collect::<Vec<_>>()
        };
        figures.percentiles(&format!("{what}: first job of the new one"), since(changed, |passage| passage.job));
        figures.percentiles(&format!("{what}: first share of it accepted"), since(changed, |passage| passage.accepted));
        let answers = passages.iter().map(|passage| passage.accepted.saturating_duration_since(passage.made)).collect();
        figures.percentiles(&format!("{what}: from the first share made to one accepted"), answers);
        let taken = passages.iter().filter(|passage| passage.old.is_none()).count();
        figures.count(format!("{what}: shares of the old one accepted"), taken);
        for passage in passages {
            if let Some(reason) = &passage.old {
                figures.tally(format!("{what}: shares of the old one refused, {reason}"));
            }
        }
        let refused = passages.iter().map(|passage| passage.refused).sum();
        figures.count(format!("{what}: shares of the new one refused at first"), refused);
    }
}

/// Has a share of the old key accepted, and makes another one for later.
async fn mine_old(miner: Miner, fletcher: &Arc<Fletcher>) -> anyhow::Result<(Miner, Vec<u8>)> {
    let (mut miner, mut submits) = make(miner, fletcher, FIRST_SUBMIT_ID, 2).await?;
    let later = submits.pop().context("a second share")?;
    miner.wire.write(&submits.concat()).await?;
    match answer(&mut miner, FIRST_SUBMIT_ID).await? {
        None => Ok((miner, later)),
        Some(reason) => bail!("a share before the change was refused: {reason}"),
    }
}

/// Waits for the change, hands in what is left of the old key, and mines the new one until a share is accepted.
async fn pass_over(mut miner: Miner, old: Vec<u8>, fletcher: Arc<Fletcher>) -> anyhow::Result<Passage> {
    let before = key_of(&miner.job.work);
    while key_of(&miner.job.work) == before {
        let Heard::Line(line) = miner.hear().await? else { bail!("closed before the key changed") };
        miner.understand(&line, None)?;
    }
    let job = Instant::now();
    miner.wire.write(&old).await?;
    let old = answer(&mut miner, FIRST_SUBMIT_ID + 1).await?;
    let (mut first_made, mut refused) = (None, 0);
    for id in FIRST_SUBMIT_ID + 2.. {
        let submits;
        (miner, submits) = make(miner, &fletcher, id, 1).await?;
        let made = *first_made.get_or_insert_with(Instant::now);
        miner.wire.write(&submits.concat()).await?;
        match answer(&mut miner, id).await? {
            None => return Ok(Passage { job, old, made, accepted: Instant::now(), refused }),
            Some(reason) if job.elapsed() > TABLE_PATIENCE => bail!("no share of the new key was accepted: {reason}"),
            Some(_) => refused += 1,
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    bail!("no number is left")
}

/// Shares of its newest job, made where nobody waits for it: the first of a key builds a table.
async fn make(
    miner: Miner,
    fletcher: &Arc<Fletcher>,
    first_id: u64,
    count: usize,
) -> anyhow::Result<(Miner, Vec<Vec<u8>>)> {
    let fletcher = Arc::clone(fletcher);
    tokio::task::spawn_blocking(move || {
        let made = fletcher.submits(&miner, first_id, first_id, count)?;
        Ok((miner, made.submits))
    })
    .await?
}

/// What a submit is answered: a reason, or nothing if it was accepted.
async fn answer(miner: &mut Miner, submit: u64) -> anyhow::Result<Option<String>> {
    loop {
        let Heard::Line(line) = miner.hear().await? else { bail!("closed before a share was answered") };
        for event in miner.understand(&line, Some(submit))? {
            if let Event::Answer { id, refused } = event
                && id == submit
            {
                return Ok(refused);
            }
        }
    }
}

/// What its table is made from.
fn key_of(work: &Work) -> Option<String> {
    match work {
        Work::Sha256d(_) => None,
        Work::RandomX { key, .. } => Some(key.to_string()),
        Work::Ethash { epoch, .. } => Some(epoch.to_string()),
    }
}
