//! Difficulty under arbitrary legal times: no sequence of them eases a target faster than the chain's clock runs (SPEC 3.6).
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/chain/consensus/tests/random_chain/mod.rs"]
#[allow(dead_code, reason = "the property tests use more of it")]
mod random_chain;

use random_chain::{Stamp, Step, check_every_step};

/// The chains of one input stay short enough for some hundred inputs a second.
const STEPS_MAX: usize = 300;

fuzz_target!(|input: (u8, Vec<[u8; 5]>)| {
    let (count, steps) = input;
    let steps: Vec<Step> = steps.into_iter().take(STEPS_MAX).map(step).collect();
    check_every_step(usize::from(count % 3) + 1, &steps);
});

/// Gaps from nothing to twelve days: a mantissa of 13 bits and an exponent of 3.
fn step([choice, gap_low, gap_high, low, high]: [u8; 5]) -> Step {
    let gap = u16::from_le_bytes([gap_low, gap_high]);
    let part = u16::from_le_bytes([low, high]);
    let stamp = match choice >> 2 & 3 {
        0 => Stamp::Honest,
        1 => Stamp::Earliest,
        2 => Stamp::Latest,
        _ => Stamp::At(part),
    };
    Step { algorithm: usize::from(choice & 3), gap_secs: u64::from(gap & 0x1fff) << (gap >> 13), stamp }
}
