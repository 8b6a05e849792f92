use bq_consensus::{Branch, Hashrate, hashrates};
use bq_primitives::{Algorithm, Work};

use crate::metrics::work_as_f64;

/// The window that hashrates are estimated over, in seconds of chain clock.
const WINDOW_SECS: u64 = 3600;

/// Hashes per second that the network spent on `algorithm` over the last hour of chain time: the work of its blocks in
/// that hour over the hour's seconds. On a chain younger than an hour, over the chain's age.
pub(crate) fn network_hashrate(branch: &dyn Branch, algorithm: Algorithm) -> f64 {
    hashrates(branch, WINDOW_SECS).get(algorithm.index()).copied().map_or(0.0, per_second)
}

/// For people and gauges.
pub(crate) fn per_second(rate: Hashrate) -> f64 {
    work_as_f64(Work(rate.work)) / f64::from(u32::try_from(rate.secs).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_consensus::IndexEntry;
    use bq_primitives::{BlockId, CompactTarget, Height, Timestamp};

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

    #[test]
    fn a_stale_genesis_does_not_dilute_the_first_hour() {
        let sha = Some(Algorithm::Sha256d);
        let chain = chain(&[(1_000, None), (900_000, sha), (900_010, sha), (900_020, sha)]);
        let got = network_hashrate(&chain, Algorithm::Sha256d);
        assert!((got / (2.0 * 16_777_216.0 / 20.0) - 1.0).abs() < 1e-3, "{got}");
    }
}
