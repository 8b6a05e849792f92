use bq_primitives::{Algorithm, Height, U256, Work};

use crate::{Branch, IndexEntry};

/// Hashes over seconds: what a chain shows of the hash rate behind it. An estimate for people; no rule reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashrate {
    /// Expected hashes of the blocks that were found.
    pub work: U256,
    /// In how many seconds of chain time; at least 1.
    pub secs: u64,
}

impl Hashrate {
    /// Seconds until so many more hashes are done, rounded up; nothing when nobody hashes.
    #[must_use]
    pub fn secs_for(&self, hashes: U256) -> Option<u64> {
        let secs = hashes.saturating_mul(U256::from(self.secs)).checked_div(self.work)?;
        u64::try_from(secs).ok()?.checked_add(1)
    }

    /// Hashes done in so many seconds.
    #[must_use]
    pub fn hashes_in(&self, secs: u64) -> U256 {
        self.work.saturating_mul(U256::from(secs)).checked_div(U256::from(self.secs)).unwrap_or(U256::ZERO)
    }
}

/// The hash rate of each algorithm, by [`Algorithm::index`], over the last `window_secs` of chain time; on a younger chain,
/// over its age. Mining may start long after the time that genesis states: where genesis lies outside the window, a chain's
/// age counts from its first mined block.
#[must_use]
pub fn hashrates(branch: &dyn Branch, window_secs: u64) -> [Hashrate; Algorithm::COUNT] {
    let tip = branch.tip();
    let start = tip.clock.0.saturating_sub(window_secs);
    let genesis_is_old = branch.entry(Height::GENESIS).is_some_and(|genesis| genesis.clock.0 <= start);
    let mut works = [U256::ZERO; Algorithm::COUNT];
    let mut oldest = tip.clock;
    for height in (0..=tip.height.0).rev() {
        let Some(entry) = branch.entry(Height(height)) else { break };
        oldest = entry.clock;
        if entry.clock.0 <= start || (height == 1 && genesis_is_old) {
            break;
        }
        if let Some(sum) = entry.algorithm.and_then(|algorithm| works.get_mut(algorithm.index())) {
            *sum = sum.saturating_add(work(entry));
        }
    }
    let secs = tip.clock.0.saturating_sub(oldest.0).min(window_secs).max(1);
    works.map(|work| Hashrate { work, secs })
}

fn work(entry: &IndexEntry) -> U256 {
    entry.bits.decode().map_or(U256::ZERO, |target| Work::of_target(target).0)
}
