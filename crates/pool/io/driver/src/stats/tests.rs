use std::collections::BTreeMap;

use bq_history::Batch;
use bq_pool_history::SeriesKey;
use bq_primitives::{Height, ShareDifficulty};

use super::*;

const LANE: Algorithm = Algorithm::Ethash;
const LIMITS: WorkerLimits =
    WorkerLimits { per_account_max: 1_000, all_max: 100_000, refused_per_account_max: 4, refused_max: 8 };

fn key(account: u8) -> KeyHash {
    KeyHash([account; 32])
}

fn name(worker: &str) -> WorkerName {
    WorkerName::new(worker).expect("plain")
}

fn share(account: u8, worker: &str, difficulty: u64) -> Share {
    Share {
        algorithm: LANE,
        payee: key(account),
        worker: name(worker),
        difficulty: ShareDifficulty::from_hashes(difficulty),
        network_difficulty: NetworkDifficulty::MAX,
        height: Height(1),
        time_ms: 5000,
        block_id: None,
        pay: bq_mining_message::SharePay::default(),
    }
}

/// Statistics with both clocks in one, and a share log that only counts.
struct Counted {
    stats: Stats,
    sequence: ShareSequence,
}

impl Counted {
    fn new(limits: WorkerLimits) -> Self {
        Self { stats: Stats::new(limits), sequence: ShareSequence(0) }
    }

    fn accept(&mut self, now: u64, share: &Share) {
        self.sequence = self.sequence.next();
        self.stats.accept(at(now), self.sequence, share);
    }

    fn refuse(&mut self, now: u64, account: u8, worker: &str) {
        self.stats.reject(at(now), key(account), &name(worker), LANE, ShareReject::Stale);
    }

    fn workers(&mut self, now: u64, account: u8) -> Vec<WorkerStats> {
        self.stats.workers_of(now, key(account), None, usize::MAX)
    }

    /// Names with accepted and refused shares.
    fn told(&mut self, account: u8) -> Vec<(String, u64, u64)> {
        let told = |worker: WorkerStats| {
            let totals = worker.series.totals();
            (worker.name.to_string(), totals.accepted, totals.stale())
        };
        self.workers(0, account).into_iter().map(told).collect()
    }
}

fn at(now: u64) -> Moment {
    Moment { running_secs: now, unix: Timestamp(now) }
}

fn lane_rate(stats: &mut Stats, now: u64) -> f64 {
    stats.lane_hashrates(now, LANE).0
}

#[test]
fn a_rate_is_the_work_of_the_window_over_its_length() {
    let mut counted = Counted::new(LIMITS);
    for second in 1..=1200 {
        counted.accept(second, &share(1, "a", 500));
        counted.accept(second, &share(1, "b", 1500));
    }
    let (ten, minute) = counted.stats.lane_hashrates(1200, LANE);
    assert!((ten - 2000.0).abs() < 10.0 && (minute - 2000.0).abs() < 50.0, "{ten} {minute}");
    let workers = counted.workers(1200, 1);
    let accepted = |worker: &WorkerStats| worker.series.totals().accepted;
    assert_eq!(workers.iter().map(accepted).collect::<Vec<_>>(), [1200, 1200]);
    assert!((workers[1].hashrate - 1500.0).abs() < 10.0);
    let account = counted.stats.account_hashrates(1200, key(1));
    assert!((account[&LANE].0 - 2000.0).abs() < 10.0);
    assert!(lane_rate(&mut counted.stats, 1801) < 1.0, "all shares left the window");
    assert!(counted.stats.lane_hashrates(1801, Algorithm::Sha256d).0 < 1.0);
}

