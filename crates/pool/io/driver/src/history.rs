//! What outlives the process of the statistics: read at start, written every few seconds, off the way of shares.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bq_history::{Batch, BlockChange, BlockNote, FILE_NAME, HistoryStore, HistoryStoreError};
use bq_ledger::LedgerAccount;
use bq_mining_message::ShareSequence;
use bq_pool_history::{BlockEarnings, EarningLine, Span};
use bq_pool_machine::{BlockState, PoolBlock, State};
use bq_primitives::{Amount, BlockId, Network, Timestamp};
use parking_lot::RwLock;

use crate::{keeper::Keeper, stats::RECENT_MAX};

/// Series that are copied at once: shares wait meanwhile.
const SERIES_TOGETHER: usize = 32;
/// Series that are written in one step: some 30 MiB of memory. With fewer the same pages of the file are written more often.
const SERIES_WRITTEN: usize = 65_536;

/// The file of statistics, if there can be one: a pool works without.
pub(crate) struct History {
    place: Option<Place>,
    store: RwLock<Option<Arc<HistoryStore>>>,
    /// The day on which old days were last forgotten.
    tidied: AtomicU32,
}

struct Place {
    path: PathBuf,
    network: Network,
    genesis: BlockId,
}

impl History {
    /// Without a file.
    pub(crate) fn none() -> Self {
        Self { place: None, store: RwLock::new(None), tidied: AtomicU32::new(0) }
    }

    /// Opens the file, or begins it anew. Statistics are never a reason not to start.
    pub(crate) fn open(data_dir: &Path, network: Network, genesis: BlockId) -> Self {
        let place = Place { path: data_dir.join(FILE_NAME), network, genesis };
        let store = HistoryStore::open_or_begin_anew(&place.path, network, &genesis);
        let store = store.inspect_err(|error| tracing::warn!(%error, "statistics are not kept for now")).ok();
        Self { place: Some(place), store: RwLock::new(store.map(Arc::new)), tidied: AtomicU32::new(0) }
    }

    /// The file to read from; nothing while there is none.
    pub(crate) fn store(&self) -> Option<Arc<HistoryStore>> {
        self.store.read().clone()
    }

    /// The file to write to; one that could not be opened is tried again.
    fn store_or_open(&self) -> Option<Arc<HistoryStore>> {
        if let Some(store) = self.store() {
            return Some(store);
        }
        let Place { path, network, genesis } = self.place.as_ref()?;
        let store = Arc::new(HistoryStore::open_or_begin_anew(path, *network, genesis).ok()?);
        *self.store.write() = Some(Arc::clone(&store));
        Some(store)
    }

    fn begin_anew(&self, reason: &str) {
        let Some(Place { path, network, genesis }) = &self.place else { return };
        let mut store = self.store.write();
        *store = None;
        let anew = HistoryStore::begin_anew(path, *network, genesis, reason);
        *store = anew.inspect_err(|error| tracing::warn!(%error, "statistics are not kept for now")).ok().map(Arc::new);
    }
}

