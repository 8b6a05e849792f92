//! The pool dies at every single effect of a whole life: before it, and after it but before it hears of it. Whatever the
//! moment, the next start continues and nothing is lost or doubled.

use bq_chain_api::NodeApi as _;
use bq_pool_machine::Winning;

<<<<<<< HEAD
use super::world::{Death, World, key, share_to};

/// Shares, a block, its burial, a payout, its burial, another block.
fn live(world: &mut World, death: &Death) -> u64 {
    let mut acknowledged = 0;
    for round in 0..2 {
        for miner in 1..=3 {
            let share = share_to(key(miner), 100 + u64::from(miner));
            acknowledged += u64::from(world.keeper().record(share, None).is_ok());
=======
use bq_chain_api::{
    BlockSummary, BoxStream, Coin, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError, SubmitTransactionError,
    Template, TemplateRequest, TipSummary, TransactionStatus,
};
use bq_ledger::{AuditReport, FeeBasisPoints, JournalHash, LedgerAccount, ShareSequence, Window};
use bq_pool_store::{
    BlockCounts, BlockState, Candidate, LedgerStore, MinerBalances, NewPayout, Payout, PayoutEntry, PayoutId,
    PayoutState, PoolBlock, Scheme, SqliteLedger, StoreError, Totals,
};
use bq_primitives::{
    AccountId, Address, Algorithm, Amount, Block, BlockId, Height, KeyHash, Network, OutPoint, Transaction, TxId,
};
use bq_share_log::{Disk, RealDisk, SegmentFile};

use super::{
    fake_node::{FakeNode, MATURITY},
    world::{Death, World, share_of},
};

/// Dies in the middle of a write.
pub(crate) struct DyingDisk {
    pub(crate) disk: RealDisk,
    pub(crate) death: Death,
}

struct DyingFile {
    file: Arc<dyn SegmentFile>,
    death: Death,
}

impl Disk for DyingDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(DyingFile { file: self.disk.create(path)?, death: self.death.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(DyingFile { file: self.disk.open(path)?, death: self.death.clone() }))
    }
}

impl SegmentFile for DyingFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let was_dead = self.death.is_dead();
        let (happens, survives) = self.death.effect();
        if happens {
            self.file.write_at(offset, bytes)?;
        } else if !was_dead {
            self.file.write_at(offset, &bytes[..bytes.len() / 2])?;
        }
        if survives { Ok(()) } else { Err(io::Error::other("dead")) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if self.death.is_dead() { Err(io::Error::other("dead")) } else { self.file.set_len(length) }
    }

    fn sync(&self) -> io::Result<()> {
        if self.death.is_dead() { Err(io::Error::other("dead")) } else { self.file.sync() }
    }
}

/// The chain lives on, but the pool may die while it talks to it.
pub(crate) struct DyingNode {
    pub(crate) node: Arc<FakeNode>,
    pub(crate) death: Death,
}

impl NodeApi for DyingNode {
    fn network(&self) -> Network {
        self.node.network()
    }

    fn genesis_id(&self) -> BlockId {
        self.node.genesis_id()
    }

    fn coinbase_maturity(&self) -> u32 {
        self.node.coinbase_maturity()
    }

    fn tip(&self) -> TipSummary {
        self.node.tip()
    }

    fn tip_changes(&self) -> BoxStream<'static, TipSummary> {
        self.node.tip_changes()
    }

    fn template(&self, request: &TemplateRequest) -> Result<Template, NodeError> {
        self.node.template(request)
    }

    fn submit_block(&self, block: Block) -> Result<BlockId, SubmitBlockError> {
        let (happens, survives) = self.death.effect();
        let outcome = if happens { self.node.submit_block(block) } else { Err(NodeError::Closed.into()) };
        if survives { outcome } else { Err(NodeError::Closed.into()) }
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, NodeError> {
        self.node.block(id)
    }

    fn block_summary(&self, id: &BlockId) -> Result<Option<BlockSummary>, NodeError> {
        self.node.block_summary(id)
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, NodeError> {
        self.node.block_id_at(height)
    }

    fn route(&self, from: &BlockId, blocks_max: usize) -> Result<Route, NodeError> {
        self.node.route(from, blocks_max)
    }

    fn coins_of(&self, key_hash: &KeyHash) -> Result<Vec<Coin>, NodeError> {
        self.node.coins_of(key_hash)
    }

    fn spender_of(&self, outpoint: &OutPoint) -> Result<Option<TxId>, NodeError> {
        self.node.spender_of(outpoint)
    }

    fn submit_transaction(&self, transaction: Transaction) -> Result<TxId, SubmitTransactionError> {
        let (happens, survives) = self.death.effect();
        let outcome = if happens { self.node.submit_transaction(transaction) } else { Err(NodeError::Closed.into()) };
        if survives { outcome } else { Err(NodeError::Closed.into()) }
    }

    fn transaction_status(&self, txid: &TxId) -> Result<TransactionStatus, NodeError> {
        self.node.transaction_status(txid)
    }

    fn mining_info(&self) -> Result<MiningInfo, NodeError> {
        self.node.mining_info()
    }
}

/// Every write is one effect.
pub(crate) struct DyingStore {
    pub(crate) store: SqliteLedger,
    pub(crate) death: Death,
}

impl DyingStore {
    fn write<T>(&self, write: impl FnOnce(&SqliteLedger) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (happens, survives) = self.death.effect();
        let dead = || StoreError::Database { path: "ledger.sqlite".into(), reason: "dead".to_owned() };
        let outcome = if happens { write(&self.store) } else { Err(dead()) };
        if survives { outcome } else { Err(dead()) }
    }
}

macro_rules! reads {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $value:ty;)*) => {$(
        fn $name(&self $(, $argument: $kind)*) -> Result<$value, StoreError> {
            self.store.$name($($argument),*)
        }
    )*};
}

