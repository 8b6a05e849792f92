use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bq_books::SqliteBooks;
use bq_chain_api::Template;
use bq_mining_message::{Share, ShareSequence};
use bq_pool::{DrivenPool, PoolConfig, Surroundings};
use bq_pool_machine::{Candidate, LogNumber};
use bq_primitives::{Amount, BlockId, Height, KeyHash};
use bq_sim::Rng;
use bq_stratum_client::{Found, Job};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::{
    Planted, PoolPlan, PoolStory,
    clock::SimClock,
    death::Death,
    disk::{Platter, SimDisk, Speed},
    front::Front,
    hostile::{HOSTILE, Held, hostile_machines},
    machine::Machine,
    mining::{OwedAgain, Tally, honest_machines},
    node::{NETWORK, Net, SimNode},
    planted::rules,
    proofs::Proofs,
    schemes::Schemes,
    signer::SimSigner,
    store::SimStore,
};

/// Depth at which payouts are final.
pub(crate) const FINAL_DEPTH: u32 = 6;
/// A miner is paid from this on.
pub(crate) const PAYOUT_MIN: u64 = 100_000_000;
const DIRECT_MIN: u64 = 300_000_000;
/// How many miners there are; their keys repeat their numbers.
pub(crate) const MINERS: u8 = 8;

/// Everybody whom a block can leave a residue: honest and hostile miners, and the pool.
pub(crate) const PARTIES: u64 = MINERS as u64 + 8 + 1;

/// A pool, its miners, its operator and the rest of the world.
pub(crate) struct World {
    pub(crate) plan: PoolPlan,
    pub(crate) rng: Rng,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) net: Arc<Mutex<Net>>,
    pub(crate) platter: Arc<Mutex<Platter>>,
    pub(crate) death: Arc<Death>,
    pub(crate) pool: Option<DrivenPool>,
    pub(crate) folder: TempDir,
    pub(crate) template: Option<Arc<Template>>,
    /// A second stream of luck, for wires, machines and hostile miners: what the first one draws stays the same story.
    pub(crate) lots: Rng,
    pub(crate) speed: Arc<Speed>,
    /// How often the pool was started.
    boots: u64,
    pub(crate) front: Front,
    /// The honest miners' first, then the hostile ones'.
    pub(crate) machines: Vec<Machine>,
    pub(crate) proofs: Proofs,
    pub(crate) owed_again: Vec<OwedAgain>,
    pub(crate) held: Option<Held>,
    /// A share that was handed in long ago.
    pub(crate) handed_in_before: Option<(Job, Found)>,
    pub(crate) tally: Tally,
    /// Nobody looks at proofs just now: they wait.
    pub(crate) is_desk_busy: bool,
    /// Every share that was ever handed on, by its serial number, and whether its client saw it acknowledged.
    pub(crate) shares: BTreeMap<u64, (Share, bool)>,
    /// Blocks of the pool that were mature in the books at some time: their miners keep what they earned.
    pub(crate) matured: BTreeMap<BlockId, Candidate>,
    /// The same of events that are in memory only while the disk is full: a crash may take them back.
    pub(crate) matured_unwritten: BTreeMap<BlockId, Candidate>,
    /// The pool has followed its node's chain since it was started: before that it cannot know what the chain says of its log.
    pub(crate) has_looked: bool,
    /// Old books were put back and have not looked at the chain yet: what tells them that they are old must stay on it. A chain that
    /// loses that block too leaves nothing to notice.
    pub(crate) is_restored_unheard: bool,
    /// Old books were put back, and nobody recovered them since.
    pub(crate) doubts_books: bool,
    /// Blocks that were mature only in books that an old copy replaced: payouts of those may have paid them.
    pub(crate) forgotten: Vec<Candidate>,
    /// What `matured` was when the newest copy of the books was made.
    pub(crate) backup: Option<Backup>,
    /// What is offered beside windows.
    pub(crate) schemes: Schemes,
    /// What only books that an old copy replaced had credited for shares alone, by key: payouts of those may have paid it.
    pub(crate) forgotten_alone: BTreeMap<KeyHash, u64>,
    /// Shares that were not synced when power failed.
    pub(crate) lost_to_power: BTreeSet<u64>,
    /// A thief took coins, or the operator wrote some off: not everybody may be paid in the end.
    pub(crate) is_short: bool,
    pub(crate) story: PoolStory,
}

