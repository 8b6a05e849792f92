use std::arch::x86_64::{
    __m512i, _MM_HINT_NTA, _mm_prefetch, _mm512_loadu_si512, _mm512_shuffle_i64x2, _mm512_storeu_si512,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::{CacheLines, FIRST_FACTOR, FIRST_MASKS, Line, line_index, lockstep::Compiled};

/// 64-bit lanes of a vector.
pub(crate) const LANES: usize = 8;

/// A word of each item.
pub(crate) type Words<const VECTORS: usize> = [[u64; LANES]; VECTORS];

/// The registers of some items while they are computed.
#[repr(C, align(64))]
pub(super) struct Block<const VECTORS: usize> {
    registers: [Words<VECTORS>; 8],
    /// What selects the line that each item reads next.
    lines: Words<VECTORS>,
}

impl<const VECTORS: usize> Block<VECTORS> {
    /// The registers that the items of `numbers` start with.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn new(cache: &CacheLines, numbers: &Words<VECTORS>) -> Self {
        let first = numbers.map(|vector| vector.map(|number| number.wrapping_add(1).wrapping_mul(FIRST_FACTOR)));
        let registers = FIRST_MASKS.map(|mask| first.map(|vector| vector.map(|first| first ^ mask)));
        announce(cache, numbers);
        Self { registers, lines: *numbers }
    }

    /// Runs `program` and takes in the lines announced before.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn step(&mut self, cache: &CacheLines, program: &Compiled<VECTORS>) {
        program.run(&mut self.registers);
        for (vector, lines) in self.lines.iter().enumerate() {
            let columns = transpose(lines.map(|line| load(&cache[line_index(line)])));
            for (register, column) in self.registers.iter_mut().zip(columns) {
                let words = &mut register[vector];
                store(words, _mm512_xor_si512(load(words), column));
            }
        }
        self.lines = self.registers[program.address_register];
        announce(cache, &self.lines);
    }

    /// Writes the registers as items.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn write(&self, items: &mut [[Line; LANES]; VECTORS]) {
        for (vector, items) in items.iter_mut().enumerate() {
            let columns = self.registers.each_ref().map(|register| load(&register[vector]));
            for (item, row) in items.iter_mut().zip(transpose(columns)) {
                store(item, row);
            }
        }
    }
}

/// Lets the memory system fetch lines meanwhile. Each is read once, so they need not displace code and scratchpads from the second-level
/// cache.
#[inline]
#[target_feature(enable = "avx512f")]
fn announce(cache: &CacheLines, lines: &[[u64; LANES]]) {
    for line in lines.as_flattened() {
        _mm_prefetch::<_MM_HINT_NTA>((&raw const cache[line_index(*line)]).cast());
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &Line) -> __m512i {
    // SAFETY: eight words, whatever their alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: &mut Line, vector: __m512i) {
    // SAFETY: as `load`.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    // Words of pairs of rows: `pairs[2 * i]` has the even columns of rows 2i and 2i + 1 in turn, the next one the odd.
    let pairs: [__m512i; LANES] = std::array::from_fn(|i| {
        let (upper, lower) = (rows[i & !1], rows[i | 1]);
        if i & 1 == 0 { _mm512_unpacklo_epi64(upper, lower) } else { _mm512_unpackhi_epi64(upper, lower) }
    });
    // Then two steps that move pairs of words: 128-bit lanes a quarter, then a half of a vector apart.
    // `[a0 a1 a2 a3], [b0 b1 b2 b3]` to `[a0 a2 b0 b2]` and `[a1 a3 b1 b3]`.
    let fours: [__m512i; LANES] = std::array::from_fn(|i| {
        let (upper, lower) = (pairs[i & 5], pairs[i & 5 | 2]);
        if i & 2 == 0 {
            _mm512_shuffle_i64x2::<0b10_00_10_00>(upper, lower)
        } else {
            _mm512_shuffle_i64x2::<0b11_01_11_01>(upper, lower)
        }
    });
    let eights: [__m512i; LANES] = std::array::from_fn(|i| {
        let (upper, lower) = (fours[i & 3], fours[i & 3 | 4]);
        if i & 4 == 0 {
            _mm512_shuffle_i64x2::<0b10_00_10_00>(upper, lower)
        } else {
            _mm512_shuffle_i64x2::<0b11_01_11_01>(upper, lower)
        }
    });
    eights
}
