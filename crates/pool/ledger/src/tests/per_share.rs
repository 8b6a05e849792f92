//! Schemes that pay per share: what accrues is credited exactly, whoever has it and whenever it is credited.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{examples::REWARD, *};
use crate::{Accrual, FeeAverage, LedgerError, PerShare, ShareValue};

fn share_weights() -> impl Strategy<Value = ShareWeight> {
    (0..=ShareWeight::ONE.parts()).prop_map(|parts| ShareWeight::from_parts(parts).expect("in range"))
}

fn values() -> impl Strategy<Value = ShareValue> {
    (share_weights(), 0..1_u64 << 40, 0_u16..=10_000)
        .prop_map(|(weight, block, fee)| ShareValue::of(weight, atoms(block), bp(fee)).expect("in range"))
}

/// What each account is credited if everybody is credited where a share says so, and at the end.
fn credits(shares: &[(AccountId, ShareValue, bool)]) -> BTreeMap<AccountId, (u64, u128)> {
    let mut accounts: BTreeMap<AccountId, (u64, Accrual)> = BTreeMap::new();
    let flush_all = |accounts: &mut BTreeMap<AccountId, (u64, Accrual)>| {
        for (credited, accrual) in accounts.values_mut() {
            let (credit, rest) = accrual.flush();
            *credited += credit.atoms();
            *accrual = rest;
        }
    };
    for (account, value, is_credited) in shares {
        let (_, accrual) = accounts.entry(*account).or_default();
        *accrual = accrual.added(*value).expect("in range");
        if *is_credited {
            flush_all(&mut accounts);
        }
    }
    flush_all(&mut accounts);
    accounts.into_iter().map(|(account, (credited, accrual))| (account, (credited, accrual.parts()))).collect()
}

fn total(credits: &BTreeMap<AccountId, (u64, u128)>) -> u64 {
    credits.values().map(|(credited, _)| credited).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn value_and_fee_are_the_share_of_the_block(weight in share_weights(), block in 0..1_u64 << 53, fee in 0_u16..=10_000) {
        let value = ShareValue::of(weight, atoms(block), bp(fee)).expect("in range").parts();
        let kept = u128::from(weight.parts()) * u128::from(bp(fee).of(atoms(block)).expect("in range").atoms());
        prop_assert_eq!(value + kept, u128::from(weight.parts()) * u128::from(block));
        prop_assert!(value < 1 << 113);
    }

    #[test]
    fn more_weight_is_never_worth_less(mut weights in prop::collection::vec(share_weights(), 2), block in 0..1_u64 << 53) {
        weights.sort();
        let value = |weight| ShareValue::of(weight, atoms(block), bp(250)).expect("in range");
        prop_assert!(value(weights[0]) <= value(weights[1]));
    }

    #[test]
    fn nothing_is_lost_between_shares_and_credits(
        shares in prop::collection::vec(((1_u32..5).prop_map(AccountId), values(), any::<bool>()), 0..40),
    ) {
        let credits = credits(&shares);
        // The model: one division at the end, of the sum of everything.
        let mut sums: BTreeMap<AccountId, u128> = BTreeMap::new();
        for (account, value, _) in &shares {
            *sums.entry(*account).or_default() += value.parts();
        }
        let divided = |sum: u128| (u64::try_from(sum / ONE).expect("in range"), sum % ONE);
        let expected: BTreeMap<_, _> = sums.into_iter().map(|(account, sum)| (account, divided(sum))).collect();
        prop_assert_eq!(credits, expected);
    }

    #[test]
    fn order_and_moment_of_credits_do_not_matter(
        shares in prop::collection::vec(((1_u32..5).prop_map(AccountId), values(), any::<bool>()), 0..40)
            .prop_flat_map(|shares| (Just(shares.clone()), Just(shares).prop_shuffle())),
        moments in prop::collection::vec(any::<bool>(), 40),
    ) {
        let (in_order, mut shuffled) = shares;
        for (share, moment) in shuffled.iter_mut().zip(moments) {
            share.2 = moment;
        }
        prop_assert_eq!(credits(&in_order), credits(&shuffled));
    }

    #[test]
    fn exchanged_accounts_exchange_credits(
        shares in prop::collection::vec(((1_u32..3).prop_map(AccountId), values(), any::<bool>()), 0..40),
    ) {
        let other = |account| if account == A { B } else { A };
        let exchanged: Vec<_> = shares.iter().map(|(account, value, flush)| (other(*account), *value, *flush)).collect();
        let exchanged: BTreeMap<_, _> = credits(&exchanged).into_iter().map(|(account, paid)| (other(account), paid)).collect();
        prop_assert_eq!(credits(&shares), exchanged);
    }

    #[test]
    fn many_accounts_gain_nothing_and_lose_less_than_an_atom_each(
        shares in prop::collection::vec(((1_u32..5).prop_map(AccountId), values(), any::<bool>()), 0..40),
    ) {
        let joined: Vec<_> = shares.iter().map(|(_, value, flush)| (A, *value, *flush)).collect();
        let (split, joined) = (credits(&shares), credits(&joined));
        let accounts = u64::try_from(split.len()).expect("few");
        prop_assert!(total(&split) <= total(&joined));
        prop_assert!(total(&joined) - total(&split) < accounts.max(1));
    }

    #[test]
    fn what_cannot_be_paid_stays_owed(parts in 0..1_u128 << 113, limit in 0..1_u64 << 53) {
        let accrual = Accrual::from_parts(parts).expect("in range");
        prop_assert_eq!(accrual.parts(), parts);
        let (credit, rest) = accrual.flush_up_to(atoms(limit));
        prop_assert_eq!((u128::from(credit.atoms()) << 60) + rest.parts(), parts);
        prop_assert_eq!(u128::from(credit.atoms()), (parts >> 60).min(u128::from(limit)));
        let (later, end) = rest.flush();
        prop_assert_eq!(u128::from(credit.atoms() + later.atoms()), parts >> 60);
        prop_assert_eq!(end.parts(), parts % ONE);
    }
}