impl Keeper {
    /// Reads what earlier processes left, and counts the accepted shares that they could not write any more.
    pub(crate) fn load_history(&self) {
        let mut is_anew = false;
        let read_to = match self.history.store().map(|store| self.load_from(&store)) {
            Some(Ok(read_to)) => read_to,
            Some(Err(HistoryStoreError::Unusable { reason, .. })) => {
                self.history.begin_anew(&reason);
                is_anew = true;
                None
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "earlier statistics are not shown");
                None
            }
            None => None,
        };
        let end = self.log.next();
        let most = u64::try_from(RECENT_MAX).unwrap_or(u64::MAX);
        let newest = end.0.saturating_sub(most).max(self.log.status().pruned_before.0);
        let from = ShareSequence(read_to.map_or(newest, |read_to| read_to.max(newest)));
        let mut stats = self.stats.lock();
        stats.loaded(end);
        if is_anew {
            // What could still be read is written to the new file.
            stats.mark_all();
        }
        for share in self.log.read(from..end) {
            match share {
                Ok((sequence, share)) => stats.recount(sequence, &share),
                Err(error) => {
                    tracing::warn!(%error, "some shares are missing in the statistics");
                    break;
                }
            }
        }
    }

    /// The place in the share log up to which everything is counted.
    fn load_from(&self, store: &HistoryStore) -> Result<Option<u64>, HistoryStoreError> {
        let mut stats = self.stats.lock();
        let unreadable = store.series(|key, series| stats.load(key, series))?;
        if unreadable > 0 {
            tracing::warn!(unreadable, "some workers' statistics cannot be read and are begun anew");
        }
        store.luck(|key, luck| stats.load_luck(&key, luck))?;
        for (lane, round) in store.rounds()? {
            stats.load_round(lane, round);
        }
        store.counted_before()
    }

    /// Writes what changed since the last time. What cannot be written stays in memory until the next time.
    pub(crate) fn write_history(&self) {
        let Some(store) = self.history.store_or_open() else { return };
        // Every share before this one is counted: it was written and counted under one lock.
        let counted_before = {
            let _intake = self.intake.lock();
            self.log.next()
        };
        loop {
            let (mut batch, is_last) = self.gather();
            if is_last {
                batch.counted_before = Some(counted_before.0);
                let today = Span::Day.slot_at(self.moment().unix).0;
                if self.history.tidied.swap(today, Ordering::Relaxed) != today {
                    batch.days_from = today.checked_sub(Span::Day.slots());
                }
            }
            if let Err(error) = store.write(&batch) {
                return self.not_written(batch, &error);
            }
            for series in batch.series.chunks(SERIES_TOGETHER) {
                self.stats.lock().written(series);
            }
            if is_last {
                return self.look_for_withholding();
            }
        }
    }

    /// What changed, up to what one step writes, and whether that is all. Shares wait for a part of it at a time.
    fn gather(&self) -> (Batch, bool) {
        let (mut all, mut series, mut is_last) = (Batch::default(), BTreeMap::new(), false);
        while series.len() < SERIES_WRITTEN && !is_last {
            let Some(more) = self.stats.lock().take_changes(SERIES_TOGETHER) else {
                is_last = true;
                break;
            };
            is_last = more.series.len() < SERIES_TOGETHER;
            // What was dropped since it was taken must not come back.
            for key in &more.dropped {
                series.remove(&key.to_bytes());
            }
            all.dropped.extend(more.dropped);
            all.rounds.extend(more.rounds);
            all.blocks.extend(more.blocks);
            series.extend(more.series.into_iter().map(|row| (row.key.to_bytes(), row)));
        }
        all.series = series.into_values().collect();
        (all, is_last)
    }

    fn not_written(&self, batch: Batch, error: &HistoryStoreError) {
        self.stats.lock().not_written(batch);
        let HistoryStoreError::Unusable { reason, .. } = error else {
            tracing::warn!(%error, "statistics are written later");
            return;
        };
        self.stats.lock().mark_all();
        self.history.begin_anew(reason);
        let state = self.state.read();
        self.note_earnings(&state, state.blocks().map(|block| &block.candidate.id));
    }

    /// What blocks credit now, for the days of their accounts.
    pub(crate) fn note_earnings<'a>(&self, state: &State, blocks: impl IntoIterator<Item = &'a BlockId>) {
        let notes: Vec<BlockNote> = blocks
            .into_iter()
            .filter_map(|id| state.block(id))
            .map(|block| BlockNote { id: block.candidate.id, change: change_of(state, block) })
            .collect();
        if !notes.is_empty() {
            let mut stats = self.stats.lock();
            notes.into_iter().for_each(|note| stats.note_block(note));
        }
    }
}

fn change_of(state: &State, block: &PoolBlock) -> BlockChange {
    match block.state {
        BlockState::Found | BlockState::Orphaned => BlockChange::Earnings(None),
        // Miners keep what a block credited, also when it is lost after that.
        BlockState::Matured | BlockState::Lost => BlockChange::Settled,
        BlockState::Immature => {
            let credits = block.lines.iter().filter_map(|line| match line.credit {
                LedgerAccount::MinerImmature(account) => Some((state.accounts().key(account)?, line.amount)),
                _ => None,
            });
            let mut lines: Vec<EarningLine> =
                credits.map(|(account, amount)| EarningLine { account, amount }).collect();
            lines.sort_unstable_by_key(|line| line.account);
            lines.dedup_by(|next, kept| {
                let is_same = next.account == kept.account;
                if is_same {
                    kept.amount = kept.amount.checked_add(next.amount).unwrap_or(Amount::MAX);
                }
                is_same
            });
            lines.retain(|line| line.amount > Amount::ZERO);
            BlockChange::Earnings(Some(BlockEarnings {
                day: Span::Day.slot_at(Timestamp(block.candidate.time)),
                lines,
            }))
        }
    }
}
