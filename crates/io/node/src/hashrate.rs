use bq_consensus::{Branch, IndexEntry};
use bq_primitives::{Algorithm, Height, Work};

use crate::metrics::work_as_f64;

/// The window that hashrates are estimated over, in seconds of chain clock.
const WINDOW_SECS: u64 = 3600;

/// Hashes per second that the network spent on `algorithm` over the last hour of chain time: the work of its blocks in
/// that hour over the hour's seconds. On a chain younger than an hour, over the chain's age.
pub(crate) fn network_hashrate(branch: &dyn Branch, algorithm: Algorithm) -> f64 {
    let tip = branch.tip();
    let start = tip.clock.0.saturating_sub(WINDOW_SECS);
    let mut work = 0.0;
    let mut oldest = tip.clock;
    for height in (0..=tip.height.0).rev() {
        let Some(entry) = branch.entry(Height(height)) else { break };
        oldest = entry.clock;
        if entry.clock.0 <= start {
            break;
        }
        work += solved_work(entry, algorithm);
    }
    let seconds = tip.clock.0.saturating_sub(oldest.0).clamp(1, WINDOW_SECS);
    work / f64::from(u32::try_from(seconds).unwrap_or(u32::MAX))
}

fn solved_work(entry: &IndexEntry, algorithm: Algorithm) -> f64 {
    let is_solver = entry.algorithm == Some(algorithm);
    let target = if is_solver { entry.bits.decode().ok() } else { None };
    target.map_or(0.0, |target| work_as_f64(Work::of_target(target)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_primitives::{BlockId, CompactTarget, Timestamp};

    struct Chain(Vec<IndexEntry>);

    impl Branch for Chain {
        fn entry(&self, height: Height) -> Option<&IndexEntry> {
            self.0.get(height.0 as usize)
        }

        fn tip(&self) -> &IndexEntry {
            self.0.last().unwrap()
        }
    }

    /// A chain whose blocks all have bits of 2^24 expected hashes (target 2^232), genesis at clock 0.
    fn chain(clocks: &[(u64, Option<Algorithm>)]) -> Chain {
        let entry = |(height, (clock, algorithm)): (u32, &(u64, Option<Algorithm>))| IndexEntry {
            id: BlockId::ZERO,
            parent_id: BlockId::ZERO,
            height: Height(height),
            time: Timestamp(*clock),
            clock: Timestamp(*clock),
            algorithm: *algorithm,
            bits: CompactTarget(0x1e01_0000),
            base_bits: [None; 3],
            run: 1,
            last_of_algorithm: [None; 3],
            chain_work: Work::ZERO,
        };
        Chain((0..).zip(clocks).map(entry).collect())
    }

    #[test]
    fn counts_the_last_hour_of_the_algorithm_asked_for() {
        let (sha, rx) = (Some(Algorithm::Sha256d), Some(Algorithm::RandomX));
        let chain = chain(&[(0, None), (400, sha), (401, sha), (2_000, rx), (4_000, sha)]);
        // The block at 400 is exactly an hour old: outside. Its successor at 401 is inside.
        let expected = 2.0 * 16_777_216.0 / 3600.0;
        let got = network_hashrate(&chain, Algorithm::Sha256d);
        assert!((got / expected - 1.0).abs() < 1e-3, "{got} {expected}");
        let got = network_hashrate(&chain, Algorithm::RandomX);
        assert!((got / (expected / 2.0) - 1.0).abs() < 1e-3);
        assert_eq!(network_hashrate(&chain, Algorithm::Ethash), 0.0);
    }

    #[test]
    fn a_young_chain_is_measured_over_its_age() {
        let chain = chain(&[(1_000, None), (1_010, Some(Algorithm::Sha256d))]);
        let got = network_hashrate(&chain, Algorithm::Sha256d);
        assert!((got / (16_777_216.0 / 10.0) - 1.0).abs() < 1e-3, "{got}");
        assert_eq!(network_hashrate(&self::chain(&[(5, None)]), Algorithm::Sha256d), 0.0);
    }
}
