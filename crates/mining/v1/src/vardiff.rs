use bq_primitives::{NetworkDifficulty, ShareDifficulty};
use bq_share::UnixMs;

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
pub(crate) struct Vardiff {
    policy: VardiffPolicy,
    difficulty: ShareDifficulty,
    /// The miner chose this: never go below it, and above it only to keep the rate bearable.
    pinned: Option<ShareDifficulty>,
    phase: Phase,
    /// What the speed is computed from.
    estimate: Tally,
    /// What tells that the speed changed: shares at the present difficulty.
    recent: Tally,
    changed: UnixMs,
    overloaded: Option<UnixMs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No job was sent yet.
    Idle,
    Seek {
        since: UnixMs,
        interval_ms: u64,
        silent_steps: u32,
    },
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
    since: UnixMs,
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
    pub(crate) fn new(policy: VardiffPolicy) -> Self {
        Self {
            policy,
            difficulty: coarse(policy.start.hashes()),
            pinned: None,
            phase: Phase::Idle,
            estimate: Tally::default(),
            recent: Tally::default(),
            changed: UnixMs(0),
            overloaded: None,
        }
    }

    /// The difficulty for the next job, before the bounds of its network difficulty.
    #[must_use]
    pub(crate) const fn difficulty(&self) -> ShareDifficulty {
        self.difficulty
    }

