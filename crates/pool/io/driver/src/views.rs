use std::collections::BTreeMap;

use bq_chain_api::AtomsView;
use bq_chain_api::MiningInfo;
use bq_ledger::ShareWeight;
use bq_pool_store::{BlockCounts, BlockState, PoolBlock};
use bq_primitives::{AccountId, Address, Algorithm, BlockId, Target, Work};
use bq_views::{
    AlgorithmView, BlockStateView, BlockView, BlocksView, MinerView, PayoutView, PoolView, ShareCountsView, ViewError,
    WorkerView,
};

use crate::{
    PoolError,
    core::Core,
    metrics::approximate,
    stats::{WorkerStats, add_counts},
};

/// Payouts shown for one miner.
const PAYOUTS_SHOWN: usize = 100;
/// Blocks shown at most, whatever is asked for.
const BLOCKS_SHOWN_MAX: usize = 1000;

impl Core {
    pub(crate) fn pool_view(&self, connections: u64) -> Result<PoolView, PoolError> {
        let info = self.node.mining_info()?;
        let totals = self.store.totals()?;
        let counts = self.store.block_counts()?;
        let now = self.clock.uptime_secs();
        let blocks = |of: &[BlockState]| count(&counts, |block| of.contains(&block.state));
        Ok(PoolView {
            network: self.config.network.name().to_owned(),
            height: info.tip.height.0,
            tip_id: info.tip.id.to_string(),
            scheme: "pplns".to_owned(),
            fee_bp: self.config.fee_bp,
            payout_min: self.config.payout_min.into(),
            coinbase_maturity: self.maturity,
            algorithms: Algorithm::ALL
                .into_iter()
                .map(|algorithm| (algorithm.name().to_owned(), self.algorithm_view(algorithm, &info, &counts, now)))
                .collect(),
            connections,
            miners_active: self.stats.lock().miners(now).0,
            blocks_found: count(&counts, |block| block.state != BlockState::Rejected),
            blocks_orphaned: blocks(&[BlockState::Orphaned, BlockState::Lost]),
            immature: totals.miners.immature.into(),
            payable: totals.miners.payable.into(),
            in_flight: totals.miners.in_flight.into(),
            paid: totals.miners.paid.into(),
            ledger_imbalance: self.store.imbalance()?.to_string(),
        })
    }

    fn algorithm_view(
        &self,
        algorithm: Algorithm,
        info: &MiningInfo,
        counts: &[BlockCounts],
        now: u64,
    ) -> AlgorithmView {
        let bits = info.tip.next_bits.iter().find(|(active, _)| *active == algorithm).map(|(_, bits)| *bits);
        let target: Option<Target> = bits.and_then(|bits| bits.decode().ok());
        let network = info.network_hashrate.iter().find(|(active, _)| *active == algorithm);
        let round = i128::try_from(self.lane(algorithm).lock().round()).unwrap_or(i128::MAX);
        let mut stats = self.stats.lock();
        AlgorithmView {
            active: bits.is_some(),
            network_difficulty: target.map_or_else(|| "0".to_owned(), |target| Work::of_target(target).0.to_string()),
            bits: bits.map(|bits| bits.to_string()).unwrap_or_default(),
            pool_hashrate: stats.lane_hashrate(now, algorithm),
            network_hashrate: network.map_or(0.0, |(_, hashrate)| *hashrate),
            shares: stats.lane_counts(algorithm),
            effort: approximate(round) / approximate(ShareWeight::ONE.parts().into()),
            blocks: count(counts, |block| block.algorithm == algorithm && block.state != BlockState::Rejected),
        }
    }

    pub(crate) fn blocks_view(&self, limit: usize) -> Result<BlocksView, PoolError> {
        let blocks = self.store.newest_blocks(limit.min(BLOCKS_SHOWN_MAX))?;
        let blocks = blocks.iter().map(|block| self.block_view(block)).collect::<Result<_, _>>()?;
        Ok(BlocksView { blocks })
    }

    pub(crate) fn block_view_of(&self, id: &BlockId) -> Result<Option<BlockView>, PoolError> {
        self.store.pool_block(id)?.map(|block| self.block_view(&block)).transpose()
    }

