use bq_primitives::{NetworkDifficulty, ShareDifficulty};

use crate::TimeMs;

/// Share difficulty of one algorithm: where it starts and between which bounds it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VardiffPolicy {
    /// For a worker nobody knows yet.
    pub start: ShareDifficulty,
    /// Never below, unless the network difficulty forces it.
    pub floor: ShareDifficulty,
    /// Never above network difficulty divided by this: a share must stay a small part of a block (10), unless the chain is
    /// so easy that this would be below one hash. Test networks may use 1. 0 counts as 1.
    pub cap_divisor: u64,
    /// What a settled worker's shares are apart, in milliseconds.
    pub share_interval_ms: u64,
    /// What a new worker's shares are apart while its speed is being measured: shorter, because a speed is known to 10 %
    /// only after 100 shares.
    pub seek_interval_ms: u64,
}

impl Default for VardiffPolicy {
    fn default() -> Self {
        Self {
            start: ShareDifficulty::from_hashes(1 << 32),
            floor: ShareDifficulty::MIN,
            cap_divisor: 10,
            share_interval_ms: 10_000,
            seek_interval_ms: 350,
        }
    }
}

impl VardiffPolicy {
    /// Moves a difficulty into what is allowed on a chain of this network difficulty. The cap wins over the floor, and the
    /// floor is never so low that a share's weight loses precision (network difficulty / 2^40).
    #[must_use]
    pub fn clamp(&self, difficulty: ShareDifficulty, network: NetworkDifficulty) -> ShareDifficulty {
        let hashes = |value: u128| u64::try_from(value).unwrap_or(u64::MAX).max(1);
        let cap = hashes(network.hashes().checked_div(u128::from(self.cap_divisor)).unwrap_or(network.hashes()));
        let floor = self.floor.hashes().max(hashes(network.hashes().div_ceil(1 << 40))).min(cap);
        ShareDifficulty::from_hashes(difficulty.hashes().clamp(floor, cap))
    }
}

/// Moves one worker's difficulty so that its shares arrive at the share interval.
///
/// It estimates hashrate as credited work over time, which does not depend on the difficulty the work was credited at, so
/// the estimate survives every change of difficulty. It starts by seeking: short interval, large steps, until the speed is
/// known. Then it holds: it corrects only what is larger than the estimate's own uncertainty, which is what keeps it from
/// oscillating, and it seeks again when the arrivals could not come from the speed it believes in.
#[derive(Clone, Debug)]
pub struct Vardiff {
    policy: VardiffPolicy,
    difficulty: ShareDifficulty,
    /// The miner chose this: never go below it, and above it only to keep the rate bearable.
    pinned: Option<ShareDifficulty>,
    phase: Phase,
    /// What the speed is computed from.
    estimate: Tally,
    /// What tells that the speed changed: shares at the present difficulty.
    recent: Tally,
    changed: TimeMs,
    overloaded: Option<TimeMs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No job was sent yet.
    Idle,
    Seek { since: TimeMs, interval_ms: u64, silent_steps: u32 },
    Hold,
}

/// Shares over a span of time.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    shares: u64,
    /// Sum of their difficulties.
    work: u128,
    /// Time that counts from before `since`.
    carried_ms: u64,
    since: TimeMs,
}

/// With this many shares a speed is known to 9 %.
const SEEK_SHARES: u64 = 120;
/// Seeking ends by then: a worker settles within a minute.
const SEEK_MS_MAX: u64 = 52_000;
/// Seeking takes at least this long, whatever comes in at first: clocks and queues blur short spans.
const SEEK_MS_MIN: u64 = 10_000;
/// No speed is computed from a shorter span.
const SPAN_MS_MIN: u64 = 250;
/// Fewer shares than this say nothing about speed.
const SHARES_MIN: u64 = 8;
/// Changes while seeking are at least this far apart.
const SEEK_STEP_MS: u64 = 1_000;
/// How often a held difficulty looks at the clock.
const HOLD_TICK_MS: u64 = 10_000;
/// Above this many shares old ones count half.
const ESTIMATE_SHARES_MAX: u64 = 512;
/// Expected shares per window that is watched for a change of speed.
const WATCH_SHARES: u64 = 24;
/// Steps down in silence: enough for a start four million times too hard, and not so many that a rig which was switched off
/// comes back as a flood.
const SILENT_STEPS_MAX: u32 = 6;
/// A pinned worker may send this often.
const PINNED_INTERVAL_MS: u64 = 500;
/// After an overload the difficulty was doubled; not again within this time.
const OVERLOAD_STEP_MS: u64 = 10_000;
/// What an earlier visit's difficulty is worth as evidence, in shares.
const REMEMBERED_SHARES: u64 = 64;

