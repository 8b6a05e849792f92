//! Four states in the lanes of AVX2, twice.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m256i, _mm_cvtsi32_si128, _mm256_andnot_si256, _mm256_load_si256, _mm256_or_si256, _mm256_set1_epi64x,
        _mm256_setzero_si256, _mm256_sll_epi64, _mm256_srl_epi64, _mm256_store_si256, _mm256_xor_si256,
    },
};

use super::{
    round::define_permute,
    wide::{STATES, States},
};

type Word = __m256i;
/// States in a vector.
const LANES: usize = 4;

/// This CPU and its operating system have every instruction used here.
#[inline]
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
}

/// Keccak-f[1600] of each state. Only where [`is_supported`].
pub(super) fn permute_states(states: &mut States) {
    assert!(is_supported());
    for first in (0..STATES).step_by(LANES) {
        // SAFETY: just asked.
        unsafe { permute_vectors(states, first) }
    }
}

#[target_feature(enable = "avx2")]
fn permute_vectors(states: &mut States, first: usize) {
    let mut lanes = [_mm256_setzero_si256(); 25];
    for (lane, words) in lanes.iter_mut().zip(&states.0) {
        // SAFETY: four words of eight bytes, of which the first is at a multiple of 32, since `States` is aligned to 64.
        *lane = unsafe { _mm256_load_si256(words[first..first + LANES].as_ptr().cast()) };
    }
    permute(&mut lanes);
    for (words, lane) in states.0.iter_mut().zip(lanes) {
        // SAFETY: as above.
        unsafe { _mm256_store_si256(words[first..first + LANES].as_mut_ptr().cast(), lane) };
    }
}

define_permute!(#[target_feature(enable = "avx2")]);

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u64) -> Word {
    _mm256_set1_epi64x(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: Word, b: Word) -> Word {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity([a, b, c, d, e]: [Word; 5]) -> Word {
    xor(xor(xor(a, b), xor(c, d)), e)
}

#[inline]
#[target_feature(enable = "avx2")]
fn chi(a: Word, b: Word, c: Word) -> Word {
    xor(a, _mm256_andnot_si256(b, c))
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const BITS: i32>(a: Word) -> Word {
    // Counts in a register of their own, because the immediate forms would need a constant `64 - BITS`; the compiler makes
    // immediates of them.
    let (left, right) = (_mm_cvtsi32_si128(BITS), _mm_cvtsi32_si128(64 - BITS));
    _mm256_or_si256(_mm256_sll_epi64(a, left), _mm256_srl_epi64(a, right))
}
