#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "simulated times and difficulties are positive and far below 2^63"
)]

use super::*;

/// SplitMix64, so that every run sees the same arrivals.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Milliseconds until a miner of `speed` hashes per second meets `difficulty`.
    fn wait_ms(&mut self, difficulty: u64, speed: f64) -> f64 {
        -(1.0 - self.unit()).ln() * difficulty as f64 / speed * 1000.0
    }
}

struct Rig {
    vardiff: Vardiff,
    dice: Dice,
    now: f64,
    changes: u32,
    shares: u32,
}

impl Rig {
    fn new(policy: VardiffPolicy, seed: u64) -> Self {
        let mut vardiff = Vardiff::new(policy);
        let start = vardiff.difficulty();
        vardiff.issue(UnixMs(0), start);
        Self { vardiff, dice: Dice(seed), now: 0.0, changes: 0, shares: 0 }
    }

    /// Mines until `end` (ms): memoryless, so a change of difficulty simply starts a new wait.
    fn mine(&mut self, speed: f64, end: f64) {
        while self.now < end {
            let difficulty = self.vardiff.difficulty();
            let wait = if speed == 0.0 { f64::MAX } else { self.dice.wait_ms(difficulty.hashes(), speed) };
            let tick = 1000.0;
            let changed = if wait < tick {
                self.now += wait;
                self.shares += 1;
                self.vardiff.on_share(UnixMs(self.now as u64), difficulty)
            } else {
                self.now += tick;
                self.vardiff.on_tick(UnixMs(self.now as u64))
            };
            self.changes += u32::from(changed);
            if changed {
                self.vardiff.issue(UnixMs(self.now as u64), self.vardiff.difficulty());
            }
        }
    }

    fn error(&self, speed: f64) -> f64 {
        let ideal = speed * self.vardiff.policy.share_interval_ms as f64 / 1000.0;
        (self.vardiff.difficulty().hashes() as f64 / ideal - 1.0).abs()
    }
}

fn policy(start: u64) -> VardiffPolicy {
    VardiffPolicy { start: ShareDifficulty::from_hashes(start), ..VardiffPolicy::default() }
}

/// What percentage of 40 seeds is within 20 % a minute after starting `ratio` times too hard.
fn settled_percent(ratio: f64) -> usize {
    let speed = 1e9;
    let settled = (0..40)
        .filter(|seed| {
            let mut rig = Rig::new(policy((speed * 10.0 * ratio) as u64), *seed);
            rig.mine(speed, 60_000.0);
            rig.error(speed) <= 0.2
        })
        .count();
    settled * 100 / 40
}

#[test]
fn settles_within_a_minute_from_every_start() {
    for ratio in [1e-6, 1e-3, 0.1, 1.0, 10.0, 1e3, 1e5] {
        let settled = settled_percent(ratio);
        assert!(settled >= 90, "{settled} % settled from {ratio} times the right difficulty");
    }
}

#[test]
fn a_start_far_too_easy_does_not_flood() {
    let mut rig = Rig::new(policy(1_000_000), 1); // 1000 shares/s at 1 GH/s
    rig.mine(1e9, 60_000.0);
    assert!(rig.shares < 2_000, "{} shares in the first minute", rig.shares);
}

#[test]
fn holds_without_oscillation() {
    let speed = 5e8;
    let mut off = 0;
    for seed in 0..20 {
        let mut rig = Rig::new(policy(1 << 32), seed);
        rig.mine(speed, 60_000.0);
        rig.changes = 0;
        rig.mine(speed, 4_000_000.0);
        assert!(rig.changes <= 12, "{} changes in an hour, seed {seed}", rig.changes);
        off += usize::from(rig.error(speed) > 0.2);
    }
    assert!(off <= 1, "{off} of 20 are off after an hour");
}

