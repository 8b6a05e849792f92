//! How much of a processor core others may use up with proofs that may be bad (SPEC 9.2).
use bq_primitives::Algorithm;

use crate::Moment;

/// Microseconds of one core that verifying a proof takes, rounded up from what `docs/benchmarks.md` measures. Ethash's is
/// that of the full check; a seal whose mix digest does not fit fails long before.
#[must_use]
pub const fn proof_cost_us(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Sha256d => 2,
        Algorithm::RandomX => 25_000,
        Algorithm::Ethash => 600,
    }
}

/// What all peers together that connected to us and have not shown a valid new header yet may use, in microseconds of one
/// core per second: a tenth of a core. As much again for those that we connected to.
pub const STRANGERS_US_PER_SEC: u64 = STRANGERS.us_per_ms * 1000;

const STRANGERS: Limits = Limits { free_us_max: 1_000_000, us_per_ms: 100, us_max: 1_000_000 };

/// A bucket of verification time.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// What it starts with, and is refilled to.
    free_us_max: u64,
    /// How fast it is refilled.
    us_per_ms: u64,
    /// The most that it holds of what is earned.
    us_max: u64,
}

/// One peer's, per algorithm: two RandomX proofs at once and one more every 2.5 s (1 % of a core), 33 Ethash proofs and
/// eight per second (0.5 %), 1000 SHA-256d proofs and 500 per second (0.1 %). More has to be earned.
const fn limits(algorithm: Algorithm) -> Limits {
    match algorithm {
        Algorithm::Sha256d => Limits { free_us_max: 2_000, us_per_ms: 1, us_max: 16_000 },
        Algorithm::RandomX => Limits { free_us_max: 50_000, us_per_ms: 10, us_max: 3_200_000 },
        Algorithm::Ethash => Limits { free_us_max: 20_000, us_per_ms: 5, us_max: 1_600_000 },
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    limits: Limits,
    us: u64,
    filled: Moment,
}

impl Bucket {
    const fn new(now: Moment, limits: Limits) -> Self {
        Self { limits, us: limits.free_us_max, filled: now }
    }

    /// What is in it now. What was earned stays; only the free part flows in.
    fn refill(&mut self, now: Moment) -> u64 {
        let gained = now.ms_since(self.filled).saturating_mul(self.limits.us_per_ms);
        self.filled = now.max(self.filled);
        if self.us < self.limits.free_us_max {
            self.us = self.us.saturating_add(gained).min(self.limits.free_us_max);
        }
        self.us
    }

    fn take(&mut self, us: u64) {
        self.us = self.us.saturating_sub(us);
    }

    fn give(&mut self, us: u64) {
        self.us = self.us.saturating_add(us).min(self.limits.us_max);
    }
}

/// The verification time that strangers of one kind share: without it, whoever has many addresses would have as many
/// budgets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StrangerBudget(Bucket);

impl StrangerBudget {
    pub(crate) const fn new(now: Moment) -> Self {
        Self(Bucket::new(now, STRANGERS))
    }
}

/// What one peer may make us verify. Each valid header earns twice what it cost, so that an honest download doubles its
/// pace until the verifier is the limit; a bad one earns nothing, and its sender is cut off anyway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProofBudget {
    buckets: [Bucket; Algorithm::COUNT],
    /// It has not shown a valid header that was new yet: no work was done for it.
    is_stranger: bool,
}

/// What was taken for a portion of headers until the verdict on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    us: [u64; Algorithm::COUNT],
    strangers_us: u64,
}

impl ProofBudget {
    pub(crate) const fn new(now: Moment) -> Self {
        let [sha256d, randomx, ethash] = Algorithm::ALL;
        Self {
            buckets: [
                Bucket::new(now, limits(sha256d)),
                Bucket::new(now, limits(randomx)),
                Bucket::new(now, limits(ethash)),
            ],
            is_stranger: true,
        }
    }

    /// Takes the cost of as many of these proofs, from the first on, as there is budget for, at most `us_max` in all.
    pub(crate) fn charge(
        &mut self,
        now: Moment,
        strangers: &mut StrangerBudget,
        us_max: u64,
        proofs: impl Iterator<Item = Algorithm>,
    ) -> (usize, Charge) {
        let mut left = self.buckets.each_mut().map(|bucket| bucket.refill(now));
        let shared = strangers.0.refill(now);
        let mut total_left = if self.is_stranger { us_max.min(shared) } else { us_max };
        let (mut count, mut charge) = (0_usize, Charge::default());
        for algorithm in proofs {
            let cost = proof_cost_us(algorithm);
            let (Some(left), Some(sum)) = (left.get_mut(algorithm.index()), charge.us.get_mut(algorithm.index()))
            else {
                break;
            };
            let (Some(rest), Some(total_rest)) = (left.checked_sub(cost), total_left.checked_sub(cost)) else { break };
            (*left, total_left) = (rest, total_rest);
            *sum = sum.saturating_add(cost);
            count = count.saturating_add(1);
        }
        for (bucket, us) in self.buckets.iter_mut().zip(charge.us) {
            bucket.take(us);
        }
        if self.is_stranger {
            charge.strangers_us = charge.us.iter().fold(0, |sum, us| sum.saturating_add(*us));
            strangers.0.take(charge.strangers_us);
        }
        (count, charge)
    }

