use std::time::Duration;

use bq_stratum_client::EthashDialect;

use crate::Endpoint;

/// Pause before the first attempt to reconnect; doubled after each failure.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Attempts at a pool that gives no work before the next one is tried. As many as there are Ethash dialects.
const ATTEMPTS: usize = 4;
/// The order in which a pool that names no dialect is tried, beginning with the one that ethminer takes by default.
const DIALECTS: [EthashDialect; ATTEMPTS] =
    [EthashDialect::Stratum, EthashDialect::Version1, EthashDialect::EthProxy, EthashDialect::Version2];
/// Longest that a pool may make us wait before we come again.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Which pool to try next, and when. Pure: it waits for nothing itself.
#[derive(Debug)]
pub(super) struct Pools {
    /// In order of preference, at least one.
    pools: Vec<Endpoint>,
    at: usize,
    /// At the present pool, since it last gave work.
    failures: usize,
    /// Also the dialect: the one that gave work is kept.
    dialect: usize,
    backoff: Duration,
    /// Where the present pool sent us.
    redirect: Option<Endpoint>,
}

impl Pools {
    pub(super) const fn new(pools: Vec<Endpoint>) -> Self {
        Self { pools, at: 0, failures: 0, dialect: 0, backoff: BACKOFF_MIN, redirect: None }
    }

    /// Whom to try, and how to speak to it if it is an Ethash pool; nothing if there are no pools.
    pub(super) fn next(&self) -> Option<(Endpoint, EthashDialect)> {
        let pool = self.redirect.as_ref().or_else(|| self.pools.get(self.at))?;
        let tried = DIALECTS.get(self.dialect).copied().unwrap_or(EthashDialect::Stratum);
        Some((pool.clone(), pool.ethash_dialect().unwrap_or(tried)))
    }

    /// The connection failed; returns how long to wait before the next. After a pool that worked the first in order is
    /// tried again.
    pub(super) fn failed(&mut self, had_work: bool) -> Duration {
        self.redirect = None;
        if had_work {
            (self.failures, self.backoff) = (0, BACKOFF_MIN);
            if self.at != 0 {
                (self.at, self.dialect) = (0, 0);
            }
            return self.backoff;
        }
        self.failures += 1;
        self.dialect = (self.dialect + 1) % DIALECTS.len();
        let wait = self.backoff;
        self.backoff = self.backoff.saturating_mul(2).min(BACKOFF_MAX);
        if self.failures >= ATTEMPTS && self.pools.len() > 1 {
            (self.failures, self.dialect) = (0, 0);
            self.at = (self.at + 1) % self.pools.len();
            if self.at != 0 {
                self.backoff = BACKOFF_MIN;
            }
        }
        wait
    }

    /// The pool asks us to come again after `wait`, perhaps at another place. Another port of the same host is gone to;
    /// another host is not: who can send this line could take our work away with it.
    pub(super) fn redirected(&mut self, host: Option<&str>, port: Option<u16>, wait: Duration) -> Duration {
        if let (Some((from, _)), Some(port)) = (self.next(), port)
            && host.is_none_or(|host| host.is_empty() || host.eq_ignore_ascii_case(from.host()))
        {
            self.redirect = Some(from.with_port(port));
        }
        wait.clamp(BACKOFF_MIN, WAIT_MAX)
    }

    /// The connection was not wanted any more: the next begins afresh.
    pub(super) const fn rested(&mut self) {
        (self.failures, self.backoff) = (0, BACKOFF_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(texts: &[&str]) -> Pools {
        Pools::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn next(pools: &Pools) -> String {
        pools.next().unwrap().0.to_string()
    }

    #[test]
    fn a_single_pool_is_tried_ever_more_slowly() {
        let mut pools = pools(&["one:1"]);
        let waits: Vec<u128> = (0..9).map(|_| pools.failed(false).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!((pools.failed(true).as_millis(), next(&pools).as_str()), (500, "one:1"));
    }

    #[test]
    fn the_next_pool_is_tried_after_four_failures_and_the_first_again_after_one_that_worked() {
        let mut pools = pools(&["one:1", "two:2"]);
        for _ in 0..4 {
            assert_eq!(next(&pools), "one:1");
            pools.failed(false);
        }
        assert_eq!((next(&pools).as_str(), pools.failed(false)), ("two:2", BACKOFF_MIN));
        assert_eq!(next(&pools), "two:2");
        pools.failed(true);
        assert_eq!(next(&pools), "one:1");
        let waits: Vec<Duration> = (0..8).map(|_| pools.failed(false)).collect();
        assert_eq!(waits[4], BACKOFF_MIN, "a pool of its own");
        assert_eq!(next(&pools), "one:1", "round about");
    }

    #[test]
    fn the_dialect_that_gave_work_is_kept() {
        let dialect = |pools: &Pools| pools.next().unwrap().1;
        let mut free = pools(&["one:1"]);
        assert_eq!(dialect(&free), EthashDialect::Stratum);
        free.failed(false);
        assert_eq!(dialect(&free), EthashDialect::Version1);
        free.failed(true);
        assert_eq!(dialect(&free), EthashDialect::Version1);
        let mut named = pools(&["stratum1+tcp://one:1"]);
        named.failed(false);
        assert_eq!(dialect(&named), EthashDialect::EthProxy);
    }

    #[test]
    fn a_pool_may_send_us_to_another_port_but_not_to_another_host() {
        let second = Duration::from_secs(1);
        let mut pools = pools(&["one:1", "two:2"]);
        assert_eq!(pools.redirected(Some("evil"), Some(7), second), second);
        assert_eq!(next(&pools), "one:1");
        assert_eq!(pools.redirected(Some("ONE"), Some(7), Duration::ZERO), BACKOFF_MIN);
        assert_eq!(next(&pools), "one:7");
        pools.failed(false);
        assert_eq!(next(&pools), "one:1");
        assert_eq!(pools.redirected(None, None, Duration::MAX), WAIT_MAX);
        assert_eq!(next(&pools), "one:1");
    }
}