    fn block_view(&self, block: &PoolBlock) -> Result<BlockView, PoolError> {
        let state = match block.state {
            BlockState::Found => BlockStateView::Found,
            BlockState::Immature => BlockStateView::Immature,
            BlockState::Matured => BlockStateView::Matured,
            BlockState::Orphaned | BlockState::Lost | BlockState::Rejected => BlockStateView::Orphaned,
        };
        let confirmations = match state {
            BlockStateView::Orphaned => None,
            _ => self.node.block_summary(&block.id)?.and_then(|summary| summary.confirmations),
        };
        let finder = block.finder.map(|finder| self.store.address_of(finder)).transpose()?.flatten();
        Ok(BlockView {
            id: block.id.to_string(),
            height: block.height.0,
            algorithm: block.algorithm.name().to_owned(),
            time: block.time.0,
            reward: block.reward.into(),
            state,
            confirmations: confirmations.unwrap_or(0),
            finder: finder.map(|address| address.to_string()).unwrap_or_default(),
        })
    }

    /// Nothing for a text that is no address here, and for an address that never mined here.
    pub(crate) fn miner_view(&self, address: &str) -> Result<Option<MinerView>, PoolError> {
        let Ok(address) = Address::parse(address, self.config.network) else { return Ok(None) };
        let Some(account) = self.store.find_account(&address)? else { return Ok(None) };
        let balances = self.store.miner_balances(account)?;
        let workers = self.stats.lock().workers_of(self.clock.uptime_secs(), account);
        let (hashrate, shares) = sums(&workers);
        Ok(Some(MinerView {
            address: address.to_string(),
            hashrate,
            shares,
            immature: balances.immature.into(),
            payable: balances.payable.into(),
            in_flight: balances.in_flight.into(),
            paid: balances.paid.into(),
            workers: workers.into_iter().map(worker_view).collect(),
            payouts: self.payout_views(account)?,
        }))
    }

    fn payout_views(&self, account: AccountId) -> Result<Vec<PayoutView>, PoolError> {
        let entries = self.store.payouts_of(account, PAYOUTS_SHOWN)?;
        let view = |entry: bq_pool_store::PayoutEntry| PayoutView {
            txid: entry.txid.to_string(),
            amount: AtomsView::from(entry.net),
            state: entry.state.name().to_owned(),
            time: entry.time_ms / 1000,
        };
        Ok(entries.into_iter().map(view).collect())
    }

    /// Brings the gauges up to date.
    pub(crate) fn show_metrics(&self) {
        let now = self.clock.uptime_secs();
        let (accounts, workers) = self.stats.lock().miners(now);
        self.metrics.miners(accounts, workers);
        for algorithm in Algorithm::ALL {
            let hashrate = self.stats.lock().lane_hashrate(now, algorithm);
            self.metrics.hashrate(algorithm, hashrate);
        }
        let read = || -> Result<(), PoolError> {
            self.metrics.totals(&self.store.totals()?);
            self.metrics.imbalance(self.store.imbalance()?);
            self.metrics.blocks(&self.store.block_counts()?);
            let open = self.store.open_payouts()?;
            self.metrics.payouts_open(&open.iter().map(|payout| payout.state).collect::<Vec<_>>());
            Ok(())
        };
        if let Err(error) = read() {
            tracing::warn!(%error, "gauges are not up to date");
        }
    }
}

impl From<PoolError> for ViewError {
    fn from(error: PoolError) -> Self {
        Self(error.to_string())
    }
}

fn count(counts: &[BlockCounts], which: impl Fn(&BlockCounts) -> bool) -> u64 {
    counts.iter().filter(|block| which(block)).map(|block| block.blocks).sum()
}

fn sums(workers: &[WorkerStats]) -> (BTreeMap<String, f64>, BTreeMap<String, ShareCountsView>) {
    let mut hashrate = BTreeMap::new();
    let mut shares: BTreeMap<String, ShareCountsView> = BTreeMap::new();
    for worker in workers {
        let name = worker.algorithm.name().to_owned();
        *hashrate.entry(name.clone()).or_default() += worker.hashrate;
        add_counts(shares.entry(name).or_default(), &worker.shares);
    }
    (hashrate, shares)
}

fn worker_view(worker: WorkerStats) -> WorkerView {
    WorkerView {
        name: worker.name,
        algorithm: worker.algorithm.name().to_owned(),
        hashrate: worker.hashrate,
        shares: worker.shares,
        last_share: worker.last_share_unix,
    }
}
