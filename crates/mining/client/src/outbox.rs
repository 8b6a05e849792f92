use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    dialect::FIRST_SUBMIT_ID,
    settings::{ClientSettings, DOUBLINGS_MAX, doubled},
};

/// Shares on their way to the pool, `S` each: those that wait, and those without an answer (SPEC 11.9, 7 and 8). It drops none: a share leaves it
/// answered, or with [`Outbox::retain`] and [`Outbox::lose`], which count. Times count from any fixed moment.
///
/// What is not answered is bounded, by less after the pool said that it is busy; what waits is bounded by whoever asks
/// [`Outbox::is_full`] before finding more. Blocks are subject to neither.
#[derive(Debug)]
pub struct Outbox<S> {
    settings: ClientSettings,
    blocks: VecDeque<S>,
    shares: VecDeque<S>,
    in_flight: BTreeMap<u64, Sent<S>>,
    next_id: u64,
    /// Shares that may be without an answer at present.
    window: usize,
    /// How often in a row the pool was busy, and until when nothing but blocks is sent.
    busy: u32,
    resume: Duration,
    /// When the window was last made smaller: what was sent before says nothing about the new one.
    narrowed: Duration,
}

/// A share without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent<S> {
    /// The share.
    pub share: S,
    /// When it was sent.
    pub at: Duration,
}