/// A minute after its start a worker shows what it does, however long the pool has run.
#[test]
fn a_workers_rate_is_over_its_own_time() {
    let mut counted = Counted::new(LIMITS);
    let rates = |counted: &mut Counted, now| {
        let worker = counted.workers(now, 1).pop().expect("one worker");
        (worker.hashrate.round(), worker.hashrate_minute.round())
    };
    for second in (50_000..=50_300).step_by(5) {
        counted.accept(second, &share(1, "a", 1_000));
    }
    assert_eq!(rates(&mut counted, 50_300), (200.0, 217.0));
    let mut young = Counted::new(LIMITS);
    young.accept(50_000, &share(1, "a", 1_000));
    assert_eq!(rates(&mut young, 50_001), (0.0, 0.0), "one share says nothing");
    for second in (50_005..=50_060).step_by(5) {
        young.accept(second, &share(1, "a", 1_000));
    }
    assert_eq!(rates(&mut young, 50_060), (200.0, 200.0));
    assert_eq!(rates(&mut young, 50_125), (96.0, 0.0), "it stopped: the minute says so at once");
    young.accept(51_000, &share(1, "a", 1_000));
    young.accept(51_010, &share(1, "a", 1_000));
    assert_eq!(rates(&mut young, 51_010), (100.0, 100.0), "after a pause it begins anew");
}

#[test]
fn who_was_only_refused_is_shown_and_takes_nobodys_place() {
    let mut counted = Counted::new(WorkerLimits { per_account_max: 3, all_max: 3, ..LIMITS });
    counted.accept(1, &share(1, "good", 1));
    counted.refuse(1, 1, "good");
    for worker in ["bad0", "bad1", "bad2", "bad3", "bad4", "bad5"] {
        counted.refuse(2, 1, worker);
    }
    let refused = |name: &str| (name.to_owned(), 0, 1);
    let expected = [refused("bad0"), refused("bad1"), refused("bad2"), refused("bad3"), ("good".to_owned(), 1, 1)];
    assert_eq!(counted.told(1), expected, "four names at most");
    let totals = counted.stats.series(&Subject::Account(key(1)), LANE).expect("known").totals().clone();
    assert_eq!((totals.accepted, totals.stale()), (1, 7), "the others count for the account");
    counted.refuse(3, 2, "rig");
    assert_eq!(counted.told(2), [refused("rig")], "an account that never had a share accepted");
    for account in 3..100 {
        counted.refuse(4, account, "rig");
    }
    assert_eq!(counted.stats.by_key.len(), 1 + 8, "a stranger's names are bounded for all accounts");
    assert_eq!(counted.stats.series(&Subject::Pool, LANE).expect("always").totals().stale(), 105);
    counted.accept(5, &share(1, "bad2", 1));
    assert_eq!(counted.told(1)[2], ("bad2".to_owned(), 1, 1), "it has worked now");
    counted.refuse(4_000, 99, "late");
    assert_eq!(counted.told(99), [refused("late")], "after an hour places are used again");
}

#[test]
fn names_of_one_account_are_bounded() {
    let mut counted = Counted::new(LIMITS);
    for number in 0..3000 {
        counted.accept(1, &share(1, &format!("rig{number}"), 1));
    }
    counted.accept(1, &share(2, "rig", 1));
    let workers = counted.told(1);
    assert_eq!(workers.len(), LIMITS.per_account_max + 1);
    assert_eq!(workers.iter().map(|(_, accepted, _)| accepted).sum::<u64>(), 3000);
    assert_eq!(counted.stats.miners(Timestamp(1)), (2, 1002));
    assert_eq!(counted.stats.miners(Timestamp(5000)), (0, 1002));
}

#[test]
fn names_that_went_idle_make_room_in_their_own_account() {
    let mut counted = Counted::new(WorkerLimits { per_account_max: 16, all_max: 1_000, ..LIMITS });
    for number in 0..16 {
        counted.accept(1, &share(1, &format!("forged{number}"), 1));
    }
    counted.accept(100, &share(1, "rig", 1));
    assert!(counted.told(1).iter().any(|(name, ..)| name == "others"));
    for _ in 0..8 {
        counted.accept(4_000, &share(1, "rig", 1));
    }
    let rig = counted.told(1).into_iter().find(|(name, ..)| name == "rig");
    assert_eq!(rig, Some(("rig".to_owned(), 8, 0)), "a stranger's names do not stay before its own");
}

