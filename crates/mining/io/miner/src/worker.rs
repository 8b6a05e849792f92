use std::{sync::Arc, time::Duration};

use bq_pow::PowError;
use bq_primitives::Algorithm;
use tracing::warn;

use crate::{
    affinity,
    backend::Backend,
    shared::{Lane, Shared},
};

/// Upper bounds on sleeping; news wakes earlier.
const IDLE: Duration = Duration::from_millis(500);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A worker thread: searches in steps of some milliseconds, and before each looks again at what to do, so that a new job, a
/// change of settings or the end takes effect at once. Ends when the miner stops or needs fewer threads.
pub(crate) fn run(shared: &Arc<Shared>, index: usize, mut backend: impl Backend<Error = PowError>) {
    if let Some(level) = shared.priority {
        affinity::set_priority(level);
    }
    let stats = shared.worker_stats(index);
    let mut place = affinity::Place::new(index);
    let mut current: Option<Algorithm> = None;
    loop {
        let hashing = shared.hashing();
        let settings = shared.settings.borrow().clone();
        if settings.stopped || index >= settings.threads {
            return;
        }
        let turn = if settings.hashes() { shared.turn(index, &settings) } else { None };
        let turn = turn.and_then(|(lane, job)| Some((lane, job, lane.search()?)));
        if turn.as_ref().map(|(lane, ..)| lane.algorithm) != current {
            current = turn.as_ref().map(|(lane, ..)| lane.algorithm);
            backend.release();
        }
        let Some((lane, job, search)) = turn else {
            drop(hashing);
            shared.wait_for_news(IDLE);
            continue;
        };
        place.take(&shared.affinity, settings.threads, lane.algorithm);
        let began = shared.now();
        let step = backend.step(&job, &shared.pow);
        let ended = shared.now();
        if let Ok(step) = &step {
            lane.stats.hashed(began, ended, step.hashes);
            stats.hashed(lane.algorithm, began, ended, step.hashes);
        }
        let (found, is_exhausted, error) = match step {
            Ok(step) => (step.found, step.exhausted, None),
            Err(error) => (Vec::new(), false, Some(error)),
        };
        shared.submit(lane, &job, found);
        drop(search);
        drop(hashing);
        if let Some(error) = error {
            failed(shared, lane, &error);
        } else if is_exhausted {
            shared.wait_for_news(IDLE);
        }
    }
}

fn failed(shared: &Shared, lane: &Lane, error: &PowError) {
    warn!(algorithm = lane.algorithm.name(), %error, "mining step failed");
    lane.stats.failed(error.to_string());
    shared.wait_for_news(AFTER_FAILURE);
}