impl Vardiff {
    /// A worker nobody knows yet.
    #[must_use]
    pub fn new(policy: VardiffPolicy) -> Self {
        Self {
            policy,
            difficulty: coarse(policy.start.hashes()),
            pinned: None,
            phase: Phase::Idle,
            estimate: Tally::default(),
            recent: Tally::default(),
            changed: TimeMs(0),
            overloaded: None,
        }
    }

    /// The difficulty for the next job, before the bounds of its network difficulty.
    #[must_use]
    pub const fn difficulty(&self) -> ShareDifficulty {
        self.difficulty
    }

    /// The worker was here before and had settled at `difficulty`.
    pub fn remember(&mut self, now: TimeMs, difficulty: ShareDifficulty) {
        if self.pinned.is_none() {
            self.difficulty = difficulty;
            self.phase = Phase::Hold;
            let carried_ms = REMEMBERED_SHARES.saturating_mul(self.policy.share_interval_ms);
            let work = u128::from(REMEMBERED_SHARES).saturating_mul(u128::from(difficulty.hashes()));
            self.estimate = Tally { shares: REMEMBERED_SHARES, work, carried_ms, since: now };
            self.recent = Tally::starting(now);
        }
    }

    /// The miner asks for a fixed difficulty.
    pub fn pin(&mut self, difficulty: ShareDifficulty) {
        self.pinned = Some(difficulty);
        self.difficulty = difficulty;
        self.phase = Phase::Idle;
    }

    /// The miner says what would suit it: a better start than ours. Measuring goes on from there.
    pub fn suggest(&mut self, now: TimeMs, difficulty: ShareDifficulty) {
        if self.pinned.is_none() {
            self.change(now, u128::from(difficulty.hashes()));
        }
    }

    /// The difficulty is settled: worth remembering for the worker's next visit.
    #[must_use]
    pub fn settled(&self) -> Option<ShareDifficulty> {
        (self.phase == Phase::Hold && self.pinned.is_none()).then_some(self.difficulty)
    }

    /// The first job goes out: time starts to count.
    pub fn start(&mut self, now: TimeMs) {
        if self.phase == Phase::Idle {
            self.seek(now);
        }
        if self.recent.shares == 0 {
            self.recent = Tally::starting(now);
        }
    }

    /// A share of a job of `difficulty` was accepted. True if the difficulty for the next job changed.
    pub fn on_share(&mut self, now: TimeMs, difficulty: ShareDifficulty) -> bool {
        self.estimate.add(difficulty);
        self.recent.add(difficulty);
        if self.estimate.shares > ESTIMATE_SHARES_MAX {
            self.estimate.halve(now);
        }
        self.decide(now)
    }

    /// Time passed. True if the difficulty for the next job changed. Call about once per [`Vardiff::tick_ms`].
    pub fn on_tick(&mut self, now: TimeMs) -> bool {
        self.decide(now)
    }

    /// How often time alone may change something.
    #[must_use]
    pub const fn tick_ms(&self) -> u64 {
        match self.phase {
            Phase::Seek { .. } => SEEK_STEP_MS,
            Phase::Idle | Phase::Hold => HOLD_TICK_MS,
        }
    }

    /// A share was turned away because the verifier is overloaded: send half as many.
    pub fn on_busy(&mut self, now: TimeMs) -> bool {
        if self.overloaded.is_some_and(|last| now.since(last) < OVERLOAD_STEP_MS) {
            return false;
        }
        self.overloaded = Some(now);
        if let Phase::Seek { interval_ms, .. } = &mut self.phase {
            *interval_ms = interval_ms.saturating_mul(2).min(self.policy.share_interval_ms);
        }
        self.estimate = Tally::starting(now);
        self.change(now, u128::from(self.difficulty.hashes()).saturating_mul(2))
    }

    fn decide(&mut self, now: TimeMs) -> bool {
        match (self.phase, self.pinned) {
            (Phase::Idle, _) => false,
            (_, Some(pinned)) => self.decide_pinned(now, pinned),
            (Phase::Seek { since, interval_ms, .. }, None) => self.decide_seek(now, since, interval_ms),
            (Phase::Hold, None) => self.decide_hold(now),
        }
    }

    fn decide_pinned(&mut self, now: TimeMs, pinned: ShareDifficulty) -> bool {
        if self.estimate.shares < SHARES_MIN.saturating_mul(2) || now.since(self.changed) < SEEK_STEP_MS {
            return false;
        }
        let bearable = self.estimate.work_per(now, PINNED_INTERVAL_MS).max(u128::from(pinned.hashes()));
        let current = u128::from(self.difficulty.hashes());
        let far = bearable > current.saturating_mul(2) || bearable < current / 2;
        far && self.change(now, bearable)
    }

