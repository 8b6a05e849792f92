//! Rings, sums and rates beside the list of everything that ever came in.

use bq_mining_message::{ShareReject, ShareSequence};
use bq_primitives::{NetworkDifficulty, ShareDifficulty, Timestamp};
use proptest::prelude::*;

use crate::{Ring, Series, Slot, SlotNumber, Span, Window};

/// Something that came in, `after` seconds after what came before it: less than 0 for a clock that was put back.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Accept {
        after: i64,
        difficulty: u64,
    },
    Refuse {
        after: i64,
        reason: ShareReject,
    },
    /// The same share once more, from a log that is read again.
    Again,
    /// Everything is written and read back.
    Restart,
}

pub(super) fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let after = || {
        prop_oneof![
            6 => 0_i64..400,
            3 => 400_i64..8_000,
            1 => 8_000_i64..200_000,
            1 => -100_000_i64..0,
        ]
    };
    let difficulty = prop_oneof![1_u64..1_000, Just(u64::MAX)];
    let reason = prop::sample::select(ShareReject::ALL.to_vec());
    let input = prop_oneof![
        8 => (after(), difficulty).prop_map(|(after, difficulty)| Input::Accept { after, difficulty }),
        3 => (after(), reason).prop_map(|(after, reason)| Input::Refuse { after, reason }),
        1 => Just(Input::Again),
        1 => Just(Input::Restart),
    ];
    prop::collection::vec(input, 0..400)
}

/// What came in: the moment that it counts for, and a share's difficulty or why it was refused.
type Entry = (u64, Result<u64, ShareReject>);

/// A series with what a driver keeps beside it.
#[derive(Debug)]
struct Kept {
    series: Series,
    stored: [Ring; 3],
}

impl Kept {
    fn new() -> Self {
        Self { series: Series::default(), stored: Span::ALL.map(Ring::new) }
    }

    /// What a driver does with what is due.
    fn store(&mut self, now: bool) {
        let Some(due) = self.series.due(now) else { return };
        for (stored, due) in self.stored.iter_mut().zip(&due) {
            stored.put_all(due);
        }
        self.series.stored(&due);
    }

    fn restart(&mut self) {
        self.series = Series::from_bytes(&self.series.to_bytes()).expect("readable");
        for ring in &mut self.stored {
            *ring = Ring::from_bytes(ring.span(), &ring.to_bytes()).expect("readable");
        }
    }

    fn slots(&self, span: Span, now: u64) -> Ring {
        self.series.slots(span, Some(self.stored[span.index()].clone()), Timestamp(now))
    }
}

fn run(inputs: &[Input]) -> (Kept, Vec<Entry>, u64) {
    let (mut kept, mut entries, mut clock) = (Kept::new(), Vec::<Entry>::new(), 1_800_000_123_u64);
    let (mut sequence, mut newest) = (ShareSequence(0), 0);
    let mut last = None;
    for input in inputs {
        match input {
            Input::Accept { after, difficulty } => {
                clock = clock.saturating_add_signed(*after);
                newest = newest.max(clock);
                sequence = sequence.next();
                let difficulty = ShareDifficulty::from_hashes(*difficulty);
                kept.series.accept(Timestamp(clock), sequence, difficulty);
                last = Some(difficulty);
                entries.push((newest, Ok(difficulty.hashes())));
            }
            Input::Refuse { after, reason } => {
                clock = clock.saturating_add_signed(*after);
                newest = newest.max(clock);
                kept.series.refuse(Timestamp(clock), *reason);
                entries.push((newest, Err(*reason)));
            }
            Input::Again => {
                if let Some(difficulty) = last {
                    kept.series.accept(Timestamp(clock), sequence, difficulty);
                }
            }
            Input::Restart => kept.restart(),
        }
        kept.store(false);
    }
    (kept, entries, newest.max(clock))
}

fn sum_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Slot {
    let mut sum = Slot::default();
    for (_, entry) in entries {
        match entry {
            Ok(difficulty) => sum.accept(ShareDifficulty::from_hashes(*difficulty)),
            Err(reason) => sum.refused.add(*reason),
        }
    }
    sum
}

fn is_in(span: Span, number: u64) -> impl Fn(&&Entry) -> bool {
    move |(at, _)| at / span.secs() == number
}

