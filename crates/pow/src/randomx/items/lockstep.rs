use std::{arch::is_x86_feature_detected, mem::transmute};

use super::{
    CacheLines, Line,
    block::{Block, LANES, Words},
    evex::{self, CONSTANTS_BEFORE},
    item,
};
use crate::{
    PowError,
    randomx::{
        executable::Executable,
        superscalar::{PROGRAMS, Program},
    },
};

/// Blocks of items that take turns when many are wanted: while one computes, the cache lines of the others arrive.
const BLOCKS: usize = 8;

/// The programs of a key, compiled to run on many items at once.
pub(crate) struct LockStep {
    /// For eight items: soonest done.
    pub(crate) eight: Compilation<1>,
    /// For sixteen: least work for each, since the two vectors wait for different results.
    pub(crate) sixteen: Compilation<2>,
}

/// The programs of a key, compiled to run on this many vectors at once.
pub(crate) struct Compilation<const VECTORS: usize> {
    programs: [Compiled<VECTORS>; PROGRAMS],
    /// Kept for the functions in it.
    _code: Executable,
}

type Function<const VECTORS: usize> =
    unsafe extern "sysv64" fn(registers: *mut [Words<VECTORS>; 8], constants: *const u64);

/// A program; its code lies in that of the [`Compilation`] that it is part of, and is gone with it.
pub(super) struct Compiled<const VECTORS: usize> {
    function: Function<VECTORS>,
    constants: Vec<u64>,
    pub(super) address_register: usize,
}

impl LockStep {
    /// Compiles `programs`. Nothing where the processor lacks the vectors, the system forbids machine code made at run time,
    /// or the result does not agree with [`item`].
    pub(crate) fn new(cache: &CacheLines, programs: &[Program; PROGRAMS]) -> Option<Self> {
        let lockstep = Self { eight: Compilation::new(programs)?, sixteen: Compilation::new(programs)? };
        (lockstep.eight.agrees(cache, programs) && lockstep.sixteen.agrees(cache, programs)).then_some(lockstep)
    }

    /// Fills a run of items of which the first is number `first`.
    pub(crate) fn fill(&self, cache: &CacheLines, first: u64, items: &mut [Line]) {
        self.sixteen.fill(cache, first, items);
    }
}

impl<const VECTORS: usize> Compilation<VECTORS> {
    /// Compiles `programs`. Nothing where the processor lacks the vectors or the system forbids machine code made at run time.
    fn new(programs: &[Program; PROGRAMS]) -> Option<Self> {
        let is_supported = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        if is_supported { Self::compile(programs).ok() } else { None }
    }

    fn compile(programs: &[Program; PROGRAMS]) -> Result<Self, PowError> {
        let mut bytes = Vec::new();
        let compiled = programs.each_ref().map(|program| {
            // Functions start where a line of the processor's cache does.
            bytes.resize(bytes.len().next_multiple_of(64), 0);
            let offset = bytes.len();
            let code = evex::compile(program, VECTORS);
            bytes.extend(code.bytes);
            (offset, code.constants, program.address_register)
        });
        let code = Executable::new(&bytes)?;
        let programs = compiled.map(|(offset, constants, address_register)| {
            // SAFETY: a function of this type was put there.
            let function = unsafe { transmute::<*const u8, Function<VECTORS>>(code.start().add(offset)) };
            Compiled { function, constants, address_register }
        });
        Ok(Self { programs, _code: code })
    }

    fn agrees(&self, cache: &CacheLines, programs: &[Program; PROGRAMS]) -> bool {
        let numbers: Words<VECTORS> = numbers_from(0).map(|vector| vector.map(|i| i.wrapping_mul(0x0123_4567)));
        let expected = numbers.map(|vector| vector.map(|number| item(cache, programs, number)));
        self.items(cache, &numbers) == expected
    }