    fn decide_seek(&mut self, now: TimeMs, since: TimeMs, interval_ms: u64) -> bool {
        let (shares, spent_ms) = (self.estimate.shares, self.estimate.elapsed(now));
        let known = shares >= SEEK_SHARES && spent_ms >= SEEK_MS_MIN;
        let late = shares >= SHARES_MIN && now.since(since) >= SEEK_MS_MAX;
        if known || late {
            self.phase = Phase::Hold;
            return self.change(now, self.estimate.work_per(now, self.policy.share_interval_ms));
        }
        if now.since(self.changed) < SEEK_STEP_MS || spent_ms < SPAN_MS_MIN {
            return false;
        }
        if shares >= SHARES_MIN {
            let ideal = self.estimate.work_per(now, interval_ms);
            let current = u128::from(self.difficulty.hashes());
            let far = ideal > current.saturating_mul(2) || ideal < current / 2;
            if far {
                // Beside harder shares the old ones would weigh next to nothing in work, but count as evidence.
                self.estimate = Tally::starting(now);
                return self.change(now, ideal);
            }
            return false;
        }
        self.step_down_if_silent(now, interval_ms)
    }

    /// Next to nothing arrives: far too hard, or not mining. Ever larger steps find the right scale within seconds.
    fn step_down_if_silent(&mut self, now: TimeMs, interval_ms: u64) -> bool {
        let patience = interval_ms.saturating_mul(5);
        if self.recent.shares > 1 || self.recent.elapsed(now) < patience {
            return false;
        }
        let Phase::Seek { silent_steps, .. } = &mut self.phase else { return false };
        let divisor = match *silent_steps {
            0 => 4,
            1..SILENT_STEPS_MAX => 16,
            _ => return false,
        };
        *silent_steps = silent_steps.saturating_add(1);
        self.estimate = Tally::starting(now);
        let easier = self.difficulty.hashes().checked_div(divisor).unwrap_or(1).max(self.policy.floor.hashes());
        self.change(now, u128::from(easier))
    }

    fn decide_hold(&mut self, now: TimeMs) -> bool {
        let expected = self.expected_recently(now);
        let slack = expected.isqrt().saturating_mul(4);
        let more = self.recent.shares > expected.saturating_add(slack).saturating_add(4);
        let fewer = self.recent.shares.saturating_add(slack) < expected;
        if more || fewer {
            return self.seek_again(now);
        }
        if expected < WATCH_SHARES {
            return false;
        }
        // A window without surprise is over: correct what is left of the error, then watch the next one.
        self.recent = Tally::starting(now);
        let ideal = self.estimate.work_per(now, self.policy.share_interval_ms);
        let current = u128::from(self.difficulty.hashes());
        let tolerance = tolerance_percent(self.estimate.shares);
        let off = ideal.abs_diff(current).saturating_mul(100) > current.saturating_mul(tolerance);
        off && self.change(now, ideal)
    }

    /// Shares that the estimated speed should have brought since the window began. What came differs from it by more than
    /// four standard deviations only if the speed changed.
    fn expected_recently(&self, now: TimeMs) -> u64 {
        let work = self.estimate.work_per(now, self.recent.elapsed(now));
        let shares = work.checked_div(u128::from(self.difficulty.hashes())).unwrap_or(0);
        u64::try_from(shares).unwrap_or(u64::MAX)
    }

    fn seek_again(&mut self, now: TimeMs) -> bool {
        let ideal = match self.recent.shares {
            0..SHARES_MIN => u128::from(self.difficulty.hashes()) / 16,
            _ => self.recent.work_per(now, self.policy.seek_interval_ms),
        };
        self.seek(now);
        self.change(now, ideal)
    }

    fn seek(&mut self, now: TimeMs) {
        let interval_ms = self.policy.seek_interval_ms.clamp(1, self.policy.share_interval_ms.max(1));
        self.phase = Phase::Seek { since: now, interval_ms, silent_steps: 0 };
        self.estimate = Tally::starting(now);
        self.recent = Tally::starting(now);
    }

    fn change(&mut self, now: TimeMs, hashes: u128) -> bool {
        let hashes = u64::try_from(hashes).unwrap_or(u64::MAX);
        let next = coarse(hashes.max(self.policy.floor.hashes()));
        self.changed = now;
        self.recent = Tally::starting(now);
        let differs = next != self.difficulty;
        self.difficulty = next;
        differs
    }
}

impl Tally {
    fn starting(now: TimeMs) -> Self {
        Self { since: now, ..Self::default() }
    }

    fn add(&mut self, difficulty: ShareDifficulty) {
        self.shares = self.shares.saturating_add(1);
        self.work = self.work.saturating_add(u128::from(difficulty.hashes()));
    }

    fn halve(&mut self, now: TimeMs) {
        let carried_ms = self.elapsed(now) / 2;
        *self = Self { shares: self.shares / 2, work: self.work / 2, carried_ms, since: now };
    }