macro_rules! writes {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $value:ty;)*) => {$(
        fn $name(&self $(, $argument: $kind)*) -> Result<$value, StoreError> {
            self.write(|store| store.$name($($argument),*))
        }
    )*};
}

impl LedgerStore for DyingStore {
    writes! {
        fn account_for(&self, address: &Address, time_ms: u64) -> AccountId;
        fn set_scheme(&self, from: ShareSequence, scheme: Scheme, time_ms: u64) -> ();
        fn add_candidate(&self, candidate: &Candidate) -> ();
        fn set_winning_share(&self, block: &BlockId, sequence: ShareSequence) -> ();
        fn credit_block(&self, id: &BlockId, window: &Window, fee: FeeBasisPoints, time_ms: u64) -> PoolBlock;
        fn mature_block(&self, id: &BlockId, time_ms: u64) -> PoolBlock;
        fn orphan_block(&self, id: &BlockId, time_ms: u64) -> PoolBlock;
        fn regain_block(&self, id: &BlockId, time_ms: u64) -> PoolBlock;
        fn reject_block(&self, id: &BlockId) -> PoolBlock;
        fn reserve_payout(&self, payout: &NewPayout) -> Payout;
        fn store_signed(&self, id: PayoutId, signed: &[u8]) -> Payout;
        fn mark_payout(&self, id: PayoutId, state: PayoutState) -> Payout;
        fn finalize_payout(&self, id: PayoutId, time_ms: u64) -> Payout;
        fn void_payout(&self, id: PayoutId, time_ms: u64) -> Payout;
    }
    reads! {
        fn find_account(&self, address: &Address) -> Option<AccountId>;
        fn address_of(&self, account: AccountId) -> Option<Address>;
        fn newest_account(&self) -> Option<AccountId>;
        fn scheme_at(&self, sequence: ShareSequence) -> Option<Scheme>;
        fn candidates_without_share(&self) -> Vec<Candidate>;
        fn pool_block(&self, id: &BlockId) -> Option<PoolBlock>;
        fn block_of_coinbase(&self, coinbase: &TxId) -> Option<PoolBlock>;
        fn block_bytes(&self, id: &BlockId) -> Option<Vec<u8>>;
        fn watched_blocks(&self, settled_from: Height) -> Vec<PoolBlock>;
        fn newest_blocks(&self, limit: usize) -> Vec<PoolBlock>;
        fn block_counts(&self) -> Vec<BlockCounts>;
        fn newest_winning_share(&self, algorithm: Algorithm) -> Option<ShareSequence>;
        fn payable(&self, payout_min: Amount) -> Vec<(AccountId, Amount)>;
        fn open_payouts(&self) -> Vec<Payout>;
        fn payout_of_txid(&self, txid: &TxId) -> Option<Payout>;
        fn payouts_of(&self, account: AccountId, limit: usize) -> Vec<PayoutEntry>;
        fn balance(&self, account: LedgerAccount) -> u64;
        fn miner_balances(&self, account: AccountId) -> MinerBalances;
        fn totals(&self) -> Totals;
        fn imbalance(&self) -> i128;
        fn journal_head(&self) -> JournalHash;
        fn audit(&self) -> AuditReport;
    }
}