    /// The items of these numbers.
    pub(crate) fn items(&self, cache: &CacheLines, numbers: &Words<VECTORS>) -> [[Line; LANES]; VECTORS] {
        let mut items = [[[0; 8]; LANES]; VECTORS];
        // SAFETY: there is no `Compilation` without these instructions.
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
    fn fill(&self, cache: &CacheLines, first: u64, items: &mut [Line]) {
        let mut number = first;
        // Vectors of items, then blocks of vectors.
        let (vectors, rest) = items.as_chunks_mut::<LANES>();
        let (blocks, few) = vectors.as_chunks_mut::<VECTORS>();
        for batch in blocks.chunks_mut(BLOCKS) {
            // SAFETY: there is no `Compilation` without these instructions.
            unsafe { self.fill_blocks(cache, number, batch) };
            number += (batch.len() * VECTORS * LANES) as u64;
        }
        let last = self.items(cache, &numbers_from(number));
        let wanted = few.as_flattened_mut().iter_mut().chain(rest);
        for (item, computed) in wanted.zip(last.as_flattened()) {
            *item = *computed;
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn fill_blocks(&self, cache: &CacheLines, first: u64, items: &mut [[[Line; LANES]; VECTORS]]) {
        let number = |block| first + (block * VECTORS * LANES) as u64;
        let mut blocks: [Block<VECTORS>; BLOCKS] =
            std::array::from_fn(|block| Block::new(cache, &numbers_from(number(block))));
        for program in &self.programs {
            for block in &mut blocks[..items.len()] {
                block.step(cache, program);
            }
        }
        for (block, items) in blocks.iter().zip(items) {
            block.write(items);
        }
    }
}

impl<const VECTORS: usize> Compiled<VECTORS> {
    /// Runs the program on the registers of each item.
    #[inline]
    pub(super) fn run(&self, registers: &mut [Words<VECTORS>; 8]) {
        // SAFETY: the function was compiled for registers of this many vectors, and reads its own constants. Whoever borrows
        // `self` borrows it from the `Compilation` that owns the code, made for a processor that has what it uses.
        unsafe { (self.function)(registers, self.constants.as_ptr().wrapping_add(CONSTANTS_BEFORE)) };
    }
}

fn numbers_from<const VECTORS: usize>(first: u64) -> Words<VECTORS> {
    std::array::from_fn(|vector| std::array::from_fn(|lane| first + (vector * LANES + lane) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomx::{
        cache::Cache,
        superscalar::{Instruction, Operation},
    };
    use proptest::prelude::*;

    /// Any instruction, also those that no program has, such as a product of a register with itself.
    fn instruction() -> impl Strategy<Value = Instruction> {
        (0..8_usize, 0..10_u8, 0..8_usize, any::<u64>()).prop_map(|(dst, operation, src, value)| {
            let operation = match operation {
                0 => Operation::Subtract { src },
                1 => Operation::Xor { src },
                2 => Operation::AddShifted { src, shift: u8::try_from(value % 4).unwrap() },
                3 => Operation::Multiply { src },
                4 => Operation::MultiplyHigh { src },
                5 => Operation::MultiplyHighSigned { src },
                6 => Operation::RotateRight { bits: u8::try_from(value % 63 + 1).unwrap() },
                7 => Operation::AddConstant(value),
                8 => Operation::XorConstant(value),
                _ => Operation::MultiplyConstant(value),
            };
            Instruction { dst, operation }
        })
    }

    fn compare<const VECTORS: usize>(programs: &[Program; PROGRAMS], before: [Words<VECTORS>; 8]) {
        let Some(compilation) = Compilation::<VECTORS>::new(programs) else { return };
        let mut after = before;
        compilation.programs[0].run(&mut after);
        for (vector, lane) in (0..VECTORS).flat_map(|vector| (0..LANES).map(move |lane| (vector, lane))) {
            let mut expected = before.map(|register| register[vector][lane]);
            programs[0].run(&mut expected);
            assert_eq!(after.map(|register| register[vector][lane]), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Up to twice as many constants as a byte can reach.
        #[test]
        fn compiled_instructions_equal_plain_ones(
            instructions in prop::collection::vec(instruction(), 0..1000), registers: [[[u64; LANES]; 2]; 8],
        ) {
            let program = Program { instructions, address_register: 0 };
            let programs = std::array::from_fn(|_| program.clone());
            compare::<1>(&programs, registers.map(|[first, _]| [first]));
            compare::<2>(&programs, registers);
        }
    }

    #[test]
    fn lock_step_is_the_rule() {
        let cache = Cache::build(b"any lines do", None).unwrap();
        proptest!(ProptestConfig::with_cases(48), |(
            key: [u8; 32], first in 0..34_078_000_u64, count in 0..300_usize, numbers: [[u64; LANES]; 2],
        )| {
            let programs = Program::of_key(&key);
            let Some(eight) = Compilation::new(&programs) else { return Ok(()) };
            let Some(sixteen) = Compilation::new(&programs) else { return Ok(()) };
            let expected = numbers.map(|vector| vector.map(|number| item(cache.lines(), &programs, number)));
            prop_assert_eq!(sixteen.items(cache.lines(), &numbers), expected);
            prop_assert_eq!(eight.items(cache.lines(), &[numbers[0]]), [expected[0]]);
            let lockstep = LockStep { eight, sixteen };
            let mut items = vec![[0; 8]; count];
            lockstep.fill(cache.lines(), first, &mut items);
            for (item_number, computed) in (first..).zip(items) {
                prop_assert_eq!(computed, item(cache.lines(), &programs, item_number));
            }
        });
    }
}
