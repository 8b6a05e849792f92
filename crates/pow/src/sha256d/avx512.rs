//! Sixteen nonces in the lanes of a vector of AVX-512, which rotates and computes any function of three bits in one instruction.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m512i, _mm512_add_epi32, _mm512_cmple_epu32_mask, _mm512_ror_epi32, _mm512_set1_epi32, _mm512_set4_epi32,
        _mm512_setr_epi32, _mm512_shuffle_epi8, _mm512_srli_epi32, _mm512_sub_epi32, _mm512_ternarylogic_epi32,
    },
};

use super::{
    INITIAL, K,
    wide::{
        Invariant, define_search, expanded_rounds, fixed_rounds, given_rounds, round, sigma0, sigma1, summed_rounds,
    },
    work::SearchParts,
};

type Vector = __m512i;
/// Nonces in a vector.
const LANES: u32 = 16;

/// This CPU and its operating system have every instruction that `search` uses.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
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

define_search!("avx512f,avx512bw");

/// The message words of the nonces from `start` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn nonces(start: u32) -> Vector {
    let offsets = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    swap_bytes(add(splat(start), offsets))
}

/// A bit for each lane whose top word of the hash is not above `top_max`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn hits(top: Vector, top_max: u32) -> u32 {
    u32::from(_mm512_cmple_epu32_mask(swap_bytes(top), splat(top_max)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn swap_bytes(x: Vector) -> Vector {
    _mm512_shuffle_epi8(x, _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u32) -> Vector {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sub(a: Vector, b: Vector) -> Vector {
    _mm512_sub_epi32(a, b)
}

/// `x`, which the compiler must have computed at this point and just so.
#[inline]
#[target_feature(enable = "avx512f")]
fn pinned(mut x: Vector) -> Vector {
    // SAFETY: there is no instruction in it; the compiler only has to believe that one may have changed the register.
    unsafe {
        std::arch::asm!("/* {0} */", inout(zmm_reg) x, options(pure, nomem, nostack, preserves_flags));
    }
    x
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

/// Each bit of `b` where `a` has a one, else of `c`.
#[inline]
#[target_feature(enable = "avx512f")]
fn choose(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0xca>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum0(x: Vector) -> Vector {
    xor(_mm512_ror_epi32::<2>(x), _mm512_ror_epi32::<13>(x), _mm512_ror_epi32::<22>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum1(x: Vector) -> Vector {
    xor(_mm512_ror_epi32::<6>(x), _mm512_ror_epi32::<11>(x), _mm512_ror_epi32::<25>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn small0(x: Vector) -> Vector {
    xor(_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn small1(x: Vector) -> Vector {
    xor(_mm512_ror_epi32::<17>(x), _mm512_ror_epi32::<19>(x), _mm512_srli_epi32::<10>(x))
}
