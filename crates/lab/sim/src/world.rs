use bq_consensus::StartBits;
use bq_primitives::{Algorithm, Timestamp};

use crate::{Chain, Draw, Lottery, Miner, Rng, Setup, Stamps, log2};

/// One block of a run, as measures and charts need it.
#[derive(Clone, Copy, Debug)]
pub struct BlockRecord {
    /// Its height.
    pub height: u32,
    /// Real time when it was found, in seconds from the start of the run.
    pub found_secs: f64,
    /// The time in its header, in seconds from genesis.
    pub stamp_secs: i64,
    /// What sealed it.
    pub algorithm: Algorithm,
    /// Which miner found it, as an index into the world's miners.
    pub miner: usize,
    /// Difficulty it was found at, as a multiple of the algorithm's start.
    pub difficulty: f64,
    /// Difficulty of the block after it in each algorithm, as a multiple of the start; infinite where not active.
    pub next_difficulty: [f64; Algorithm::COUNT],
    /// Mean time to the block after it, at its difficulties and the hash power of this moment, in seconds.
    pub expected_secs: f64,
    /// Whether the burst guard held its algorithm below the base target.
    pub capped: bool,
    /// What it added to chain work, in reference blocks.
    pub weight: f64,
    /// How far any base target for the next block lies above the bound of SPEC 3.6, in halvings: never above 0.
    pub above_bound: f64,
}

/// A run of a world.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its blocks, in order.
    pub blocks: Vec<BlockRecord>,
    /// Hashing done by each miner, in unit powers times seconds, by miner and [`Algorithm::index`].
    pub spent: Vec<[f64; Algorithm::COUNT]>,
    /// When it started.
    pub start_secs: f64,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many blocks.
    Blocks(u32),
    /// At this time of the run, in seconds.
    Secs(f64),
}

/// Miners, a chain, and what time it is.
pub struct World<'a> {
    setup: &'a Setup,
    miners: &'a [Miner],
    here: Vec<[bool; Algorithm::COUNT]>,
    chain: Chain<'a>,
    lottery: Lottery,
    rng: Rng,
    now_secs: f64,
}

impl<'a> World<'a> {
    /// A world that starts at `now_secs` after genesis. `rng` decides on random times; the lottery has its own.
    #[must_use]
    pub fn new(
        setup: &'a Setup,
        miners: &'a [Miner],
        chain: Chain<'a>,
        lottery: Lottery,
        rng: Rng,
        now_secs: f64,
    ) -> Self {
        let here = vec![[false; Algorithm::COUNT]; miners.len()];
        let mut world = Self { setup, miners, here, chain, lottery, rng, now_secs };
        world.hop();
        world
    }