    /// The worker was here before and had settled at `difficulty`.
    pub(crate) fn remember(&mut self, now: UnixMs, difficulty: ShareDifficulty) {
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
    pub(crate) fn pin(&mut self, difficulty: ShareDifficulty) {
        self.pinned = Some(difficulty);
        self.difficulty = difficulty;
        self.phase = Phase::Idle;
    }

    /// The miner says what would suit it: a better start than ours. Measuring goes on from there.
    pub(crate) fn suggest(&mut self, now: UnixMs, difficulty: ShareDifficulty) {
        if self.pinned.is_none() {
            self.change(now, u128::from(difficulty.hashes()));
        }
    }

    /// The difficulty is settled: worth remembering for the worker's next visit.
    #[must_use]
    pub(crate) fn settled(&self) -> Option<ShareDifficulty> {
        (self.phase == Phase::Hold && self.pinned.is_none()).then_some(self.difficulty)
    }

    /// The first job goes out: time starts to count.
    pub(crate) fn start(&mut self, now: UnixMs) {
        if self.phase == Phase::Idle {
            self.seek(now);
        }
        if self.recent.shares == 0 {
            self.recent = Tally::starting(now);
        }
    }

    /// A share of a job of `difficulty` was accepted. True if the difficulty for the next job changed.
    pub(crate) fn on_share(&mut self, now: UnixMs, difficulty: ShareDifficulty) -> bool {
        self.estimate.add(difficulty);
        self.recent.add(difficulty);
        if self.estimate.shares > ESTIMATE_SHARES_MAX {
            self.estimate.halve(now);
        }
        self.decide(now)
    }

    /// Time passed. True if the difficulty for the next job changed. Call about once per [`Vardiff::tick_ms`].
    pub(crate) fn on_tick(&mut self, now: UnixMs) -> bool {
        self.decide(now)
    }

    /// How often time alone may change something.
    #[must_use]
    pub(crate) const fn tick_ms(&self) -> u64 {
        match self.phase {
            Phase::Seek { .. } => SEEK_STEP_MS,
            Phase::Idle | Phase::Hold => HOLD_TICK_MS,
        }
    }

    /// A share was turned away because the verifier is overloaded: send half as many.
    pub(crate) fn on_busy(&mut self, now: UnixMs) -> bool {
        if self.overloaded.is_some_and(|last| now.ms_since(last) < OVERLOAD_STEP_MS) {
            return false;
        }
        self.overloaded = Some(now);
        if let Phase::Seek { interval_ms, .. } = &mut self.phase {
            *interval_ms = interval_ms.saturating_mul(2).min(self.policy.share_interval_ms);
        }
        self.estimate = Tally::starting(now);
        self.change(now, u128::from(self.difficulty.hashes()).saturating_mul(2))
    }

    fn decide(&mut self, now: UnixMs) -> bool {
        match (self.phase, self.pinned) {
            (Phase::Idle, _) => false,
            (_, Some(pinned)) => self.decide_pinned(now, pinned),
            (Phase::Seek { since, interval_ms, .. }, None) => self.decide_seek(now, since, interval_ms),
            (Phase::Hold, None) => self.decide_hold(now),
        }
    }

    fn decide_pinned(&mut self, now: UnixMs, pinned: ShareDifficulty) -> bool {
        if self.estimate.shares < SHARES_MIN.saturating_mul(2) || now.ms_since(self.changed) < SEEK_STEP_MS {
            return false;
        }
        let bearable = self.estimate.work_per(now, PINNED_INTERVAL_MS).max(u128::from(pinned.hashes()));
        let current = u128::from(self.difficulty.hashes());
        let far = bearable > current.saturating_mul(2) || bearable < current / 2;
        far && self.change(now, bearable)
    }

    fn decide_seek(&mut self, now: UnixMs, since: UnixMs, interval_ms: u64) -> bool {
        let (shares, spent_ms) = (self.estimate.shares, self.estimate.elapsed(now));
        let known = shares >= SEEK_SHARES && spent_ms >= SEEK_MS_MIN;
        let late = shares >= SHARES_MIN && now.ms_since(since) >= SEEK_MS_MAX;
        if known || late {
            self.phase = Phase::Hold;
            return self.change(now, self.estimate.work_per(now, self.policy.share_interval_ms));
        }
        if now.ms_since(self.changed) < SEEK_STEP_MS || spent_ms < SPAN_MS_MIN {
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
    fn step_down_if_silent(&mut self, now: UnixMs, interval_ms: u64) -> bool {
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

    fn decide_hold(&mut self, now: UnixMs) -> bool {
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
    fn expected_recently(&self, now: UnixMs) -> u64 {
        let work = self.estimate.work_per(now, self.recent.elapsed(now));
        let shares = work.checked_div(u128::from(self.difficulty.hashes())).unwrap_or(0);
        u64::try_from(shares).unwrap_or(u64::MAX)
    }

    fn seek_again(&mut self, now: UnixMs) -> bool {
        let ideal = match self.recent.shares {
            0..SHARES_MIN => u128::from(self.difficulty.hashes()) / 16,
            _ => self.recent.work_per(now, self.policy.seek_interval_ms),
        };
        self.seek(now);
        self.change(now, ideal)
    }

    fn seek(&mut self, now: UnixMs) {
        let interval_ms = self.policy.seek_interval_ms.clamp(1, self.policy.share_interval_ms.max(1));
        self.phase = Phase::Seek { since: now, interval_ms, silent_steps: 0 };
        self.estimate = Tally::starting(now);
        self.recent = Tally::starting(now);
    }

    fn change(&mut self, now: UnixMs, hashes: u128) -> bool {
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
    fn starting(now: UnixMs) -> Self {
        Self { since: now, ..Self::default() }
    }

    fn add(&mut self, difficulty: ShareDifficulty) {
        self.shares = self.shares.saturating_add(1);
        self.work = self.work.saturating_add(u128::from(difficulty.hashes()));
    }

    fn halve(&mut self, now: UnixMs) {
        let carried_ms = self.elapsed(now) / 2;
        *self = Self { shares: self.shares / 2, work: self.work / 2, carried_ms, since: now };
    }

    fn elapsed(&self, now: UnixMs) -> u64 {
        self.carried_ms.saturating_add(now.ms_since(self.since))
    }

    /// Work in `span_ms` at this tally's speed.
    fn work_per(&self, now: UnixMs, span_ms: u64) -> u128 {
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
mod tests;
