//! The arithmetic of difficulty and chain work on inputs from the whole range of their types, legal or not: nothing panics,
//! nothing overflows, everything rounds to the hard side.

use bq_consensus::{
    BlockError, Branch, BurstWindow, DifficultyState, LinearBranch, Params, TargetBounds, U512, UnitFraction,
    block_work, extend, mul_exp2, required_bits, schedule_exponent,
};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, MerkleRoot, Network, Target, Timestamp, U256, Work,
};
use proptest::prelude::*;
use ruint::aliases::U1024;

/// Any number, with short ones as likely as long ones.
fn u256() -> impl Strategy<Value = U256> {
    (any::<[u64; 4]>(), 0_usize..256).prop_map(|(limbs, shift)| U256::from_limbs(limbs).wrapping_shr(shift))
}

/// Any target but zero.
fn target() -> impl Strategy<Value = Target> {
    u256().prop_map(|value| Target(value.max(U256::ONE)))
}

fn exponent() -> impl Strategy<Value = i128> {
    prop_oneof![any::<i64>().prop_map(i128::from), any::<i128>(), (-300_i128..300).prop_map(|whole| whole << 32)]
}

/// A state that need not come from any chain.
fn state() -> impl Strategy<Value = DifficultyState> {
    let burst = prop::option::of((u256(), any::<u64>()).prop_map(|(work, secs)| BurstWindow {
        work: U512::from(work).saturating_mul(U512::from(11)),
        secs: secs.max(1),
    }));
    let bounds = (target(), target()).prop_map(|(a, b)| TargetBounds { hardest: a.min(b), limit: a.max(b) });
    (bounds, target(), target(), 1_u32..1_000, 0_i64..1 << 41, 600_i64..=5_400, burst).prop_map(
        |(bounds, base, previous, blocks_since, clock_since_secs, spacing_secs, burst)| DifficultyState {
            algorithm: Algorithm::Sha256d,
            base: bounds.clamp(base),
            previous: bounds.clamp(previous),
            blocks_since,
            clock_since_secs,
            spacing_secs,
            half_life: 14_400,
            max_drift: UnitFraction::QUARTER,
            bounds,
            burst,
        },
    )
}

