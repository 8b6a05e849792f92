//! TIDES: shares walked one hash at a time, and reward split at any width.

use std::collections::BTreeMap;

use bq_primitives::U256;
use proptest::prelude::*;

use super::*;
use crate::{Distribution, Head, TidesFold, distribute};

fn window_in_hashes(units: WindowUnits, block: u128, head: Head, newest_first: &[(AccountId, u64)]) -> Window {
    let mut fold = TidesFold::new(units, NetworkDifficulty::from_hashes(block), head);
    for (account, hashes) in newest_first {
        if fold.add(*account, ShareDifficulty::from_hashes(*hashes)).is_break() {
            break;
        }
    }
    fold.finish()
}

/// Gives the window away hash by hash.
fn hashes_of_accounts(whole: u128, head: Head, newest_first: &[(AccountId, u64)]) -> BTreeMap<Option<AccountId>, u128> {
    let mut row = Vec::new();
    for (position, (account, hashes)) in newest_first.iter().enumerate() {
        let counted = if position == 0 && head == Head::Half { hashes / 2 } else { *hashes };
        row.extend((0..counted).map(|_| Some(*account)));
    }
    row.resize(row.len().max(usize::try_from(whole).expect("small")), None);
    row.truncate(usize::try_from(whole).expect("small"));
    model::count_slots(&row)
}

fn parts_of(window: &Window) -> BTreeMap<Option<AccountId>, u128> {
    let accounts = window.weights().map(|(account, part)| (Some(account), part));
    accounts.chain([(None, window.seed())]).filter(|(_, part)| *part > 0).collect()
}

fn shares(most: u64) -> impl Strategy<Value = Vec<(AccountId, u64)>> {
    prop::collection::vec(((1_u32..6).prop_map(AccountId), 1..=most), 0..20)
}

fn heads() -> impl Strategy<Value = Head> {
    prop_oneof![Just(Head::Half), Just(Head::Whole)]
}

fn paid(split: &Distribution) -> u64 {
    split.credits.iter().map(|(_, credit)| credit.atoms()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_walk_gives_each_hash_to_whom_the_model_gives_it(
        length in 1_u8..5, block in 1_u128..60, head in heads(), newest_first in shares(50),
    ) {
        let window = window_in_hashes(units(length), block, head, &newest_first);
        prop_assert_eq!(parts_of(&window), hashes_of_accounts(window.whole(), head, &newest_first));
        prop_assert_eq!(window.whole(), u128::from(length) * block);
    }

    #[test]
    fn no_atom_is_made_or_lost_at_any_difficulty(
        length in 1_u8..=64,
        block in prop_oneof![1_u128..1 << 40, 1_u128..1 << 70, (1_u128 << 95)..1 << 96],
        newest_first in shares(u64::MAX),
        reward in 0..1_u64 << 52,
        fee in 0_u16..=10_000,
        carry_in in 0_u64..1000,
    ) {
        let window = window_in_hashes(units(length), block, Head::Half, &newest_first);
        let split = distribute(atoms(reward), bp(fee), atoms(carry_in), &window).expect("in range");
        let out = paid(&split) + split.fee.atoms() + split.seed.atoms() + split.carry.atoms();
        prop_assert_eq!(out, reward + carry_in);
        prop_assert!(split.carry.atoms() < u64::from(split.payees));
        // The contract of a floor, in 256 bits: q * whole <= net * part < (q + 1) * whole.
        let net = U256::from(reward + carry_in - split.fee.atoms());
        let whole = U256::from(window.whole());
        let credits = split.credits.iter().map(|(account, credit)| (Some(*account), *credit));
        let credits: BTreeMap<_, _> = credits.chain([(None, split.seed)]).collect();
        for (party, part) in parts_of(&window) {
            let credit = U256::from(credits.get(&party).map_or(0, |credit| credit.atoms()));
            let product = net * U256::from(part);
            prop_assert!(credit * whole <= product && product < (credit + U256::ONE) * whole);
        }
    }

    #[test]
    fn more_hashes_never_earn_less(
        block in 1_u128 << 60..1 << 90, newest_first in shares(u64::MAX), reward in 0..1_u64 << 53,
    ) {
        let window = window_in_hashes(units(8), block, Head::Half, &newest_first);
        let split = distribute(atoms(reward), bp(100), Amount::ZERO, &window).expect("in range");
        let credits: BTreeMap<_, _> = split.credits.iter().copied().collect();
        let mut by_part: Vec<_> = window.weights().collect();
        by_part.sort_by_key(|(_, part)| *part);
        prop_assert!(by_part.is_sorted_by_key(|(account, _)| credits.get(account).copied().unwrap_or_default()));
    }

    #[test]
    fn renumbered_accounts_earn_the_same(
        block in 1_u128..1 << 66, newest_first in shares(u64::MAX), reward in 0..1_u64 << 53,
        numbers in Just((1_u32..6).map(AccountId).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let renumber = |account: AccountId| numbers[usize::try_from(account.0).expect("small") - 1];
        let renumbered: Vec<_> = newest_first.iter().map(|(account, hashes)| (renumber(*account), *hashes)).collect();
        let split = |shares: &[_]| {
            let window = window_in_hashes(units(2), block, Head::Half, shares);
            distribute(atoms(reward), bp(100), Amount::ZERO, &window).expect("in range")
        };
        let (first, second) = (split(&newest_first), split(&renumbered));
        let expected: BTreeMap<_, _> = first.credits.iter().map(|(account, credit)| (renumber(*account), *credit)).collect();
        prop_assert_eq!(second.credits.iter().copied().collect::<BTreeMap<_, _>>(), expected);
        prop_assert_eq!((first.fee, first.seed, first.carry), (second.fee, second.seed, second.carry));
    }

    #[test]
    fn many_accounts_gain_nothing_and_lose_less_than_an_atom_each(
        block in 1_u128..1 << 70, newest_first in shares(u64::MAX), reward in 0..1_u64 << 53,
    ) {
        let joined: Vec<_> = newest_first.iter().map(|(_, hashes)| (A, *hashes)).collect();
        let split = |shares: &[_]| {
            let window = window_in_hashes(units(8), block, Head::Half, shares);
            paid(&distribute(atoms(reward), bp(100), Amount::ZERO, &window).expect("in range"))
        };
        let (split, joined) = (split(&newest_first), split(&joined));
        prop_assert!(split <= joined && joined - split < 5);
    }
}

#[test]
fn the_largest_window_does_not_wrap() {
    let window = window_in_hashes(WindowUnits::MAX, u128::MAX, Head::Half, &[(A, u64::MAX)]);
    assert_eq!(window.whole(), 64 * ((1 << 96) - 1));
    let split = distribute(Amount::MAX, bp(0), Amount::ZERO, &window).expect("in range");
    // Half of 2^64 - 1 hashes is 2^-39 of the window: 2^14 atoms of 2^53 - 1, less what the halves and ends lack.
    assert_eq!(split.credits, [(A, atoms((1 << 14) - 1))]);
    assert_eq!(paid(&split) + split.seed.atoms() + split.carry.atoms(), Amount::MAX.atoms());
    assert!(distribute(Amount::MAX, bp(0), atoms(1), &window).is_err(), "above the range of amounts");
}