#[test]
fn a_stranger_takes_the_place_of_who_was_idle_for_longest_and_of_nobody_else() {
    let mut counted = Counted::new(WorkerLimits { per_account_max: 2_000, all_max: 1_000, ..LIMITS });
    for number in 0..1_000 {
        counted.accept(1 + number / 500, &share(1, &format!("rig{number}"), 1));
    }
    counted.accept(3_000, &share(1, "rig7", 1));
    for number in 0..50_000 {
        counted.accept(3_600, &share(2, &format!("stranger{number}"), 1));
    }
    assert_eq!(counted.stats.miners(Timestamp(3_600)), (2, 1_001), "nobody was idle: all strangers are one");
    assert_eq!(
        counted.told(2),
        [("others".to_owned(), 50_000, 0)],
        "what an account did shows whatever names others took"
    );
    counted.accept(3_602, &share(3, "early", 1));
    assert_eq!(counted.told(1).iter().filter(|(name, ..)| name == "rig0" || name == "rig1").count(), 0);
    for number in 0..1_500 {
        counted.accept(4_000, &share(3, &format!("new{number}"), 1));
    }
    assert_eq!(counted.stats.miners(Timestamp(4_000)), (3, 1_001));
    let names = |account| counted.stats.accounts.get(&key(account)).map_or(0, |account| account.names.len());
    assert_eq!((names(1), names(2)), (1, 1), "rig7 was not idle");
    assert_eq!(counted.stats.workers.len(), 1_001, "places are used again");
    let lane = counted.stats.series(&Subject::Pool, LANE).expect("always").totals().accepted;
    assert_eq!(lane, 52_502, "who has no place counts for the lane");
}

/// What a file would hold.
#[derive(Default)]
struct File {
    series: BTreeMap<Vec<u8>, Vec<u8>>,
    counted_before: u64,
}

impl File {
    fn write(&mut self, batch: &Batch) {
        for key in &batch.dropped {
            self.series.remove(&key.to_bytes());
        }
        for row in &batch.series {
            self.series.insert(row.key.to_bytes(), row.value.clone());
        }
    }

    fn load(&self, limits: WorkerLimits, log_end: ShareSequence) -> Stats {
        let mut stats = Stats::new(limits);
        for (key, value) in &self.series {
            let (key, series) = (SeriesKey::from_bytes(key), Series::from_bytes(value));
            stats.load(key.expect("ours"), series.expect("ours"));
        }
        stats.loaded(log_end);
        stats
    }
}

fn flush(stats: &mut Stats, file: &mut File, fails: bool) {
    while let Some(batch) = stats.take_changes(3) {
        if fails {
            return stats.not_written(batch);
        }
        file.write(&batch);
        stats.written(&batch.series);
    }
}

fn totals(stats: &Stats) -> BTreeMap<SeriesKey, Slot> {
    let mut all = BTreeMap::new();
    for (index, lane) in Algorithm::ALL.into_iter().enumerate() {
        all.insert(SeriesKey { subject: Subject::Pool, lane }, stats.lanes[index].series.totals().clone());
    }
    for (account, known) in &stats.accounts {
        for (lane, series) in known.lanes() {
            all.insert(SeriesKey { subject: Subject::Account(*account), lane }, series.totals().clone());
        }
    }
    for ((account, lane, name), index) in &stats.by_key {
        let key = SeriesKey { subject: Subject::Worker(*account, name.clone()), lane: *lane };
        all.insert(key, stats.workers[*index].series.totals().clone());
    }
    all
}

