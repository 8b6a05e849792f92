//! Decides, twice a second, what `auto` mines, and shows the rates.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bq_mining_message::MiningMode;
use bq_primitives::{Algorithm, Work};

use crate::{
    MinerEvent,
    auto::{Candidate, Current, Decision, Hysteresis, decide},
    metrics,
    shared::{Lane, Settings, Shared},
};

const TICK: Duration = Duration::from_millis(500);
/// A measurement takes seconds; what is not done by then cannot be measured now.
const MEASURING_MAX: Duration = Duration::from_secs(30);

/// Runs until the miner stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut settings = shared.settings.subscribe();
    let mut controller = Controller::default();
    loop {
        if settings.borrow_and_update().stopped {
            return;
        }
        controller.tick(&shared);
        // A change is looked at at once, the rest in due time.
        let _changed: bool = tokio::time::timeout(TICK, settings.changed()).await.is_ok();
    }
}

/// What it remembers between two looks.
#[derive(Default)]
struct Controller {
    /// Work done per algorithm at the last look.
    seen: BTreeMap<Algorithm, (u64, Duration)>,
    /// The last decision, and when it was made.
    decided: Option<(Decision, Duration)>,
}

impl Controller {
    fn tick(&mut self, shared: &Shared) {
        let (now, settings) = (shared.now(), shared.settings.borrow().clone());
        for lane in &shared.lanes {
            self.note_speed(lane, now);
            lane.stats.metrics().hashrate(lane.stats.snapshot(now).hashrate.recent);
        }
        metrics::paused(settings.paused);
        let choice = match settings.mode {
            MiningMode::Turns => None,
            // Speeds are not measured while nothing is hashed, so nothing can be decided.
            MiningMode::Auto if !settings.hashes() => settings.choice,
            MiningMode::Auto => self.choose(shared, &settings, now),
        };
        for lane in &shared.lanes {
            let outlook = outlook(shared, lane, settings.threads, now);
            let is_chosen = choice == Some(lane.algorithm);
            lane.stats.metrics().outlook(outlook.is_active, outlook.expected_reward(), is_chosen);
        }
        if choice != settings.choice {
            shared.settings.send_modify(|settings| settings.choice = choice);
            shared.announce_news();
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn note_speed(&mut self, lane: &Lane, now: Duration) {
        let (hashes, busy) = lane.stats.work();
        let (hashes_before, busy_before) = self.seen.insert(lane.algorithm, (hashes, busy)).unwrap_or_default();
        let (hashes, busy) = (hashes.saturating_sub(hashes_before), busy.saturating_sub(busy_before));
        lane.stats.with_speed(|speed| speed.record(now, hashes as f64, busy));
    }

    fn choose(&mut self, shared: &Shared, settings: &Settings, now: Duration) -> Option<Algorithm> {
        let candidates: Vec<Candidate> = shared
            .lanes
            .iter()
            .filter(|lane| settings.algorithms.contains(&lane.algorithm))
            .map(|lane| outlook(shared, lane, settings.threads, now))
            .collect();
        let current = match self.decided {
            Some((Decision::Mine(algorithm), since)) => Some(Current { algorithm, held: now.saturating_sub(since) }),
            _ => None,
        };
        let decision = decide(Hysteresis::default(), &candidates, current);
        match self.decided {
            Some((before, since)) if before == decision => {
                if let (Decision::Measure(algorithm), true) = (decision, now.saturating_sub(since) > MEASURING_MAX) {
                    lanes_of(shared, algorithm).for_each(|lane| lane.stats.with_speed(|speed| speed.give_up(now)));
                }
            }
            _ => {
                self.decided = Some((decision, now));
                let (choice, why) = (choice_of(decision), why(decision, &candidates));
                tracing::info!(choice = choice.map_or("nothing", Algorithm::name), why, "auto");
                shared.tell(MinerEvent::Chose { choice, why });
            }
        }
        choice_of(decision)
    }
}

/// What mining `lane` promises.
pub(crate) fn outlook(shared: &Shared, lane: &Lane, threads: usize, now: Duration) -> Candidate {
    let block = shared.next_block(lane.algorithm);
    let threads = f64::from(u32::try_from(threads).unwrap_or(u32::MAX));
    Candidate {
        algorithm: lane.algorithm,
        is_active: shared.is_active(lane.algorithm) && lane.is_ready(),
        hashrate: lane.stats.with_speed(|speed| speed.per_thread(now)).map(|rate| rate * threads),
        block_hashes: block.map_or(f64::INFINITY, |block| f64::from(Work::of_target(block.target).0)),
        block_reward: block.map_or(0.0, |block| atoms(block.reward_atoms)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
const fn atoms(atoms: u64) -> f64 {
    atoms as f64
}

const fn choice_of(decision: Decision) -> Option<Algorithm> {
    match decision {
        Decision::Rest => None,
        Decision::Measure(algorithm) | Decision::Mine(algorithm) => Some(algorithm),
    }
}

fn lanes_of(shared: &Shared, algorithm: Algorithm) -> impl Iterator<Item = &Lane> {
    shared.lanes.iter().filter(move |lane| lane.algorithm == algorithm)
}

/// The reason for people, with every figure that it rests on.
pub(crate) fn why(decision: Decision, candidates: &[Candidate]) -> String {
    let figures: Vec<String> = candidates.iter().map(figure).collect();
    let reason = match decision {
        Decision::Rest => "nothing can be mined now",
        Decision::Measure(_) => "measuring its speed",
        Decision::Mine(_) => "pays best, or within 5 % of it",
    };
    format!("{reason} ({})", figures.join(", "))
}

fn figure(candidate: &Candidate) -> String {
    let name = candidate.algorithm.name();
    match (candidate.is_active, candidate.expected_reward()) {
        (false, _) => format!("{name} rests"),
        (true, None) => format!("{name} is not measured"),
        (true, Some(atoms)) => format!("{name} {:.3} coins/h", atoms * 3600.0 / 1e8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_every_figure() {
        let candidate = |algorithm, is_active, hashrate| Candidate {
            algorithm,
            is_active,
            hashrate,
            block_hashes: 1000.0,
            block_reward: 50e8,
        };
        let candidates = [
            candidate(Algorithm::Sha256d, true, Some(1.0)),
            candidate(Algorithm::RandomX, false, Some(9.0)),
            candidate(Algorithm::Ethash, true, None),
        ];
        assert_eq!(
            why(Decision::Measure(Algorithm::Ethash), &candidates),
            "measuring its speed (sha256d 180.000 coins/h, randomx rests, ethash is not measured)"
        );
    }
}
