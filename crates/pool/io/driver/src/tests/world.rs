//! A pool without threads on a fake chain, which can be closed and opened again, and which can die at any effect.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use bq_chain_api::{NodeApi, TemplateRequest};
use bq_ledger::{LedgerAccount, ShareSequence};
use bq_mining_message::{RecordShareError, Share};
use bq_pool_store::{LedgerStore, SqliteLedger};
use bq_primitives::{AccountId, Algorithm, BlockId, KeyHash, NetworkDifficulty, ShareDifficulty, WorkerName};
use bq_share_log::{LogOptions, RealDisk, ShareLog};
use std::time::Duration;
use tempfile::TempDir;

use super::{
    FakeSigner, NETWORK, POOL_KEY, address, atoms,
    crash::{DyingDisk, DyingNode, DyingStore},
    fake_node::FakeNode,
};
use crate::{PoolConfig, core::Core, shares::AcceptedShare};

pub(crate) const LANE: Algorithm = Algorithm::Sha256d;
/// Difficulty of every block.
pub(crate) const D: u64 = 1000;

/// Counts effects, and dies at one of them: before it, or after it but before anyone hears of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Death {
    left: Arc<AtomicU32>,
    armed: Arc<AtomicBool>,
    after: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
}

impl Death {
    pub(crate) fn at(effect: u32, after: bool) -> Self {
        let death = Self::default();
        death.left.store(effect, Ordering::SeqCst);
        death.armed.store(true, Ordering::SeqCst);
        death.after.store(after, Ordering::SeqCst);
        death
    }

