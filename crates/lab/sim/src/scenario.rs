use bq_primitives::{Algorithm, Height};

use crate::{
    BlockRecord, Chain, Lottery, Measure, Miner, NetworkPlan, NetworkRun, Power, Race, RacePoint, Rng, Rule, Run,
    Setup, Stamps, Summary, Until, World,
};

const HOUR: f64 = 3_600.0;
const DAY: f64 = 24.0 * HOUR;

/// Something worth simulating.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: String,
    /// What happens, in one line.
    pub about: &'static str,
    /// How it is set up.
    pub plan: Plan,
}

/// What a scenario sets up.
#[derive(Clone, Debug)]
pub enum Plan {
    /// One chain.
    Chain(ChainPlan),
    /// Two chains from one.
    Race(Box<Race>),
    /// A network of nodes.
    Network(NetworkPlan),
}

/// One chain and its miners.
#[derive(Clone, Debug)]
pub struct ChainPlan {
    /// The network.
    pub setup: Setup,
    /// Who mines.
    pub miners: Vec<Miner>,
    /// How many blocks.
    pub blocks: u32,
    /// When mining starts, in seconds after genesis.
    pub start_secs: f64,
    /// When something happens that the chain should recover from.
    pub event_secs: Option<f64>,
}

impl ChainPlan {
    /// Mines it.
    #[must_use]
    pub fn run(&self, seed: u64, rule: &dyn Rule) -> Run {
        let chain = Chain::new(&self.setup.params, rule);
        let lottery = Lottery::Luck(Rng::seeded(seed, 1));
        let mut world = World::new(&self.setup, &self.miners, chain, lottery, Rng::seeded(seed, 2), self.start_secs);
        world.run(Until::Blocks(self.blocks))
    }

    /// Measures a run of it.
    #[must_use]
    pub fn summary(&self, run: &Run) -> Summary {
        Summary::of(self, run)
    }
}

/// What a scenario gave with one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario's name.
    pub name: String,
    /// Its line.
    pub about: &'static str,
    /// The seed.
    pub seed: u64,
    /// Its figures.
    pub measures: Vec<Measure>,
    /// Its course.
    pub trace: Trace,
}

/// The course of an outcome.
#[derive(Clone, Debug)]
pub enum Trace {
    /// Of one chain.
    Chain(Vec<BlockRecord>),
    /// Of a race.
    Race(Vec<RacePoint>),
    /// Of a network.
    Network(Box<NetworkRun>),
}

impl Scenario {
    /// Every scenario there is.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for count in 1..=3 {
            all.push(chain(format!("steady-{count}"), "constant hash rate", Setup::steady(count, 20), 4_000));
        }
        for count in [1, 3] {
            all.extend(changes(count));
            all.extend(abuses(count));
        }
        all.extend([surge(), dead(), era_one_to_three(), era_three_to_two(), stale_genesis()]);
        all.extend(races());
        all.extend(networks());
        all
    }

    /// The scenario of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|scenario| scenario.name == name)
    }

    /// The plan of a scenario about one chain.
    #[must_use]
    pub fn chain_plan(name: &str) -> Option<ChainPlan> {
        match Self::find(name)?.plan {
            Plan::Chain(plan) => Some(plan),
            Plan::Race(_) | Plan::Network(_) => None,
        }
    }

    /// The plan of a race.
    #[must_use]
    pub fn race_plan(name: &str) -> Option<Race> {
        match Self::find(name)?.plan {
            Plan::Race(race) => Some(*race),
            Plan::Chain(_) | Plan::Network(_) => None,
        }
    }

    /// Runs it; `blocks` replaces how many blocks one chain gets, and cuts a network off after the time that so many take.
    /// Races have their own end. A network knows no other rule than the real one.
    #[must_use]
    pub fn run(&self, seed: u64, blocks: Option<u32>, rule: &dyn Rule) -> Outcome {
        let (measures, trace) = match &self.plan {
            Plan::Chain(plan) => {
                let plan = ChainPlan { blocks: blocks.unwrap_or(plan.blocks), ..plan.clone() };
                let run = plan.run(seed, rule);
                (plan.summary(&run).measures(&plan.miners), Trace::Chain(run.blocks))
            }
            Plan::Race(race) => {
                let result = race.run(seed, rule);
                (result.measures(), Trace::Race(result.points))
            }
            Plan::Network(plan) => {
                const SPACING_MS: u64 = 600_000;
                let length_ms = blocks.map_or(plan.length_ms, |blocks| SPACING_MS * u64::from(blocks));
                let run = plan.clone().shortened(length_ms).run(seed);
                (run.measures(), Trace::Network(Box::new(run)))
            }
        };
        Outcome { name: self.name.clone(), about: self.about, seed, measures, trace }
    }
}

