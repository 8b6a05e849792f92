//! What people see: read from the state in memory, and lists from the rows.

use std::collections::BTreeMap;

use bq_books::RowKind;
use bq_chain_api::{AtomsView, MiningInfo};
use bq_ledger::{LedgerAccount, ShareWeight};
use bq_mining_message::ShareSequence;
use bq_pool_machine::{Applied, BlockState, Payout, PayoutKind, State};
use bq_primitives::{AccountId, Address, Algorithm, Amount, BlockId, Target, Work};
use bq_views::{
    AlgorithmView, BlockStateView, BlockView, BlocksView, Event, MinerView, PayoutView, PoolView, ShareCountsView,
    ViewError, WorkerView,
};

use crate::{
    PoolError,
    keeper::Keeper,
    metrics::approximate,
    rows::{BlockRow, PaymentRow, block_row, state_name},
    stats::{WorkerStats, add_counts},
};

/// Payouts shown for one miner. Part of the API, as the next one: who wants more reads the chain.
const PAYOUTS_SHOWN: usize = 100;
/// Blocks shown at most, whatever is asked for.
const BLOCKS_SHOWN_MAX: usize = 1000;

impl Keeper {
    pub(crate) fn pool_view(&self, connections: u64) -> Result<PoolView, PoolError> {
        let info = self.node.mining_info()?;
        let now = self.uptime_secs();
        let counts = self.block_counts();
        let state = self.state.read();
        let total = |which: fn(&LedgerAccount) -> bool| total(&state, which);
        Ok(PoolView {
            network: self.config.network.name().to_owned(),
            height: info.tip.height.0,
            tip_id: info.tip.id.to_string(),
            scheme: "pplns".to_owned(),
            fee_bp: self.config.fee_bp,
            payout_min: self.config.payout_min.into(),
            coinbase_maturity: self.node.coinbase_maturity(),
            algorithms: Algorithm::ALL
                .into_iter()
                .map(|algorithm| (algorithm.name().to_owned(), self.algorithm_view(algorithm, &info, &counts, now)))
                .collect(),
            connections,
            miners_active: self.stats.lock().miners(now).0,
            blocks_found: counts.values().sum(),
            blocks_orphaned: sum_of(&counts, |(_, state)| matches!(state, BlockState::Orphaned | BlockState::Lost)),
            immature: total(|account| matches!(account, LedgerAccount::MinerImmature(_))),
            payable: total(|account| matches!(account, LedgerAccount::MinerPayable(_))),
            in_flight: total(|account| matches!(account, LedgerAccount::MinerInFlight(_))),
            paid: atoms(state.paid_in_all()),
            ledger_imbalance: state.books().imbalance().to_string(),
        })
    }

    fn algorithm_view(
        &self,
        algorithm: Algorithm,
        info: &MiningInfo,
        counts: &BTreeMap<(Algorithm, BlockState), u64>,
        now: u64,
    ) -> AlgorithmView {
        let bits = info.tip.next_bits.iter().find(|(active, _)| *active == algorithm).map(|(_, bits)| *bits);
        let target: Option<Target> = bits.and_then(|bits| bits.decode().ok());
        let network = info.network_hashrate.iter().find(|(active, _)| *active == algorithm);
        let mut stats = self.stats.lock();
        let round = i128::try_from(stats.round(algorithm)).unwrap_or(i128::MAX);
        AlgorithmView {
            active: bits.is_some(),
            network_difficulty: target.map_or_else(|| "0".to_owned(), |target| Work::of_target(target).0.to_string()),
            bits: bits.map(|bits| bits.to_string()).unwrap_or_default(),
            pool_hashrate: stats.lane_hashrate(now, algorithm),
            network_hashrate: network.map_or(0.0, |(_, hashrate)| *hashrate),
            shares: stats.lane_counts(algorithm),
            effort: approximate(round) / approximate(ShareWeight::ONE.parts().into()),
            blocks: sum_of(counts, |(of, _)| *of == algorithm),
        }
    }

    /// Pool blocks since the first day, by algorithm and state.
    pub(crate) fn block_counts(&self) -> BTreeMap<(Algorithm, BlockState), u64> {
        let mut counts = self.stats.lock().settled_blocks().clone();
        for block in self.state.read().blocks() {
            *counts.entry((block.candidate.algorithm, block.state)).or_default() += 1;
        }
        counts
    }