    /// Every effect fails from now on.
    pub(crate) fn strike(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// The disk has room again: what failed was no death after all.
    pub(crate) fn heal(&self) {
        self.armed.store(false, Ordering::SeqCst);
        self.dead.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Whether an effect happens, and whether its caller lives to hear of it.
    pub(crate) fn effect(&self) -> (bool, bool) {
        if self.is_dead() {
            return (false, false);
        }
        let is_last = self.armed.load(Ordering::SeqCst) && self.left.fetch_sub(1, Ordering::SeqCst) == 0;
        if is_last {
            self.dead.store(true, Ordering::SeqCst);
        }
        (!is_last || self.after.load(Ordering::SeqCst), !is_last)
    }
}

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) node: Arc<FakeNode>,
    pub(crate) config: PoolConfig,
    /// The pool died and was started again.
    pub(crate) revived: bool,
    core: Option<Core>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut PoolConfig)) -> Self {
        Self::dying(change, &Death::default())
    }

    /// Opens a pool that dies as told; the world lives on.
    pub(crate) fn dying(change: impl FnOnce(&mut PoolConfig), death: &Death) -> Self {
        let folder = fast_folder();
        let mut config = PoolConfig {
            final_depth: 2,
            payout_interval: Duration::ZERO,
            payout_min: atoms(1_000_000),
            ..PoolConfig::new(folder.path().to_owned(), NETWORK)
        };
        change(&mut config);
        let mut world = Self { folder, node: FakeNode::new(), config, revived: false, core: None };
        world.open(death);
        world
    }

    /// Kills the pool and opens it again.
    pub(crate) fn restart(&mut self) {
        self.open(&Death::default());
    }

    fn open(&mut self, death: &Death) {
        self.core = None;
        let (store, log) = self.books(death);
        let node = DyingNode { node: Arc::clone(&self.node), death: death.clone() };
        let opened = Core::open_with(self.config.clone(), Arc::new(node), Arc::new(FakeSigner), store, log);
        match opened {
            Ok(core) => self.core = Some(core),
            Err(error) => assert!(death.is_dead(), "{error}"),
        }
        if death.is_dead() {
            self.restart();
        }
    }

    pub(crate) fn books(&self, death: &Death) -> (Box<dyn LedgerStore>, ShareLog) {
        let genesis = self.node.genesis_id();
        let ledger = self.folder.path().join("ledger.sqlite");
        let store = SqliteLedger::open(&ledger, NETWORK, &genesis).expect("a ledger");
        let disk = DyingDisk { disk: RealDisk, death: death.clone() };
        let options = LogOptions { sync_interval: Duration::from_secs(3600), ..LogOptions::default() };
        let log = ShareLog::open_on(Box::new(disk), &self.folder.path().join("shares"), genesis, options);
        (Box::new(DyingStore { store, death: death.clone() }), log.expect("a share log"))
    }

    pub(crate) fn core(&self) -> &Core {
        self.core.as_ref().expect("the pool is open")
    }

    pub(crate) fn close(&mut self) {
        self.core = None;
    }

    pub(crate) fn account(&self, number: u8) -> AccountId {
        self.core().account_of(address(number).key_hash).expect("an account")
    }

    pub(crate) fn share(&self, miner: u8, difficulty: u64) -> AcceptedShare {
        share_of(self.account(miner), difficulty)
    }

    pub(crate) fn mine_share(&self, miner: u8, difficulty: u64) {
        self.core().record(self.share(miner, difficulty), None).expect("booked");
    }

    /// A share that is a block.
    pub(crate) fn find_block(&self, miner: u8, difficulty: u64) -> BlockId {
        let (id, outcome) = self.try_block(self.share(miner, difficulty));
        outcome.expect("booked");
        id
    }

    pub(crate) fn try_block(&self, share: AcceptedShare) -> (BlockId, Result<(), RecordShareError>) {
        let coinbase_data = self.config.pool_tag.clone();
        let request = TemplateRequest { payout: POOL_KEY, coinbase_data };
        let template = self.node.template(&request).expect("a template");
        let block = self.node.seal(&template, share.algorithm);
        (block.id(), self.core().record(share, Some(block)))
    }

    /// Settles until nothing moves.
    pub(crate) fn settle(&self) {
        for _ in 0..3 {
            self.core().settle_once().expect("settled");
        }
    }

    pub(crate) fn balance(&self, account: LedgerAccount) -> u64 {
        self.core().store.balance(account).expect("readable")
    }

    pub(crate) fn payable(&self, miner: u8) -> u64 {
        self.balance(LedgerAccount::MinerPayable(self.account(miner)))
    }

    pub(crate) fn immature(&self, miner: u8) -> u64 {
        self.balance(LedgerAccount::MinerImmature(self.account(miner)))
    }

    pub(crate) fn paid(&self, miner: u8) -> u64 {
        let account = self.account(miner);
        self.core().store.miner_balances(account).expect("readable").paid.atoms()
    }

    /// What the last settling found between books and chain.
    pub(crate) fn delta(&self) -> Option<i128> {
        self.core().settling.lock().reconciliation.as_ref().map(|books| books.delta)
    }

    /// The books balance, agree with the chain to the atom, and miners got on the chain what the books say.
    pub(crate) fn check_books(&self, miners: &[u8]) {
        self.core().store.audit().expect("sound");
        assert_eq!(self.core().store.imbalance().expect("readable"), 0);
        assert_eq!(self.delta(), Some(0));
        for miner in miners {
            assert_eq!(self.node.received(address(*miner).key_hash), self.paid(*miner), "miner {miner}");
        }
    }

    pub(crate) fn shares_in_log(&self) -> usize {
        let shares = self.core().log.backwards_from(ShareSequence(u64::MAX));
        shares.collect::<Result<Vec<_>, _>>().expect("readable").len()
    }
}

/// In memory where the system has such a folder: a thousand synced commits need no real disk to be tested.
fn fast_folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

pub(crate) fn share_of(account: AccountId, difficulty: u64) -> AcceptedShare {
    AcceptedShare {
        algorithm: LANE,
        account,
        worker: WorkerName::default(),
        difficulty: ShareDifficulty::from_hashes(difficulty),
        network_difficulty: NetworkDifficulty::from_hashes(D.into()),
        height: bq_primitives::Height(1),
        time_ms: 1,
        block_id: None,
    }
}

/// As it comes from a front end.
pub(crate) fn share_to(payee: KeyHash, difficulty: u64) -> Share {
    let AcceptedShare { algorithm, worker, difficulty, network_difficulty, height, time_ms, block_id, .. } =
        share_of(AccountId(0), difficulty);
    Share { algorithm, payee, worker, difficulty, network_difficulty, height, time_ms, block_id }
}
