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
    /// Larger divisors that are taken in its place, the first that leaves the cap above the floor; 0 is none. For a pool that pays
    /// in the coinbase ([`VardiffPolicy::DIRECT_DIVISORS`]).
    pub fine_divisors: [u64; 2],
    /// What a settled worker's shares are apart, in milliseconds.
    pub share_interval_ms: u64,
    /// What a new worker's shares are apart while its speed is being measured: shorter, because a speed is known to 10 %
    /// only after 100 shares.
    pub seek_interval_ms: u64,
    /// How long the first share of a connection is waited for before silence lowers its difficulty, in milliseconds: RandomX
    /// and Ethash miners build a dataset first, for up to minutes. 0: not at all.
    pub first_share_ms: u64,
}

impl Default for VardiffPolicy {
    fn default() -> Self {
        Self {
            start: ShareDifficulty::from_hashes(1 << 32),
            floor: ShareDifficulty::MIN,
            cap_divisor: 10,
            fine_divisors: [0, 0],
            share_interval_ms: 10_000,
            seek_interval_ms: 350,
            first_share_ms: 0,
        }
    }
}

impl VardiffPolicy {
    /// SPEC 8.8.7: a share is left out of the block that it finds, so a large one pays less than small ones.
    pub const DIRECT_DIVISORS: [u64; 2] = [1000, 100];

    /// Moves a difficulty into what is allowed on a chain of this network difficulty. The cap wins over the floor, and the
    /// floor is never so low that a share's weight loses precision (network difficulty / 2^40).
    #[must_use]
    pub fn clamp(&self, difficulty: ShareDifficulty, network: NetworkDifficulty) -> ShareDifficulty {
        let hashes = |value: u128| u64::try_from(value).unwrap_or(u64::MAX).max(1);
        let part = |divisor: u64| network.hashes().checked_div(u128::from(divisor));
        let fine = self.fine_divisors.into_iter().filter_map(part).find(|cap| *cap >= u128::from(self.floor.hashes()));
        let cap = hashes(fine.or_else(|| part(self.cap_divisor)).unwrap_or(network.hashes()));
        let floor = self.floor.hashes().max(hashes(network.hashes().div_ceil(1 << 40))).min(cap);
        ShareDifficulty::from_hashes(difficulty.hashes().clamp(floor, cap))
    }
}

/// Moves one worker's difficulty so that its shares arrive at the share interval.
///
/// It estimates hashrate as credited work over time, which does not depend on the difficulty the work was credited at, so
/// the estimate survives every change of difficulty; work and time from before the change are scaled to it, so that a share
/// counts as evidence for what it is, whatever it was worth. It starts by seeking: short interval, large steps, until the speed is
/// known. Then it holds: it corrects only what is larger than the estimate's own uncertainty, which is what keeps it from
/// oscillating, and it seeks again when the arrivals could not come from the speed it believes in (SPEC 11.8).
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
    /// What the newest job says, within the bounds of network and dialect: what shares are counted by.
    issued: Option<ShareDifficulty>,
    /// When there was a job for the first time.
    first_job: Option<UnixMs>,
    /// A share came.
    proven: bool,
    /// There is no work since then.
    paused: Option<UnixMs>,
    /// Where it would settle by what it knows, for a connection that ends: while it still seeks, or before what is held is corrected.
    rough: Option<ShareDifficulty>,
}

/// Where a worker's difficulty stands, for whoever goes on with its channel in another process: what was measured of a speed that is
/// known, and where to seek on otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct VardiffState {
    hashes: u64,
    pinned: Option<u64>,
    settled: Option<u64>,
    proven: bool,
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
    /// Sum of their difficulties, scaled.
    work: u128,
    /// Time that counts from before `since`, scaled as the work is.
    carried_ns: u128,
    since: UnixMs,
    began: UnixMs,
}