#[test]
fn follows_a_change_of_speed_and_a_silence() {
    for (before, after) in [(1e9, 1e10), (1e10, 1e9), (1e9, 2.5e9)] {
        let mut errors: Vec<f64> = (0..9)
            .map(|seed| {
                let mut rig = Rig::new(policy(1 << 32), seed);
                rig.mine(before, 600_000.0);
                rig.mine(after, 1_500_000.0);
                rig.error(after)
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        assert!(errors[4] < 0.12 && errors[8] < 0.4, "{before} to {after}: off by {errors:?}");
    }
    let floor = ShareDifficulty::from_hashes(100_000_000);
    let mut rig = Rig::new(VardiffPolicy { floor, ..policy(1 << 32) }, 4);
    rig.mine(1e9, 600_000.0);
    rig.mine(0.0, 1_200_000.0);
    assert!(rig.vardiff.difficulty().hashes() < 1_000_000_000, "steps down while nothing arrives");
    rig.mine(1e9, 1_400_000.0);
    assert!(rig.error(1e9) < 0.25);
}

#[test]
fn a_remembered_worker_starts_where_it_was() {
    let mut rig = Rig::new(policy(1 << 32), 5);
    rig.vardiff.remember(UnixMs(0), ShareDifficulty::from_hashes(10_000_000_000));
    rig.vardiff.issue(UnixMs(0), ShareDifficulty::from_hashes(10_000_000_000));
    rig.mine(1e9, 60_000.0);
    assert_eq!((rig.changes, rig.error(1e9) < 0.001), (0, true));
    rig.mine(1e9, 600_000.0);
    assert!(rig.error(1e9) < 0.25);
}

#[test]
fn a_pinned_difficulty_stays_unless_it_floods() {
    let mut rig = Rig::new(policy(1 << 32), 6);
    rig.vardiff.pin(ShareDifficulty::from_hashes(1_000_000_000));
    let pinned = rig.vardiff.difficulty();
    rig.vardiff.issue(UnixMs(0), pinned);
    rig.mine(1e9, 600_000.0);
    assert_eq!(rig.vardiff.difficulty().hashes(), 1_000_000_000);
    let mut rig = Rig::new(policy(1 << 32), 7);
    rig.vardiff.pin(ShareDifficulty::MIN);
    let pinned = rig.vardiff.difficulty();
    rig.vardiff.issue(UnixMs(0), pinned);
    rig.mine(1e6, 60_000.0);
    let before = rig.shares;
    rig.mine(1e6, 160_000.0);
    assert!(rig.shares - before < 500, "{} shares in 100 s", rig.shares - before);
}

/// SPEC 11.8, 5 and 8.
#[test]
fn a_pinned_difficulty_is_not_doubled_by_overload_and_comes_back_after_a_flood() {
    let mut rig = Rig::new(policy(1 << 32), 8);
    let wish = ShareDifficulty::from_hashes(1_000);
    rig.vardiff.pin(wish);
    rig.vardiff.issue(UnixMs(0), wish);
    assert!(!rig.vardiff.on_busy(UnixMs(1_000)));
    rig.mine(1_500.0, 60_000.0);
    assert_eq!((rig.vardiff.difficulty(), rig.changes), (wish, 0));
    rig.mine(20_000.0, 120_000.0);
    assert!(rig.vardiff.difficulty().hashes() > 2_000, "twenty shares a second are a flood");
    rig.mine(500.0, 3_600_000.0);
    assert_eq!(rig.vardiff.difficulty(), wish);
}

#[test]
fn overload_doubles_once_per_ten_seconds() {
    let mut vardiff = Vardiff::new(policy(1 << 20));
    vardiff.issue(UnixMs(0), ShareDifficulty::from_hashes(1 << 20));
    assert!(vardiff.on_busy(UnixMs(1000)));
    assert!(!vardiff.on_busy(UnixMs(2000)));
    assert_eq!(vardiff.difficulty().hashes(), 1 << 21);
    assert!(vardiff.on_busy(UnixMs(11_000)));
    assert_eq!(vardiff.difficulty().hashes(), 1 << 22);
}

#[test]
fn bounds_follow_the_network() {
    let check = |difficulty, network, cap_divisor, floor, expected| {
        let policy = VardiffPolicy { floor: ShareDifficulty::from_hashes(floor), cap_divisor, ..policy(1) };
        let network = NetworkDifficulty::from_hashes(network);
        let clamped = policy.clamp(ShareDifficulty::from_hashes(difficulty), network);
        assert_eq!(clamped.hashes(), expected);
    };
    check(1_000, 1_000_000, 10, 1, 1_000);
    check(500_000, 1_000_000, 10, 1, 100_000);
    check(500_000, 1_000_000, 1, 1, 500_000);
    check(500, 2, 10, 1_000, 1); // cap below one hash, and it wins over the floor
    check(500, 2, 1, 1_000, 2);
    check(1, 1 << 60, 10, 1, 1 << 20);
    check(1, 1 << 30, 10, 5_000, 5_000);
    check(7, 700, 0, 1, 7);
    // Paid in the coinbase: a thousandth, a hundredth, or as elsewhere, whichever is the first that the floor allows.
    let direct = |network, floor, expected| {
        let floor = ShareDifficulty::from_hashes(floor);
        let policy = VardiffPolicy { floor, fine_divisors: VardiffPolicy::DIRECT_DIVISORS, ..policy(1) };
        let clamped = policy.clamp(ShareDifficulty::from_hashes(u64::MAX), NetworkDifficulty::from_hashes(network));
        assert_eq!(clamped.hashes(), expected);
    };
    direct(1_000_000, 1_000, 1_000);
    direct(1_000_000, 1_001, 10_000);
    direct(1_000_000, 10_001, 100_000);
    direct(1_000_000, 1 << 40, 100_000);
}

#[test]
fn coarse_keeps_24_bits() {
    assert_eq!(coarse(0xff_ffff).hashes(), 0xff_ffff);
    assert_eq!(coarse(0x1ff_ffff).hashes(), 0x1ff_fffe);
    assert_eq!(coarse(u64::MAX).hashes(), 0xffff_ff00_0000_0000);
    assert_eq!(coarse(0).hashes(), 1);
}

/// RandomX and Ethash: two minutes of building a dataset, then shares.
#[test]
fn a_miner_that_builds_its_dataset_is_waited_for() {
    let patient = VardiffPolicy { first_share_ms: 300_000, ..policy(10_000) };
    for remembered in [None, Some(ShareDifficulty::from_hashes(10_000))] {
        let mut rig = Rig::new(patient, 8);
        if let Some(difficulty) = remembered {
            rig.vardiff.remember(UnixMs(0), difficulty);
            rig.vardiff.issue(UnixMs(0), difficulty);
        }
        rig.mine(0.0, 120_000.0);
        assert_eq!((rig.changes, rig.vardiff.difficulty().hashes()), (0, 10_000), "{remembered:?}");
        rig.mine(1_000.0, 125_000.0);
        assert!(rig.vardiff.difficulty().hashes() > 200, "its two minutes do not count as slow: {:?}", rig.vardiff);
        rig.mine(1_000.0, 185_000.0);
        assert!(rig.error(1_000.0) < 0.25, "{:?}", rig.vardiff);
    }
    let mut rig = Rig::new(patient, 9);
    rig.mine(0.0, 320_000.0);
    assert!(rig.vardiff.difficulty().hashes() < 10_000, "but not for ever");
    let mut rig = Rig::new(policy(10_000), 9);
    rig.mine(0.0, 5_000.0);
    assert!(rig.vardiff.difficulty().hashes() < 10_000, "others build nothing");
}

#[test]
fn a_flood_is_slowed_within_the_first_second() {
    let mut rig = Rig::new(policy(1_000_000), 10);
    rig.mine(5.7e9, 1_000.0); // 5,700 shares/s
    assert!(rig.vardiff.difficulty().hashes() > 1_000_000_000, "{:?}", rig.vardiff);
    assert!(rig.shares < 3_000, "{} shares", rig.shares);
    let rough = rig.vardiff.settled().expect("worth remembering before it is settled").hashes() as f64;
    assert!((rough / 5.7e10 - 1.0).abs() < 0.3, "{rough}");
}

/// A chain too easy for its speed: what is issued stays at the cap, and the shares that come then are no surprise.
#[test]
fn a_miner_above_the_cap_stays_there() {
    let cap = ShareDifficulty::from_hashes(1_000_000_000);
    let mut rig = Rig::new(policy(1 << 20), 11);
    rig.vardiff.issue(UnixMs(0), cap);
    let (mut changes, mut at) = (0, 0.0);
    while at < 600_000.0 {
        at += rig.dice.wait_ms(cap.hashes(), 1e9);
        let changed = rig.vardiff.on_share(UnixMs(at as u64), cap);
        changes += u32::from(changed && at > 60_000.0);
    }
    assert!(changes < 8 && rig.error(1e9) < 0.2, "{changes} changes, off by {}", rig.error(1e9));
}

#[test]
fn no_work_is_no_silence() {
    let mut rig = Rig::new(policy(1 << 32), 12);
    rig.mine(1e9, 120_000.0);
    let settled = rig.vardiff.difficulty();
    rig.vardiff.pause(UnixMs(120_000));
    rig.mine(0.0, 4_000_000.0);
    rig.vardiff.issue(UnixMs(4_000_000), settled);
    rig.mine(1e9, 4_060_000.0);
    assert!(rig.error(1e9) < 0.25, "{:?}", rig.vardiff);
}
