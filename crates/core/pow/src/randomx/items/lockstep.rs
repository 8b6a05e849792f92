use std::{
    arch::{
        is_x86_feature_detected,
        x86_64::{
            __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_loadu_si512, _mm512_shuffle_i64x2, _mm512_storeu_si512,
            _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
        },
    },
    mem::transmute,
};

use super::{
    CacheLines, FIRST_FACTOR, FIRST_MASKS, Line,
    evex::{self, CONSTANTS_BEFORE, VECTORS},
    item, line_index,
};
use crate::{
    PowError,
    randomx::{
        executable::Executable,
        superscalar::{PROGRAMS, Program, Registers},
    },
};

const LANES: usize = 8;
/// Items side by side.
pub(crate) const ITEMS: usize = VECTORS * LANES;
/// Blocks of items that take turns when many are wanted: while one computes, the cache lines of the others arrive.
const BLOCKS: usize = 8;

/// The programs of a key, compiled to run on [`ITEMS`] items at once.
pub(crate) struct LockStep {
    /// Kept for the functions in it.
    _code: Executable,
    programs: [Compiled; PROGRAMS],
}

struct Compiled {
    /// Lies in the code of the same [`LockStep`].
    run: unsafe extern "sysv64" fn(registers: *mut u64, constants: *const u64),
    constants: Vec<u64>,
    address_register: usize,
}

/// A word of each item.
type Words = [[u64; LANES]; VECTORS];

/// The registers of a block of items while they are computed.
#[repr(C, align(64))]
struct Block {
    registers: [Words; 8],
    /// What selects the line that each item reads next.
    lines: Words,
}

impl LockStep {
    /// Compiles `programs`. Nothing where the processor lacks the vectors, the system forbids machine code made at run time,
    /// or the result does not agree with [`item`].
    pub(crate) fn new(cache: &CacheLines, programs: &[Program; PROGRAMS]) -> Option<Self> {
        if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")) {
            return None;
        }
        let lockstep = Self::compile(programs).ok()?;
        let numbers: [u64; ITEMS] = std::array::from_fn(|i| (i as u64).wrapping_mul(0x0123_4567));
        let expected = numbers.map(|number| item(cache, programs, number));
        (lockstep.items(cache, &numbers) == expected).then_some(lockstep)
    }

    fn compile(programs: &[Program; PROGRAMS]) -> Result<Self, PowError> {
        let mut bytes = Vec::new();
        let compiled = programs.each_ref().map(|program| {
            // Functions start where a line of the processor's cache does.
            bytes.resize(bytes.len().next_multiple_of(64), 0);
            let offset = bytes.len();
            let code = evex::compile(program);
            bytes.extend(code.bytes);
            (offset, code.constants, program.address_register)
        });
        let code = Executable::new(&bytes)?;
        let programs = compiled.map(|(offset, constants, address_register)| {
            // SAFETY: a function of this type was put there.
            let run = unsafe {
                transmute::<*const u8, unsafe extern "sysv64" fn(*mut u64, *const u64)>(code.start().add(offset))
            };
            Compiled { run, constants, address_register }
        });
        Ok(Self { _code: code, programs })
    }

    /// The items of these numbers.
    pub(crate) fn items(&self, cache: &CacheLines, numbers: &[u64; ITEMS]) -> [Registers; ITEMS] {
        let mut items = [[0; 8]; ITEMS];
        // SAFETY: there is no `LockStep` without these instructions.
        unsafe {
            let mut block = Block::new(cache, numbers);
            for program in &self.programs {
                block.step(cache, program);
            }
            block.write(&mut items);
        }
        items
    }

    /// Fills a run of items of which the first is number `first`.
    pub(crate) fn fill(&self, cache: &CacheLines, first: u64, items: &mut [Line]) {
        let mut number = first;
        let mut batches = items.chunks_exact_mut(BLOCKS * ITEMS);
        for batch in &mut batches {
            // SAFETY: there is no `LockStep` without these instructions.
            unsafe { self.fill_batch(cache, number, batch) };
            number += (BLOCKS * ITEMS) as u64;
        }
        for rest in batches.into_remainder().chunks_mut(ITEMS) {
            let computed = self.items(cache, &numbers_from(number));
            rest.copy_from_slice(&computed[..rest.len()]);
            number += ITEMS as u64;
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn fill_batch(&self, cache: &CacheLines, first: u64, items: &mut [Line]) {
        let mut blocks: [Block; BLOCKS] =
            std::array::from_fn(|block| Block::new(cache, &numbers_from(first + (block * ITEMS) as u64)));
        for program in &self.programs {
            for block in &mut blocks {
                block.step(cache, program);
            }
        }
        for (block, items) in blocks.iter().zip(items.chunks_exact_mut(ITEMS)) {
            block.write(items);
        }
    }
}

fn numbers_from(first: u64) -> [u64; ITEMS] {
    std::array::from_fn(|i| first + i as u64)
}

impl Block {
    /// The registers that the items of `numbers` start with.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn new(cache: &CacheLines, numbers: &[u64; ITEMS]) -> Self {
        let numbers: Words = std::array::from_fn(|vector| std::array::from_fn(|lane| numbers[vector * LANES + lane]));
        let first = numbers.map(|vector| vector.map(|number| number.wrapping_add(1).wrapping_mul(FIRST_FACTOR)));
        let registers = FIRST_MASKS.map(|mask| first.map(|vector| vector.map(|first| first ^ mask)));
        announce(cache, &numbers);
        Self { registers, lines: numbers }
    }

    /// Runs `program` and takes in the lines announced before.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn step(&mut self, cache: &CacheLines, program: &Compiled) {
        // SAFETY: the function works on 8 * ITEMS words, which the block has, aligned to a vector, and on its own constants.
        // Its code is that of the `LockStep` that `program` was borrowed from.
        unsafe {
            (program.run)(
                self.registers.as_mut_ptr().cast(),
                program.constants.as_ptr().wrapping_add(CONSTANTS_BEFORE),
            );
        }
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
    fn write(&self, items: &mut [Line]) {
        for (vector, items) in items.chunks_exact_mut(LANES).enumerate() {
            let columns = self.registers.each_ref().map(|register| load(&register[vector]));
            for (item, row) in items.iter_mut().zip(transpose(columns)) {
                store(item, row);
            }
        }
    }
}

/// Lets the memory system fetch lines meanwhile.
#[inline]
#[target_feature(enable = "avx512f")]
fn announce(cache: &CacheLines, lines: &Words) {
    for line in lines.as_flattened() {
        _mm_prefetch::<_MM_HINT_T0>((&raw const cache[line_index(*line)]).cast());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomx::cache::Cache;
    use proptest::prelude::*;

    #[test]
    fn lock_step_is_the_rule() {
        let cache = Cache::build(b"any lines do", None).unwrap();
        proptest!(ProptestConfig::with_cases(64), |(
            key: [u8; 32], first in 0..34_078_000_u64, count in 0..300_usize, numbers: [u64; ITEMS],
        )| {
            let programs = Program::of_key(&key);
            let lockstep = LockStep::compile(&programs).unwrap();
            let expected = numbers.map(|number| item(cache.lines(), &programs, number));
            prop_assert_eq!(lockstep.items(cache.lines(), &numbers), expected);
            let mut items = vec![[0; 8]; count];
            lockstep.fill(cache.lines(), first, &mut items);
            for (item_number, computed) in (first..).zip(items) {
                prop_assert_eq!(computed, item(cache.lines(), &programs, item_number));
            }
        });
    }
}