    fn elapsed(&self, now: TimeMs) -> u64 {
        self.carried_ms.saturating_add(now.since(self.since))
    }

    /// Work in `span_ms` at this tally's speed.
    fn work_per(&self, now: TimeMs, span_ms: u64) -> u128 {
        let elapsed = u128::from(self.elapsed(now).max(1));
        self.work.saturating_mul(u128::from(span_ms)).checked_div(elapsed).unwrap_or(0)
    }
}

/// What a settled worker's difficulty may be off before it is corrected: its estimate is uncertain by `100 / sqrt(n)`
/// percent.
fn tolerance_percent(shares: u64) -> u128 {
    u128::from(120_u64.checked_div(shares.isqrt()).unwrap_or(100).max(8))
}

/// The value with its lowest bits cleared, 24 significant ones left: enough for any rate, and exact in every dialect.
fn coarse(hashes: u64) -> ShareDifficulty {
    let excess = 40_u32.saturating_sub(hashes.leading_zeros());
    let mask = u64::MAX.checked_shl(excess).unwrap_or(0);
    ShareDifficulty::from_hashes(hashes & mask)
}

#[cfg(test)]
mod tests {
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
            vardiff.start(TimeMs(0));
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
                    self.vardiff.on_share(TimeMs(self.now as u64), difficulty)
                } else {
                    self.now += tick;
                    self.vardiff.on_tick(TimeMs(self.now as u64))
                };
                self.changes += u32::from(changed);
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

    /// How many of 100 seeds are within 20 % a minute after starting `ratio` times too hard.
    fn settled_of_100(ratio: f64) -> usize {
        let speed = 1e9;
        (0..100)
            .filter(|seed| {
                let mut rig = Rig::new(policy((speed * 10.0 * ratio) as u64), *seed);
                rig.mine(speed, 60_000.0);
                rig.error(speed) <= 0.2
            })
            .count()
    }

    #[test]
    fn settles_within_a_minute_from_every_start() {
        for ratio in [1e-6, 1e-3, 0.1, 1.0, 10.0, 1e3, 1e5] {
            let settled = settled_of_100(ratio);
            assert!(settled >= 85, "{settled} of 100 settled from {ratio} times the right difficulty");
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
            let mut rig = Rig::new(policy(1 << 32), 3);
            rig.mine(before, 600_000.0);
            rig.mine(after, 1_500_000.0);
            assert!(rig.error(after) < 0.25, "{before} to {after}: off by {} {:?}", rig.error(after), rig.vardiff);
        }
        let floor = ShareDifficulty::from_hashes(10_000_000);
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
        rig.vardiff.remember(TimeMs(0), ShareDifficulty::from_hashes(10_000_000_000));
        rig.mine(1e9, 60_000.0);
        assert_eq!((rig.changes, rig.error(1e9) < 0.001), (0, true));
        rig.mine(1e9, 600_000.0);
        assert!(rig.error(1e9) < 0.25);
    }

    #[test]
    fn a_pinned_difficulty_stays_unless_it_floods() {
        let mut rig = Rig::new(policy(1 << 32), 6);
        rig.vardiff.pin(ShareDifficulty::from_hashes(1_000_000_000));
        rig.vardiff.start(TimeMs(0));
        rig.mine(1e9, 600_000.0);
        assert_eq!(rig.vardiff.difficulty().hashes(), 1_000_000_000);
        let mut rig = Rig::new(policy(1 << 32), 7);
        rig.vardiff.pin(ShareDifficulty::MIN);
        rig.vardiff.start(TimeMs(0));
        rig.mine(1e6, 60_000.0);
        let before = rig.shares;
        rig.mine(1e6, 160_000.0);
        assert!(rig.shares - before < 500, "{} shares in 100 s", rig.shares - before);
    }

    #[test]
    fn overload_doubles_once_per_ten_seconds() {
        let mut vardiff = Vardiff::new(policy(1 << 20));
        vardiff.start(TimeMs(0));
        assert!(vardiff.on_busy(TimeMs(1000)));
        assert!(!vardiff.on_busy(TimeMs(2000)));
        assert_eq!(vardiff.difficulty().hashes(), 1 << 21);
        assert!(vardiff.on_busy(TimeMs(11_000)));
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
    }

    #[test]
    fn coarse_keeps_24_bits() {
        assert_eq!(coarse(0xff_ffff).hashes(), 0xff_ffff);
        assert_eq!(coarse(0x1ff_ffff).hashes(), 0x1ff_fffe);
        assert_eq!(coarse(u64::MAX).hashes(), 0xffff_ff00_0000_0000);
        assert_eq!(coarse(0).hashes(), 1);
    }
}
