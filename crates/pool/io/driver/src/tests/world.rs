//! A pool without threads on a fake chain, which can be closed and opened again, and which can die at any effect.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bq_books::{BookStore, SqliteBooks};
use bq_chain_api::NodeApi;
use bq_ledger::LedgerAccount;
use bq_mining_message::{FrontEndId, RecordShareError, Share, SharePay, ShareSequence};
use bq_notices::Notices;
use bq_pool_machine::{BlockState, PayoutState};
use bq_pool_proof::{Bytes, SignedStatement, Statement};
use bq_primitives::{
    Address, Algorithm, Block, BlockId, KeyHash, NetworkDifficulty, ShareDifficulty, Transaction, TxOut, Witness,
    WorkerName,
};
use bq_segments::RealDisk;
use bq_signature::KeyPair;
use tempfile::TempDir;

use super::{
    NETWORK, atoms,
    dying::{DyingDisk, DyingNode, DyingStore},
    fake_node::FakeNode,
};
use crate::{
    Clock, PayoutMode, PayoutSigner, PoolConfig, PoolError, Rules, SignerError, StoppedPool, Surroundings, SystemClock,
    follow::Progress, history::History, keeper::Keeper, submitter::Submitter,
};

pub(crate) const POOL_KEY: KeyHash = KeyHash([0xaa; 32]);
pub(crate) const COMMITMENT_KEY: [u8; 32] = [0x55; 32];
/// Difficulty of every block.
pub(crate) const D: u64 = 1000;

