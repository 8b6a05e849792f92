use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bq_primitives::{Algorithm, PowHash};
use bq_stratum_client::{Event, FIRST_SUBMIT_ID, Found, FoundShare, Job, Proof, Work};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    miner::{Heard, Miner},
    order::Order,
    wire::Wiring,
};

/// What forgers of one algorithm were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forgeries {
    /// Submits of theirs that were answered, by what the server said.
    pub(crate) answers: BTreeMap<String, usize>,
    /// Most answers of one sender, all its connections together, that only hashing can have given.
    pub(crate) hashed_max: usize,
}

/// Where forgers write that down, by [`Algorithm::index`].
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<[Forgeries; Algorithm::COUNT]>>);

/// Between two submits of a forger.
const PAUSE: Duration = Duration::from_millis(200);
/// Before one that was closed comes again. Longer: a server that turns away is not what is measured, and shares this machine with who does.
const RETURN: Duration = Duration::from_secs(1);
/// Answers that no share was hashed for.
const UNHASHED: [&str; 5] = ["busy", "job", "stale", "duplicate", "low difficulty"];

impl Ledger {
    pub(crate) fn of(&self, algorithm: Algorithm) -> Forgeries {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[algorithm.index()].clone()
    }

    /// `hashed`: of this sender, until now.
    fn note(&self, algorithm: Algorithm, answer: String, hashed: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forgeries = &mut all[algorithm.index()];
        *forgeries.answers.entry(answer).or_default() += 1;
        forgeries.hashed_max = forgeries.hashed_max.max(hashed);
    }
}

/// Sends shares that no hash comes to from one address, whatever it is told, until it is dropped.
pub(crate) async fn keep_forging(order: &Order, wiring: &Wiring, ledger: &Ledger) -> ! {
    let (mut number, mut hashed) = (FIRST_SUBMIT_ID, 0);
    loop {
        // Being closed is what is expected.
        let _closed = forge(order, wiring, ledger, (&mut number, &mut hashed)).await;
        sleep(RETURN).await;
    }
}

/// Until the server closes. Nobody who forges waits for answers.
async fn forge(
    order: &Order,
    wiring: &Wiring,
    ledger: &Ledger,
    (number, hashed): (&mut u64, &mut usize),
) -> anyhow::Result<()> {
    let (mut miner, _) = Miner::open(order, wiring).await?;
    let (mut due, mut sent) = (interval(PAUSE), VecDeque::new());
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let line = tokio::select! {
            _ = due.tick() => {
                let found = forged(&miner.job, *number);
                let share = FoundShare { job_id: &miner.job.id, work: &miner.job.work, found: &found };
                let submit = miner.dialect.submit(&share, *number);
                miner.wire.write(submit.as_bytes()).await?;
                sent.push_back(*number);
                *number += 1;
                continue;
            }
            heard = miner.hear() => match heard? {
                Heard::Line(line) => line,
                Heard::End => return Ok(()),
            },
        };
        for event in miner.understand(&line, sent.front().copied())? {
            let Event::Answer { refused, .. } = event else { continue };
            sent.pop_front();
            let answer = refused.unwrap_or_else(|| "accepted".to_owned());
            let words = answer.to_lowercase();
            *hashed += usize::from(!UNHASHED.iter().any(|word| words.contains(word)) || is_mixless(&miner.job, &words));
            ledger.note(order.algorithm, answer, *hashed);
        }
    }
}

/// An Ethash share without a mix is known to be none only once it was hashed.
fn is_mixless(job: &Job, words: &str) -> bool {
    matches!(job.work, Work::Ethash { .. }) && words.contains("low difficulty")
}

/// Of RandomX a result below any share's target, every other time also below any block's, which no hash comes to; of Ethash a nonce alone, of which
/// one in 2^24 would be good.
fn forged(job: &Job, number: u64) -> Found {
    let mut value = [0x55; 32];
    value[if number.is_multiple_of(2) { 28 } else { 0 }..].fill(0);
    let proof = match &job.work {
        Work::Ethash { first_nonce, .. } => Proof::Ethash { nonce: first_nonce.wrapping_add(number), mix: [0; 32] },
        Work::Sha256d(_) | Work::RandomX { .. } => Proof::RandomX { nonce: u32::try_from(number).unwrap_or(0) },
    };
    Found { proof, value: PowHash(value) }
}
