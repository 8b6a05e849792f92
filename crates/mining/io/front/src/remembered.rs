use std::collections::BTreeMap;

use bq_primitives::{Algorithm, KeyHash, ShareDifficulty, WorkerName};
use bq_share::Restored;

/// Where workers' difficulties stood when they were last seen, so that a reconnect does not start over (SPEC 11.8). The one
/// unseen longest is forgotten first when full.
#[derive(Debug)]
pub(crate) struct Remembered {
    workers_max: usize,
    by_worker: BTreeMap<Worker, (ShareDifficulty, Visit)>,
    by_visit: BTreeMap<Visit, Worker>,
    visits: Visit,
    changed: bool,
}

type Worker = (Algorithm, KeyHash, WorkerName);
/// Counts up with every worker that comes or goes.
type Visit = u64;

impl Remembered {
    pub(crate) const fn new(workers_max: usize) -> Self {
        Self { workers_max, by_worker: BTreeMap::new(), by_visit: BTreeMap::new(), visits: 0, changed: false }
    }

    /// Where a worker that comes stood.
    pub(crate) fn get(&mut self, algorithm: Algorithm, payee: KeyHash, worker: &WorkerName) -> Option<ShareDifficulty> {
        let worker = (algorithm, payee, worker.clone());
        let value = self.by_worker.get(&worker)?.0;
        self.see(worker, value);
        Some(value)
    }

    /// Where a worker stands now.
    pub(crate) fn put(&mut self, algorithm: Algorithm, payee: KeyHash, worker: WorkerName, value: ShareDifficulty) {
        self.see((algorithm, payee, worker), value);
        self.changed = true;
        if self.by_worker.len() > self.workers_max
            && let Some((_, unseen)) = self.by_visit.pop_first()
        {
            self.by_worker.remove(&unseen);
        }
    }

    fn see(&mut self, worker: Worker, value: ShareDifficulty) {
        self.visits = self.visits.saturating_add(1);
        if let Some((_, before)) = self.by_worker.insert(worker.clone(), (value, self.visits)) {
            self.by_visit.remove(&before);
        }
        self.by_visit.insert(self.visits, worker);
    }

    /// One line each, the one unseen longest first; nothing if nothing changed since the last time.
    pub(crate) fn changes(&mut self) -> Option<String> {
        let line = |worker: &Worker| {
            let (algorithm, payee, name) = worker;
            self.by_worker.get(worker).map(|(value, _)| format!("{algorithm} {payee} {name} {}\n", value.hashes()))
        };
        std::mem::take(&mut self.changed).then(|| self.by_visit.values().filter_map(line).collect())
    }

    /// Takes in what [`Remembered::changes`] wrote.
    pub(crate) fn restore(&mut self, text: &str) -> Restored {
        let mut restored = Restored::default();
        for (index, line) in text.lines().enumerate() {
            match parse(line) {
                Some(((algorithm, payee, worker), value)) => self.put(algorithm, payee, worker, value),
                None => restored.note_unread(index),
            }
        }
        self.changed = restored.unread > 0;
        restored
    }
}

fn parse(line: &str) -> Option<(Worker, ShareDifficulty)> {
    let mut words = line.split(' ');
    let worker = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, WorkerName::new(words.next()?).ok()?);
    let hashes = words.next()?.parse::<u64>().ok().filter(|hashes| *hashes > 0)?;
    words.next().is_none().then(|| (worker, ShareDifficulty::from_hashes(hashes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYEE: KeyHash = KeyHash([1; 32]);

    fn worker(n: u64) -> WorkerName {
        WorkerName::new(&format!("rig{n}")).unwrap()
    }

    fn of(workers: &[u64]) -> Remembered {
        let mut remembered = Remembered::new(3);
        for n in workers {
            remembered.put(Algorithm::Ethash, PAYEE, worker(*n), ShareDifficulty::from_hashes(*n));
        }
        remembered
    }

    fn hashes(remembered: &mut Remembered, n: u64) -> Option<u64> {
        remembered.get(Algorithm::Ethash, PAYEE, &worker(n)).map(ShareDifficulty::hashes)
    }

    #[test]
    fn the_worker_unseen_longest_is_forgotten() {
        let mut remembered = of(&[1, 2, 3, 1]);
        assert_eq!(hashes(&mut remembered, 2), Some(2), "seen again");
        remembered.put(Algorithm::Ethash, PAYEE, worker(4), ShareDifficulty::from_hashes(4));
        assert_eq!([1, 2, 3, 4].map(|n| hashes(&mut remembered, n)), [Some(1), Some(2), None, Some(4)]);
        assert_eq!(remembered.get(Algorithm::RandomX, PAYEE, &worker(2)), None);
        assert_eq!((remembered.by_worker.len(), remembered.by_visit.len()), (3, 3));
    }

    #[test]
    fn what_is_written_is_read_again_and_the_rest_is_passed_over() {
        let mut before = of(&[5, 6, 7]);
        let text = before.changes().unwrap();
        assert_eq!(before.changes(), None, "once");
        let mut after = Remembered::new(3);
        assert_eq!(after.restore(&text), Restored::default());
        assert_eq!(after.changes(), None, "nothing new");
        assert_eq!([5, 6, 7].map(|n| hashes(&mut after, n)), [5, 6, 7].map(Some));
        let lines = ["", "ethash", "ethash 00 rig1 5", "ethash \u{fffd}", &format!("scrypt {PAYEE} rig1 5")];
        let bad =
            [&format!("ethash {PAYEE} rig1 0"), &format!("ethash {PAYEE} r/g 5"), &format!("ethash {PAYEE} rig1 5 6")];
        let text = format!("{}\n{}\n{}\n{text}", lines.join("\n"), bad.map(String::as_str).join("\n"), "ethash 1");
        let mut smaller = Remembered::new(2);
        assert_eq!(smaller.restore(&text), Restored { unread: 9, first_unread: Some(1), dropped: 0 });
        assert_eq!([5, 6, 7].map(|n| hashes(&mut smaller, n)), [None, Some(6), Some(7)], "the newest of them");
    }
}