    pub(crate) fn blocks_view(&self, limit: usize) -> Result<BlocksView, PoolError> {
        let rows = self.store.rows(RowKind::Block, "", u64::MAX, limit.min(BLOCKS_SHOWN_MAX))?;
        let rows = rows.into_iter().filter_map(|row| serde_json::from_slice::<BlockRow>(&row.value).ok());
        let tip = self.state.read().tip();
        let height = tip.map_or(0, |tip| tip.height.0);
        Ok(BlocksView { blocks: rows.map(|row| self.block_view(&row, height)).collect() })
    }

    fn block_view(&self, row: &BlockRow, tip: u32) -> BlockView {
        let state = match row.state.as_str() {
            "found" => BlockStateView::Found,
            "immature" => BlockStateView::Immature,
            "matured" => BlockStateView::Matured,
            _ => BlockStateView::Orphaned,
        };
        let is_on_chain = matches!(state, BlockStateView::Immature | BlockStateView::Matured);
        let confirmations = if is_on_chain { tip.saturating_sub(row.height).saturating_add(1) } else { 0 };
        BlockView {
            id: row.id.clone(),
            height: row.height,
            algorithm: row.algorithm.clone(),
            time: row.time,
            reward: atoms(row.reward),
            state,
            confirmations,
            finder: row.share.and_then(|share| self.finder(ShareSequence(share))).unwrap_or_default(),
        }
    }

    /// Whose share that was; nothing once it is pruned.
    fn finder(&self, share: ShareSequence) -> Option<String> {
        let (_, share) = self.log.read(share..share.next()).next()?.ok()?;
        Some(Address { network: self.config.network, key_hash: share.payee }.to_string())
    }

    /// Nothing for a text that is no address here, and for an address that never mined here.
    pub(crate) fn miner_view(&self, address: &str) -> Result<Option<MinerView>, PoolError> {
        let Ok(address) = Address::parse(address, self.config.network) else { return Ok(None) };
        let workers = self.stats.lock().workers_of(self.uptime_secs(), address.key_hash);
        let state = self.state.read();
        let Some(account) = state.accounts().find(&address.key_hash) else { return Ok(None) };
        let balance = |account| atoms(state.books().balance(account));
        let (hashrate, shares) = sums(&workers);
        let view = MinerView {
            address: address.to_string(),
            hashrate,
            shares,
            immature: balance(LedgerAccount::MinerImmature(account)),
            payable: balance(LedgerAccount::MinerPayable(account)),
            in_flight: balance(LedgerAccount::MinerInFlight(account)),
            paid: atoms(state.paid(account)),
            workers: workers.into_iter().map(worker_view).collect(),
            payouts: Vec::new(),
        };
        drop(state);
        Ok(Some(MinerView { payouts: self.payout_views(account)?, ..view }))
    }

    fn payout_views(&self, account: AccountId) -> Result<Vec<PayoutView>, PoolError> {
        let rows = self.store.rows(RowKind::Payment, &account.to_string(), u64::MAX, PAYOUTS_SHOWN)?;
        let rows = rows.into_iter().filter_map(|row| serde_json::from_slice::<PaymentRow>(&row.value).ok());
        let view = |row: PaymentRow| PayoutView {
            txid: row.txid,
            amount: atoms(row.net),
            state: row.state,
            time: row.time_ms / 1000,
        };
        Ok(rows.map(view).collect())
    }

    /// Tells the live feed what an event changed.
    pub(crate) fn show_changes(&self, applied: &Applied) {
        for id in &applied.blocks {
            self.show_block(id);
        }
        for id in &applied.payouts {
            let event = self.state.read().payout(*id).map(payout_event);
            if let Some(event) = event {
                self.show(event);
            }
        }
    }

    pub(crate) fn show_block(&self, id: &BlockId) {
        let row = {
            let state = self.state.read();
            state.block(id).and_then(|block| {
                let height = state.tip().map_or(0, |tip| tip.height.0);
                Some((serde_json::from_slice::<BlockRow>(&block_row(block).value?).ok()?, height))
            })
        };
        if let Some((row, height)) = row {
            self.show(Event::Block(self.block_view(&row, height)));
        }
    }