/// Work and seconds of a rate, from every share.
fn rate_of(entries: &[Entry], now: u64, window: Window) -> (u128, u64) {
    let shares: Vec<(u64, u64)> = entries.iter().filter_map(|(at, entry)| entry.ok().map(|work| (*at, work))).collect();
    let mut began = None;
    for (place, (at, work)) in shares.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| shares[place].0);
        if before.is_none_or(|before| before + window.secs() < *at) {
            began = Some((*at, *work, place));
        }
    }
    let start = (now / 300).saturating_sub(window.secs() / 300 - 1) * 300;
    let work =
        |from: usize| shares[from..].iter().filter(|(at, _)| *at >= start).map(|(_, work)| u128::from(*work)).sum();
    match began {
        Some((since, first, place)) if since > start => (work(place) - u128::from(first), (now - since).max(10)),
        _ => (work(0), (now - start).max(1)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rings_hold_what_the_list_of_everything_says(inputs in inputs(), later in 0_u64..300_000) {
        let (kept, entries, newest) = run(&inputs);
        let now = newest + later;
        prop_assert_eq!(kept.series.totals(), &sum_of(entries.iter()));
        for span in Span::ALL {
            let ring = kept.slots(span, now);
            let present = now / span.secs();
            let mut filled = 0;
            for number in present.saturating_sub(u64::from(span.slots()) - 1)..=present {
                let expected = sum_of(entries.iter().filter(is_in(span, number)));
                let number = SlotNumber(u32::try_from(number).expect("small"));
                prop_assert_eq!(&ring.sum(number, number), &expected, "{} slot {:?}", span.name(), number);
                filled += usize::from(!expected.is_empty());
            }
            prop_assert_eq!(ring.len(), filled, "no slot beyond the ring's length");
        }
    }

    #[test]
    fn rates_are_what_every_share_says(inputs in inputs(), later in 0_u64..100_000) {
        let (kept, entries, newest) = run(&inputs);
        let now = newest + later;
        let fives = kept.slots(Span::FiveMinutes, now);
        for window in Window::ALL {
            let rate = kept.series.rate(&fives, Timestamp(now), window);
            prop_assert_eq!((rate.work, rate.secs), rate_of(&entries, now, window), "{:?}", window);
        }
    }

    /// Whatever is stored when, and however often it is read back, it comes to the same.
    #[test]
    fn when_it_is_stored_makes_no_difference(inputs in inputs(), stores in prop::collection::vec(any::<bool>(), 400)) {
        let (mut often, mut clock, mut sequence) = (Kept::new(), 1_800_000_123_u64, ShareSequence(0));
        for (input, store) in inputs.iter().zip(stores) {
            match input {
                Input::Accept { after, difficulty } => {
                    clock = clock.saturating_add_signed(*after);
                    sequence = sequence.next();
                    often.series.accept(Timestamp(clock), sequence, ShareDifficulty::from_hashes(*difficulty));
                }
                Input::Refuse { after, reason } => {
                    clock = clock.saturating_add_signed(*after);
                    often.series.refuse(Timestamp(clock), *reason);
                }
                Input::Again | Input::Restart => {}
            }
            often.store(store);
            if store {
                often.restart();
            }
        }
        let (seldom, _, newest) = run(&inputs);
        for span in Span::ALL {
            prop_assert_eq!(often.slots(span, newest), seldom.slots(span, newest));
        }
    }
}

#[test]
fn a_young_worker_is_measured_over_its_own_time() {
    let mut series = Series::default();
    let start = 1_800_000_000;
    for second in (0..=300).step_by(5) {
        series.accept(Timestamp(start + second), ShareSequence(1 + second), ShareDifficulty::from_hashes(1_000));
    }
    let now = Timestamp(start + 300);
    let fives = series.slots(Span::FiveMinutes, None, now);
    for window in Window::ALL {
        let rate = series.rate(&fives, now, window);
        assert_eq!((rate.work, rate.secs), (60_000, 300), "{window:?}: not divided by an hour");
    }
    let later = Timestamp(start + 50 * 60);
    let rate = series.rate(&series.slots(Span::FiveMinutes, None, later), later, Window::Hour);
    assert_eq!((rate.work, rate.secs), (60_000, 3_000), "it stopped, and its hour is not over");
}

#[test]
fn the_best_share_stays() {
    let mut series = Series::default();
    for (at, hashes) in [(10, 500_u128), (20, 70_000), (30, 69_999)] {
        series.note_best(Timestamp(at), NetworkDifficulty::from_hashes(hashes));
    }
    let best = series.best().expect("noted");
    assert_eq!((best.difficulty.hashes(), best.at), (70_000, Timestamp(20)));
    assert_eq!(Series::from_bytes(&series.to_bytes()).expect("readable").best(), Some(best));
}

/// Nothing can be stored for a month: memory stays small, what is newest stays.
#[test]
fn slots_that_cannot_be_stored_are_bounded() {
    let mut series = Series::default();
    let start = 1_800_000_000;
    for five in 0..9_000_u64 {
        series.accept(Timestamp(start + five * 300), ShareSequence(1 + five), ShareDifficulty::MIN);
    }
    let due = series.due(false).expect("much");
    assert!(due.iter().all(|ring| ring.len() <= 48), "{:?}", due.each_ref().map(Ring::len));
    assert_eq!(series.totals().accepted, 9_000);
}
