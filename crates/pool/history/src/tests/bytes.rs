//! Encodings: one value, one byte string, and hostile bytes cost no more than their length.

use bq_mining_message::{ShareReject, ShareSequence};
use bq_primitives::{Algorithm, Amount, KeyHash, NetworkDifficulty, ShareDifficulty, Timestamp, WorkerName};
use proptest::prelude::*;

use crate::{
    BlockEarnings, EarningLine, EndedRound, HistoryError, Ring, Round, Series, SeriesKey, SlotNumber, Span, Subject,
};

fn series() -> impl Strategy<Value = Series> {
    let event = (0_u64..4_000, 1_u64.., prop::option::of(prop::sample::select(ShareReject::ALL.to_vec())));
    let best = prop::option::of((any::<u128>(), any::<u32>()));
    (any::<u32>(), prop::collection::vec(event, 0..40), best).prop_map(|(start, events, best)| {
        let (mut series, mut at) = (Series::default(), u64::from(start));
        for (place, (after, difficulty, reason)) in (1..).zip(events) {
            at += after;
            match reason {
                Some(reason) => series.refuse(Timestamp(at), reason),
                None => {
                    series.accept(Timestamp(at), ShareSequence(place), ShareDifficulty::from_hashes(difficulty));
                }
            }
        }
        if let Some((hashes, at)) = best {
            series.note_best(Timestamp(at.into()), NetworkDifficulty::from_hashes(hashes));
        }
        series
    })
}

fn keys() -> impl Strategy<Value = SeriesKey> {
    let subject = prop_oneof![
        Just(Subject::Pool),
        any::<[u8; 32]>().prop_map(|key| Subject::Account(KeyHash(key))),
        (any::<[u8; 32]>(), "[A-Za-z0-9._-]{1,64}")
            .prop_map(|(key, name)| Subject::Worker(KeyHash(key), WorkerName::new(&name).expect("plain"))),
    ];
    (subject, prop::sample::select(Algorithm::ALL.to_vec())).prop_map(|(subject, lane)| SeriesKey { subject, lane })
}

fn earnings() -> impl Strategy<Value = BlockEarnings> {
    (any::<u32>(), prop::collection::btree_map(any::<[u8; 32]>(), 1_u64..1_000_000_000, 0..5)).prop_map(
        |(day, lines)| {
            let line = |(key, atoms)| EarningLine {
                account: KeyHash(key),
                amount: Amount::from_atoms(atoms).expect("in range"),
            };
            BlockEarnings { day: SlotNumber(day), lines: lines.into_iter().map(line).collect() }
        },
    )
}

/// Bytes that can be read are those that a writer makes, and nothing shorter or longer.
fn check<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, HistoryError>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = read(bytes) {
        assert_eq!(write(&value), bytes, "{value:?}");
    }
}

fn check_all(bytes: &[u8]) {
    check(bytes, Series::from_bytes, Series::to_bytes);
    for span in Span::ALL {
        check(bytes, |bytes| Ring::from_bytes(span, bytes), Ring::to_bytes);
    }
    check(bytes, SeriesKey::from_bytes, SeriesKey::to_bytes);
    check(bytes, Round::from_bytes, Round::to_bytes);
    check(bytes, EndedRound::from_bytes, EndedRound::to_bytes);
    check(bytes, BlockEarnings::from_bytes, BlockEarnings::to_bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_series_is_read_back(series in series(), cut in any::<prop::sample::Index>()) {
        let bytes = series.to_bytes();
        prop_assert_eq!(Series::from_bytes(&bytes), Ok(series));
        prop_assert!(Series::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert_eq!(Series::from_bytes(&longer), Err(HistoryError::Trailing(1)));
    }

    #[test]
    fn a_changed_byte_is_refused_or_another_value(series in series(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = series.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        check_all(&bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(version in 0_u8..3, bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        check_all(&[&[version][..], &bytes].concat());
    }

    #[test]
    fn keys_are_read_back_and_sort_apart(a in keys(), b in keys()) {
        prop_assert_eq!(SeriesKey::from_bytes(&a.to_bytes()), Ok(a.clone()));
        prop_assert_eq!(a.to_bytes() == b.to_bytes(), a == b);
    }

    #[test]
    fn rounds_and_earnings_are_read_back(parts in any::<u128>(), shares in any::<u64>(), earnings in earnings()) {
        let round = Round { parts, shares, counted_to: ShareSequence(shares) };
        prop_assert_eq!(Round::from_bytes(&round.to_bytes()), Ok(round));
        let ended = EndedRound { parts, shares, at: Timestamp(shares) };
        prop_assert_eq!(EndedRound::from_bytes(&ended.to_bytes()), Ok(ended));
        prop_assert_eq!(BlockEarnings::from_bytes(&earnings.to_bytes()), Ok(earnings));
    }
}

#[test]
fn counts_that_promise_more_than_there_is_cost_nothing() {
    let many = [1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(BlockEarnings::from_bytes(&many), Err(HistoryError::End("lines")));
    assert_eq!(Ring::from_bytes(Span::Hour, &[1, 0xd1, 0x05]), Err(HistoryError::Field("number of slots")));
    assert_eq!(Ring::from_bytes(Span::Hour, &[1, 0xd0, 0x05]), Err(HistoryError::End("slot")));
}

#[test]
fn a_name_that_no_miner_may_have_is_refused() {
    let mut bytes = vec![2, 0];
    bytes.extend([7; 32]);
    assert!(SeriesKey::from_bytes(&bytes).is_err(), "no name");
    for name in ["<script>", "a b", "\u{202e}", &"x".repeat(65)] {
        assert!(SeriesKey::from_bytes(&[&bytes, name.as_bytes()].concat()).is_err(), "{name}");
    }
}

/// What is written in the docs of the settings.
#[test]
fn an_idle_worker_is_small_and_the_busiest_is_bounded() {
    let mut idle = Series::default();
    idle.accept(Timestamp(1_800_000_000), ShareSequence(1 << 30), ShareDifficulty::from_hashes(1 << 40));
    idle.note_best(Timestamp(1_800_000_000), NetworkDifficulty::from_hashes(1 << 60));
    assert!(idle.to_bytes().len() < 110, "{}", idle.to_bytes().len());
    let (mut busy, mut stored, mut sequence) = (Series::default(), Span::ALL.map(Ring::new), ShareSequence(1 << 40));
    for at in (0..730 * 86_400_u64).step_by(300) {
        for _ in 0..20 {
            sequence = sequence.next();
            busy.accept(Timestamp(1_800_000_000 + at), sequence, ShareDifficulty::from_hashes(1 << 40));
        }
        busy.refuse(Timestamp(1_800_000_000 + at), ShareReject::Stale);
        if let Some(due) = busy.due(false) {
            stored.iter_mut().zip(&due).for_each(|(stored, due)| stored.put_all(due));
            busy.stored(&due);
        }
    }
    let rings: usize = stored.iter().map(|ring| ring.to_bytes().len()).sum();
    assert!(rings < 23_000, "{rings}");
    assert!(busy.to_bytes().len() < 1_000, "{}", busy.to_bytes().len());
}
