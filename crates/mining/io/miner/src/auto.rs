//! Which algorithm pays best: a pure decision on measured rates and the next block's targets and rewards.

use std::time::Duration;

use bq_primitives::Algorithm;

/// When a better algorithm is worth a change. A change costs what was begun, and figures waver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hysteresis {
    /// How much better than the present one another must be, as a part of it.
    pub(crate) gain_min: f64,
    /// How long to stay with a choice.
    pub(crate) hold: Duration,
}

impl Default for Hysteresis {
    fn default() -> Self {
        Self { gain_min: 0.05, hold: Duration::from_secs(60) }
    }
}

/// One algorithm that could be mined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) algorithm: Algorithm,
    /// May seal the next block, and there is work for it and the tables are built.
    pub(crate) is_active: bool,
    /// Hashes per second that all threads together would make; nothing while not measured.
    pub(crate) hashrate: Option<f64>,
    /// Expected hashes of a block.
    pub(crate) block_hashes: f64,
    /// What a block brings, in atoms.
    pub(crate) block_reward: f64,
}

impl Candidate {
    /// Atoms per second; nothing while the hashrate is not known or the algorithm may not be mined.
    pub(crate) fn expected_reward(&self) -> Option<f64> {
        let rate = self.hashrate.filter(|_| self.is_active)? / self.block_hashes * self.block_reward;
        rate.is_finite().then_some(rate.max(0.0))
    }
}

/// What is mined now, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) algorithm: Algorithm,
    pub(crate) held: Duration,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing may be mined.
    Rest,
    /// Mine this until its rate is known.
    Measure(Algorithm),
    /// Mine this: it pays best, or nearly.
    Mine(Algorithm),
}