fn chain(name: String, about: &'static str, setup: Setup, blocks: u32) -> Scenario {
    let miners = vec![Miner::honest(Power::Steady(1.0))];
    let plan = ChainPlan { setup, miners, blocks, start_secs: 0.0, event_secs: None };
    Scenario { name, about, plan: Plan::Chain(plan) }
}

fn with_miners(mut scenario: Scenario, new: Vec<Miner>, event: Option<f64>) -> Scenario {
    if let Plan::Chain(ChainPlan { miners, event_secs, .. }) = &mut scenario.plan {
        *miners = new;
        *event_secs = event;
    }
    scenario
}

/// The hash rate changes.
fn changes(count: usize) -> [Scenario; 4] {
    let setup = || Setup::steady(count, 20);
    let step = |after| vec![Miner::honest(Power::Step { before: 1.0, at_secs: 2.0 * DAY, after })];
    let wave = Miner::honest(Power::Square { low: 1.0, high: 4.0, half_secs: 6.0 * HOUR });
    // Five times the algorithm's hash rate while the hopper is there.
    let hop = Power::Hopper { power: 4.0, joins_at: 1.0, leaves_at: 1.4 };
    let hopper = Miner::honest(Power::OFF).with(Algorithm::Sha256d, hop).named("hopper");
    let with = |name: &str, about, blocks, miners, event| {
        with_miners(chain(format!("{name}-{count}"), about, setup(), blocks), miners, event)
    };
    [
        with("x10", "ten times the hash rate after two days", 1_500, step(10.0), Some(2.0 * DAY)),
        with("drop", "a tenth of the hash rate after two days", 1_000, step(0.1), Some(2.0 * DAY)),
        with("wave", "hash rate 1 and 4 in turn, six hours each", 4_000, vec![wave], None),
        with(
            "hopper",
            "four times the rest's SHA-256d comes when it is easy and goes when it is hard",
            4_000,
            vec![Miner::honest(Power::Steady(1.0)).named("steady"), hopper],
            None,
        ),
    ]
}

/// Times are abused.
fn abuses(count: usize) -> [Scenario; 4] {
    let miner = |power, name, stamps| Miner::honest(Power::Steady(power)).named(name).stamping(stamps);
    let with = |name: &str, about, blocks, miners| {
        with_miners(chain(format!("{name}-{count}"), about, Setup::steady(count, 20), blocks), miners, None)
    };
    let (honest, future, past) = (Stamps::Honest, Stamps::Latest, Stamps::Earliest);
    [
        with(
            "future",
            "30 % of the hash rate writes the latest legal time",
            4_000,
            vec![miner(0.7, "honest", honest), miner(0.3, "future", future)],
        ),
        with(
            "past",
            "30 % of the hash rate writes the earliest legal time",
            4_000,
            vec![miner(0.7, "honest", honest), miner(0.3, "past", past)],
        ),
        with(
            "mixed",
            "30 % write the latest legal time, 30 % the earliest",
            4_000,
            vec![miner(0.4, "honest", honest), miner(0.3, "future", future), miner(0.3, "past", past)],
        ),
        with(
            "verge",
            "everybody writes the earliest and the latest legal time in turn",
            3_000,
            vec![miner(1.0, "verge", Stamps::Alternate)],
        ),
    ]
}

fn surge() -> Scenario {
    let surge = Power::Step { before: 1.0, at_secs: 2.0 * DAY, after: 100.0 };
    let miner = Miner::honest(Power::Steady(1.0)).with(Algorithm::Sha256d, surge);
    let base = chain("x100-of-one".into(), "SHA-256d times 100 after two days", Setup::steady(3, 20), 1_500);
    with_miners(base, vec![miner], Some(2.0 * DAY))
}

fn dead() -> Scenario {
    let (from_secs, to_secs) = (2.0 * DAY, 9.0 * DAY);
    let gone = Power::Window { outside: 1.0, from_secs, to_secs, inside: 0.0 };
    let miner = Miner::honest(Power::Steady(1.0)).with(Algorithm::Sha256d, gone);
    let base = chain("dead".into(), "SHA-256d leaves for seven days and returns", Setup::steady(3, 20), 2_500);
    with_miners(base, vec![miner], Some(to_secs))
}

