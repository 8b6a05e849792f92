//! The pool dies at every single effect of a whole life: before it, and after it but before it hears of it. Whatever the
//! moment, the next start continues and nothing is lost or doubled.

use std::{io, path::Path, sync::Arc};

use bq_chain_api::{
    BlockSummary, Coin, MiningInfo, NodeApi, NodeError, Route, SubmitBlockError, SubmitTransactionError, Template,
    TemplateRequest, TipSummary, TransactionStatus,
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
use tokio::sync::watch;

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

    fn tip_changes(&self) -> watch::Receiver<TipSummary> {
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
        while world.core().account_of(super::address(miner).key_hash).is_err() {
            revive(world, death);
        }
    }
    for round in 0..2_u64 {
        for miner in [1, 2, 3] {
            offer(world, death, &mut seen, miner, 100 + 10 * round);
        }
        let parent = world.node.tip().id;
        let share = share_of(world.account(2), 100);
        let (id, outcome) = world.try_block(share);
        seen.offered += 1;
        seen.acknowledged += usize::from(outcome.is_ok());
        seen.blocks.push(id);
        settle(world, death);
        if round == 1 {
            // The block leaves the best chain and comes back.
            let other = world.node.mine_on(parent);
            world.node.reorganise_to(world.node.mine_on(other));
            settle(world, death);
            if world.node.block(&id).expect("readable").is_some() {
                world.node.reorganise_to(id);
                settle(world, death);
            }
        }
        for _ in 0..MATURITY {
            world.node.mine();
            settle(world, death);
        }
    }
    seen
}

fn offer(world: &mut World, death: &Death, seen: &mut Seen, miner: u8, difficulty: u64) {
    let share = share_of(world.account(miner), difficulty);
    seen.offered += 1;
    seen.acknowledged += usize::from(world.core().record(share, None).is_ok());
    revive(world, death);
}

fn settle(world: &mut World, death: &Death) {
    for _ in 0..2 {
        // A pool that died reports its last call as failed.
        let outcome = world.core().settle_once();
        assert!(outcome.is_ok() || death.is_dead(), "{outcome:?}");
        revive(world, death);
    }
}

fn revive(world: &mut World, death: &Death) {
    if death.is_dead() && !world.revived {
        world.restart();
        world.revived = true;
    }
}

/// One life that dies at an effect; whether it got that far.
fn live_and_check(effect: u32, after: bool) -> bool {
    let death = Death::at(effect, after);
    let mut world = World::dying(|_| {}, &death);
    world.revived = death.is_dead();
    let seen = live(&mut world, &death);
    let died = death.is_dead();
    // Whoever outlived the story is closed in peace.
    world.restart();

    for _ in 0..6 {
        world.settle();
        world.node.mine();
    }
    world.settle();
    let what = format!("effect {effect}, after {after}");
    let logged = world.shares_in_log();
    assert!((seen.acknowledged..=seen.offered).contains(&logged), "{what}: {logged} shares");
    for id in &seen.blocks {
        let stored = world.core().store.pool_block(id).expect("readable");
        let on_chain = world.node.block_summary(id).expect("readable").and_then(|block| block.confirmations);
        let state = stored.as_ref().map(|block| block.state);
        match on_chain {
            Some(_) => assert_eq!(state, Some(BlockState::Matured), "{what}"),
            None => assert!(!matches!(state, Some(BlockState::Matured | BlockState::Immature)), "{what}: {state:?}"),
        }
    }
    world.check_books(&[1, 2, 3]);
    assert!(world.core().store.open_payouts().expect("readable").is_empty(), "{what}");
    assert!([1, 2, 3].iter().all(|miner| world.paid(*miner) > 0), "{what}");
    assert!([1, 2, 3].iter().all(|miner| world.payable(*miner) < 1_000_000), "{what}");
    died
}

#[test]
fn dying_before_any_effect_loses_and_doubles_nothing() {
    assert!(dies_everywhere(false) > 30);
}

#[test]
fn dying_after_any_effect_loses_and_doubles_nothing() {
    assert!(dies_everywhere(true) > 30);
}

/// Lives once for every effect that there is; how many those are.
fn dies_everywhere(after: bool) -> u32 {
    let mut effect = 0;
    while live_and_check(effect, after) {
        effect += 1;
    }
    effect
}