    /// The chain as it is now.
    #[must_use]
    pub const fn chain(&self) -> &Chain<'a> {
        &self.chain
    }

    /// The time, in seconds.
    #[must_use]
    pub const fn now_secs(&self) -> f64 {
        self.now_secs
    }

    /// Mines. Time goes on even when nobody does.
    pub fn run(&mut self, until: Until) -> Run {
        let spent = vec![[0.0; Algorithm::COUNT]; self.miners.len()];
        let mut run = Run { blocks: Vec::new(), spent, start_secs: self.now_secs };
        loop {
            let end = match until {
                Until::Blocks(count) if run.blocks.len() as u32 >= count => return run,
                Until::Blocks(_) => f64::INFINITY,
                Until::Secs(end) => end,
            };
            let pause = self.next_change_secs().min(end);
            let rates = self.rates();
            let start = self.now_secs;
            let draw = self.lottery.draw(&rates, pause - start);
            self.now_secs = match draw {
                Draw::Found { after_secs, .. } => start + after_secs,
                Draw::Nothing => pause,
            };
            self.spend(&mut run, start);
            if let Draw::Found { ticket, .. } = draw {
                let record = self.found(ticket / Algorithm::COUNT, Algorithm::ALL[ticket % Algorithm::COUNT]);
                run.blocks.push(record);
            } else if !pause.is_finite() || matches!(until, Until::Secs(end) if self.now_secs >= end) {
                return run;
            }
        }
    }

    /// Expected blocks per second of each miner in each algorithm.
    fn rates(&self) -> Vec<f64> {
        let works = self.chain.work();
        let powers = (0..self.miners.len()).flat_map(|miner| Algorithm::ALL.map(|a| (self.power(miner, a), a)));
        powers.map(|(power, a)| power * self.setup.unit_hashes[a.index()] / works[a.index()]).collect()
    }

    fn power(&self, miner: usize, algorithm: Algorithm) -> f64 {
        let index = algorithm.index();
        self.miners[miner].power[index].at(self.now_secs, self.here[miner][index])
    }

    fn next_change_secs(&self) -> f64 {
        let powers = self.miners.iter().flat_map(|miner| &miner.power);
        powers.map(|power| power.next_change_secs(self.now_secs)).fold(f64::INFINITY, f64::min)
    }

    /// Powers change at the ends of the stretches that this is called for, so the power at the start holds throughout.
    fn spend(&self, run: &mut Run, start_secs: f64) {
        for ((miner, here), spent) in self.miners.iter().zip(&self.here).zip(&mut run.spent) {
            for ((power, here), spent) in miner.power.iter().zip(here).zip(spent) {
                *spent += power.at(start_secs, *here) * (self.now_secs - start_secs);
            }
        }
    }

    fn found(&mut self, miner: usize, algorithm: Algorithm) -> BlockRecord {
        let stamps = self.miners[miner].stamps;
        let difficulty = self.difficulties()[algorithm.index()];
        let required = self.chain.required().iter().find(|required| required.algorithm == algorithm);
        let capped = required.is_some_and(|required| required.bits != required.base_bits);
        let (time, judge) = self.stamp(stamps);
        self.chain.mine(algorithm, time, judge);
        self.hop();
        let total_rate: f64 = self.rates().iter().sum();
        let genesis = self.setup.params.genesis_time.0.cast_signed();
        BlockRecord {
            height: self.chain.blocks(),
            found_secs: self.now_secs,
            stamp_secs: time.0.cast_signed() - genesis,
            algorithm,
            miner,
            difficulty,
            next_difficulty: self.difficulties(),
            expected_secs: 1.0 / total_rate,
            capped,
            weight: (log2(self.chain.last_weight()) - 64.0).exp2(),
            above_bound: self.above_bound(),
        }
    }

    /// The time to write, and the clock of those who will judge it.
    fn stamp(&mut self, stamps: Stamps) -> (Timestamp, Timestamp) {
        let genesis = self.setup.params.genesis_time.0;
        let now = genesis + self.now_secs as u64;
        let future = self.setup.params.future_limit_secs;
        let earliest = self.chain.earliest().0;
        // Times ahead may push the median past every clock for a second; the block is then held for that long.
        let judge = (genesis + stamps.judged_at_secs(self.now_secs) as u64).max(earliest.saturating_sub(future));
        let latest = judge + future;
        let height = self.chain.blocks() + 1;
        let time = match stamps {
            Stamps::Honest => now.max(earliest),
            Stamps::Earliest => earliest,
            Stamps::Latest => latest,
            Stamps::Alternate if height.is_multiple_of(2) => earliest,
            Stamps::Alternate => latest,
            Stamps::Random => self.rng.between(earliest, latest),
            Stamps::RampThenPack { .. } => self.ahead(earliest, latest),
            Stamps::SecretRandom { .. } => self.rng.between(earliest, self.ahead(earliest, latest)),
        };
        (Timestamp(time), Timestamp(judge))
    }

    /// Beyond the chain clock by what one drift bound of 1.25 takes up and a little more: a longer jump would be forgotten.
    fn ahead(&self, earliest: u64, latest: u64) -> u64 {
        const RAMP_SECS: u64 = 6_000;
        // Packed blocks push the median, and so the earliest time, on by a second every few blocks: keep room for that.
        const ROOM_SECS: u64 = 300;
        (self.chain.tip().clock.0 + RAMP_SECS).min(latest - ROOM_SECS).max(earliest)
    }

    fn difficulties(&self) -> [f64; Algorithm::COUNT] {
        let works = self.chain.work();
        Algorithm::ALL.map(|a| works[a.index()] / self.setup.start_work[a.index()])
    }

    fn hop(&mut self) {
        let difficulties = self.difficulties();
        for (here, miner) in self.here.iter_mut().zip(self.miners) {
            for ((here, power), difficulty) in here.iter_mut().zip(&miner.power).zip(difficulties) {
                *here = power.hops(*here, difficulty);
            }
        }
    }

    /// The inequality of SPEC 3.6, in the first era, where start targets are given.
    fn above_bound(&self) -> f64 {
        let params = &self.setup.params;
        let era = &params.eras.table[0];
        let next = self.chain.blocks() + 1;
        if params.eras.table.get(1).is_some_and(|second| second.start.0 <= next) {
            return f64::NEG_INFINITY;
        }
        let clock = (self.chain.tip().clock.0 - params.genesis_time.0) as f64;
        let spacing_secs = self.setup.spacing_secs(era.algorithms.len());
        let excess = self.chain.required().iter().map(|required| {
            let rule = era.algorithm(required.algorithm).map(|rule| rule.start_bits);
            let (Some(StartBits::At(start)), Ok(base)) = (rule, required.base_bits.decode()) else { return f64::NAN };
            let start = start.decode().map_or(f64::NAN, |start| log2(start.0));
            let found = f64::from(self.chain.found(required.algorithm));
            let lag = (clock - found * spacing_secs) / f64::from(params.asert.half_life);
            let rounding = (found + 1.0) * 1.2e-10_f64.ln_1p() / std::f64::consts::LN_2;
            log2(base.0) - (start + lag + rounding)
        });
        excess.fold(f64::NEG_INFINITY, f64::max)
    }
}
