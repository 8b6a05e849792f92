use std::{sync::Arc, time::Duration};

use bq_pow::lower_thread_priority;
use tracing::warn;

use crate::{
    search::Searcher,
    shared::{Lane, Shared},
};

/// Upper bounds on sleeping; news wakes earlier.
const IDLE: Duration = Duration::from_millis(500);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A worker thread: hashes in steps of some milliseconds, and before each looks again at what to do, so that a new job, a
/// change of settings or the end takes effect at once. Ends when the miner stops or needs fewer threads.
pub(crate) fn run(shared: &Arc<Shared>, index: usize) {
    if shared.low_priority {
        lower_thread_priority();
    }
    let mut searcher = Searcher::default();
    let mut current = None;
    loop {
        let settings = shared.settings.borrow().clone();
        if settings.stopped || index >= settings.threads {
            return;
        }
        let turn = if settings.enabled { shared.turn(index, &settings) } else { None };
        if turn.as_ref().map(|(lane, _)| lane.algorithm) != current {
            current = turn.as_ref().map(|(lane, _)| lane.algorithm);
            searcher.release();
        }
        match turn {
            None => shared.wait_for_news(IDLE),
            Some((lane, job)) => match searcher.step(&job, &shared.pow) {
                Ok(step) => {
                    lane.stats.hashed(step.hashes);
                    step.found.into_iter().for_each(|found| shared.submit(lane, &job, found));
                    if step.exhausted {
                        shared.wait_for_news(IDLE);
                    }
                }
                Err(error) => failed(shared, lane, &error),
            },
        }
    }
}

fn failed(shared: &Shared, lane: &Lane, error: &bq_pow::PowError) {
    warn!(algorithm = lane.algorithm.name(), %error, "mining step failed");
    lane.stats.failed(error.to_string());
    shared.wait_for_news(AFTER_FAILURE);
}
