use crate::{CpuTime, UnixMs, queueing::strangers_room};

/// What strangers get of the threads that verify an algorithm while trusted miners are there (SPEC 11.6, 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrangerTimePolicy {
    /// Of the threads' time, in percent.
    pub percent: u32,
    /// The threads.
    pub threads: u32,
    /// A trusted miner is there for so many milliseconds after each of his shares.
    pub present_ms: u64,
}

/// When the next shares of strangers may be hashed.
///
/// What they took is worked off at the pace of their part: nothing is saved up while nobody comes, so no crowd of strangers that comes at once
/// gets more than its part of any second.
#[derive(Debug)]
pub struct StrangerTime {
    policy: StrangerTimePolicy,
    /// Trusted miners are there until then.
    present_until: UnixMs,
    /// What strangers took is worked off by then, in microseconds since 1970.
    worked_off_us: u64,
}

impl StrangerTime {
    /// Nobody is there yet.
    #[must_use]
    pub const fn new(policy: StrangerTimePolicy) -> Self {
        Self { policy, present_until: UnixMs(0), worked_off_us: 0 }
    }

    /// A share of a trusted miner came.
    pub fn note_trusted(&mut self, now: UnixMs) {
        self.present_until = now.after_ms(self.policy.present_ms);
    }

    /// When the thread of this number, counted from zero, may hash shares of strangers; nothing: at once.
    #[must_use]
    pub fn opens_at(&self, now: UnixMs, thread: u32) -> Option<UnixMs> {
        let is_theirs = thread < self.threads_open();
        let worked_off = UnixMs(self.worked_off_us.div_ceil(1_000));
        let at = if is_theirs { worked_off.min(self.present_until) } else { self.present_until };
        (now < at).then_some(at)
    }

    /// Shares of strangers took `took` of a thread, up to now. What they take while nobody else is there is owed to nobody.
    pub fn spend(&mut self, now: UnixMs, took: CpuTime) {
        if now >= self.present_until {
            return;
        }
        let began_us = now.0.saturating_mul(1_000).saturating_sub(took.0);
        let part = u64::from(self.policy.percent).saturating_mul(u64::from(self.policy.threads)).max(1);
        let pace_us = took.0.saturating_mul(100).checked_div(part).unwrap_or(took.0);
        self.worked_off_us = self.worked_off_us.max(began_us).saturating_add(pace_us);
    }

    /// How many strangers may wait where `room` of the trusted may: half as many, and no more than their part of the time while trusted miners
    /// are there, so that they wait no longer than these.
    #[must_use]
    pub fn room_of(&self, now: UnixMs, room: usize) -> usize {
        let half = strangers_room(room);
        if now >= self.present_until {
            return half;
        }
        let percent = usize::try_from(self.policy.percent).unwrap_or(100);
        room.saturating_mul(percent).div_ceil(100).clamp(1, half.max(1))
    }