impl<S> Outbox<S> {
    /// An empty one.
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        Self {
            window: settings.in_flight_max.max(1),
            settings,
            blocks: VecDeque::new(),
            shares: VecDeque::new(),
            in_flight: BTreeMap::new(),
            next_id: FIRST_SUBMIT_ID,
            busy: 0,
            resume: Duration::ZERO,
            narrowed: Duration::ZERO,
        }
    }

    /// Adds a share.
    pub fn push(&mut self, share: S, is_block: bool) {
        let queue = if is_block { &mut self.blocks } else { &mut self.shares };
        queue.push_back(share);
    }

    /// No more shares should be found until some are gone.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shares.len() >= self.settings.waiting_max
    }

    /// Nothing waits, and everything that was sent is answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.blocks.is_empty() && self.shares.is_empty() && self.in_flight.is_empty()
    }

    /// Takes out what waits and is not worth sending any more; returns how many these were.
    pub fn retain(&mut self, is_current: impl Fn(&S) -> bool) -> usize {
        let before = self.waiting();
        self.blocks.retain(&is_current);
        self.shares.retain(&is_current);
        before.saturating_sub(self.waiting())
    }

    /// The next share to send and the id to send it under; nothing while answers are to be waited for.
    pub fn send(&mut self, now: Duration) -> Option<(u64, &S)> {
        let may_send_share = self.in_flight.len() < self.window && now >= self.resume;
        // A block goes last where nothing holds the others up: once it is accepted they are stale.
        let share = if may_send_share { self.shares.pop_front() } else { None }.or_else(|| self.blocks.pop_front())?;
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1).max(FIRST_SUBMIT_ID);
        let sent = self.in_flight.entry(id).insert_entry(Sent { share, at: now });
        Some((id, &sent.into_mut().share))
    }

    /// When to ask again for something to send, if time alone can bring it.
    #[must_use]
    pub fn resumes(&self, now: Duration) -> Option<Duration> {
        let waits = !self.shares.is_empty() && self.in_flight.len() < self.window;
        (waits && now < self.resume).then_some(self.resume)
    }

    /// The oldest share without an answer: its id, and when it was sent.
    #[must_use]
    pub fn oldest(&self) -> Option<(u64, Duration)> {
        self.in_flight.first_key_value().map(|(id, sent)| (*id, sent.at))
    }

    /// Share `id`, while it has no answer.
    #[must_use]
    pub fn sent(&self, id: u64) -> Option<&S> {
        self.in_flight.get(&id).map(|sent| &sent.share)
    }

    /// Share `id` was accepted: nothing if there is none.
    pub fn accepted(&mut self, id: u64) -> Option<Sent<S>> {
        let sent = self.in_flight.remove(&id)?;
        (self.busy, self.resume) = (0, Duration::ZERO);
        self.window = self.window.saturating_add(1).min(self.settings.in_flight_max.max(1));
        Some(sent)
    }

    /// Share `id` was refused.
    pub fn refused(&mut self, id: u64) -> Option<Sent<S>> {
        self.in_flight.remove(&id)
    }

    /// The pool was too busy for share `id`: it is sent again after all that wait, a block before them, and all that wait a
    /// while. True if there is such a share.
    pub fn busy(&mut self, id: u64, is_block: bool, now: Duration) -> bool {
        let Some(Sent { share, at }) = self.in_flight.remove(&id) else { return false };
        if is_block {
            self.shares.push_front(share);
        } else {
            self.shares.push_back(share);
        }
        if at >= self.narrowed {
            self.window = (self.window / 2).max(1);
            self.narrowed = now;
            let pause = doubled(self.settings.busy, self.busy.min(DOUBLINGS_MAX), Duration::MAX);
            self.busy = self.busy.saturating_add(1);
            self.resume = now.saturating_add(pause);
        }
        true
    }

    /// The connection ended: takes everything out; returns how many shares these were.
    pub fn lose(&mut self) -> usize {
        let lost = self.waiting().saturating_add(self.in_flight.len());
        *self = Self::new(self.settings.clone());
        lost
    }

    fn waiting(&self) -> usize {
        self.blocks.len().saturating_add(self.shares.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn outbox(in_flight_max: usize) -> Outbox<u32> {
        outbox_with(in_flight_max, ms(100))
    }

    fn outbox_with(in_flight_max: usize, busy: Duration) -> Outbox<u32> {
        Outbox::new(ClientSettings { in_flight_max, waiting_max: 3, busy, ..ClientSettings::default() })
    }

    fn send(outbox: &mut Outbox<u32>, now: Duration) -> Option<(u64, u32)> {
        outbox.send(now).map(|(id, share)| (id, *share))
    }

    #[test]
    fn blocks_wait_for_nothing() {
        let mut outbox = outbox(1);
        for share in 1..=3 {
            outbox.push(share, false);
        }
        assert!(outbox.is_full());
        assert_eq!(send(&mut outbox, ms(0)), Some((100, 1)));
        assert_eq!(send(&mut outbox, ms(0)), None);
        outbox.push(9, true);
        assert_eq!(send(&mut outbox, ms(0)), Some((101, 9)));
        assert!(outbox.busy(101, true, ms(5)));
        outbox.push(10, true);
        assert_eq!(send(&mut outbox, ms(5)), Some((102, 10)), "nor for a pool that is busy");
        assert!(outbox.accepted(100).is_some());
        assert!(outbox.accepted(102).is_some());
        assert_eq!(send(&mut outbox, ms(5)), Some((103, 9)), "an accepted share ends the pause; a block comes first");
    }

    #[test]
    fn a_busy_pool_is_asked_again_ever_more_slowly_in_turn_with_other_shares() {
        let mut outbox = outbox(4);
        for share in 1..=4 {
            outbox.push(share, false);
            send(&mut outbox, ms(0)).unwrap();
        }
        outbox.push(5, false);
        for id in 100..104 {
            assert!(outbox.busy(id, false, ms(10)));
        }
        assert!(!outbox.busy(100, false, ms(10)), "only once");
        assert_eq!((send(&mut outbox, ms(10)), outbox.resumes(ms(10))), (None, Some(ms(110))));
        assert_eq!(send(&mut outbox, ms(110)), Some((104, 5)));
        assert_eq!(send(&mut outbox, ms(110)), Some((105, 1)));
        assert_eq!(send(&mut outbox, ms(110)), None, "half as many at a time");
        assert!(outbox.busy(104, false, ms(120)));
        assert_eq!(outbox.resumes(ms(120)), None, "answers are waited for");
        assert_eq!(outbox.accepted(105).unwrap().share, 1);
        let mut sent = Vec::new();
        while let Some((id, share)) = send(&mut outbox, ms(120)) {
            assert!(outbox.accepted(id).is_some());
            sent.push(share);
        }
        assert_eq!(sent, [2, 3, 4, 5]);
        assert!(outbox.is_settled());
    }

    #[test]
    fn what_leaves_unanswered_is_counted() {
        let mut outbox = outbox(2);
        for share in 1..=5 {
            outbox.push(share, share == 5);
        }
        assert_eq!(send(&mut outbox, ms(0)), Some((100, 1)));
        assert_eq!(outbox.retain(|share| *share != 2), 1);
        assert_eq!((outbox.oldest(), outbox.sent(100)), (Some((100, ms(0))), Some(&1)));
        assert_eq!(outbox.refused(100).unwrap().share, 1);
        assert_eq!(outbox.refused(100), None);
        send(&mut outbox, ms(0)).unwrap();
        assert_eq!(outbox.lose(), 3);
        assert!(outbox.is_settled());
    }

    /// Against any order of sends and answers, each share is accounted for exactly once.
    #[test]
    fn no_share_is_dropped_or_doubled() {
        let (mut outbox, mut accepted, mut pushed, mut seed) = (outbox_with(8, ms(1)), Vec::new(), 0, 7_u64);
        for step in 0..20_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let now = ms(step);
            match seed >> 61 {
                0..=2 if !outbox.is_full() => {
                    outbox.push(pushed, seed >> 40 & 15 == 0);
                    pushed += 1;
                }
                3 | 4 => drop(send(&mut outbox, now)),
                5 => drop(outbox.oldest().map(|(id, _)| outbox.busy(id, false, now))),
                _ => accepted.extend(outbox.oldest().and_then(|(id, _)| outbox.accepted(id)).map(|sent| sent.share)),
            }
        }
        let mut now = ms(1_000_000);
        while !outbox.is_settled() {
            now += ms(10_000);
            while send(&mut outbox, now).is_some() {}
            accepted.extend(outbox.oldest().and_then(|(id, _)| outbox.accepted(id)).map(|sent| sent.share));
        }
        accepted.sort_unstable();
        assert!(pushed > 1_000);
        assert_eq!(accepted, (0..pushed).collect::<Vec<u32>>());
    }
}