/// Chooses. What may be mined and was not measured comes first; then the present choice stays unless it may not be mined
/// any more, or another pays enough more and it was held long enough. Of equals the lowest id is taken.
pub(crate) fn decide(hysteresis: Hysteresis, candidates: &[Candidate], current: Option<Current>) -> Decision {
    let active = || candidates.iter().filter(|candidate| candidate.is_active);
    if let Some(unknown) = active().find(|candidate| candidate.hashrate.is_none()) {
        return Decision::Measure(unknown.algorithm);
    }
    let rewards: Vec<(Algorithm, f64)> =
        active().filter_map(|candidate| Some((candidate.algorithm, candidate.expected_reward()?))).collect();
    let Some(&(best, best_reward)) = rewards.iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
    else {
        return Decision::Rest;
    };
    let kept = current.and_then(|current| {
        let (algorithm, reward) = rewards.iter().find(|(algorithm, _)| *algorithm == current.algorithm)?;
        let is_worth_it = best_reward > reward * (1.0 + hysteresis.gain_min);
        (current.held < hysteresis.hold || !is_worth_it).then_some(*algorithm)
    });
    Decision::Mine(kept.unwrap_or(best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn candidate(algorithm: Algorithm, hashrate: f64, block_hashes: f64) -> Candidate {
        Candidate { algorithm, is_active: true, hashrate: Some(hashrate), block_hashes, block_reward: 50e8 }
    }

    fn held(algorithm: Algorithm, held: Duration) -> Option<Current> {
        Some(Current { algorithm, held })
    }

    fn decided(candidates: &[Candidate], current: Option<Current>) -> Decision {
        decide(Hysteresis::default(), candidates, current)
    }

    #[test]
    fn the_highest_expected_reward_wins() {
        // A block each 40, 20 and 30 seconds.
        let mut candidates = [
            candidate(Algorithm::Sha256d, 50e6, 2e9),
            candidate(Algorithm::RandomX, 30.0, 600.0),
            candidate(Algorithm::Ethash, 2000.0, 60_000.0),
        ];
        assert_eq!(candidates[1].expected_reward(), Some(50e8 / 20.0));
        assert_eq!(decided(&candidates, None), Decision::Mine(Algorithm::RandomX));
        candidates[0].block_reward *= 3.0;
        assert_eq!(decided(&candidates, None), Decision::Mine(Algorithm::Sha256d));
        candidates[0].is_active = false;
        assert_eq!(
            (candidates[0].expected_reward(), decided(&candidates, None)),
            (None, Decision::Mine(Algorithm::RandomX))
        );
    }

    #[test]
    fn what_is_not_measured_is_measured_first_but_only_if_it_may_be_mined() {
        let mut candidates = [candidate(Algorithm::Sha256d, 1.0, 1.0), candidate(Algorithm::Ethash, 1.0, 1.0)];
        candidates[1].hashrate = None;
        let current = held(Algorithm::Sha256d, Duration::ZERO);
        assert_eq!(decided(&candidates, current), Decision::Measure(Algorithm::Ethash));
        candidates[1].is_active = false;
        assert_eq!(decided(&candidates, current), Decision::Mine(Algorithm::Sha256d));
        candidates[0].is_active = false;
        assert_eq!(decided(&candidates, current), Decision::Rest);
        assert_eq!(decided(&[], None), Decision::Rest);
    }

    #[test]
    fn a_choice_is_held_until_another_is_worth_it() {
        let one = |rate| [candidate(Algorithm::Sha256d, 100.0, 1.0), candidate(Algorithm::RandomX, rate, 1.0)];
        for (rate, time, expected) in [
            (104.9, HOUR, Algorithm::Sha256d),
            (105.1, HOUR, Algorithm::RandomX),
            (900.0, Duration::from_secs(59), Algorithm::Sha256d),
            (900.0, Duration::from_secs(60), Algorithm::RandomX),
        ] {
            assert_eq!(
                decided(&one(rate), held(Algorithm::Sha256d, time)),
                Decision::Mine(expected),
                "{rate} {time:?}"
            );
        }
        let mut ended = one(1.0);
        ended[0].is_active = false;
        let current = held(Algorithm::Sha256d, Duration::ZERO);
        assert_eq!(decided(&ended, current), Decision::Mine(Algorithm::RandomX), "an era ends at once");
    }

    #[test]
    fn a_reward_that_is_no_number_is_none() {
        let candidates = [candidate(Algorithm::Sha256d, 1.0, 0.0), candidate(Algorithm::RandomX, 0.0, 0.0)];
        assert_eq!(decided(&candidates, None), Decision::Rest);
    }

    fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = |algorithm| {
            (any::<bool>(), prop::option::weighted(0.9, 0.0..1e12_f64), 1.0..1e15_f64, 0.0..1e16_f64).prop_map(
                move |(is_active, hashrate, block_hashes, block_reward)| Candidate {
                    algorithm,
                    is_active,
                    hashrate,
                    block_hashes,
                    block_reward,
                },
            )
        };
        Algorithm::ALL.map(one).prop_map(Vec::from)
    }

    fn any_current() -> impl Strategy<Value = Option<Current>> {
        let current = (prop::sample::select(Algorithm::ALL.to_vec()), 0_u64..200);
        prop::option::of(current.prop_map(|(algorithm, secs)| Current { algorithm, held: Duration::from_secs(secs) }))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn only_what_is_active_is_ever_mined(candidates in any_candidates(), current in any_current()) {
            let is_active = |algorithm| candidates.iter().any(|one| one.algorithm == algorithm && one.is_active);
            match decided(&candidates, current) {
                Decision::Rest => prop_assert!(!candidates.iter().any(|one| one.is_active)),
                Decision::Mine(algorithm) | Decision::Measure(algorithm) => prop_assert!(is_active(algorithm)),
            }
        }

        #[test]
        fn a_faster_choice_stays_the_choice(
            mut candidates in any_candidates(), current in any_current(), times in 1.0..100.0_f64,
        ) {
            let Decision::Mine(chosen) = decided(&candidates, current) else { return Ok(()) };
            for candidate in &mut candidates {
                if candidate.algorithm == chosen {
                    candidate.hashrate = candidate.hashrate.map(|rate| rate * times);
                }
            }
            prop_assert_eq!(decided(&candidates, current), Decision::Mine(chosen));
        }

        #[test]
        fn what_is_chosen_pays_at_least_nearly_best(candidates in any_candidates(), current in any_current()) {
            let Decision::Mine(chosen) = decided(&candidates, current) else { return Ok(()) };
            let reward = |algorithm| candidates.iter().find(|one| one.algorithm == algorithm)?.expected_reward();
            let is_held = current.is_some_and(|held| held.algorithm == chosen && held.held < Duration::from_secs(60));
            for other in Algorithm::ALL {
                prop_assert!(is_held || reward(other).unwrap_or(0.0) <= reward(chosen).unwrap() * 1.05);
            }
        }

        /// Rates that waver by less than the hysteresis never cause a second change.
        #[test]
        fn wavering_figures_do_not_make_it_flap(
            rates in prop::collection::vec((0.98..1.02_f64, 0.98..1.02_f64, 0.98..1.02_f64), 1..100),
        ) {
            let (mut current, mut changes) = (None, 0);
            for (one, two, three) in rates {
                let candidates = [
                    candidate(Algorithm::Sha256d, one, 1.0),
                    candidate(Algorithm::RandomX, two, 1.0),
                    candidate(Algorithm::Ethash, three, 1.0),
                ];
                let Decision::Mine(chosen) = decided(&candidates, current) else { unreachable!("all can be mined") };
                changes += usize::from(current.map(|current: Current| current.algorithm) != Some(chosen));
                current = held(chosen, HOUR);
            }
            prop_assert_eq!(changes, 1);
        }
    }
}