    /// Tells the live feed of a new tip, once.
    pub(crate) fn announce_tip(&self) {
        let tip = self.node.tip();
        if self.outside.lock().announced_tip.replace(tip.id) == Some(tip.id) {
            return;
        }
        let Ok(Some(block)) = self.node.block_summary(&tip.id) else { return };
        let algorithm = block.header.algorithm.name().to_owned();
        self.show(Event::Tip { height: tip.height.0, id: tip.id.to_string(), algorithm, time: tip.time.0 });
    }

    /// What the pages count, from what was before this start.
    pub(crate) fn seed_stats(&self) {
        let rows = self.store.rows(RowKind::Block, "", u64::MAX, usize::MAX).unwrap_or_default();
        let state = self.state.read();
        let mut stats = self.stats.lock();
        for row in rows.iter().filter_map(|row| serde_json::from_slice::<BlockRow>(&row.value).ok()) {
            let is_kept = row.id.parse().is_ok_and(|id| state.block(&id).is_some());
            let of = (row.algorithm.parse(), BlockState::ALL.into_iter().find(|state| state.name() == row.state));
            if let (false, (Ok(algorithm), Some(state))) = (is_kept, of) {
                stats.note_settled_block(algorithm, state);
            }
        }
        let newest = |algorithm| {
            let of_lane = state.blocks().filter(move |block| block.candidate.algorithm == algorithm);
            of_lane.filter_map(|block| block.candidate.own_share()).map(|share| share.sequence)
        };
        let since = Algorithm::ALL.map(|algorithm| newest(algorithm).max().unwrap_or_default());
        for piece in self.log.backwards(self.log.next(), |_| ()).take(stats.rounds_read_max()) {
            let Ok(piece) = piece else { break };
            let [sha256d, randomx, ethash] = since;
            let from = match piece.algorithm {
                Algorithm::Sha256d => sha256d,
                Algorithm::RandomX => randomx,
                Algorithm::Ethash => ethash,
            };
            if piece.sequence > from {
                stats.add_to_round(piece.algorithm, piece.weight);
            }
        }
    }

    /// Brings the gauges up to date.
    pub(crate) fn show_metrics(&self) {
        let now = self.uptime_secs();
        let (accounts, workers) = self.stats.lock().miners(now);
        self.metrics.miners(accounts, workers);
        for algorithm in Algorithm::ALL {
            let hashrate = self.stats.lock().lane_hashrate(now, algorithm);
            self.metrics.hashrate(algorithm, hashrate);
        }
        self.metrics.blocks(&self.block_counts());
        // Asking notes since when each holds.
        self.conditions();
        let state = self.state.read();
        self.metrics.books(&state);
        self.metrics.payouts_open(state.payouts().filter(|payout| payout.is_open()).map(state_name));
        let outside = *self.outside.lock();
        self.metrics.coins_match(outside.coins_match);
    }
}

impl From<PoolError> for ViewError {
    fn from(error: PoolError) -> Self {
        Self(error.to_string())
    }
}

fn payout_event(payout: &Payout) -> Event {
    let (payees, amount) = match &payout.planned.kind {
        PayoutKind::Miners(plan) => {
            (plan.payees.len(), Amount::sum(plan.payees.iter().map(|payee| payee.net)).unwrap_or_default())
        }
        PayoutKind::Withdrawal { gross, .. } => (1, gross.checked_sub(payout.planned.network_fee).unwrap_or_default()),
        PayoutKind::Fence => (0, Amount::ZERO),
    };
    Event::Payout {
        txid: payout.planned.txid.to_string(),
        amount: amount.into(),
        payees,
        state: state_name(payout).to_owned(),
    }
}

pub(crate) fn total(state: &State, which: impl Fn(&LedgerAccount) -> bool) -> AtomsView {
    let balances = state.books().balances().filter(|(account, _)| which(account));
    atoms(balances.fold(0, |sum, (_, balance)| sum.saturating_add(balance)))
}

fn atoms(atoms: u64) -> AtomsView {
    AtomsView(atoms.to_string())
}

fn sum_of(counts: &BTreeMap<(Algorithm, BlockState), u64>, which: impl Fn(&(Algorithm, BlockState)) -> bool) -> u64 {
    counts.iter().filter(|(of, _)| which(of)).map(|(_, count)| *count).sum()
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
        hashrate_minute: worker.hashrate_minute,
        shares: worker.shares,
        last_share: worker.last_share_unix,
    }
}