proptest! {
    /// Encoding never eases, loses less than one part in 2^15, and keeps order (SPEC 3.1).
    #[test]
    fn compact_form_rounds_to_the_hard_side(a in target(), b in target()) {
        let decoded = |target: Target| target.to_compact().decode().unwrap();
        prop_assert!(decoded(a) <= a);
        prop_assert!((a.0 - decoded(a).0) <= a.0.wrapping_shr(15));
        prop_assert_eq!(decoded(a).to_compact(), a.to_compact());
        prop_assert!(decoded(a.min(b)) <= decoded(a.max(b)));
    }

    /// Monotone in both arguments, whatever they are (SPEC 3.2). Zero is no target.
    #[test]
    fn the_exponential_is_monotone(a in target(), b in target(), e in exponent(), f in exponent()) {
        prop_assert!(mul_exp2(a.min(b).0, e) <= mul_exp2(a.max(b).0, e));
        prop_assert!(mul_exp2(a.0, e.min(f)) <= mul_exp2(a.0, e.max(f)));
        prop_assert_eq!(mul_exp2(a.0, 0), a.0);
    }

    /// Whole exponents are shifts that saturate (SPEC 3.2).
    #[test]
    fn whole_exponents_shift(a in target(), whole in 0_usize..300) {
        let fits = a.0.bit_len() + whole <= 256;
        let expected = if fits { a.0.wrapping_shl(whole) } else { U256::MAX };
        prop_assert_eq!(mul_exp2(a.0, i128::try_from(whole).unwrap() << 32), expected);
        let expected = if whole < 256 { a.0.wrapping_shr(whole) } else { U256::ZERO };
        prop_assert_eq!(mul_exp2(a.0, -(i128::try_from(whole).unwrap() << 32)), expected);
    }

    /// The exponent is the floor (SPEC 3.2).
    #[test]
    fn exponents_are_floors(lag in any::<i64>(), half_life in 1_u32..) {
        let (exponent, scaled) = (schedule_exponent(lag, half_life), i128::from(lag) << 32);
        let back = exponent * i128::from(half_life);
        prop_assert!(back <= scaled && scaled < back + i128::from(half_life));
    }

    /// The guard never eases, and all bounds hold, for states that no chain would reach too (SPEC 3.4, SPEC 3.5).
    #[test]
    fn no_state_eases_beyond_its_base(state in state()) {
        let required = state.required();
        let base = required.base_bits.decode();
        prop_assert!(base.is_ok_and(|base| required.target <= base));
        prop_assert!(required.target <= state.bounds.limit);
        let mut release = state.previous.0;
        for _ in 0..state.blocks_since {
            release = release.saturating_add(release / U256::from(4));
        }
        prop_assert!(required.target.0 <= release.max(state.bounds.hardest.0));
        let unguarded = DifficultyState { burst: None, ..state }.required();
        prop_assert!(required.target <= unguarded.target);
        prop_assert_eq!(required.base_bits, unguarded.base_bits);
    }

    /// Later clocks never harden, for any state and any window (SPEC 3.3, SPEC 3.4).
    #[test]
    fn no_state_hardens_as_time_passes(state in state(), more in 0_u32..10_000_000) {
        let burst = state.burst.map(|window| BurstWindow { secs: window.secs.saturating_add(more.into()), ..window });
        let later = DifficultyState { clock_since_secs: state.clock_since_secs + i64::from(more), burst, ..state };
        prop_assert!(state.required().target <= later.required().target);
        prop_assert!(state.base_target() <= later.base_target());
    }

    /// The exact floor of the root for arbitrary targets, and harder targets never weigh less (SPEC 4.2).
    #[test]
    fn weights_are_exact_roots(
        pairs in prop::collection::vec((target(), target()), 1..=3),
        harder in target(),
        which in 0_usize..3,
    ) {
        let work = block_work(pairs.iter().copied()).0;
        let of = |target: Target| U1024::from(Work::of_target(target).0);
        let degree = pairs.len();
        let (numerator, denominator) = pairs.iter().fold((U1024::ONE, U1024::ONE), |(n, d), (target, unit)| {
            ((n * of(*target)).wrapping_shl(64), d * of(*unit))
        });
        let quotient = numerator / denominator;
        // Roots of up to 320 bits are cut to 256; the power of one more than 256 bits cannot overflow 1024.
        let power = |root: U1024| (0..degree).fold(U1024::ONE, |power, _| power * root);
        if work > U256::ONE {
            prop_assert!(power(U1024::from(work)) <= quotient);
        }
        if work < U256::MAX {
            prop_assert!(power(U1024::from(work) + U1024::ONE) > quotient);
        }
        let mut harder_pairs = pairs.clone();
        let changed = &mut harder_pairs[which % degree].0;
        *changed = harder.min(*changed);
        prop_assert!(block_work(harder_pairs).0 >= work);
    }

    /// Chain work adds up, or the block is refused; it never wraps (SPEC 4.4).
    #[test]
    fn chain_work_never_wraps(room in u256()) {
        let params = Params::of(Network::Mainnet);
        let mut tip = params.genesis_entry();
        tip.chain_work = Work(U256::MAX - room);
        let branch = LinearBranch::new(tip);
        let required = required_bits(&params, &branch)[0];
        let header = Header {
            version: 1,
            parent_id: branch.tip().id,
            tx_root: MerkleRoot::ZERO,
            witness_root: MerkleRoot::ZERO,
            time: Timestamp(tip.time.0 + 1),
            height: Height(1),
            bits: required.bits,
            algorithm: required.algorithm,
        };
        let weight = U256::ONE.wrapping_shl(64);
        match extend(&params, &branch, &header, BlockId([1; 32])) {
            Ok(entry) => prop_assert!(room >= weight && entry.chain_work.0 == tip.chain_work.0 + weight),
            Err(error) => prop_assert!(room < weight && matches!(error, BlockError::ChainWorkOverflow), "{error}"),
        }
    }
}

#[test]
fn bits_that_truncate_to_nothing_are_no_target() {
    assert!(CompactTarget(0x0100_0000).decode().is_err());
    assert_eq!(Target(U256::ONE).to_compact().decode().unwrap(), Target(U256::ONE));
}
