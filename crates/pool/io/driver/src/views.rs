//! What people see: read from the state in memory, and lists from the rows.

use std::collections::{BTreeMap, BTreeSet};

use bq_books::RowKind;
use bq_chain_api::{AtomsView, MiningInfo};
use bq_ledger::{FeeBasisPoints, LedgerAccount, RuinBound};
use bq_mining_message::{AccountScheme, ShareSequence};
use bq_pool_history::{SeriesKey, Span, Subject};
use bq_pool_machine::{Applied, BlockState, Payout, PayoutKind, State};
use bq_primitives::{Address, Algorithm, Amount, BlockId, KeyHash, Target, Work};
use bq_views::{
    AlgorithmView, BlockCursor, BlockStateView, BlockView, BlocksView, Event, Page, PoolView, ReserveView, RoundView,
    SchemeView, ViewError,
};

use crate::{
    PoolError,
    history_views::{best_view, effort},
    keeper::Keeper,
    rows::{BlockRow, block_row, state_name},
    stats::counts_view,
};

impl Keeper {
    pub(crate) fn pool_view(&self, connections: u64) -> Result<PoolView, PoolError> {
        let info = self.node.mining_info()?;
        let now = self.uptime_secs();
        let counts = self.block_counts();
        let of =
            |algorithm: Algorithm| (algorithm.name().to_owned(), self.algorithm_view(algorithm, &info, &counts, now));
        // Before the state is held: rates are read from disk, too.
        let algorithms = Algorithm::ALL.into_iter().map(of).collect();
        let state = self.state.read();
        let total = |which: fn(&LedgerAccount) -> bool| total(&state, which);
        Ok(PoolView {
            network: self.config.network.name().to_owned(),
            height: info.tip.height.0,
            tip_id: info.tip.id.to_string(),
            scheme: state.offer().usual.name().to_owned(),
            schemes: scheme_views(&state, self.config.fee_bp),
            reserve: reserve_view(&state),
            payout_mode: mode_name(self.coinbases.read().lanes.iter().any(Option::is_some)),
            fee_bp: self.config.fee_bp,
            payout_min: self.config.payout_min.into(),
            coinbase_maturity: self.node.coinbase_maturity(),
            algorithms,
            connections,
            miners_active: self.stats.lock().miners(self.moment().unix).0,
            blocks_found: counts.values().sum(),
            blocks_orphaned: sum_of(&counts, |(_, state)| matches!(state, BlockState::Orphaned | BlockState::Lost)),
            immature: total(|account| matches!(account, LedgerAccount::MinerImmature(_))),
            payable: total(|account| matches!(account, LedgerAccount::MinerPayable(_))),
            carried: total(|account| matches!(account, LedgerAccount::MinerCarried(_))),
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
        let (round, short) = {
            let mut stats = self.stats.lock();
            (stats.round(algorithm), stats.lane_hashrates(now, algorithm))
        };
        let series = self.series(&Subject::Pool, algorithm).unwrap_or_default();
        let key = SeriesKey { subject: Subject::Pool, lane: algorithm };
        AlgorithmView {
            active: bits.is_some(),
            network_difficulty: target.map_or_else(|| "0".to_owned(), |target| Work::of_target(target).0.to_string()),
            bits: bits.map(|bits| bits.to_string()).unwrap_or_default(),
            pool_hashrate: short.0,
            network_hashrate: network.map_or(0.0, |(_, hashrate)| *hashrate),
            hashrates: self.rates(&series, self.stored(&[key], Span::FiveMinutes).next().flatten(), short),
            shares: counts_view(series.totals()),
            effort: effort(round.parts),
            effort_parts: round.parts.to_string(),
            best_share: best_view(&series),
            luck: self.luck_views(&Subject::Pool).remove(algorithm.name()).unwrap_or_default(),
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

    pub(crate) fn blocks_view(&self, page: &Page<BlockCursor>) -> Result<BlocksView, PoolError> {
        let after = page.after.map(|after| (u64::from(after.height), after.id.to_string()));
        let after = after.as_ref().map(|(height, id)| (*height, id.as_str()));
        let rows = self.store.page(RowKind::Block, "", after, page.limit.saturating_add(1))?;
        let mut rows: Vec<_> =
            rows.into_iter().filter_map(|row| serde_json::from_slice::<BlockRow>(&row.value).ok()).collect();
        let next =
            page.cut(&mut rows, |row| BlockCursor { height: row.height, id: row.id.parse().unwrap_or_default() });
        let tip = self.state.read().tip();
        let height = tip.map_or(0, |tip| tip.height.0);
        Ok(BlocksView { blocks: self.block_views(&rows, height), next })
    }

    /// Whatever is read for them is read once for all: a stranger chooses how many there are.
    fn block_views(&self, rows: &[BlockRow], tip: u32) -> Vec<BlockView> {
        let ids: Vec<BlockId> = rows.iter().filter_map(|row| row.id.parse().ok()).collect();
        let mut rounds = self.round_views(&ids);
        let finders = self.finders(rows.iter().filter_map(|row| row.share).map(ShareSequence));
        let view = |row: &BlockRow| {
            let finder = row.share.and_then(|share| finders.get(&ShareSequence(share)));
            let finder = finder.map(|payee| Address { network: self.config.network, key_hash: *payee }.to_string());
            let round = row.id.parse().ok().and_then(|id| rounds.remove(&id));
            block_view(row, tip, finder.unwrap_or_default(), round)
        };
        rows.iter().map(view).collect()
    }

    /// Whose shares these were; nothing of one that is pruned and was never asked for.
    fn finders(&self, shares: impl Iterator<Item = ShareSequence>) -> BTreeMap<ShareSequence, KeyHash> {
        let mut wanted: BTreeSet<_> = shares.collect();
        let mut found = self.finders.lock().of(&wanted);
        wanted.retain(|share| !found.contains_key(share));
        let mut read = BTreeMap::new();
        // A segment is read whole for one share of it: nothing is held meanwhile, and each share is looked for once.
        self.log.read_each(&wanted, |sequence, share| {
            read.extend(share.ok().flatten().map(|share| (sequence, share.payee)));
        });
        self.finders.lock().note(&read);
        found.append(&mut read);
        found
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
            for block in self.block_views(&[row], height) {
                self.show(Event::Block(block));
            }
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
        drop(stats);
        self.note_earnings(&state, state.blocks().map(|block| &block.candidate.id));
    }

    /// Brings the gauges up to date.
    pub(crate) fn show_metrics(&self) {
        let now = self.moment();
        let (accounts, workers) = self.stats.lock().miners(now.unix);
        self.metrics.miners(accounts, workers);
        for algorithm in Algorithm::ALL {
            let (hashrate, _) = self.stats.lock().lane_hashrates(now.running_secs, algorithm);
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

fn block_view(row: &BlockRow, tip: u32, finder: String, round: Option<RoundView>) -> BlockView {
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
        finder,
        round,
    }
}

pub(crate) fn mode_name(is_direct: bool) -> String {
    if is_direct { "direct" } else { "ledger" }.to_owned()
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
        PayoutKind::Fence | PayoutKind::Consolidation => (0, Amount::ZERO),
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

pub(crate) fn atoms(atoms: u64) -> AtomsView {
    AtomsView(atoms.to_string())
}

fn sum_of(counts: &BTreeMap<(Algorithm, BlockState), u64>, which: impl Fn(&(Algorithm, BlockState)) -> bool) -> u64 {
    counts.iter().filter(|(of, _)| which(of)).map(|(_, count)| *count).sum()
}

fn scheme_views(state: &State, lane_fee_bp: u16) -> Vec<SchemeView> {
    let offer = state.offer();
    let view = |(scheme, fee_bp, is_paid): (AccountScheme, Option<u16>, bool)| {
        Some(SchemeView { name: scheme.name().to_owned(), fee_bp: fee_bp?, is_paid })
    };
    let bp = |fee: Option<FeeBasisPoints>| fee.map(FeeBasisPoints::get);
    [
        (AccountScheme::Pplns, Some(lane_fee_bp), true),
        (AccountScheme::Pps, bp(offer.pps), state.pays_per_share()),
        (AccountScheme::Fpps, bp(offer.fpps), state.pays_per_share()),
        (AccountScheme::Solo, bp(offer.solo), true),
        (AccountScheme::Tides, bp(offer.tides.map(|tides| tides.fee)), true),
    ]
    .into_iter()
    .filter_map(view)
    .collect()
}

fn reserve_view(state: &State) -> Option<ReserveView> {
    state.offer().pays_per_share().then(|| ReserveView {
        holds: state.pps_reserve().into(),
        needed: state.reserve_needed(RuinBound::OneInThousand).map(Into::into),
        accrued: atoms(state.accrued()),
    })
}