/// With this many shares a speed is known to 8 %.
const SEEK_SHARES: u64 = 144;
/// Seeking ends by then, so that a worker settles within a minute; after twice that even with few shares.
const SEEK_MS_MAX: u64 = 52_000;
/// Seeking takes at least this long, whatever comes in at first: clocks and queues blur short spans.
const SEEK_MS_MIN: u64 = 10_000;
/// No speed is computed from a shorter span.
const SPAN_MS_MIN: u64 = 250;
/// Fewer shares than this say nothing about speed.
const SHARES_MIN: u64 = 8;
/// With so many, twice too fast is no chance.
const SURE_SHARES: u64 = 32;
/// Changes while seeking are at least this far apart, but for leaps.
const SEEK_STEP_MS: u64 = 1_000;
/// A miner this many times too fast is slowed at once: the next second would bring as many shares more as this one did.
const LEAP: u128 = 4;
/// A jump of speed is computed over no less than this: a stalled line delivers in one moment what it held back.
const JUMP_SPAN_MS_MIN: u64 = 1_000;
/// How often a held difficulty looks at the clock.
const HOLD_TICK_MS: u64 = 10_000;
/// Above this many shares old ones count half.
const ESTIMATE_SHARES_MAX: u64 = 512;
/// Expected shares per window that is watched for a change of speed.
const WATCH_SHARES: u64 = 24;
/// Steps down in silence: enough for a start four million times too hard, and not so many that a rig which was switched off
/// comes back as a flood.
const SILENT_STEPS_MAX: u32 = 6;
/// Seek intervals without a share that are silence.
const SILENT_INTERVALS: u64 = 5;
/// Seek intervals in which few shares are too few.
const SLOW_INTERVALS: u64 = 10;
/// A pinned worker may send this often.
const PINNED_INTERVAL_MS: u64 = 500;
/// After an overload the difficulty was doubled; not again within this time.
const OVERLOAD_STEP_MS: u64 = 10_000;
const MS_NS: u128 = 1_000_000;
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
            issued: None,
            first_job: None,
            proven: false,
            paused: None,
            rough: None,
        }
    }

    /// For whoever goes on with it.
    #[must_use]
    pub(crate) fn state(&self) -> VardiffState {
        VardiffState {
            hashes: self.difficulty.hashes(),
            pinned: self.pinned.map(ShareDifficulty::hashes),
            settled: self.settled().map(ShareDifficulty::hashes),
            proven: self.proven,
        }
    }

    /// Goes on where [`Vardiff::state`] was taken.
    #[must_use]
    pub(crate) fn of_state(policy: VardiffPolicy, now: UnixMs, state: VardiffState) -> Self {
        let mut vardiff = Self::new(policy);
        match (state.pinned, state.settled) {
            (Some(pinned), _) => vardiff.pin(ShareDifficulty::from_hashes(pinned)),
            (None, Some(settled)) => vardiff.remember(now, ShareDifficulty::from_hashes(settled)),
            (None, None) => {}
        }
        vardiff.difficulty = ShareDifficulty::from_hashes(state.hashes);
        vardiff.proven = state.proven;
        vardiff
    }

    /// The difficulty for the next job, before the bounds of its network difficulty.
    #[must_use]
    pub(crate) const fn difficulty(&self) -> ShareDifficulty {
        self.difficulty
    }

    /// The miner asked for a difficulty.
    #[must_use]
    pub(crate) const fn is_pinned(&self) -> bool {
        self.pinned.is_some()
    }

    /// The worker was here before and had settled at `difficulty`.
    pub(crate) fn remember(&mut self, now: UnixMs, difficulty: ShareDifficulty) {
        if self.pinned.is_none() {
            self.difficulty = difficulty;
            self.phase = Phase::Hold;
            let carried_ns =
                u128::from(REMEMBERED_SHARES.saturating_mul(self.policy.share_interval_ms)).saturating_mul(MS_NS);
            let work = u128::from(REMEMBERED_SHARES).saturating_mul(u128::from(difficulty.hashes()));
            self.estimate = Tally { shares: REMEMBERED_SHARES, work, carried_ns, since: now, began: now };
            self.issued = None;
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

    /// What is worth remembering for the worker's next visit: where it settled, or where it is about to.
    #[must_use]
    pub(crate) fn settled(&self) -> Option<ShareDifficulty> {
        match (self.pinned, self.phase) {
            (Some(_), _) => None,
            (None, Phase::Hold) => Some(self.rough.unwrap_or(self.difficulty)),
            (None, Phase::Idle | Phase::Seek { .. }) => self.rough,
        }
    }

    /// A job of `difficulty` goes out; with the first, time starts to count.
    pub(crate) fn issue(&mut self, now: UnixMs, difficulty: ShareDifficulty) {
        if self.phase == Phase::Idle {
            self.seek(now);
        }
        self.resume(now);
        self.first_job.get_or_insert(now);
        let before = self.issued.replace(difficulty);
        if before != Some(difficulty) {
            self.recent = Tally::starting(now);
            self.estimate.scale(now, before.unwrap_or(difficulty), difficulty);
        }
    }

    /// There is no work: that nothing comes says nothing about the miner.
    pub(crate) fn pause(&mut self, now: UnixMs) {
        self.paused.get_or_insert(now);
    }

    fn resume(&mut self, now: UnixMs) {
        let Some(since) = self.paused.take() else { return };
        self.estimate.pass_over(since, now);
        self.recent = Tally::starting(now);
        if let Phase::Seek { since, .. } = &mut self.phase {
            *since = now;
        }
    }

    /// A share of a job of `difficulty` was accepted. True if the difficulty for the next job changed.
    pub(crate) fn on_share(&mut self, now: UnixMs, difficulty: ShareDifficulty) -> bool {
        let is_first = !std::mem::replace(&mut self.proven, true);
        if is_first && self.policy.first_share_ms > 0 {
            self.begin_mining(now);
            return false;
        }
        self.estimate.add(difficulty);
        self.recent.add(difficulty);
        if self.estimate.shares > ESTIMATE_SHARES_MAX {
            self.estimate.halve(now);
        }
        if self.phase == Phase::Hold {
            // With a share only: the silence of a rig that was switched off is no speed to come back to.
            self.estimate_roughly(now);
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
            // Every step down was taken and nothing came: time alone changes nothing any more, and a thousand rigs that are switched off
            // would be looked at a thousand times a second.
            Phase::Seek { silent_steps: SILENT_STEPS_MAX.., .. }
                if self.estimate.shares == 0 && self.recent.shares == 0 =>
            {
                HOLD_TICK_MS
            }
            Phase::Seek { .. } => SEEK_STEP_MS,
            Phase::Idle | Phase::Hold => HOLD_TICK_MS,
        }
    }

    /// A share was turned away because the verifier is overloaded: send half as many. Who asked for a difficulty keeps it.
    pub(crate) fn on_busy(&mut self, now: UnixMs) -> bool {
        if self.pinned.is_some() {
            return false;
        }
        if self.overloaded.is_some_and(|last| now.ms_since(last) < OVERLOAD_STEP_MS) {
            return false;
        }
        self.overloaded = Some(now);
        if let Phase::Seek { interval_ms, .. } = &mut self.phase {
            *interval_ms = interval_ms.saturating_mul(2).min(self.policy.share_interval_ms);
        }
        if self.phase != Phase::Hold {
            self.estimate = Tally::starting(now);
        }
        self.change(now, u128::from(self.difficulty.hashes()).saturating_mul(2))
    }

    /// What passed before the first share may have been the building of a dataset: neither counts.
    fn begin_mining(&mut self, now: UnixMs) {
        self.estimate.since = now;
        self.recent = Tally::starting(now);
        if let Phase::Seek { since, .. } = &mut self.phase {
            *since = now;
        }
    }

    /// Nothing came yet, and a miner that builds a dataset would be as silent.
    fn is_patient(&self, now: UnixMs) -> bool {
        let waits = |first: UnixMs| now.ms_since(first) < self.policy.first_share_ms;
        !self.proven && self.first_job.is_some_and(waits)
    }

    /// What shares are worth that come now.
    fn in_force(&self) -> u64 {
        self.issued.unwrap_or(self.difficulty).hashes()
    }

    fn decide(&mut self, now: UnixMs) -> bool {
        if self.paused.is_some() {
            return false;
        }
        match (self.phase, self.pinned) {
            (Phase::Idle, _) => false,
            (_, Some(pinned)) => self.decide_pinned(now, pinned),
            (Phase::Seek { since, interval_ms, .. }, None) => self.decide_seek(now, since, interval_ms),
            (Phase::Hold, None) => self.decide_hold(now),
        }
    }

    fn decide_pinned(&mut self, now: UnixMs, pinned: ShareDifficulty) -> bool {
        if self.evidence() < SHARES_MIN.saturating_mul(2) || now.ms_since(self.changed) < SEEK_STEP_MS {
            return false;
        }
        let bearable = self.estimate.work_per(now, PINNED_INTERVAL_MS).max(u128::from(pinned.hashes()));
        let (current, wish) = (u128::from(self.difficulty.hashes()), u128::from(pinned.hashes()));
        let far =
            bearable > current.saturating_mul(2) || bearable < current / 2 || (bearable == wish && current > wish);
        far && self.change(now, bearable)
    }

    fn decide_seek(&mut self, now: UnixMs, since: UnixMs, interval_ms: u64) -> bool {
        let (shares, spent_ms) = (self.evidence(), now.ms_since(self.estimate.began));
        let known = shares >= SEEK_SHARES && spent_ms >= SEEK_MS_MIN;
        let spans = now.ms_since(since) / SEEK_MS_MAX;
        let late = spans >= 1 && shares >= REMEMBERED_SHARES || spans >= 2 && shares >= SHARES_MIN;
        if known || late {
            self.phase = Phase::Hold;
            return self.change(now, self.estimate.work_per(now, self.policy.share_interval_ms));
        }
        let may_step = now.ms_since(self.changed) >= SEEK_STEP_MS;
        if spent_ms < SPAN_MS_MIN {
            return false;
        }
        if shares < SHARES_MIN {
            return may_step && self.step_down(now, interval_ms);
        }
        self.estimate_roughly(now);
        let ideal = self.estimate.work_per(now, interval_ms);
        let current = u128::from(self.difficulty.hashes());
        let leaps = ideal >= current.saturating_mul(LEAP);
        // Eight shares in the time of four come by chance, once in twenty times; and what is a little too easy costs nothing.
        let easy = ideal > current.saturating_mul(2) && shares >= SURE_SHARES;
        if leaps || (may_step && (easy || ideal < current / 2)) {
            // Beside harder shares the old ones would weigh next to nothing in work, but count as evidence.
            self.estimate = Tally::starting(now);
            return self.change(now, ideal);
        }
        false
    }

    /// A rig that comes back every few minutes never stays for as many shares as a correction takes: what they told goes on with it.
    fn estimate_roughly(&mut self, now: UnixMs) {
        if self.evidence() >= REMEMBERED_SHARES {
            self.rough = Some(coarse_of(self.estimate.work_per(now, self.policy.share_interval_ms)));
        }
    }

    /// Too few shares for a speed: they come a quarter as often as they should, or not at all.
    fn step_down(&mut self, now: UnixMs, interval_ms: u64) -> bool {
        if self.is_patient(now) {
            return false;
        }
        let in_force = self.in_force().min(self.difficulty.hashes());
        let (came, expected) =
            (self.came_recently(), self.recent.elapsed_ms(now).checked_div(interval_ms).unwrap_or(0));
        if came == 0 {
            // By chance once in 150 times.
            return expected >= SILENT_INTERVALS && self.step_down_in_silence(now, in_force);
        }
        // By chance once in 300 times, or less.
        let is_slow = expected >= SLOW_INTERVALS && came.saturating_add(1).saturating_mul(4) <= expected;
        let ideal =
            u128::from(in_force).saturating_mul(u128::from(came.saturating_add(1))).checked_div(u128::from(expected));
        is_slow && {
            self.estimate = Tally::starting(now);
            self.change(now, ideal.unwrap_or(1))
        }
    }

    /// Far too hard, or not mining. Ever larger steps find the right scale within seconds.
    fn step_down_in_silence(&mut self, now: UnixMs, in_force: u64) -> bool {
        let Phase::Seek { silent_steps, .. } = &mut self.phase else { return false };
        let divisor = match *silent_steps {
            0 => 4,
            1..SILENT_STEPS_MAX => 16,
            _ => return false,
        };
        *silent_steps = silent_steps.saturating_add(1);
        self.estimate = Tally::starting(now);
        self.rough = None;
        let easier = in_force.checked_div(divisor).unwrap_or(1).max(self.policy.floor.hashes());
        self.change(now, u128::from(easier))
    }

    fn decide_hold(&mut self, now: UnixMs) -> bool {
        let expected = self.expected_recently(now);
        let slack = expected.isqrt().saturating_mul(4);
        let came = self.came_recently();
        let more = came > expected.saturating_add(slack).saturating_add(SHARES_MIN);
        let fewer = came.saturating_add(slack) < expected && !self.is_patient(now);
        if more || fewer {
            return self.seek_again(now);
        }
        if expected < WATCH_SHARES {
            return false;
        }
        // The whole window is there: what chance brings once in 300 times is the speed, and after what it brings once in 20 times
        // the past counts half.
        let difference = came.abs_diff(expected);
        let exceeds = |square: u64| difference.saturating_mul(difference) > expected.saturating_mul(square);
        if exceeds(9) {
            return self.seek_again(now);
        }
        if exceeds(4) {
            self.estimate.halve(now);
        }
        // Correct what is left of the error, then watch the next window.
        self.recent = Tally::starting(now);
        let ideal = self.estimate.work_per(now, self.policy.share_interval_ms);
        let current = u128::from(self.difficulty.hashes());
        let tolerance = tolerance_percent(self.evidence());
        let off = ideal.abs_diff(current).saturating_mul(100) > current.saturating_mul(tolerance);
        off && self.change(now, ideal)
    }

    /// Shares that the estimated speed should have brought since the window began. What came differs from it by more than
    /// four standard deviations only if the speed changed.
    fn expected_recently(&self, now: UnixMs) -> u64 {
        let work = self.estimate.work_per(now, self.recent.elapsed_ms(now));
        self.in_shares(work)
    }

    /// Shares that came in the window, in shares of what is in force: late ones of an easier job count less, of a harder one
    /// as one.
    fn came_recently(&self) -> u64 {
        self.recent.shares.min(self.in_shares(self.recent.work))
    }

    /// How many shares the estimate rests on, counted in the same way: after a flood hundreds of easy ones are still on their way.
    fn evidence(&self) -> u64 {
        self.estimate.shares.min(self.in_shares(self.estimate.work))
    }

    fn in_shares(&self, work: u128) -> u64 {
        u64::try_from(work.checked_div(u128::from(self.in_force())).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    fn seek_again(&mut self, now: UnixMs) -> bool {
        let ideal = match self.recent.shares {
            0..SHARES_MIN => u128::from(self.in_force().min(self.difficulty.hashes())) / 16,
            _ => self.recent.work_per_at_least(now, self.policy.seek_interval_ms, JUMP_SPAN_MS_MIN),
        };
        self.seek(now);
        self.change(now, ideal)
    }

    fn seek(&mut self, now: UnixMs) {
        self.rough = None;
        let interval_ms = self.policy.seek_interval_ms.clamp(1, self.policy.share_interval_ms.max(1));
        self.phase = Phase::Seek { since: now, interval_ms, silent_steps: 0 };
        self.estimate = Tally::starting(now);
        self.recent = Tally::starting(now);
    }

    fn change(&mut self, now: UnixMs, hashes: u128) -> bool {
        let next = coarse_of(hashes.max(u128::from(self.policy.floor.hashes())));
        self.changed = now;
        self.recent = Tally::starting(now);
        let differs = next != self.difficulty;
        self.difficulty = next;
        differs
    }
}

impl Tally {
    fn starting(now: UnixMs) -> Self {
        Self { since: now, began: now, ..Self::default() }
    }

    fn add(&mut self, difficulty: ShareDifficulty) {
        self.shares = self.shares.saturating_add(1);
        self.work = self.work.saturating_add(u128::from(difficulty.hashes()));
    }

    fn halve(&mut self, now: UnixMs) {
        let carried_ns = self.elapsed_ns(now) / 2;
        *self = Self { shares: self.shares / 2, work: self.work / 2, carried_ns, since: now, began: self.began };
    }

    /// Shares are worth `to` from now on, and were worth `from`: as much time and work as it would have taken to find as many.
    fn scale(&mut self, now: UnixMs, from: ShareDifficulty, to: ShareDifficulty) {
        let (from, to) = (u128::from(from.hashes()), u128::from(to.hashes()));
        let scaled = |value: u128| value.saturating_mul(to).checked_div(from).unwrap_or(value);
        (self.carried_ns, self.work) = (scaled(self.elapsed_ns(now)), scaled(self.work));
        self.since = now;
    }

    fn elapsed_ns(&self, now: UnixMs) -> u128 {
        u128::from(now.ms_since(self.since)).saturating_mul(MS_NS).saturating_add(self.carried_ns)
    }

    fn elapsed_ms(&self, now: UnixMs) -> u64 {
        u64::try_from(self.elapsed_ns(now) / MS_NS).unwrap_or(u64::MAX)
    }

    /// The time from `since` to `now` does not count.
    fn pass_over(&mut self, since: UnixMs, now: UnixMs) {
        self.carried_ns = self.elapsed_ns(since);
        self.since = now;
    }

    /// Work in `span_ms` at this tally's speed.
    fn work_per(&self, now: UnixMs, span_ms: u64) -> u128 {
        self.work_per_at_least(now, span_ms, 1)
    }

    /// The same, as if it had taken `elapsed_ms_min` at least.
    fn work_per_at_least(&self, now: UnixMs, span_ms: u64, elapsed_ms_min: u64) -> u128 {
        let elapsed_ns = self.elapsed_ns(now).max(u128::from(elapsed_ms_min).saturating_mul(MS_NS));
        let span_ns = u128::from(span_ms).saturating_mul(MS_NS);
        self.work.saturating_mul(span_ns).checked_div(elapsed_ns).unwrap_or(0)
    }
}

/// What a settled worker's difficulty may be off before it is corrected: its estimate is uncertain by `100 / sqrt(n)`
/// percent.
fn tolerance_percent(shares: u64) -> u128 {
    u128::from(120_u64.checked_div(shares.isqrt()).unwrap_or(100).max(8))
}

fn coarse_of(hashes: u128) -> ShareDifficulty {
    coarse(u64::try_from(hashes).unwrap_or(u64::MAX))
}

/// The value with its lowest bits cleared, 24 significant ones left: enough for any rate, and exact in every dialect.
fn coarse(hashes: u64) -> ShareDifficulty {
    let excess = 40_u32.saturating_sub(hashes.leading_zeros());
    let mask = u64::MAX.checked_shl(excess).unwrap_or(0);
    ShareDifficulty::from_hashes(hashes & mask)
}

#[cfg(test)]
mod tests;
