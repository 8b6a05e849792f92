//! Eight states in the lanes of AVX-512, which rotates and computes any function of three bits in one instruction: some 95
//! instructions a round for all eight, where one state takes 150 without it.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m512i, _mm512_load_si512, _mm512_rol_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_store_si512,
        _mm512_ternarylogic_epi64, _mm512_xor_si512,
    },
};

use super::{round::define_permute, wide::States};

type Word = __m512i;

/// This CPU and its operating system have every instruction used here.
#[inline]
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// Keccak-f[1600] of each state. Only where [`is_supported`].
pub(super) fn permute_states(states: &mut States) {
    assert!(is_supported());
    // SAFETY: just asked.
    unsafe { permute_vectors(states) }
}

#[target_feature(enable = "avx512f")]
fn permute_vectors(states: &mut States) {
    let mut lanes = [_mm512_setzero_si512(); 25];
    for (lane, words) in lanes.iter_mut().zip(&states.0) {
        // SAFETY: eight words of eight bytes, and `States` is aligned to 64.
        *lane = unsafe { _mm512_load_si512(words.as_ptr().cast()) };
    }
    permute(&mut lanes);
    for (words, lane) in states.0.iter_mut().zip(lanes) {
        // SAFETY: as above.
        unsafe { _mm512_store_si512(words.as_mut_ptr().cast(), lane) };
    }
}

define_permute!(#[target_feature(enable = "avx512f")]);

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u64) -> Word {
    _mm512_set1_epi64(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: Word, b: Word) -> Word {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn parity([a, b, c, d, e]: [Word; 5]) -> Word {
    _mm512_ternarylogic_epi64::<0x96>(_mm512_ternarylogic_epi64::<0x96>(a, b, c), d, e)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn chi(a: Word, b: Word, c: Word) -> Word {
    _mm512_ternarylogic_epi64::<0xd2>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rotate<const BITS: i32>(a: Word) -> Word {
    _mm512_rol_epi64::<BITS>(a)
}
