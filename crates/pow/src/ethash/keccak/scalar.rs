//! One state at a time.

use super::round::define_permute;

type Word = u64;

/// Keccak-f[1600].
#[inline]
pub(super) fn permute_one(state: &mut [u64; 25]) {
    #[cfg(target_arch = "x86_64")]
    if bmi::is_supported() {
        return bmi::permute_one(state);
    }
    permute(state);
}

define_permute!();

#[inline(always)]
const fn splat(word: u64) -> Word {
    word
}

#[inline(always)]
const fn xor(a: Word, b: Word) -> Word {
    a ^ b
}

#[inline(always)]
const fn parity([a, b, c, d, e]: [Word; 5]) -> Word {
    a ^ b ^ c ^ d ^ e
}

#[inline(always)]
const fn chi(a: Word, b: Word, c: Word) -> Word {
    a ^ (!b & c)
}

#[inline(always)]
const fn rotate<const BITS: u32>(a: Word) -> Word {
    a.rotate_left(BITS)
}

/// The same code compiled for x86-64 with BMI, which rotates into another register and has and-not in one instruction.
#[cfg(target_arch = "x86_64")]
mod bmi {
    use super::{Word, chi, define_permute, parity, rotate, splat, xor};

    #[inline]
    pub(super) fn is_supported() -> bool {
        std::arch::is_x86_feature_detected!("bmi1") && std::arch::is_x86_feature_detected!("bmi2")
    }

    #[inline]
    pub(super) fn permute_one(state: &mut [u64; 25]) {
        debug_assert!(is_supported());
        // SAFETY: the only caller has asked for these features.
        unsafe { permute(state) }
    }

    define_permute!(#[target_feature(enable = "bmi1,bmi2")]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One round as the standard tells it: theta, then rho and pi along the path of lane (1, 0), then chi and iota.
    fn model_round(state: &[u64; 25], constant: u64) -> [u64; 25] {
        let column = |x: usize| (0..5).fold(0, |sum, y| sum ^ state[x % 5 + 5 * y]);
        let spread = |lane: usize| state[lane] ^ column(lane + 4) ^ column(lane % 5 + 1).rotate_left(1);
        let mut moved = [0; 25];
        moved[0] = spread(0);
        let (mut x, mut y, mut rotation) = (1, 0, 0);
        for step in 1..=24 {
            rotation += step;
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = spread(x + 5 * y).rotate_left(rotation % 64);
            (x, y) = (y, (2 * x + 3 * y) % 5);
        }
        let mut next: [u64; 25] = std::array::from_fn(|lane| {
            let row = lane - lane % 5;
            moved[lane] ^ (!moved[row + (lane + 1) % 5] & moved[row + (lane + 2) % 5])
        });
        next[0] ^= constant;
        next
    }

    proptest! {
        #[test]
        fn a_round_equals_the_model(state in proptest::array::uniform25(any::<u64>()), constant: u64) {
            prop_assert_eq!(round(&state, constant), model_round(&state, constant));
        }

        #[test]
        fn all_builds_permute_alike(state in proptest::array::uniform25(any::<u64>())) {
            let (mut chosen, mut portable) = (state, state);
            permute_one(&mut chosen);
            permute(&mut portable);
            prop_assert_eq!(chosen, portable);
        }
    }
}
