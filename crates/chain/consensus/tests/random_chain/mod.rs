//! Chains of arbitrary legal blocks under the real rules, and what must hold at every one of them (SPEC 3.6). Shared by the
//! property tests and the fuzz target `difficulty`.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test ends at the first surprise")]

use bq_consensus::{
    Branch, LinearBranch, Params, RequiredBits, SealedHeader, StartBits, check_header, difficulty_states, min_time,
    required_bits,
};
use bq_primitives::{Algorithm, ExtraNonce, Header, Height, MerkleRoot, Network, Seal, Target, Timestamp, U256};

/// One block of a random chain: who seals it, how long after the last, and where in the legal range its time lies.
#[derive(Clone, Debug)]
pub struct Step {
    pub algorithm: usize,
    pub gap_secs: u64,
    pub stamp: Stamp,
}

#[derive(Clone, Copy, Debug)]
pub enum Stamp {
    Honest,
    Earliest,
    Latest,
    At(u16),
}

/// Grows a chain of `count` algorithms by `steps` and asserts at every height: the inequality of SPEC 3.6, that the guard
/// only hardens, and the bounds of one step.
pub fn check_every_step(count: usize, steps: &[Step]) {
    let params = params(count);
    let spacing = params.asert.spacing_secs(u32::try_from(count).unwrap()) as f64;
    let mut branch = LinearBranch::new(params.genesis_entry());
    let mut now = params.genesis_time.0;
    let mut found = [0_u32; Algorithm::COUNT];
    for step in steps {
        let states = difficulty_states(&params, &branch);
        let clock = (branch.tip().clock.0 - params.genesis_time.0) as f64;
        let (later, required) = grow(&params, &mut branch, now, step);
        now = later;
        for (state, required) in states.iter().zip(&required) {
            let rule = params.eras.table[0].algorithm(required.algorithm).unwrap();
            let StartBits::At(start) = rule.start_bits else { unreachable!() };
            let n = f64::from(found[required.algorithm.index()]);
            let bound = log2(start.decode().unwrap().0)
                + (clock - n * spacing) / f64::from(params.asert.half_life)
                + (n + 1.0) * 1.2e-10_f64.ln_1p() / std::f64::consts::LN_2;
            let base = required.base_bits.decode().unwrap();
            assert!(log2(base.0) <= bound + 1e-9, "{} > {bound}", log2(base.0));
            // The guard only ever hardens.
            assert!(required.target <= base);
            // Neither target moves down by more than a quarter, beyond what truncation to compact form takes.
            let least = |before: Target| Target(before.0 - before.0 / U256::from(4)).to_compact().decode().unwrap();
            assert!(base >= least(state.base));
            assert!(required.target >= least(state.previous).min(base));
            // Nor up by more than a quarter per block since.
            let mut most = state.previous.0;
            for _ in 0..state.blocks_since {
                most = most.saturating_add(most / U256::from(4));
            }
            assert!(required.target.0 <= most);
            assert!(state.bounds.contains(required.target));
        }
        found[branch.tip().algorithm.unwrap().index()] += 1;
    }
}

/// Mainnet's constants with `count` algorithms from height 1, starting well below the limit so that neither end of the
/// range is near.
pub fn params(count: usize) -> Params {
    let mut params = Params::of(Network::Mainnet);
    let mut era = params.eras.table.pop().unwrap();
    era.start = Height(1);
    era.algorithms.truncate(count);
    for rule in &mut era.algorithms {
        let start = Target(rule.limit_bits.decode().unwrap().0.wrapping_shr(20)).to_compact();
        rule.start_bits = StartBits::At(start);
        rule.ref_bits = start;
    }
    params.eras.table = vec![era];
    params.check().unwrap();
    params
}

pub fn header(branch: &LinearBranch, required: &RequiredBits, time: Timestamp) -> Header {
    Header {
        version: 1,
        parent_id: branch.tip().id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time,
        height: branch.tip().height.next().unwrap(),
        bits: required.bits,
        algorithm: required.algorithm,
    }
}

pub fn seal(algorithm: Algorithm) -> Seal {
    let extranonce = ExtraNonce::default();
    match algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 0, ntime: 0, nonce: 0 },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce: 0 },
        Algorithm::Ethash => Seal::Ethash { extranonce, nonce: 0, mix: [0; 32] },
    }
}

/// Extends a branch by one step, through the real header rules, and returns the clock of the world after it.
pub fn grow(params: &Params, branch: &mut LinearBranch, now: u64, step: &Step) -> (u64, Vec<RequiredBits>) {
    let earliest = min_time(params, branch).0;
    let now = (now + step.gap_secs).max(earliest.saturating_sub(params.future_limit_secs));
    let latest = now + params.future_limit_secs;
    let time = match step.stamp {
        Stamp::Honest => now.max(earliest),
        Stamp::Earliest => earliest,
        Stamp::Latest => latest,
        Stamp::At(part) => earliest + (latest - earliest) * u64::from(part) / u64::from(u16::MAX),
    };
    let required = required_bits(params, branch);
    let chosen = required[step.algorithm % required.len()];
    let sealed = SealedHeader { header: header(branch, &chosen, Timestamp(time)), seal: seal(chosen.algorithm) };
    let checked = check_header(params, branch, sealed, Timestamp(now)).unwrap();
    branch.push(*checked.entry());
    (now, required)
}

fn log2(value: U256) -> f64 {
    let bits = value.bit_len();
    let shift = bits.saturating_sub(64);
    let top = u64::try_from(value.wrapping_shr(shift)).unwrap();
    (top as f64).log2() + shift as f64
}
