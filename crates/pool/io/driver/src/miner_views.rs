//! What people see of one miner.

use std::collections::BTreeMap;

use bq_books::RowKind;
use bq_chain_api::AtomsView;
use bq_ledger::LedgerAccount;
use bq_pool_history::{Ring, SeriesKey, Span, Subject};
use bq_primitives::{AccountId, Address, Algorithm, KeyHash};
use bq_views::{
    EarningView, EarningsView, MinerView, Page, PayoutView, PayoutsView, WorkerCursor, WorkerView, WorkersView,
};

use crate::{
    PoolError,
    history_views::best_view,
    keeper::Keeper,
    rows::PaymentRow,
    stats::{WorkerStats, counts_view},
    views::atoms,
};

/// Rows of each list that are shown with the miner itself. Part of the API, as the next two: the rest is read by the page.
const WORKERS_SHOWN: usize = 1000;
const PAYOUTS_SHOWN: usize = 100;
const DAYS_SHOWN: usize = 30;
/// Workers that are copied at once: shares wait meanwhile.
const WORKERS_TOGETHER: usize = 32;
/// Seconds of a day.
const DAY_SECS: u64 = 86_400;

/// Somebody who mined here, or tried to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Miner {
    pub(crate) key: KeyHash,
    /// Nothing as long as no share of his was accepted and told.
    pub(crate) account: Option<AccountId>,
}

impl Keeper {
    /// Nothing for a text that is no address here, and for an address that never mined here.
    pub(crate) fn find_miner(&self, address: &str) -> Option<Miner> {
        let key = Address::parse(address, self.config.network).ok()?.key_hash;
        let account = self.state.read().accounts().find(&key);
        (account.is_some() || self.stats.lock().knows(key)).then_some(Miner { key, account })
    }

    pub(crate) fn miner_view(&self, address: &str) -> Result<Option<MinerView>, PoolError> {
        let Some(miner) = self.find_miner(address) else { return Ok(None) };
        let rates = self.stats.lock().account_hashrates(self.uptime_secs(), miner.key);
        let subject = Subject::Account(miner.key);
        let lanes: Vec<_> =
            rates.into_iter().filter_map(|(lane, short)| Some((lane, short, self.series(&subject, lane)?))).collect();
        let by_name = |lane: Algorithm| lane.name().to_owned();
        let keys: Vec<_> = lanes.iter().map(|(lane, ..)| SeriesKey { subject: subject.clone(), lane: *lane }).collect();
        let stored = self.stored(&keys, Span::FiveMinutes);
        let hashrates = lanes.iter().zip(stored);
        let hashrates =
            hashrates.map(|((lane, short, series), stored)| (by_name(*lane), self.rates(series, stored, *short)));
        let (scheme, accrued) = self.scheme_view(miner);
        let [immature, payable, carried, in_flight, paid] = self.balances(miner).map(atoms);
        Ok(Some(MinerView {
            address: Address { network: self.config.network, key_hash: miner.key }.to_string(),
            scheme,
            accrued,
            hashrate: lanes.iter().map(|(lane, short, _)| (by_name(*lane), short.0)).collect(),
            hashrates: hashrates.collect::<BTreeMap<_, _>>(),
            best_shares: lanes
                .iter()
                .filter_map(|(lane, _, series)| Some((by_name(*lane), best_view(series)?)))
                .collect(),
            luck: self.luck_views(&subject),
            shares: lanes.iter().map(|(lane, _, series)| (by_name(*lane), counts_view(series.totals()))).collect(),
            immature,
            payable,
            carried,
            in_flight,
            paid,
            next_block: self.next_block_view(miner),
            workers: self.workers_view(miner, &Page::first(WORKERS_SHOWN)).workers,
            payouts: self.payouts_view(miner, &Page::first(PAYOUTS_SHOWN))?.payouts,
            coinbases: self.coinbase_payments_view(miner, &Page::first(PAYOUTS_SHOWN))?.coinbases,
            earnings: self.earnings_view(miner, &Page::first(DAYS_SHOWN)).earnings,
        }))
    }

    /// How it is paid, and what it earned by shares that is not credited yet.
    fn scheme_view(&self, miner: Miner) -> (String, AtomsView) {
        let state = self.state.read();
        let accrued = |lane| miner.account.map_or(0, |account| state.accrual(account, lane).flush().0.atoms());
        let accrued = Algorithm::ALL.into_iter().map(accrued).fold(0, u64::saturating_add);
        (state.scheme_of(&miner.key).name().to_owned(), atoms(accrued))
    }