    /// Threads that serve strangers at all while trusted miners are there: the others are free for these at any moment.
    fn threads_open(&self) -> u32 {
        self.policy.threads.saturating_mul(self.policy.percent).div_ceil(100).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALWAYS_MS: u64 = 1 << 40;
    const BATCH: CpuTime = CpuTime(60_000);

    fn time(percent: u32, threads: u32) -> StrangerTime {
        StrangerTime::new(StrangerTimePolicy { percent, threads, present_ms: 60_000 })
    }

    #[test]
    fn strangers_have_every_thread_until_a_trusted_miner_is_there() {
        let mut time = time(25, 2);
        time.spend(UnixMs(1_000), BATCH);
        assert_eq!([0, 1].map(|thread| time.opens_at(UnixMs(1_000), thread)), [None, None]);
        time.note_trusted(UnixMs(1_000));
        assert_eq!(time.opens_at(UnixMs(1_000), 1), Some(UnixMs(61_000)), "a thread is kept free");
        assert_eq!(time.opens_at(UnixMs(60_999), 1), Some(UnixMs(61_000)));
        assert_eq!(time.opens_at(UnixMs(61_000), 1), None, "nobody is there any more");
    }

    #[test]
    fn what_strangers_took_is_worked_off_at_the_pace_of_their_part() {
        let mut time = time(25, 2);
        time.note_trusted(UnixMs(10_000));
        assert_eq!(time.opens_at(UnixMs(10_000), 0), None);
        time.spend(UnixMs(10_060), BATCH);
        assert_eq!(time.opens_at(UnixMs(10_060), 0), Some(UnixMs(10_120)), "half of one thread's time");
        assert_eq!(time.opens_at(UnixMs(10_120), 0), None);
        time.spend(UnixMs(20_000), BATCH);
        assert_eq!(time.opens_at(UnixMs(20_000), 0), Some(UnixMs(20_060)), "nothing was saved up");
        let mut all = StrangerTime::new(StrangerTimePolicy { percent: 100, threads: 2, present_ms: 60_000 });
        all.note_trusted(UnixMs(0));
        all.spend(UnixMs(60), BATCH);
        assert_eq!([0, 1].map(|thread| all.opens_at(UnixMs(60), thread)), [None, None]);
    }

    /// A pool that has just begun: everybody is a stranger, until one is not.
    #[test]
    fn what_strangers_took_while_nobody_else_was_there_is_not_owed() {
        let mut time = time(25, 2);
        (0..10_000).for_each(|n| time.spend(UnixMs(n * 30), BATCH));
        time.note_trusted(UnixMs(300_000));
        assert_eq!(time.opens_at(UnixMs(300_000), 0), None);
        time.spend(UnixMs(300_030), BATCH);
        assert_eq!(time.opens_at(UnixMs(300_030), 0), Some(UnixMs(300_090)), "but what was begun then is");
    }

    #[test]
    fn strangers_wait_in_few_places_while_others_are_there() {
        let mut time = time(25, 2);
        assert_eq!([1, 2, 58].map(|room| time.room_of(UnixMs(0), room)), [1, 1, 29]);
        time.note_trusted(UnixMs(0));
        assert_eq!([1, 2, 58].map(|room| time.room_of(UnixMs(0), room)), [1, 1, 15]);
        let mut most = StrangerTime::new(StrangerTimePolicy { percent: 90, threads: 1, present_ms: 1 });
        most.note_trusted(UnixMs(0));
        assert_eq!(most.room_of(UnixMs(0), 58), 29);
    }

    proptest! {
        /// However they come, strangers take no more of the threads' time than their part, and one batch of each thread that serves them.
        #[test]
        fn strangers_take_no_more_than_their_part(
            percent in 1_u32..=100,
            threads in 1_u32..=8,
            batches in proptest::collection::vec((0_u64..500, 1_u64..200), 1..300),
        ) {
            let mut time = StrangerTime::new(StrangerTimePolicy { percent, threads, present_ms: ALWAYS_MS });
            time.note_trusted(UnixMs(0));
            // What a batch took is known when it ends. Whichever thread is free first is next.
            let (mut free_at, mut begun, mut taken) = (vec![0_u64; threads as usize], Vec::new(), 0_u64);
            for (pause, took) in batches {
                let (thread, at) = free_at.iter().copied().enumerate().min_by_key(|(_, at)| *at).unwrap();
                let mut now = at + pause;
                loop {
                    let ended: Vec<(u64, u64)> = begun.extract_if(.., |(end, _)| *end <= now).collect();
                    ended.iter().for_each(|(end, took)| time.spend(UnixMs(*end), CpuTime(took * 1_000)));
                    match time.opens_at(UnixMs(now), u32::try_from(thread).unwrap()) {
                        Some(opens) => now = opens.0,
                        None => break,
                    }
                }
                if now >= ALWAYS_MS {
                    // This thread is never theirs.
                    free_at[thread] = u64::MAX / 2;
                    continue;
                }
                taken += took;
                begun.push((now + took, took));
                free_at[thread] = now + took;
                let part = now * u64::from(percent) * u64::from(threads) / 100;
                prop_assert!(taken <= part + 200 * u64::from(threads), "{taken} ms of {part}");
            }
        }
    }
}
