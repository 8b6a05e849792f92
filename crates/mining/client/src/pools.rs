use std::time::Duration;

use crate::{
    Endpoint, EthashDialect,
    settings::{ClientSettings, DOUBLINGS_MAX, doubled},
};

/// The order in which a pool that names no dialect is tried, beginning with the one that ethminer takes by default.
const DIALECTS: [EthashDialect; 4] =
    [EthashDialect::Stratum, EthashDialect::Version1, EthashDialect::EthProxy, EthashDialect::Version2];
/// Doublings after which every pause is at its longest.
const ROUNDS_MAX: u32 = 20;

/// Which pool to try next, and when (SPEC 11.9, 3, 4 and 6). Pauses are given randomness, so that miners that lost a pool at the same moment do not
/// all come back at another: each is between half as long as its bound and its bound.
#[derive(Debug)]
pub struct Pools {
    settings: ClientSettings,
    /// In order of preference, at least one.
    pools: Vec<Pool>,
    /// Whether the dialect of a pool has to be found.
    tries_dialects: bool,
    at: usize,
    /// At the present pool, since it last worked or was come to.
    failures: u32,
    /// Times that all pools were tried in vain.
    rounds: u32,
    /// Looks at the first pool, one after the other, that came to nothing.
    looks: u32,
    /// When the first is looked at again; nothing while it is mined at.
    look_at: Option<Duration>,
}

#[derive(Debug)]
struct Pool {
    endpoint: Endpoint,
    /// The one that worked is kept.
    dialect: usize,
    /// Where it sent us.
    redirect: Option<Endpoint>,
}

/// What came of a connection that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It failed; whether a share had been accepted by then.
    Failed {
        /// It had.
        worked: bool,
    },
    /// The pool asks us to come again.
    Reconnect {
        /// It had accepted a share.
        worked: bool,
        /// Where, if not here.
        host: Option<String>,
        /// The same.
        port: Option<u16>,
        /// When.
        wait: Duration,
    },
}

impl Pools {
    /// Beginning with the first of `endpoints`; `tries_dialects` for Ethash.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, tries_dialects: bool, settings: ClientSettings) -> Self {
        let pools = endpoints.into_iter().map(|endpoint| Pool { endpoint, dialect: 0, redirect: None }).collect();
        Self { settings, pools, tries_dialects, at: 0, failures: 0, rounds: 0, looks: 0, look_at: None }
    }

    /// Whom to try, and how to speak to it if it is an Ethash pool; nothing if there are no pools.
    #[must_use]
    pub fn current(&self) -> Option<(Endpoint, EthashDialect)> {
        self.pools.get(self.at).map(Pool::place)
    }

    /// There is another one.
    #[must_use]
    pub const fn has_others(&self) -> bool {
        self.pools.len() > 1
    }

    /// The connection ended; returns how long to wait before the next.
    pub fn ended(&mut self, outcome: Outcome, now: Duration, random: u64) -> Duration {
        let (worked, wait) = match outcome {
            Outcome::Failed { worked } => {
                self.present(|pool| pool.redirect = None);
                (worked, Duration::ZERO)
            }
            Outcome::Reconnect { worked, host, port, wait } => {
                self.present(|pool| pool.redirected(host.as_deref(), port));
                (worked, wait.min(self.settings.reconnect_wait_max))
            }
        };
        let pause = if worked { self.worked() } else { self.failed(now) };
        jittered(pause, random).max(wait)
    }

    /// When to look at the first pool; nothing while it is the one to try.
    #[must_use]
    pub const fn looks_at(&self) -> Option<Duration> {
        self.look_at
    }

    /// The first pool, for a look at it.
    #[must_use]
    pub fn first(&self) -> Option<(Endpoint, EthashDialect)> {
        self.pools.first().map(Pool::place)
    }

    /// A look at the first pool ended; whether it gave work. If so, it is the one to try from now on; it must accept a share, or
    /// the next look takes longer to come.
    pub fn looked(&mut self, gave_work: bool, now: Duration) {
        self.looks = self.looks.saturating_add(1);
        if gave_work {
            (self.at, self.failures, self.look_at) = (0, 0, None);
            return;
        }
        if let (true, Some(first)) = (self.tries_dialects, self.pools.first_mut()) {
            first.next_dialect();
        }
        self.look_later(now);
    }

    /// A share was accepted.
    pub const fn accepted(&mut self) {
        (self.failures, self.rounds) = (0, 0);
        if self.at == 0 {
            self.looks = 0;
        }
    }

    /// The connection was not wanted any more: the next begins afresh.
    pub const fn rested(&mut self) {
        (self.failures, self.rounds) = (0, 0);
    }

    /// A pool that worked is tried again, and so is another than the first: that one is looked at while this one works.
    const fn worked(&mut self) -> Duration {
        self.accepted();
        self.settings.backoff_min
    }

    fn failed(&mut self, now: Duration) -> Duration {
        let (tries_dialects, mut attempts) = (self.tries_dialects, self.settings.attempts_max.max(1));
        let pause =
            doubled(self.settings.backoff_min, self.rounds.saturating_add(self.failures), self.settings.backoff_max);
        self.failures = self.failures.saturating_add(1).min(ROUNDS_MAX);
        self.present(|pool| {
            if tries_dialects && pool.endpoint.ethash_dialect().is_none() {
                attempts = attempts.max(u32::try_from(DIALECTS.len()).unwrap_or(u32::MAX));
                pool.next_dialect();
            }
        });
        if self.has_others() && self.failures >= attempts {
            self.next(now);
        }
        pause
    }

    fn next(&mut self, now: Duration) {
        self.failures = 0;
        self.at = self.at.saturating_add(1);
        if self.at >= self.pools.len() {
            (self.at, self.look_at) = (0, None);
            self.rounds = self.rounds.saturating_add(1).min(ROUNDS_MAX);
        } else if self.look_at.is_none() {
            self.look_later(now);
        }
    }

    fn look_later(&mut self, now: Duration) {
        let pause = doubled(self.settings.probe, self.looks.min(DOUBLINGS_MAX), Duration::MAX);
        self.look_at = Some(now.saturating_add(pause));
    }

    fn present(&mut self, change: impl FnOnce(&mut Pool)) {
        if let Some(pool) = self.pools.get_mut(self.at) {
            change(pool);
        }
    }
}