fn era_one_to_three() -> Scenario {
    let miner = Miner::honest(Power::Steady(1.0)).with(Algorithm::Sha256d, Power::Steady(4.0));
    let setup = Setup::one_to_three(Height(1_000), 4);
    let base = chain("era-1-to-3".into(), "two algorithms join SHA-256d at height 1,000", setup, 2_000);
    with_miners(base, vec![miner], None)
}

fn era_three_to_two() -> Scenario {
    chain("era-3-to-2".into(), "Ethash retires at height 1,000", Setup::three_to_two(Height(1_000)), 2_000)
}

fn stale_genesis() -> Scenario {
    let mut scenario =
        chain("stale-genesis".into(), "mining starts 30 days after genesis", Setup::steady(1, 20), 1_000);
    if let Plan::Chain(plan) = &mut scenario.plan {
        plan.start_secs = 30.0 * DAY;
    }
    scenario
}

fn races() -> Vec<Scenario> {
    let mut races = Vec::new();
    for (algorithms, names, powers) in [
        (&Algorithm::ALL[..1], "race-one", &[2.0, 10.0, 100.0, 1_000.0][..]),
        (&Algorithm::ALL[..2], "race-two", &[2.0, 5.0, 10.0][..]),
    ] {
        for power in powers {
            let none = Miner::honest(Power::OFF).named("attacker");
            let attacker = algorithms.iter().fold(none, |miner, a| miner.with(*a, Power::Steady(*power)));
            let plan = race(3, attacker, Until::Secs(7.0 * DAY), false);
            let about = "a secret chain with r times the hash rate of some algorithms; no luck";
            races.push(Scenario { name: format!("{names}-{power}"), about, plan: Plan::Race(Box::new(plan)) });
        }
    }
    for (name, stamps) in [
        ("private-honest", Stamps::Honest),
        ("private-pack", Stamps::Earliest),
        ("private-ramp", Stamps::RampThenPack { until_secs: 0 }),
        ("private-random", Stamps::SecretRandom { until_secs: 0 }),
    ] {
        let attacker = Miner::honest(Power::Steady(0.9)).named("attacker").stamping(stamps);
        let about = "a secret chain with 0.9 times the hash rate of all algorithms and any times";
        races.push(Scenario {
            name: name.into(),
            about,
            plan: Plan::Race(Box::new(race(3, attacker, Until::Blocks(200), true))),
        });
    }
    races
}

fn networks() -> [Scenario; 2] {
    let network = |name: &str, about, plan| Scenario { name: name.into(), about, plan: Plan::Network(plan) };
    [
        network(
            "network-hours",
            "22 nodes for ten hours, in two parts for ten minutes and two hours",
            NetworkPlan::hours(),
        ),
        network("network-week", "22 nodes for a week, in two parts for ten minutes to a day", NetworkPlan::week()),
    ]
}

fn race(count: usize, attacker: Miner, until: Until, luck: bool) -> Race {
    let honest = Miner::honest(Power::Steady(1.0));
    Race { setup: Setup::steady(count, 20), honest, attacker, history_blocks: 150, until, luck }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Consensus, chart, csv, table};

    #[test]
    fn names_are_unique_and_found() {
        let all = Scenario::all();
        let names: std::collections::BTreeSet<_> = all.iter().map(|scenario| scenario.name.clone()).collect();
        assert_eq!(names.len(), all.len());
        assert!(names.iter().all(|name| Scenario::find(name).is_some()));
        assert!(Scenario::find("no-such").is_none());
    }

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        for name in ["hopper-3", "mixed-3", "private-random"] {
            let run = |seed| csv(&Scenario::find(name).unwrap().run(seed, Some(120), &Consensus));
            assert_eq!(run(1), run(1), "{name}");
            assert_ne!(run(1), run(2), "{name}");
        }
    }

    #[test]
    fn reports_show_what_was_measured() {
        for name in ["drop-3", "race-one-10", "network-hours"] {
            let blocks = if name == "network-hours" { 40 } else { 400 };
            let outcome = Scenario::find(name).unwrap().run(1, Some(blocks), &Consensus);
            let lines = csv(&outcome);
            let columns = |line: &str| line.matches(',').count();
            assert!(lines.lines().count() > 25);
            assert!(lines.lines().all(|line| columns(line) == columns(lines.lines().next().unwrap())));
            let svg = chart(&outcome);
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            assert!(svg.matches("<polyline").count() >= 2 && !svg.contains("NaN") && !svg.contains("inf"));
            let text = table(&[outcome]);
            assert!(text.starts_with("scenario") && text.contains(name) && text.lines().count() == 2, "{text}");
        }
    }
}
