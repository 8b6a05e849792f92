//! Eight nonces in the lanes of a vector of AVX2, for processors with neither the SHA extensions nor AVX-512.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_min_epu32,
        _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32,
        _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_sub_epi32, _mm256_xor_si256,
    },
};

use super::{
    INITIAL, K,
    wide::{
        Invariant, define_search, expanded_rounds, fixed_rounds, given_rounds, round, sigma0, sigma1, summed_rounds,
    },
    work::SearchParts,
};

type Vector = __m256i;
/// Nonces in a vector.
const LANES: u32 = 8;

/// This CPU and its operating system have every instruction that `search` uses.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
}

/// Appends the nonces among `first..first + count` whose hash may meet the target.
pub(super) fn search(parts: &SearchParts, first: u32, count: u32, candidates: &mut Vec<u32>) {
    if is_supported() {
        // SAFETY: the CPU has the features the function is compiled for.
        unsafe { search_lanes(parts, first, count, candidates) }
    } else {
        super::portable::search(parts, first, count, candidates);
    }
}

define_search!("avx2");

/// The message words of the nonces from `start` on.
#[inline]
#[target_feature(enable = "avx2")]
fn nonces(start: u32) -> Vector {
    swap_bytes(add(splat(start), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))
}

/// A bit for each lane whose top word of the hash is not above `top_max`.
#[inline]
#[target_feature(enable = "avx2")]
fn hits(top: Vector, top_max: u32) -> u32 {
    // There is no unsigned comparison.
    let top = swap_bytes(top);
    let below = _mm256_cmpeq_epi32(_mm256_min_epu32(top, splat(top_max)), top);
    _mm256_movemask_ps(_mm256_castsi256_ps(below)).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn swap_bytes(x: Vector) -> Vector {
    #[rustfmt::skip]
    let order = _mm256_setr_epi8(
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
    );
    _mm256_shuffle_epi8(x, order)
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> Vector {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn sub(a: Vector, b: Vector) -> Vector {
    _mm256_sub_epi32(a, b)
}

/// Leaves the order of sums to the compiler: a round has twice the instructions here, and so no wait that a better order could
/// shorten. Measured, pinning gains one in a hundred, which is noise.
#[inline]
fn pinned(x: Vector) -> Vector {
    x
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm256_xor_si256(_mm256_xor_si256(a, b), c)
}

/// Each bit of `b` where `a` has a one, else of `c`.
#[inline]
#[target_feature(enable = "avx2")]
fn choose(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm256_xor_si256(c, _mm256_and_si256(a, _mm256_xor_si256(b, c)))
}

/// In this form the compiler takes the exclusive or of `b` and `c` from the round before, where they were `a` and `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm256_xor_si256(b, _mm256_and_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(b, c)))
}

/// Rotates right by `RIGHT`; `LEFT` must be 32 less `RIGHT`.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const RIGHT: i32, const LEFT: i32>(x: Vector) -> Vector {
    const { assert!(RIGHT + LEFT == 32) };
    _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum0(x: Vector) -> Vector {
    xor(rotate::<2, 30>(x), rotate::<13, 19>(x), rotate::<22, 10>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum1(x: Vector) -> Vector {
    xor(rotate::<6, 26>(x), rotate::<11, 21>(x), rotate::<25, 7>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn small0(x: Vector) -> Vector {
    xor(rotate::<7, 25>(x), rotate::<18, 14>(x), _mm256_srli_epi32::<3>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn small1(x: Vector) -> Vector {
    xor(rotate::<17, 15>(x), rotate::<19, 13>(x), _mm256_srli_epi32::<10>(x))
}