    /// The headers were valid and new.
    pub(crate) fn earn(&mut self, strangers: &mut StrangerBudget, charge: Charge) {
        self.is_stranger = false;
        self.give_back(strangers, charge);
        self.give_back(strangers, Charge { strangers_us: 0, ..charge });
    }

    /// No proof was verified, or none that was bad.
    pub(crate) fn give_back(&mut self, strangers: &mut StrangerBudget, charge: Charge) {
        for (bucket, us) in self.buckets.iter_mut().zip(charge.us) {
            bucket.give(us);
        }
        strangers.0.give(charge.strangers_us);
    }

    /// Whether it has earned something.
    pub(crate) const fn is_stranger(&self) -> bool {
        self.is_stranger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOMX: Algorithm = Algorithm::RandomX;

    fn charge(budget: &mut ProofBudget, at: u64, strangers: &mut StrangerBudget, proofs: usize) -> (usize, Charge) {
        budget.charge(Moment(at), strangers, u64::MAX, std::iter::repeat_n(RANDOMX, proofs))
    }

    #[test]
    fn a_stranger_gets_two_costly_proofs_and_then_one_every_2500_ms() {
        let (mut budget, mut strangers) = (ProofBudget::new(Moment(0)), StrangerBudget::new(Moment(0)));
        assert_eq!(charge(&mut budget, 0, &mut strangers, 9).0, 2);
        assert_eq!(charge(&mut budget, 2499, &mut strangers, 9).0, 0);
        assert_eq!(charge(&mut budget, 2500, &mut strangers, 9).0, 1);
        let cheap = std::iter::repeat_n(Algorithm::Sha256d, 5000);
        assert_eq!(budget.charge(Moment(2500), &mut strangers, u64::MAX, cheap).0, 1000, "a bucket of its own");
    }

    /// Peers that come, have two bad proofs verified, and are cut off, as fast as they can, for ten minutes.
    #[test]
    fn all_strangers_together_take_a_tenth_of_a_core() {
        let mut strangers = StrangerBudget::new(Moment(0));
        let mut spent_us = 0;
        for at in (0..600_000).step_by(50) {
            let mut budget = ProofBudget::new(Moment(at));
            spent_us += charge(&mut budget, at, &mut strangers, 100).1.us[RANDOMX.index()];
        }
        let allowed_us = 600 * STRANGERS_US_PER_SEC + STRANGERS.free_us_max;
        assert!(spent_us <= allowed_us && spent_us > allowed_us - 200_000, "{spent_us} of {allowed_us}");
    }

    #[test]
    fn valid_headers_double_the_pace_and_are_not_held_to_the_strangers_part() {
        let (mut budget, mut strangers) = (ProofBudget::new(Moment(0)), StrangerBudget::new(Moment(0)));
        let paces: Vec<_> = (0..9)
            .map(|_| {
                let (count, charged) = charge(&mut budget, 0, &mut strangers, 1000);
                strangers.0.us = 0;
                budget.earn(&mut strangers, charged);
                count
            })
            .collect();
        assert_eq!(paces, [2, 4, 8, 16, 32, 64, 128, 128, 128]);
    }

    #[test]
    fn known_headers_cost_and_earn_nothing() {
        let (mut budget, mut strangers) = (ProofBudget::new(Moment(0)), StrangerBudget::new(Moment(0)));
        for _ in 0..100 {
            let (count, charged) = charge(&mut budget, 0, &mut strangers, 9);
            assert_eq!(count, 2);
            budget.give_back(&mut strangers, charged);
        }
        assert!(budget.is_stranger());
    }

    #[test]
    fn a_portion_has_an_upper_cost() {
        let (mut budget, mut strangers) = (ProofBudget::new(Moment(0)), StrangerBudget::new(Moment(0)));
        budget.buckets[RANDOMX.index()].us = 3_000_000;
        budget.is_stranger = false;
        let proofs = std::iter::repeat_n(RANDOMX, 100);
        assert_eq!(budget.charge(Moment(0), &mut strangers, 1_600_000, proofs).0, 64);
    }
}