/// What the outside saw of a life.
#[derive(Default)]
struct Seen {
    acknowledged: usize,
    offered: usize,
    blocks: Vec<BlockId>,
}

/// Shares, a block, an orphaned block, a block that returns, payouts: with a restart wherever the pool died.
fn live(world: &mut World, death: &Death) -> Seen {
    let mut seen = Seen::default();
    for miner in [1, 2, 3] {
        while world.core().authorize(&super::address(miner).to_string()).is_err() {
>>>>>>> c9e82bf (Keep tokio out of the pure crates)
            revive(world, death);
        }
        let (_, outcome) = world.try_block(share_to(key(2), 400));
        acknowledged += u64::from(outcome.is_ok());
        revive(world, death);
        for _ in 0..5 {
            settle(world, death);
            world.node.mine();
        }
        settle(world, death);
        world.node.mine_many(2 + round);
        settle(world, death);
    }
    acknowledged
}

fn settle(world: &mut World, death: &Death) {
    // A failed step is tried again by the living and by the revived.
    let _ = world.try_settle();
    revive(world, death);
    let _ = world.try_settle();
    revive(world, death);
}

fn revive(world: &mut World, death: &Death) {
    if death.is_dead() && !world.revived {
        world.restart();
    }
}

/// What a life without death comes to.
fn undisturbed() -> (Vec<u64>, u32) {
    let mut effects = 0;
    loop {
        let death = Death::at(effects, false);
        let mut world = World::dying(|_| {}, &death);
        live(&mut world, &death);
        if !death.is_dead() {
            world.settle();
            return ((1..=3).map(|miner| world.node.received(key(miner))).collect(), effects);
        }
        effects += 1;
    }
}

#[test]
fn whatever_the_moment_nothing_is_lost_or_doubled() {
    let (expected, effects) = undisturbed();
    assert!(expected.iter().all(|received| *received > 0), "{expected:?}");
    assert!(effects > 30, "{effects}");
    for effect in 0..effects {
        for after in [false, true] {
            let death = Death::at(effect, after);
            let mut world = World::dying(|_| {}, &death);
            let acknowledged = live(&mut world, &death);
            assert!(death.is_dead(), "effect {effect}");
            for _ in 0..20 {
                world.node.mine();
                world.settle();
            }
            world.check_books(&[1, 2, 3]);
            let logged = u64::try_from(world.shares_in_log()).expect("few");
            assert!(
                logged >= acknowledged && logged <= acknowledged + 1,
                "effect {effect} {after}: {logged} of {acknowledged}"
            );
            let received: u64 = (1..=3).map(|miner| world.node.received(key(miner)) + world.payable(miner)).sum();
            assert!(received > 0, "effect {effect}");
            assert!(world.names().is_empty(), "effect {effect} {after}: {:?}", world.names());
        }
    }
}

#[test]
fn a_full_disk_stops_shares_and_nothing_else_and_goes_by_itself() {
    let death = Death::default();
    let mut world = World::dying(|_| {}, &death);
    world.mine_share(1, 500);
    world.settle();
    death.set_full(true);
    assert!(world.keeper().record(share_to(key(1), 10), None).is_err(), "acknowledged means written");
    let (block, outcome) = world.try_block(share_to(key(1), 300));
    assert!(outcome.is_err());
    assert_eq!(world.node.tip().id, block, "the block goes out although its share cannot be written");
    world.node.mine_many(2);
    assert!(world.try_settle().is_err());
    death.set_full(false);
    world.settle();
    let winning = world.keeper().state.read().block(&block).map(|block| block.candidate.winning);
    assert!(matches!(winning, Some(Winning::Share(share)) if share.sequence.0 == 2), "its own share: {winning:?}");
    world.node.mine_many(8);
    world.settle();
    world.node.mine_many(8);
    world.settle();
    assert!(world.node.received(key(1)) > 0);
    world.check_books(&[1]);
    world.restart();
    world.check_books(&[1]);
    assert_eq!(world.shares_in_log(), 2);
}