/// What was known when a copy of the books was made.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub(crate) matured: BTreeMap<BlockId, Candidate>,
    /// The newest event that it may have.
    pub(crate) head: LogNumber,
    /// Height of the pool's node.
    pub(crate) height: u32,
}

pub(crate) fn miner(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

/// Somebody who may be owed something, honest or not.
pub(crate) fn is_miner(key: &KeyHash) -> bool {
    (1..=MINERS).chain(HOSTILE).any(|number| miner(number) == *key)
}

pub(crate) fn atoms(amount: u64) -> Amount {
    Amount::from_atoms(amount).unwrap_or(Amount::MAX)
}

impl World {
    pub(crate) fn new(plan: PoolPlan, seed: u64) -> Result<Self, String> {
        // In memory where the system has such a folder: thousands of synced commits need no real disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let clock = Arc::<SimClock>::default();
        let mut world = Self {
            plan,
            rng: Rng::seeded(seed, 0),
            clock: Arc::clone(&clock),
            net: Arc::new(Mutex::new(Net::new())),
            platter: Arc::default(),
            death: Arc::default(),
            pool: None,
            folder: folder.map_err(|error| error.to_string())?,
            template: None,
            lots: Rng::seeded(seed, 1),
            speed: Arc::new(Speed::of(Arc::clone(&clock))),
            boots: 0,
            front: Front::new(0),
            machines: honest_machines().into_iter().chain(hostile_machines()).collect(),
            proofs: Proofs::default(),
            owed_again: Vec::new(),
            held: None,
            handed_in_before: None,
            tally: Tally::default(),
            is_desk_busy: false,
            shares: BTreeMap::new(),
            matured: BTreeMap::new(),
            matured_unwritten: BTreeMap::new(),
            has_looked: false,
            is_restored_unheard: false,
            doubts_books: false,
            forgotten: Vec::new(),
            backup: None,
            schemes: Schemes::default(),
            forgotten_alone: BTreeMap::new(),
            lost_to_power: BTreeSet::new(),
            is_short: false,
            story: PoolStory::default(),
        };
        world.net.lock().has_fees = plan.schemes;
        world.open()?;
        Ok(world)
    }

    /// Opens the pool for another life.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        self.pool = None;
        self.has_looked = false;
        self.matured_unwritten.clear();
        self.death = Arc::default();
        self.restart_front();
        let pool = self.try_open().map_err(|error| format!("the pool does not start: {error}"))?;
        self.pool = Some(pool);
        Ok(())
    }

    pub(crate) fn try_open(&self) -> Result<DrivenPool, bq_pool::PoolError> {
        let resends = self.plan.planted == Some(Planted::NewInputsOnRetry);
        let node = Arc::new(SimNode {
            net: Arc::clone(&self.net),
            death: Arc::clone(&self.death),
            clock: Arc::clone(&self.clock),
            resender: resends.then(Mutex::default),
        });
        let genesis = bq_chain_api::NodeApi::genesis_id(node.as_ref());
        let books = SqliteBooks::open(&self.books_path(), NETWORK, &genesis)?;
        let planted = |bug| self.plan.planted == Some(bug);
        let death = Arc::clone(&self.death);
        let disk = SimDisk {
            platter: Arc::clone(&self.platter),
            death: Arc::clone(&death),
            lies: planted(Planted::LyingDisk),
            speed: Arc::clone(&self.speed),
        };
        let surroundings = Surroundings {
            node,
            signer: Arc::new(SimSigner { meddles: planted(Planted::MeddlingSigner) }),
            store: Box::new(SimStore {
                books,
                death,
                speed: Arc::clone(&self.speed),
                drops_rows: planted(Planted::RowsDropped),
            }),
            disk: Arc::new(disk),
            clock: Arc::clone(&self.clock) as Arc<dyn bq_pool::Clock>,
            rules: rules(&self.plan),
        };
        DrivenPool::open(self.config(), surroundings)
    }

    pub(crate) fn books_path(&self) -> std::path::PathBuf {
        self.folder.path().join("books.sqlite")
    }

    pub(crate) fn config(&self) -> PoolConfig {
        let usual = PoolConfig::new(self.folder.path().to_owned(), NETWORK);
        let offered = if self.plan.schemes { self.schemes.apply(usual) } else { usual };
        PoolConfig {
            final_depth: FINAL_DEPTH,
            payout_interval: Duration::from_secs(1800),
            payout_min: atoms(PAYOUT_MIN),
            payout_payees_max: 3,
            payout_inputs_max: 5,
            checkpoint_events: 200,
            payout_mode: Some(self.plan.mode),
            direct_min: atoms(DIRECT_MIN),
            direct_payees_max: 3,
            ..offered
        }
    }

    /// A sentence of the story.
    pub(crate) fn tell(&mut self, sentence: impl AsRef<str>) {
        let secs = self.clock.story_secs();
        let (day, hour, minute) = (secs / 86_400 + 1, secs / 3600 % 24, secs / 60 % 60);
        self.story.lines.push(format!("day {day} {hour:02}:{minute:02}  {}", sentence.as_ref()));
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.rng.between(0, bound.saturating_sub(1))
    }

    pub(crate) fn one_in(&mut self, parts: u64) -> bool {
        self.below(parts) == 0
    }

    /// One thing happens, the pool goes on, and everything that must hold is looked at.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let pause = self.rng.between(10, 560);
        self.clock.pass(Duration::from_secs(pause));
        self.happen()?;
        if self.plan.schemes && self.lot(10) == 0 {
            self.operator_minds_schemes()?;
        }
        self.switch_speed();
        self.hostile_act();
        self.revive()?;
        if !self.one_in(4) {
            self.rounds(4)?;
        }
        if self.one_in(6) {
            self.operator_looks();
        }
        self.revive()?;
        self.check_proofs()?;
        self.check_step()
    }

    /// Rounds of the books, until they wait.
    pub(crate) fn rounds(&mut self, most: u32) -> Result<(), String> {
        for _ in 0..most {
            self.clock.pass(Duration::from_secs(2));
            let Some(pool) = &self.pool else { return Ok(()) };
            let pause = pool.round();
            let is_waiting = pause > Duration::from_secs(1);
            if is_waiting {
                self.has_looked = true;
                self.is_restored_unheard = false;
            }
            self.revive()?;
            self.observe();
            if is_waiting {
                return self.check_reserve();
            }
        }
        Ok(())
    }

    /// If the pool died it starts again, after power failed or not.
    pub(crate) fn revive(&mut self) -> Result<(), String> {
        if !self.death.is_dead() {
            return Ok(());
        }
        let told = self.told();
        let power = self.one_in(2);
        self.pool = None;
        if power {
            self.platter.lock().lose_power(&mut self.rng);
        }
        self.tell(if power { "power fails; the pool starts again" } else { "the pool dies and starts again" });
        self.open()?;
        self.observe();
        if power {
            self.check_shares(Some(told))?;
            self.note_lost_to_power();
        }
        self.check_shares(None)
    }

    /// Position after the newest share that the books were told of.
    pub(crate) fn told(&self) -> ShareSequence {
        let head =
            self.pool.as_ref().and_then(|pool| pool.look(|state| state.front_end(bq_mining_message::FrontEndId(0))));
        head.map_or(ShareSequence::FIRST, |head| head.next)
    }

    /// Front end and pool are one process: no connection outlives it.
    fn restart_front(&mut self) {
        self.boots += 1;
        self.tally.front = self.front_counts();
        self.front = Front::new(self.boots);
        self.front.is_forgetful = self.plan.planted == Some(Planted::SameWork);
        self.front.refuses_unseen = self.plan.planted == Some(Planted::RefusedUnseen);
        self.machines.iter_mut().for_each(|machine| machine.line = None);
    }

    pub(crate) fn our_height(&self) -> u32 {
        let Height(height) = self.net.lock().ours.tip().header.height;
        height
    }

    pub(crate) fn into_story(mut self) -> PoolStory {
        self.story.figures = self.figures();
        self.story.figures.extend(self.mining_figures());
        self.story.figures.extend(self.scheme_figures());
        self.story
    }
}