/// The average as a list of all templates that were ever made, newest last.
fn average_of(templates: &[(u32, u64, u64)], height: u32) -> u64 {
    let mut terms = Vec::new();
    for below in (0..height).rev().take(144) {
        if let Some((_, fees, subsidy)) = templates.iter().rfind(|(at, ..)| *at == below) {
            terms.push((*fees).min(subsidy / 10));
        }
    }
    let count = u64::try_from(terms.len()).expect("few");
    terms.iter().sum::<u64>().checked_div(count).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn fees_average_over_the_last_template_of_each_height(
        templates in prop::collection::vec((0_u32..300, 0..1_u64 << 53, 0..1_u64 << 53), 0..400),
        above in 0_u32..200,
    ) {
        let mut fees = FeeAverage::default();
        for (height, total, subsidy) in &templates {
            fees.note(Height(*height), atoms(*total), atoms(*subsidy));
        }
        let highest = templates.iter().map(|(height, ..)| *height).max().unwrap_or(0);
        let job = highest + above;
        prop_assert_eq!(fees.before(Height(job)).atoms(), average_of(&templates, job));
    }

    #[test]
    fn no_template_is_worth_more_than_a_tenth_of_its_subsidy(fees in 0..1_u64 << 53, subsidy in 0..1_u64 << 52) {
        let mut average = FeeAverage::default();
        average.note(Height(7), atoms(fees), atoms(subsidy));
        let value = PerShare::Fpps.block_value(atoms(subsidy), average.before(Height(8))).expect("in range");
        let most = PerShare::Fpps.reserve_income_max(atoms(subsidy)).expect("in range");
        prop_assert!(value <= most && most.atoms() == subsidy + subsidy / 10);
        let pps = PerShare::Pps;
        prop_assert_eq!(pps.block_value(atoms(subsidy), average.before(Height(8))), Ok(atoms(subsidy)));
        prop_assert_eq!(pps.reserve_income_max(atoms(subsidy)), Ok(atoms(subsidy)));
    }
}

#[test]
fn only_heights_below_the_job_and_not_far_below_enter() {
    let mut fees = FeeAverage::default();
    assert_eq!(fees.before(Height(0)), Amount::ZERO, "nothing is known");
    fees.note(Height(0), atoms(100), atoms(REWARD));
    assert_eq!(fees.before(Height(0)), Amount::ZERO);
    assert_eq!(fees.before(Height(144)), atoms(100));
    assert_eq!(fees.before(Height(145)), Amount::ZERO);
    fees.note(Height(144), atoms(50), atoms(REWARD));
    assert_eq!((fees.before(Height(144)), fees.before(Height(145))), (atoms(100), atoms(50)));
    // The chain went back: the job's own height and those above do not enter.
    fees.note(Height(143), atoms(10), atoms(REWARD));
    assert_eq!(fees.before(Height(144)), atoms(55));
    fees.note(Height(u32::MAX), atoms(7), atoms(REWARD));
    assert_eq!((fees.before(Height(145)), fees.before(Height(u32::MAX))), (Amount::ZERO, Amount::ZERO));
}

#[test]
fn an_accrual_is_never_more_than_every_amount() {
    let most = Accrual::from_parts((1 << 113) - 1).expect("the largest");
    assert_eq!(most.flush().0, Amount::MAX);
    assert!(matches!(Accrual::from_parts(1 << 113), Err(LedgerError::Amount(_))));
    assert_eq!(Accrual::from_parts(u128::MAX), Err(LedgerError::Overflow));
    let least = ShareValue::of(ShareWeight::from_parts(1).expect("in range"), atoms(1), bp(0)).expect("in range");
    assert!(most.added(least).is_err());
}
