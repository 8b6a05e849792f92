use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bq_chain_api::{Announcement, NodeError, TipSummary};
use bq_consensus::{Branch, Params, required_bits};
use bq_mempool::Mempool;
use bq_pow::PowVerifier;
use bq_primitives::{Algorithm, BlockId, Timestamp, Work};
use bq_store::{ChainStore, StoreChange};
use bq_tree::BlockTree;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, watch};

use crate::{
    config::{LocalClock, StoreSettings},
    difficulty::KeptDifficulty,
    held::HeldBlocks,
    kept::KeptBlocks,
    low_work::{LOW_WORK_HEADERS_MAX, LowWorkHeaders},
    metrics::NodeMetrics,
    pow_keys::KeyBudget,
    signatures::VerifiedSignatures,
    trouble::StoreTrouble,
    upkeep::Upkeep,
};

/// Announcements that a slow receiver may fall behind by before it loses the oldest.
const ANNOUNCEMENTS_MAX: usize = 1024;

/// A node on one network's chain. Made by [`Node::open`]; used through `NodeApi` and `SyncApi`, from any thread.
///
/// Locks are taken in this order: writer, tree, low-work headers, mempool. Signatures and runs of proofs are verified on rayon's pool, so do
/// not call from one of its threads: while it waits it may pick up a task that wants a lock which it holds.
pub struct Node {
    pub(crate) params: Arc<Params>,
    pub(crate) genesis_id: BlockId,
    pub(crate) pow: Arc<PowVerifier>,
    pub(crate) clock: Arc<dyn LocalClock>,
    pub(crate) store: Box<dyn ChainStore>,
    pub(crate) settings: StoreSettings,
    pub(crate) trouble: StoreTrouble,
    /// Its lock is taken last.
    pub(crate) kept: Mutex<KeptBlocks>,
    pub(crate) signatures: VerifiedSignatures,
    /// Held by whoever changes chain or mempool, from the last check to the commit.
    pub(crate) writer: Mutex<Writer>,
    /// Written only together with the store, so that a reader of both sees one state.
    pub(crate) tree: RwLock<BlockTree>,
    /// Headers that are in neither.
    pub(crate) low_work: Mutex<LowWorkHeaders>,
    pub(crate) mempool: RwLock<Mempool>,
    pub(crate) tip: watch::Sender<TipSummary>,
    pub(crate) announcements: broadcast::Sender<Announcement>,
    pub(crate) peers: AtomicUsize,
    pub(crate) keys: KeyBudget,
    pub(crate) metrics: NodeMetrics,
    pub(crate) upkeep: Upkeep,
    /// Its lock is taken before the tree's.
    pub(crate) difficulty: KeptDifficulty,
}

/// What only the writer touches.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) held: HeldBlocks,
    /// The change whose commit failed when the store stopped: it may have arrived.
    pub(crate) in_doubt: Option<StoreChange>,
}

/// What [`Node::open`] puts together.
pub(crate) struct Parts {
    pub(crate) params: Arc<Params>,
    pub(crate) pow: Arc<PowVerifier>,
    pub(crate) clock: Arc<dyn LocalClock>,
    pub(crate) store: Box<dyn ChainStore>,
    pub(crate) settings: StoreSettings,
    pub(crate) tree: BlockTree,
    pub(crate) mempool: Mempool,
    pub(crate) upkeep: Upkeep,
}

impl Node {
    pub(crate) fn assemble(parts: Parts) -> Self {
        let Parts { params, pow, clock, store, settings, tree, mempool, upkeep } = parts;
        let (tip, _) = watch::channel(tip_summary(&params, &tree));
        let (announcements, _) = broadcast::channel(ANNOUNCEMENTS_MAX);
        Self {
            genesis_id: params.genesis_id(),
            params,
            pow,
            clock,
            store,
            settings,
            trouble: StoreTrouble::default(),
            kept: Mutex::default(),
            signatures: VerifiedSignatures::default(),
            writer: Mutex::default(),
            tree: RwLock::new(tree),
            low_work: Mutex::new(LowWorkHeaders::new(LOW_WORK_HEADERS_MAX)),
            mempool: RwLock::new(mempool),
            tip,
            announcements,
            peers: AtomicUsize::new(0),
            keys: KeyBudget::default(),
            metrics: NodeMetrics::register(),
            upkeep,
            difficulty: KeptDifficulty::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn peers(&self) -> usize {
        self.peers.load(Ordering::Relaxed)
    }

    /// Tells everyone about the tip that the tree has now.
    pub(crate) fn publish_tip(&self) {
        let tree = self.tree.read();
        let summary = tip_summary(&self.params, &tree);
        self.metrics.tip(summary.height);
        for (algorithm, bits) in &summary.next_bits {
            if let Ok(target) = bits.decode() {
                self.metrics.difficulty(*algorithm, Work::of_target(target));
            }
        }
        self.upkeep.prepare(self.expected_keys(&tree));
        drop(tree);
        self.tip.send_replace(summary);
    }

    pub(crate) fn publish_counters(&self) {
        let counters = self.pow.counters();
        self.metrics.pow_cache_builds(Algorithm::RandomX, counters.randomx_cache_builds);
        self.metrics.pow_cache_builds(Algorithm::Ethash, counters.ethash_cache_builds);
        self.metrics.signatures(self.signatures.counts());
    }
}

pub(crate) fn tip_summary(params: &Params, tree: &BlockTree) -> TipSummary {
    let branch = tree.tip_branch();
    let tip = branch.tip();
    TipSummary {
        id: tip.id,
        height: tip.height,
        time: tip.time,
        chain_work: tip.chain_work,
        next_bits: required_bits(params, &branch).iter().map(|next| (next.algorithm, next.bits)).collect(),
    }
}

/// A state that our own code must never reach; the node refuses the request instead of going on with it.
pub(crate) fn broken(what: impl std::fmt::Display) -> NodeError {
    tracing::error!(%what, "broken invariant");
    NodeError::Request(format!("internal error: {what}"))
}