/// Written at any time, with writes that fail, then killed: what the file and the shares since then say is what was in memory, refused shares
/// since the last write aside.
#[test]
fn a_file_and_the_log_bring_back_what_was_counted() {
    let limits = WorkerLimits { per_account_max: 6, all_max: 12, ..LIMITS };
    let mut random = 99_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..60 {
        let (mut counted, mut file, mut log) = (Counted::new(limits), File::default(), Vec::new());
        let mut now = 1_800_000_000;
        let mut is_written = true;
        for _ in 0..draw(400) {
            now += 1 + draw(900);
            let account = u8::try_from(1 + draw(3)).expect("small");
            let worker = format!("rig{}", draw(9));
            match draw(10) {
                0 => {
                    counted.refuse(now, account, &worker);
                    is_written = false;
                }
                1 => {
                    let fails = draw(2) == 0;
                    let end = counted.sequence.0 + 1;
                    flush(&mut counted.stats, &mut file, fails);
                    if !fails {
                        (file.counted_before, is_written) = (end, true);
                    }
                }
                _ => {
                    let share = Share { time_ms: now * 1000, ..share(account, &worker, 1 + draw(50)) };
                    counted.accept(now, &share);
                    log.push((counted.sequence, share));
                }
            }
        }
        if !is_written {
            // A last refused share that no log has.
            let end = counted.sequence.0 + 1;
            flush(&mut counted.stats, &mut file, false);
            file.counted_before = end;
            let share = Share { time_ms: now * 1000, ..share(1, "rig1", 5) };
            counted.accept(now, &share);
            log.push((counted.sequence, share));
        }
        let mut again = file.load(limits, counted.sequence.next());
        for (sequence, share) in log.iter().filter(|(sequence, _)| sequence.0 >= file.counted_before) {
            again.recount(*sequence, share);
        }
        assert_eq!(totals(&again), totals(&counted.stats));
        flush(&mut again, &mut file, false);
        let settled = file.load(limits, counted.sequence.next());
        assert_eq!(totals(&settled), totals(&again), "and the file has it all");
    }
}

#[test]
fn of_too_many_those_stay_that_were_seen_last() {
    let mut counted = Counted::new(LIMITS);
    for number in 0..100_u64 {
        counted.accept(1_000 + number, &share(u8::try_from(number / 10).expect("small"), &format!("rig{number}"), 1));
    }
    let mut file = File::default();
    flush(&mut counted.stats, &mut file, false);
    let mut less = file.load(WorkerLimits { all_max: 15, ..LIMITS }, ShareSequence(101));
    assert_eq!(less.miners(Timestamp(1_100)), (2, 15));
    flush(&mut less, &mut file, false);
    assert_eq!(file.series.len(), 15 + 2 + 1, "the others are gone from the file, their accounts too");
}

/// Books were restored that are older than the statistics: shares that get the old numbers again count.
#[test]
fn shares_of_a_shorter_log_count_again() {
    let mut counted = Counted::new(LIMITS);
    for second in 1..=100 {
        counted.accept(second, &share(1, "rig", 1));
    }
    let mut file = File::default();
    flush(&mut counted.stats, &mut file, false);
    let mut again = file.load(LIMITS, ShareSequence(51));
    for number in 51..=60 {
        again.accept(at(200), ShareSequence(number), &share(1, "rig", 1));
    }
    assert_eq!(again.series(&Subject::Pool, LANE).expect("always").totals().accepted, 110);
    assert_eq!(again.round(LANE).shares, 10);
}

/// The windows of ten minutes and one beside the list of all shares.
#[test]
fn short_rates_are_what_every_share_says() {
    let mut random = 7_u64;
    for _ in 0..40 {
        let (mut counted, mut shares, mut now) = (Counted::new(LIMITS), Vec::<(u64, u64)>::new(), 10_000_u64);
        for _ in 0..300 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            now += match random >> 60 {
                0 => 700,
                1..=4 => 40,
                step => step / 4,
            };
            let difficulty = 1 + (random >> 40) % 1000;
            counted.accept(now, &share(1, "rig", difficulty));
            shares.push((now, difficulty));
            let worker = counted.workers(now + 3, 1).pop().expect("one");
            let run = (1..shares.len()).rev().find(|place| shares[*place - 1].0 + 600 < shares[*place].0).unwrap_or(0);
            let (since, first) = shares[run];
            for (window, got) in [(600, worker.hashrate), (60, worker.hashrate_minute)] {
                let within = shares.iter().filter(|(at, _)| at + window >= now + 3);
                let work: u64 = within.map(|(_, difficulty)| difficulty).sum();
                let own = now + 3 - since;
                let expected = match own > window {
                    true => work as f64 / window as f64,
                    false => (work - first) as f64 / own.max(10) as f64,
                };
                assert!((got - expected).abs() < 1e-6, "{window}: {got} is not {expected}");
            }
        }
    }
}