    /// Immature, payable, carried, in flight and paid, of one moment.
    fn balances(&self, miner: Miner) -> [u64; 5] {
        let Some(account) = miner.account else { return [0; 5] };
        let state = self.state.read();
        let balance = |account| state.books().balance(account);
        [
            balance(LedgerAccount::MinerImmature(account)),
            balance(LedgerAccount::MinerPayable(account)),
            balance(LedgerAccount::MinerCarried(account)),
            balance(LedgerAccount::MinerInFlight(account)),
            state.paid(account),
        ]
    }

    pub(crate) fn workers_view(&self, miner: Miner, page: &Page<WorkerCursor>) -> WorkersView {
        let mut workers = self.workers_of(miner, page);
        let cursor = |worker: &WorkerStats| WorkerCursor { name: worker.name.clone(), algorithm: worker.algorithm };
        let next = page.cut(&mut workers, cursor);
        let key = |worker: &WorkerStats| {
            let subject = Subject::Worker(miner.key, worker.name.clone());
            SeriesKey { subject, lane: worker.algorithm }
        };
        let keys: Vec<_> = workers.iter().map(key).collect();
        let stored = self.stored(&keys, Span::FiveMinutes);
        WorkersView { workers: workers.into_iter().zip(stored).map(|of| self.worker_view(of)).collect(), next }
    }

    /// One more than fit on a page. Copied a few at a time: shares wait meanwhile.
    fn workers_of(&self, miner: Miner, page: &Page<WorkerCursor>) -> Vec<WorkerStats> {
        let mut after = page.after.as_ref().map(|after| (after.name.clone(), after.algorithm));
        let max = page.limit.saturating_add(1);
        let mut workers = Vec::new();
        loop {
            let some = max.saturating_sub(workers.len()).min(WORKERS_TOGETHER);
            let more = self.stats.lock().workers_of(self.uptime_secs(), miner.key, after.as_ref(), some);
            let is_last = more.len() < some;
            workers.extend(more);
            if is_last || workers.len() >= max {
                return workers;
            }
            after = workers.last().map(|worker| (worker.name.clone(), worker.algorithm));
        }
    }

    fn worker_view(&self, (worker, stored): (WorkerStats, Option<Ring>)) -> WorkerView {
        let WorkerStats { name, algorithm, hashrate, hashrate_minute, series } = worker;
        WorkerView {
            name: name.to_string(),
            algorithm: algorithm.name().to_owned(),
            hashrate,
            hashrate_minute,
            hashrates: self.rates(&series, stored, (hashrate, hashrate_minute)),
            best_share: best_view(&series),
            shares: counts_view(series.totals()),
            last_share: series.last_share().map_or(0, |at| at.0),
            last_seen: series.newest().0,
        }
    }

    pub(crate) fn payouts_view(&self, miner: Miner, page: &Page<u64>) -> Result<PayoutsView, PoolError> {
        let Some(account) = miner.account else { return Ok(PayoutsView { payouts: Vec::new(), next: None }) };
        let before = page.after.unwrap_or(u64::MAX);
        let max = page.limit.saturating_add(1);
        let mut rows = self.store.rows(RowKind::Payment, &account.to_string(), before, max)?;
        let next = page.cut(&mut rows, |row| row.order);
        let rows = rows.into_iter().filter_map(|row| serde_json::from_slice::<PaymentRow>(&row.value).ok());
        let view = |row: PaymentRow| PayoutView {
            txid: row.txid,
            amount: atoms(row.net),
            state: row.state,
            time: row.time_ms / 1000,
        };
        Ok(PayoutsView { payouts: rows.map(view).collect(), next })
    }

    pub(crate) fn earnings_view(&self, miner: Miner, page: &Page<u32>) -> EarningsView {
        let before = page.after.unwrap_or(u32::MAX);
        let read = self.history.store().map(|store| store.earnings(miner.key, before, page.limit.saturating_add(1)));
        let read = read.transpose().inspect_err(|error| tracing::warn!(%error, "earnings are not shown"));
        let mut days = read.ok().flatten().unwrap_or_default();
        let next = page.cut(&mut days, |day| day.day);
        let view =
            |day: bq_history::DayEarnings| EarningView { day: u64::from(day.day) * DAY_SECS, amount: atoms(day.atoms) };
        EarningsView { earnings: days.into_iter().map(view).collect(), next }
    }
}