impl Pool {
    fn place(&self) -> (Endpoint, EthashDialect) {
        let endpoint = self.redirect.as_ref().unwrap_or(&self.endpoint).clone();
        let tried = DIALECTS.get(self.dialect).copied().unwrap_or(EthashDialect::Stratum);
        let dialect = endpoint.ethash_dialect().unwrap_or(tried);
        (endpoint, dialect)
    }

    fn next_dialect(&mut self) {
        self.dialect = self.dialect.saturating_add(1).checked_rem(DIALECTS.len()).unwrap_or(0);
    }

    /// Another port of the same host is gone to; another host is not: who can send this line could take our work away with it.
    fn redirected(&mut self, host: Option<&str>, port: Option<u16>) {
        let here = |host: &str| host.is_empty() || host.eq_ignore_ascii_case(self.endpoint.host());
        self.redirect = port.filter(|_| host.is_none_or(here)).map(|port| self.endpoint.with_port(port));
    }
}

/// Between half of `pause` and all of it.
fn jittered(pause: Duration, random: u64) -> Duration {
    let half = pause / 2;
    let part = u32::try_from(random >> 33).unwrap_or(0);
    half.saturating_add(half.mul_f64(f64::from(part) / f64::from(u32::MAX >> 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome::Failed { worked: false };
    const WORKED: Outcome = Outcome::Failed { worked: true };
    const T0: Duration = Duration::ZERO;

    fn pools(texts: &[&str], tries_dialects: bool) -> Pools {
        let endpoints = texts.iter().map(|text| text.parse().unwrap()).collect();
        Pools::new(endpoints, tries_dialects, ClientSettings::default())
    }

    fn at(pools: &Pools) -> String {
        pools.current().unwrap().0.to_string()
    }

    #[test]
    fn a_single_pool_is_tried_ever_more_slowly() {
        let mut pools = pools(&["one:1"], false);
        let waits: Vec<u128> = (0..9).map(|_| pools.ended(FAILED, T0, u64::MAX).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(pools.ended(FAILED, T0, 0).as_millis(), 15_000, "never less than half");
        assert_eq!((pools.ended(WORKED, T0, u64::MAX).as_millis(), at(&pools).as_str()), (500, "one:1"));
        assert_eq!(pools.looks_at(), None);
    }

    #[test]
    fn the_next_pool_is_tried_after_two_failures_and_every_round_is_slower() {
        let mut pools = pools(&["one:1", "two:2"], false);
        let mut round =
            |random| (0..4).map(|_| (at(&pools), pools.ended(FAILED, T0, random).as_millis())).collect::<Vec<_>>();
        let of = |waits: [u128; 4]| ["one:1", "one:1", "two:2", "two:2"].map(str::to_owned).into_iter().zip(waits);
        assert_eq!(round(u64::MAX), of([500, 1000, 500, 1000]).collect::<Vec<_>>());
        assert_eq!(round(u64::MAX), of([1000, 2000, 1000, 2000]).collect::<Vec<_>>());
        assert_eq!(round(0), of([1000, 2000, 1000, 2000]).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_pool_is_looked_at_and_gone_back_to_while_another_works() {
        let secs = Duration::from_secs;
        let mut pools = pools(&["one:1", "two:2"], false);
        pools.ended(FAILED, T0, 0);
        pools.ended(FAILED, T0, 0);
        assert_eq!((at(&pools).as_str(), pools.looks_at()), ("two:2", Some(secs(60))));
        pools.accepted();
        pools.ended(WORKED, secs(30), 0);
        assert_eq!((at(&pools).as_str(), pools.looks_at()), ("two:2", Some(secs(60))), "stays with what works");
        pools.looked(false, secs(60));
        assert_eq!(pools.looks_at(), Some(secs(180)));
        pools.looked(true, secs(180));
        assert_eq!((at(&pools).as_str(), pools.looks_at()), ("one:1", None));
        // It gives work but accepts nothing: away again, for longer.
        pools.ended(FAILED, secs(200), 0);
        pools.ended(FAILED, secs(200), 0);
        assert_eq!((at(&pools).as_str(), pools.looks_at()), ("two:2", Some(secs(440))));
        pools.looked(true, secs(440));
        pools.accepted();
        pools.ended(FAILED, secs(500), 0);
        pools.ended(FAILED, secs(500), 0);
        assert_eq!(pools.looks_at(), Some(secs(560)), "forgiven");
    }

    #[test]
    fn the_dialect_that_worked_is_kept() {
        let dialect = |pools: &Pools| pools.current().unwrap().1;
        let mut free = pools(&["one:1", "two:2"], true);
        for expected in DIALECTS {
            assert_eq!((dialect(&free), at(&free).as_str()), (expected, "one:1"));
            free.ended(FAILED, T0, 0);
        }
        assert_eq!((dialect(&free), at(&free).as_str()), (EthashDialect::Stratum, "two:2"), "all four in vain");
        free.ended(FAILED, T0, 0);
        free.ended(WORKED, T0, 0);
        assert_eq!(dialect(&free), EthashDialect::Version1);
        let mut named = pools(&["stratum1+tcp://one:1", "two:2"], true);
        named.ended(FAILED, T0, 0);
        assert_eq!(dialect(&named), EthashDialect::EthProxy);
        named.ended(FAILED, T0, 0);
        assert_eq!(at(&named), "two:2");
    }

    #[test]
    fn a_pool_may_send_us_to_another_port_but_not_to_another_host_or_for_ever() {
        let to = |host: Option<&str>, port, wait| {
            let host = host.map(str::to_owned);
            Outcome::Reconnect { worked: true, host, port, wait }
        };
        let second = Duration::from_secs(1);
        let mut pools = pools(&["one:1", "two:2"], false);
        assert_eq!(pools.ended(to(Some("evil"), Some(7), second), T0, 0), second);
        assert_eq!(at(&pools), "one:1");
        assert_eq!(pools.ended(to(Some("ONE"), Some(7), T0), T0, u64::MAX), Duration::from_millis(500));
        assert_eq!(at(&pools), "one:7");
        pools.ended(WORKED, T0, 0);
        assert_eq!(at(&pools), "one:1");
        assert_eq!(pools.ended(to(None, None, Duration::MAX), T0, 0), Duration::from_secs(60));
        for _ in 0..2 {
            pools.ended(Outcome::Reconnect { worked: false, host: None, port: Some(9), wait: T0 }, T0, 0);
        }
        assert_eq!(at(&pools), "two:2", "one that only ever sends us away is no pool");
    }
}
