use std::{collections::HashSet, sync::Arc, time::Instant};

use bq_chain_api::{NodeApi, NodeError, Template, TipSummary};
use bq_ledger::ShareSequence;
use bq_pool_store::{Candidate, LedgerStore, Scheme, SqliteLedger};
use bq_primitives::{Algorithm, Amount, BlockId, KeyHash};
use bq_share_log::{LogOptions, ShareLog};
use bq_views::Event;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};

use crate::{
    PayoutSigner, PoolConfig, PoolError, accounts::AccountCache, clock::Clock, lane::Lane, metrics::PoolMetrics,
    reconcile::Reconciliation, stats::Stats,
};

/// Events that a slow reader of the live feed may lag behind before it loses some.
const EVENTS_KEPT: usize = 256;

/// All that the pool's threads share.
pub(crate) struct Core {
    pub(crate) config: PoolConfig,
    pub(crate) node: Arc<dyn NodeApi>,
    pub(crate) signer: Arc<dyn PayoutSigner>,
    pub(crate) store: Box<dyn LedgerStore>,
    pub(crate) log: ShareLog,
    pub(crate) key_hash: KeyHash,
    pub(crate) genesis: BlockId,
    pub(crate) maturity: u32,
    pub(crate) clock: Clock,
    pub(crate) metrics: PoolMetrics,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) template: watch::Sender<Option<Arc<Template>>>,
    pub(crate) accounts: Mutex<AccountCache>,
    /// By [`Algorithm::index`]; each lock is held while a share of its lane is appended, which keeps its order.
    pub(crate) lanes: [Mutex<Lane>; Algorithm::COUNT],
    pub(crate) stats: Mutex<Stats>,
    /// Blocks whose share a miner's thread is booking right now: recovery leaves them alone.
    pub(crate) recording: Mutex<HashSet<BlockId>>,
    /// Blocks that are submitted but could not be stored yet, because the disk was full.
    pub(crate) unstored: Mutex<Vec<Candidate>>,
    /// Asks the settling thread to look now.
    pub(crate) look_now: Notify,
    pub(crate) settling: Mutex<Settling>,
}

/// What only the settling thread changes.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    pub(crate) last_payout: Option<Instant>,
    pub(crate) last_audit: Option<Instant>,
    pub(crate) announced_tip: Option<BlockId>,
    /// Only a comparison that found nothing to explain allows new payouts.
    pub(crate) reconciliation: Option<Reconciliation>,
}

impl Core {
    /// Opens ledger and share log, makes them agree with each other, and rebuilds the windows.
    pub(crate) fn open(
        config: PoolConfig,
        node: Arc<dyn NodeApi>,
        signer: Arc<dyn PayoutSigner>,
    ) -> Result<Self, PoolError> {
        config.check()?;
        if node.network() != config.network {
            return Err(PoolError::WrongNetwork { got: node.network(), expected: config.network });
        }
        std::fs::create_dir_all(&config.data_dir)?;
        let genesis = node.genesis_id();
        let store = SqliteLedger::open(&config.data_dir.join("ledger.sqlite"), config.network, &genesis)?;
        let log = ShareLog::open(&config.data_dir.join("shares"), genesis, LogOptions::default())?;
        Self::open_with(config, node, signer, Box::new(store), log)
    }

    /// As [`Core::open`], on books that are open already.
    pub(crate) fn open_with(
        config: PoolConfig,
        node: Arc<dyn NodeApi>,
        signer: Arc<dyn PayoutSigner>,
        store: Box<dyn LedgerStore>,
        log: ShareLog,
    ) -> Result<Self, PoolError> {
        let scheme = config.check()?;
        store.audit()?;
        let core = Self {
            key_hash: signer.key_hash(),
            genesis: node.genesis_id(),
            maturity: node.coinbase_maturity(),
            config,
            node,
            signer,
            store,
            log,
            clock: Clock::start(),
            metrics: PoolMetrics::register(),
            events: broadcast::Sender::new(EVENTS_KEPT),
            template: watch::Sender::new(None),
            accounts: Mutex::default(),
            lanes: std::array::from_fn(|_| Mutex::default()),
            stats: Mutex::new(Stats::default()),
            recording: Mutex::default(),
            unstored: Mutex::default(),
            look_now: Notify::new(),
            settling: Mutex::default(),
        };
        core.rebuild_lanes(scheme.window)?;
        core.recover_candidates()?;
        core.adopt_unrecorded_blocks()?;
        let next = core.log.status().next;
        if core.store.scheme_at(next)? != Some(scheme) {
            core.store.set_scheme(next, scheme, Clock::unix_ms())?;
        }
        Ok(core)
    }

    /// The terms of the block whose own share is `sequence`.
    pub(crate) fn scheme_at(&self, sequence: ShareSequence) -> Result<Scheme, PoolError> {
        // A block that was adopted before any share was logged has the terms of the first share.
        let sequence = sequence.max(ShareSequence::FIRST);
        match self.store.scheme_at(sequence)? {
            Some(scheme) => Ok(scheme),
            None => self.config.check(),
        }
    }

    pub(crate) fn lane(&self, algorithm: Algorithm) -> &Mutex<Lane> {
        &self.lanes[algorithm.index()]
    }

    /// Tells the live feed; nobody may be listening.
    pub(crate) fn tell(&self, event: Event) {
        drop(self.events.send(event));
    }

    /// Runs `read` and returns its result only if the tip was `expected` before and after.
    pub(crate) fn at_one_tip<T>(
        &self,
        expected: &BlockId,
        read: impl FnOnce(&TipSummary) -> Result<T, PoolError>,
    ) -> Result<Option<T>, PoolError> {
        let before = self.node.tip();
        if before.id != *expected {
            return Ok(None);
        }
        let value = read(&before)?;
        Ok(Some(value).filter(|_| self.node.tip().id == before.id))
    }

    /// What the coinbase of `block` pays the pool.
    pub(crate) fn reward_in(&self, block: &bq_primitives::Block) -> Result<Amount, PoolError> {
        let outputs = block.transactions.first().map_or([].as_slice(), |coinbase| coinbase.outputs.as_slice());
        let ours = outputs.iter().filter(|output| output.key_hash == self.key_hash).map(|output| output.amount);
        Amount::sum(ours).map_err(|error| PoolError::Node(NodeError::Request(error.to_string())))
    }
}
