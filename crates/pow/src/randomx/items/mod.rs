//! Dataset items (RandomX specification 7.3): eight rounds of a random program and a cache line each.
//!
//! [`item`] is the rule, one item at a time. [`LockStep`] computes sixteen side by side where the processor has the vectors
//! for it, several times faster.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod block;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(clippy::cast_possible_truncation, reason = "there are 32 vector registers, and at most 512 constants")]
mod evex;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod lockstep;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(super) use super::elsewhere::LockStep;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) use {
    block::{LANES, Words},
    lockstep::{Compilation, LockStep},
};

use super::superscalar::{PROGRAMS, Program, Registers};

/// A line of the cache.
pub(super) type Line = [u64; 8];
/// Lines in the cache; a power of two.
const CACHE_LINES: usize = (256 << 20) / size_of::<Line>();
/// The whole cache.
pub(super) type CacheLines = [Line; CACHE_LINES];

const FIRST_FACTOR: u64 = 6_364_136_223_846_793_005;
const FIRST_MASKS: Registers = [
    0,
    9_298_411_001_130_361_340,
    12_065_312_585_734_608_966,
    9_306_329_213_124_626_780,
    5_281_919_268_842_080_866,
    10_536_153_434_571_861_004,
    3_398_623_926_847_679_864,
    9_549_104_520_008_361_294,
];

/// Item number `number` of the dataset.
pub(super) fn item(cache: &CacheLines, programs: &[Program; PROGRAMS], number: u64) -> Registers {
    let first = number.wrapping_add(1).wrapping_mul(FIRST_FACTOR);
    let mut registers = FIRST_MASKS.map(|mask| first ^ mask);
    let mut line = number;
    for program in programs {
        let read = cache[line_index(line)];
        program.run(&mut registers);
        for (register, word) in registers.iter_mut().zip(read) {
            *register ^= word;
        }
        line = registers[program.address_register];
    }
    registers
}

/// The line that a register's value selects.
#[expect(clippy::cast_possible_truncation, reason = "masked")]
const fn line_index(value: u64) -> usize {
    value as usize & (CACHE_LINES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomx::cache::Cache;

    #[test]
    fn items_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../vectors/randomx.json")).unwrap();
        let cases = &vectors["dataset_item_word0"];
        let key = cases["key_ascii"].as_str().unwrap().as_bytes();
        let cache = Cache::build(key, None).unwrap();
        let items = cases["items"].as_array().unwrap();
        assert_eq!(items.len(), 4);
        for case in items {
            let [word, ..] = item(cache.lines(), &Program::of_key(key), case["item"].as_u64().unwrap());
            assert_eq!(format!("{word:#018x}"), case["word0"].as_str().unwrap());
        }
    }
}
