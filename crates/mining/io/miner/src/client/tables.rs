//! Tables for a pool's keys: one build at a time, the newest key next.

use std::{sync::Arc, time::Duration};

use bq_primitives::PowKey;
use tokio::time::Instant;

use crate::{
    MinerEvent,
    huge_pages::log_huge_pages,
    shared::{Lane, Shared},
};

/// Tables that took at least this long are worth telling of.
const LONG_BUILD: Duration = Duration::from_secs(1);

/// Which key's tables are wanted while others are being built. A pool that names a new key with each job gets one build at a
/// time, and those that it jumped over are never begun (SPEC 11.9, 10).
#[derive(Debug, Default)]
pub(crate) struct Builds {
    wanted: Option<PowKey>,
    is_building: bool,
}

impl Builds {
    /// `key` is wanted. True if somebody has to begin building.
    fn want(&mut self, key: PowKey) -> bool {
        self.wanted = Some(key);
        !std::mem::replace(&mut self.is_building, true)
    }

    /// What to build next; after nothing the building is over.
    const fn next(&mut self) -> Option<PowKey> {
        let next = self.wanted.take();
        self.is_building = next.is_some();
        next
    }

    /// What is being built is not wanted any more.
    const fn is_outdated(&self) -> bool {
        self.wanted.is_some()
    }
}

/// Builds tables for a new key off the worker threads, the fast ones where the verifier has memory for them.
pub(super) fn prepare(shared: &Arc<Shared>, index: usize, key: PowKey) {
    let Some(lane) = shared.lanes.get(index) else { return };
    if !lane.builds.lock().want(key) {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let Some(lane) = shared.lanes.get(index) else { return };
        loop {
            // Not in the loop's head: the lock would be held while building.
            let next = lane.builds.lock().next();
            let Some(key) = next else { return };
            build(&shared, lane, &key);
        }
    });
}

/// Builds what hashing under `key` takes, and tells when each part is there. What cannot be built the threads try to build
/// themselves, and report.
fn build(shared: &Shared, lane: &Lane, key: &PowKey) {
    let (pow, began, algorithm) = (&shared.pow, Instant::now(), lane.algorithm);
    let mut built = pow.prepare(key);
    if built.is_ok() {
        lane.set_tables(*key, false);
        shared.announce_news();
        if lane.builds.lock().is_outdated() {
            return;
        }
        built = pow.prepare_fast(key).map(|is_new| {
            if let (PowKey::RandomX(_), true) = (key, is_new) {
                log_huge_pages(pow, key);
            }
        });
        if let (PowKey::Ethash(epoch), Some(datasets)) = (key, &shared.ethash_datasets) {
            datasets.want(*epoch);
        }
    }
    lane.set_tables(*key, true);
    shared.announce_news();
    match built {
        Err(error) => {
            tracing::warn!(algorithm = algorithm.name(), %error, "cannot build mining tables");
            lane.stats.failed(error.to_string());
        }
        Ok(()) if began.elapsed() >= LONG_BUILD => {
            shared.tell(MinerEvent::TablesReady { algorithm, took: began.elapsed() });
        }
        Ok(()) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_is_built_at_a_time_and_the_newest_key_wins() {
        let mut builds = Builds::default();
        assert!(builds.want(PowKey::Ethash(1)));
        assert_eq!(builds.next(), Some(PowKey::Ethash(1)));
        assert!(!builds.is_outdated());
        for epoch in 2..9 {
            assert!(!builds.want(PowKey::Ethash(epoch)), "one builds already");
        }
        assert!(builds.is_outdated());
        assert_eq!((builds.next(), builds.next()), (Some(PowKey::Ethash(8)), None));
        assert!(builds.want(PowKey::Ethash(9)));
    }
}
