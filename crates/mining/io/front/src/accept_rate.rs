use std::collections::BTreeMap;

use bq_share::UnixMs;

/// How fast those that are counted by `K` may open connections: a token bucket for each that has used some.
#[derive(Debug)]
pub(crate) struct AcceptRate<K> {
    per_second: u64,
    /// Thousandths of a connection spent, and when that was counted.
    spent: BTreeMap<K, (u64, UnixMs)>,
}

/// Seconds' worth of connections that may come at once: part of what the setting of the rate means.
const BURST_SECONDS: u64 = 10;
/// Peers or subnets kept track of; those whose bucket is full again are dropped first. More than can be open at once by default, some MiB;
/// one that is forgotten early only gets its burst again.
const TRACKED_MAX: usize = 65_536;

impl<K: Ord + Copy> AcceptRate<K> {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: u64::from(per_second), spent: BTreeMap::new() }
    }

    /// Counts a new connection; false if it is one too many.
    pub(crate) fn allow(&mut self, now: UnixMs, key: K) -> bool {
        if self.spent.len() >= TRACKED_MAX {
            let per_second = self.per_second;
            self.spent.retain(|_, (spent, at)| *spent > now.ms_since(*at).saturating_mul(per_second));
            if self.spent.len() >= TRACKED_MAX {
                self.spent.pop_first();
            }
        }
        let (spent, at) = self.spent.entry(key).or_insert((0, now));
        let after = spent.saturating_sub(now.ms_since(*at).saturating_mul(self.per_second)) + 1000;
        if after > self.per_second * BURST_SECONDS * 1000 {
            return false;
        }
        (*spent, *at) = (after, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use bq_share::Peer;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut rate = AcceptRate::new(2);
        let peer = |n: u8| Peer::of([192, 0, 2, n].into());
        let opened = |rate: &mut AcceptRate<Peer>, at| (0..100).filter(|_| rate.allow(UnixMs(at), peer(1))).count();
        assert_eq!(opened(&mut rate, 0), 20);
        assert_eq!(opened(&mut rate, 999), 1);
        assert_eq!(opened(&mut rate, 2_000), 3, "two a second: four in all since the burst");
        assert!(rate.allow(UnixMs(2_000), peer(2)));
    }
}