pub(crate) fn key(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

pub(crate) fn address(number: u8) -> Address {
    Address { network: NETWORK, key_hash: key(number) }
}

/// Signs with zeros; the fake chain only counts signatures.
pub(crate) struct FakeSigner(pub(crate) KeyHash);

impl PayoutSigner for FakeSigner {
    fn key_hash(&self) -> KeyHash {
        self.0
    }

    fn commitment_key(&self) -> [u8; 32] {
        COMMITMENT_KEY
    }

    fn sign_transaction(
        &self,
        _genesis: &BlockId,
        mut transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError> {
        assert!(spent.iter().all(|output| output.key_hash == self.0));
        assert_eq!(spent.len(), transaction.inputs.len());
        let witness = Witness { public_key: Box::new([0; 1952]), signature: Box::new([0; 3309]) };
        transaction.witnesses = vec![witness; spent.len()];
        Ok(transaction)
    }
}

/// Signs differently each time, as keys of ML-DSA do.
pub(crate) struct HedgedSigner(pub(crate) FakeSigner);

static SIGNATURES: AtomicU32 = AtomicU32::new(1);

impl PayoutSigner for HedgedSigner {
    fn key_hash(&self) -> KeyHash {
        self.0.key_hash()
    }

    fn commitment_key(&self) -> [u8; 32] {
        self.0.commitment_key()
    }

    fn sign_transaction(
        &self,
        genesis: &BlockId,
        transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError> {
        let mut signed = self.0.sign_transaction(genesis, transaction, spent)?;
        let count = SIGNATURES.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        for witness in &mut signed.witnesses {
            witness.signature[..4].copy_from_slice(&count);
        }
        Ok(signed)
    }
}

/// Holds a real key.
pub(crate) struct StatingSigner(pub(crate) KeyPair);

impl PayoutSigner for StatingSigner {
    fn key_hash(&self) -> KeyHash {
        self.0.key_hash()
    }

    fn commitment_key(&self) -> [u8; 32] {
        COMMITMENT_KEY
    }

    fn sign_transaction(
        &self,
        genesis: &BlockId,
        mut transaction: Transaction,
        spent: &[TxOut],
    ) -> Result<Transaction, SignerError> {
        let signature = self.0.sign(&transaction.sighash(genesis, spent)).expect("signs");
        let witness = Witness { public_key: Box::new(*self.0.public_key()), signature };
        transaction.witnesses = vec![witness; spent.len()];
        Ok(transaction)
    }

    fn sign_statement(&self, statement: &Statement) -> Result<SignedStatement, SignerError> {
        let signature = self.0.sign(&statement.signing_hash()).expect("signs");
        let public_key = Bytes(self.0.public_key().to_vec());
        Ok(SignedStatement { statement: *statement, public_key, signature: Bytes(signature.to_vec()) })
    }
}

/// Counts effects, and dies at one of them: before it, or after it but before anyone hears of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Death {
    left: Arc<AtomicU32>,
    armed: Arc<AtomicBool>,
    after: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
    full: Arc<AtomicBool>,
    reads: Arc<AtomicU32>,
}

impl Death {
    pub(crate) fn note_read(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }

    /// Segments that were read since the last call.
    pub(crate) fn reads(&self) -> u32 {
        self.reads.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn at(effect: u32, after: bool) -> Self {
        let death = Self::default();
        death.left.store(effect, Ordering::SeqCst);
        death.armed.store(true, Ordering::SeqCst);
        death.after.store(after, Ordering::SeqCst);
        death
    }

    /// From now on, so many effects are left.
    pub(crate) fn arm(&self, effects: u32, after: bool) {
        self.left.store(effects, Ordering::SeqCst);
        self.after.store(after, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// The disk has no room any more, or has some again.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
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
    pub(crate) key: KeyHash,
    pub(crate) is_hedged: bool,
    /// Of a real key.
    pub(crate) seed: Option<[u8; 32]>,
    pub(crate) rules: Rules,
    pub(crate) notices: Notices,
    /// The pool died and was started again.
    pub(crate) revived: bool,
    pub(crate) clock: Arc<Hands>,
    keeper: Option<Keeper>,
}

/// The machine's clock, put forward by hand.
pub(crate) struct Hands {
    clock: SystemClock,
    forward_ms: AtomicU64,
}

impl Hands {
    pub(crate) fn pass(&self, span: Duration) {
        self.forward_ms.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn unix_ms(&self) -> u64 {
        self.clock.unix_ms() + self.forward_ms.load(Ordering::SeqCst)
    }

    fn running(&self) -> Duration {
        self.clock.running() + Duration::from_millis(self.forward_ms.load(Ordering::SeqCst))
    }
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
        Self::built(change, death, None)
    }

    /// A pool that signs what it owes.
    pub(crate) fn stating(change: impl FnOnce(&mut PoolConfig)) -> Self {
        Self::built(change, &Death::default(), Some([7; 32]))
    }

    /// The same, which may die.
    pub(crate) fn stating_and_dying(change: impl FnOnce(&mut PoolConfig), death: &Death) -> Self {
        Self::built(change, death, Some([7; 32]))
    }

    fn built(change: impl FnOnce(&mut PoolConfig), death: &Death, seed: Option<[u8; 32]>) -> Self {
        let folder = fast_folder();
        let mut config = PoolConfig {
            final_depth: 2,
            payout_interval: Duration::ZERO,
            payout_min: atoms(1_000_000),
            out_of_step_grace: Duration::ZERO,
            payout_mode: Some(PayoutMode::Ledger),
            ..PoolConfig::new(folder.path().to_owned(), NETWORK)
        };
        change(&mut config);
        let clock = Arc::new(Hands { clock: SystemClock::start(), forward_ms: AtomicU64::new(0) });
        let key = seed.map_or(POOL_KEY, |seed| keys(&seed).key_hash());
        let node = FakeNode::new();
        let mut world = Self {
            folder,
            node,
            config,
            key,
            is_hedged: false,
            seed,
            rules: Rules::MACHINE,
            notices: Notices::none(),
            revived: false,
            clock,
            keeper: None,
        };
        world.open(death);
        world
    }

    /// Kills the pool and opens it again.
    pub(crate) fn restart(&mut self) {
        self.revived = true;
        self.open(&Death::default());
    }

    fn open(&mut self, death: &Death) {
        match self.try_open(death) {
            Ok(()) => {}
            Err(error) => assert!(death.is_dead(), "{error}"),
        }
        if death.is_dead() {
            self.restart();
        }
    }

    pub(crate) fn try_open(&mut self, death: &Death) -> Result<(), PoolError> {
        self.keeper = None;
        let genesis = self.node.genesis_id();
        let store = SqliteBooks::open(&self.folder.path().join("books.sqlite"), NETWORK, &genesis)?;
        let node: Arc<dyn NodeApi> = Arc::new(DyingNode { node: Arc::clone(&self.node), death: death.clone() });
        let disk = Arc::new(DyingDisk { disk: RealDisk, death: death.clone() });
        let store: Box<dyn BookStore> = Box::new(DyingStore { store, death: death.clone() });
        let submitter = Submitter::inline(Arc::clone(&node));
        let signer = FakeSigner(self.key);
        let signer: Arc<dyn PayoutSigner> = match (self.seed, self.is_hedged) {
            (Some(seed), _) => Arc::new(StatingSigner(keys(&seed))),
            (None, true) => Arc::new(HedgedSigner(signer)),
            (None, false) => Arc::new(signer),
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let surroundings = Surroundings { node, signer, store, disk, clock, rules: self.rules };
        let history = History::open(self.folder.path(), NETWORK, genesis);
        let keeper = Keeper::open_with(self.config.clone(), surroundings, submitter, (history, self.notices.clone()))?;
        self.keeper = Some(keeper);
        Ok(())
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        self.keeper.as_ref().expect("the pool is open")
    }

    pub(crate) fn close(&mut self) {
        self.keeper = None;
    }

    /// The same pool while it does not run.
    pub(crate) fn stopped(&self) -> StoppedPool {
        let (data_dir, genesis) = (self.folder.path().to_owned(), self.node.genesis_id());
        StoppedPool { data_dir, network: NETWORK, genesis, front_end: FrontEndId(0) }
    }

    pub(crate) fn mine_share(&self, miner: u8, difficulty: u64) {
        self.keeper().record(&share_to(key(miner), difficulty), None).expect("booked");
    }

    /// A share that is a block.
    pub(crate) fn find_block(&self, miner: u8, difficulty: u64) -> BlockId {
        let (id, outcome) = self.try_block(share_to(key(miner), difficulty));
        outcome.expect("booked");
        id
    }

    pub(crate) fn try_block(&self, share: Share) -> (BlockId, Result<(), RecordShareError>) {
        let (block, share) = self.sealed(share);
        (block.id(), self.keeper().record(&share, Some(block)))
    }

    /// A block on the tip, and the share that found it.
    pub(crate) fn sealed(&self, share: Share) -> (Block, Share) {
        self.keeper().refresh_template().expect("a template");
        let templates = self.keeper().template.borrow().clone().expect("a template");
        let own = templates.own.as_ref().filter(|_| share.pay != SharePay::Window);
        let template = own.unwrap_or(&templates.shared);
        let block = self.node.seal(template, share.algorithm);
        let share = Share { block_id: Some(block.id()), ..share };
        (block, share)
    }

    /// What the thread that keeps the books does, until nothing moves.
    pub(crate) fn try_settle(&self) -> Result<(), PoolError> {
        let keeper = self.keeper();
        for _ in 0..50 {
            keeper.catch_up_disk()?;
            keeper.tell_frames()?;
            let before = keeper.state.read().head();
            let progress = keeper.follow()?;
            keeper.adopt_forgotten()?;
            if progress == Progress::InStep {
                keeper.compare_coins()?;
            }
            keeper.tell_per_share()?;
            keeper.carry_out()?;
            keeper.tell_credits()?;
            if progress == Progress::InStep && keeper.state.read().head() == before {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(crate) fn settle(&self) {
        self.try_settle().expect("settled");
    }

    pub(crate) fn balance(&self, account: LedgerAccount) -> u64 {
        self.keeper().state.read().books().balance(account)
    }

    pub(crate) fn of(&self, miner: u8, account: fn(bq_primitives::AccountId) -> LedgerAccount) -> u64 {
        let state = self.keeper().state.read();
        state.accounts().find(&key(miner)).map_or(0, |number| state.books().balance(account(number)))
    }

    pub(crate) fn payable(&self, miner: u8) -> u64 {
        self.of(miner, LedgerAccount::MinerPayable)
    }

    pub(crate) fn immature(&self, miner: u8) -> u64 {
        self.of(miner, LedgerAccount::MinerImmature)
    }

    pub(crate) fn paid(&self, miner: u8) -> u64 {
        let state = self.keeper().state.read();
        state.accounts().find(&key(miner)).map_or(0, |account| state.paid(account))
    }

    pub(crate) fn carried(&self, miner: u8) -> u64 {
        self.of(miner, LedgerAccount::MinerCarried)
    }

    /// What coinbases pay that are on the chain and not matured.
    fn in_immature_coinbases(&self, miner: u8) -> u64 {
        let state = self.keeper().state.read();
        let immature = state.blocks().filter(|block| block.state == BlockState::Immature);
        let paid = immature.filter_map(|block| block.candidate.direct()).flat_map(|direct| &direct.paid);
        let ours = paid.filter(|output| state.accounts().key(output.account) == Some(key(miner)));
        ours.map(|output| output.amount.atoms()).sum()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.keeper().conditions().into_iter().map(|condition| condition.name).collect()
    }

    /// The books hold what they must, agree with the chain, and miners got on the chain what the books say.
    #[track_caller]
    pub(crate) fn check_books(&self, miners: &[u8]) {
        let state = self.keeper().state.read();
        state.check().expect("sound");
        assert!(self.keeper().outside.lock().coins_match);
        let open = state.payouts().any(|payout| payout.state != PayoutState::Void && payout.is_open());
        drop(state);
        for miner in miners {
            let (sent, paid) = (self.node.received(key(*miner)), self.paid(*miner));
            let got = sent + self.node.mined_to(key(*miner)) - self.in_immature_coinbases(*miner);
            assert!(
                if open { got >= paid } else { got == paid },
                "miner {miner}: {got} on the chain, {paid} in the books"
            );
        }
    }

    pub(crate) fn shares_in_log(&self) -> usize {
        let log = &self.keeper().log;
        log.read(ShareSequence::FIRST..log.next()).collect::<Result<Vec<_>, _>>().expect("readable").len()
    }
}

/// In memory where the system has such a folder: a thousand synced commits need no real disk to be tested.
pub(crate) fn fast_folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

fn keys(seed: &[u8; 32]) -> KeyPair {
    KeyPair::from_seed(seed).expect("a key")
}

/// As it comes from a front end.
pub(crate) fn share_to(payee: KeyHash, difficulty: u64) -> Share {
    Share {
        algorithm: Algorithm::Sha256d,
        payee,
        worker: WorkerName::default(),
        difficulty: ShareDifficulty::from_hashes(difficulty),
        network_difficulty: NetworkDifficulty::from_hashes(D.into()),
        height: bq_primitives::Height(1),
        time_ms: 1,
        block_id: None,
        pay: SharePay::default(),
    }
}

impl Keeper {
    /// The newest template, as most miners have it.
    pub(crate) fn shared_template(&self) -> Arc<bq_chain_api::Template> {
        Arc::clone(&self.template.borrow().as_ref().expect("a template").shared)
    }
}
