use bq_consensus::Branch;
use bq_primitives::Work;

use crate::{Chain, Lottery, Measure, Miner, Rng, Rule, Run, Setup, Until, World, log2};

/// A fork race: a common history, then an attacker who mines in secret against everybody else.
#[derive(Clone, Debug)]
pub struct Race {
    /// The network.
    pub setup: Setup,
    /// Everybody else. They mine the history too.
    pub honest: Miner,
    /// The attacker.
    pub attacker: Miner,
    /// Blocks before the fork.
    pub history_blocks: u32,
    /// When the race ends.
    pub until: Until,
    /// Whether the race has luck. Without it figures rank rules; with it they show what can happen.
    pub luck: bool,
}

/// The state of a race after one more block of either side.
#[derive(Clone, Copy, Debug)]
pub struct RacePoint {
    /// Seconds since the fork.
    pub secs: f64,
    /// Honest blocks since the fork.
    pub depth: u32,
    /// Attacker's blocks since the fork.
    pub attacker_blocks: u32,
    /// Chain work of the honest chain since the fork, in reference blocks.
    pub honest_work: f64,
    /// Chain work of the attacker's chain since the fork, in reference blocks.
    pub attacker_work: f64,
    /// Whether the attacker's chain has more chain work, and times that everybody accepts by now.
    pub ahead: bool,
}

/// How a race went.
#[derive(Clone, Debug)]
pub struct RaceResult {
    /// Every block of either side.
    pub points: Vec<RacePoint>,
    /// The attacker's own run.
    pub attack: Run,
}

impl RaceResult {
    /// The most honest blocks that a release could have undone.
    #[must_use]
    pub fn deepest_lead_blocks(&self) -> u32 {
        self.leads().map(|point| point.depth).max().unwrap_or(0)
    }

    /// The latest time after the fork at which the attacker was ahead, in hours.
    #[must_use]
    pub fn last_lead_hours(&self) -> f64 {
        // A lead lasts until the next block of either side.
        let ends = self.points.windows(2).filter(|pair| pair[0].ahead).map(|pair| pair[1].secs);
        let open = self.points.last().filter(|point| point.ahead).map(|point| point.secs);
        ends.chain(open).fold(0.0, f64::max) / 3_600.0
    }

    /// Whether the attacker is ahead at the end.
    #[must_use]
    pub fn attacker_wins(&self) -> bool {
        self.points.last().is_some_and(|point| point.ahead)
    }

    /// The attacker's chain work as a part of the honest, at the end.
    #[must_use]
    pub fn work_ratio(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.attacker_work / point.honest_work)
    }

    /// As a list for tables.
    #[must_use]
    pub fn measures(&self) -> Vec<Measure> {
        let last = self.points.last();
        vec![
            Measure::new("deepest_lead_blocks", f64::from(self.deepest_lead_blocks())),
            Measure::new("last_lead_hours", self.last_lead_hours()),
            Measure::new("work_ratio", self.work_ratio()),
            Measure::new("honest_blocks", last.map_or(0.0, |point| f64::from(point.depth))),
            Measure::new("attacker_blocks", last.map_or(0.0, |point| f64::from(point.attacker_blocks))),
        ]
    }

    fn leads(&self) -> impl Iterator<Item = &RacePoint> {
        self.points.iter().filter(|point| point.ahead)
    }
}

impl Race {
    /// Mines the history and both sides of the fork.
    #[must_use]
    pub fn run(&self, seed: u64, rule: &dyn Rule) -> RaceResult {
        let honest = [self.honest.clone()];
        let history = Lottery::Luck(Rng::seeded(seed, 1));
        let chain = Chain::new(&self.setup.params, rule);
        let mut world = World::new(&self.setup, &honest, chain, history, Rng::seeded(seed, 2), 0.0);
        world.run(Until::Blocks(self.history_blocks));
        let (fork, start) = (world.chain().clone(), world.now_secs());

        let mut world =
            World::new(&self.setup, &honest, fork.clone(), self.lottery(seed, 3), Rng::seeded(seed, 4), start);
        let defence = world.run(match self.until {
            Until::Secs(secs) => Until::Secs(start + secs),
            Until::Blocks(blocks) => Until::Blocks(blocks),
        });
        let end = world.now_secs();
        let honest_chain = world.chain().clone();

        let stamps = self.attacker.stamps.shown_at(end);
        let attacker = [self.attacker.clone().stamping(stamps)];
        let mut world =
            World::new(&self.setup, &attacker, fork.clone(), self.lottery(seed, 5), Rng::seeded(seed, 6), start);
        let attack = world.run(Until::Secs(end));
        let points = merge(&fork, (&honest_chain, &defence), (world.chain(), &attack));
        RaceResult { points, attack }
    }

    fn lottery(&self, seed: u64, stream: u64) -> Lottery {
        if self.luck {
            Lottery::Luck(Rng::seeded(seed, stream))
        } else {
            Lottery::mean(bq_primitives::Algorithm::COUNT)
        }
    }
}

/// Both sides' blocks in the order in which they were found.
fn merge(fork: &Chain<'_>, honest: (&Chain<'_>, &Run), attack: (&Chain<'_>, &Run)) -> Vec<RacePoint> {
    let base = fork.tip();
    let start = honest.1.start_secs;
    let genesis = fork.params().genesis_time.0;
    let mut events: Vec<(f64, bool)> = honest.1.blocks.iter().map(|block| (block.found_secs, true)).collect();
    events.extend(attack.1.blocks.iter().map(|block| (block.found_secs, false)));
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |chain: &Chain<'_>, above: u32| {
        let height = bq_primitives::Height(base.height.0 + above);
        chain.branch().entry(height).map_or((Work::ZERO, base.clock), |entry| (entry.chain_work, entry.clock))
    };
    let since_fork = |work: Work| (log2(work.0.saturating_sub(base.chain_work.0)) - 64.0).exp2();
    let (mut depth, mut attacker_blocks) = (0, 0);
    let points = events.into_iter().map(|(found_secs, is_honest)| {
        *(if is_honest { &mut depth } else { &mut attacker_blocks }) += 1;
        let ((honest_work, _), (attacker_work, clock)) = (at(honest.0, depth), at(attack.0, attacker_blocks));
        let acceptable = clock.0 <= genesis + found_secs as u64 + fork.params().future_limit_secs;
        RacePoint {
            secs: found_secs - start,
            depth,
            attacker_blocks,
            honest_work: since_fork(honest_work),
            attacker_work: since_fork(attacker_work),
            ahead: attacker_work > honest_work && acceptable,
        }
    });
    points.collect()
}
