use std::collections::{BTreeMap, VecDeque};

use bq_primitives::{Algorithm, KeyHash, ShareDifficulty, WorkerName};

/// Where workers' difficulties stood when they left, so that a reconnect does not start over. The first in is the first
/// out when full.
#[derive(Debug)]
pub(crate) struct Remembered {
    workers_max: usize,
    by_worker: BTreeMap<Worker, ShareDifficulty>,
    order: VecDeque<Worker>,
}

type Worker = (Algorithm, KeyHash, WorkerName);

impl Remembered {
    pub(crate) const fn new(workers_max: usize) -> Self {
        Self { workers_max, by_worker: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn get(&self, algorithm: Algorithm, payee: KeyHash, worker: &WorkerName) -> Option<ShareDifficulty> {
        self.by_worker.get(&(algorithm, payee, worker.clone())).copied()
    }

    pub(crate) fn put(&mut self, algorithm: Algorithm, payee: KeyHash, worker: WorkerName, value: ShareDifficulty) {
        let worker = (algorithm, payee, worker);
        if self.by_worker.insert(worker.clone(), value).is_some() {
            return;
        }
        self.order.push_back(worker);
        if self.order.len() > self.workers_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_worker.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_worker_is_forgotten() {
        let mut remembered = Remembered::new(2);
        let worker = |n: u32| WorkerName::new(&format!("rig{n}")).unwrap();
        for n in [1, 2, 1, 3] {
            remembered.put(Algorithm::Ethash, KeyHash([1; 32]), worker(n), ShareDifficulty::from_hashes(u64::from(n)));
        }
        let get = |n| remembered.get(Algorithm::Ethash, KeyHash([1; 32]), &worker(n)).map(ShareDifficulty::hashes);
        assert_eq!([1, 2, 3].map(get), [None, Some(2), Some(3)]);
        assert_eq!(remembered.get(Algorithm::RandomX, KeyHash([1; 32]), &worker(2)), None);
    }
}
