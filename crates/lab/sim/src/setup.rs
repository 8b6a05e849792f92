use bq_consensus::{Era, EraAlgorithm, Params, StartBits};
use bq_primitives::{Algorithm, CompactTarget, Height, Target, U256, Work};

/// A network to simulate, and what one unit of hash power is on it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The constants.
    pub params: Params,
    /// Hashes per second of a power of 1, by [`Algorithm::index`]: what keeps the algorithm on schedule at its start target.
    pub unit_hashes: [f64; Algorithm::COUNT],
    /// Expected hashes at the start target, by [`Algorithm::index`]: difficulties are shown as multiples of it.
    pub start_work: [f64; Algorithm::COUNT],
}

impl Setup {
    /// Mainnet's constants with the first `count` algorithms from height 1. Start targets lie `headroom_bits` halvings
    /// below the limits.
    #[must_use]
    pub fn steady(count: usize, headroom_bits: usize) -> Self {
        let params = Params::mainnet();
        let last = params.eras.table.last().cloned();
        let rules = last.map(|era| era.algorithms).unwrap_or_default().into_iter().take(count);
        let rules = rules.map(|rule| started(rule, headroom_bits)).collect();
        Self::of_eras(params, vec![Era { start: Height(1), algorithms: rules }])
    }

    /// SHA-256d alone up to `switch`, then all three. The network's hash power is expected to be `growth` times what the
    /// first era started with when the switch comes, and reference bits are chosen for that (SPEC 4.2).
    #[must_use]
    pub fn one_to_three(switch: Height, growth: u32) -> Self {
        let mut setup = Self::steady(3, 20);
        let three = setup.params.eras.table[0].algorithms.clone();
        let first = Era { start: Height(1), algorithms: three[..1].to_vec() };
        let mut second = Era { start: switch, algorithms: three };
        for (index, rule) in second.algorithms.iter_mut().enumerate() {
            // A block weighs `growth` units before the switch; so it must after it, in each algorithm alike. The work of a
            // SHA-256d block is then three times what `growth` made it, so its unit is three times the old one.
            rule.ref_bits = if index == 0 { scaled(rule.ref_bits, 1, 3) } else { scaled(rule.ref_bits, growth, 1) };
        }
        second.algorithms[0].start_bits = StartBits::Continue;
        setup.params.eras.table = vec![first, second];
        let [sha256d, ..] = &mut setup.unit_hashes;
        *sha256d *= 3.0;
        setup
    }

    /// All three algorithms up to `switch`, then SHA-256d and RandomX, which go on with half the blocks each.
    #[must_use]
    pub fn three_to_two(switch: Height) -> Self {
        let mut setup = Self::steady(3, 20);
        let three = setup.params.eras.table[0].algorithms.clone();
        let mut second = Era { start: switch, algorithms: three[..2].to_vec() };
        for rule in &mut second.algorithms {
            rule.ref_bits = scaled(rule.ref_bits, 3, 2);
            rule.start_bits = StartBits::Continue;
        }
        setup.params.eras.table.push(second);
        setup
    }

    fn of_eras(mut params: Params, table: Vec<Era>) -> Self {
        params.eras.table = table;
        let mut setup = Self { params, unit_hashes: [0.0; Algorithm::COUNT], start_work: [1.0; Algorithm::COUNT] };
        let first = &setup.params.eras.table[0];
        let spacing_secs = setup.spacing_secs(first.algorithms.len());
        for rule in &first.algorithms {
            let StartBits::At(bits) = rule.start_bits else { continue };
            let start_work = bits.decode().map_or(1.0, work);
            setup.start_work[rule.algorithm.index()] = start_work;
            setup.unit_hashes[rule.algorithm.index()] = start_work / spacing_secs;
        }
        setup
    }

    /// Mean spacing of each of `count` algorithms' blocks, in seconds.
    #[must_use]
    pub fn spacing_secs(&self, count: usize) -> f64 {
        self.params.asert.spacing_secs(count as u32) as f64
    }
}

/// Expected hashes at a target.
pub(crate) fn work(target: Target) -> f64 {
    log2(Work::of_target(target).0).exp2()
}

/// Binary logarithm; minus infinity for 0.
#[must_use]
pub fn log2(value: U256) -> f64 {
    let shift = value.bit_len().saturating_sub(64);
    let top = u64::try_from(value.wrapping_shr(shift)).unwrap_or(u64::MAX);
    (top as f64).log2() + shift as f64
}

fn started(rule: EraAlgorithm, headroom_bits: usize) -> EraAlgorithm {
    let start = rule.limit_bits.decode().map(|limit| Target(limit.0.wrapping_shr(headroom_bits)).to_compact());
    let start = start.unwrap_or(rule.limit_bits);
    EraAlgorithm { start_bits: StartBits::At(start), ref_bits: start, ..rule }
}

/// `bits` with their target times `numerator / denominator`.
fn scaled(bits: CompactTarget, numerator: u32, denominator: u32) -> CompactTarget {
    let scale = |target: Target| target.0.saturating_mul(U256::from(numerator)) / U256::from(denominator);
    bits.decode().map_or(bits, |target| Target(scale(target)).to_compact())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setup_passes_the_start_up_check() {
        for count in 1..=3 {
            assert_eq!(Setup::steady(count, 20).params.check(), Ok(()));
        }
        assert_eq!(Setup::one_to_three(Height(500), 4).params.check(), Ok(()));
        assert_eq!(Setup::three_to_two(Height(500)).params.check(), Ok(()));
    }

    #[test]
    fn logarithms() {
        assert_eq!(log2(U256::from(1024)), 10.0);
        assert_eq!(log2(U256::ONE.wrapping_shl(255)), 255.0);
        assert_eq!(log2(U256::ZERO), f64::NEG_INFINITY);
    }
}
