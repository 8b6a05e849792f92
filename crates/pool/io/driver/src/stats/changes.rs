//! What goes to the file of statistics and comes back from it.

use bq_history::{Batch, BlockNote, SeriesRow};
use bq_mining_message::{Share, ShareSequence};
use bq_pool_history::{LuckHistory, Round, Series, SeriesKey, Subject};
use bq_primitives::{Algorithm, KeyHash, Timestamp};

use super::{Class, Stats};

/// Series that are dropped are remembered up to so many, until the file hears of it. Of more, some stay in the file: the next start makes
/// room again.
const DROPPED_MAX: usize = 1_000_000;

/// What changed since it was written last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Workers, by place; who is marked as changed is here once.
    pub(super) workers: Vec<usize>,
    pub(super) accounts: Vec<(KeyHash, Algorithm)>,
    dropped: Vec<SeriesKey>,
    blocks: Vec<BlockNote>,
}

impl Changes {
    pub(super) fn note_block(&mut self, note: BlockNote) {
        self.blocks.push(note);
    }
}

impl Stats {
    /// A series as the file has it. Nothing may be counted before [`Stats::loaded`].
    pub(crate) fn load(&mut self, key: SeriesKey, series: Series) {
        match key.subject {
            Subject::Pool => self.lanes[key.lane.index()].series = series,
            Subject::Account(account) => *self.accounts.entry(account).or_default().lane(key.lane) = series,
            Subject::Worker(account, name) => {
                let class = if series.last_share().is_some() { Class::Proven } else { Class::Refused };
                self.place((account, key.lane, name), class, series);
            }
        }
    }

    /// The luck of somebody whose series is loaded, as the file has it.
    pub(crate) fn load_luck(&mut self, key: &SeriesKey, luck: LuckHistory) {
        match &key.subject {
            Subject::Pool => self.lanes[key.lane.index()].luck = luck,
            Subject::Account(account) => {
                if let Some(account) = self.accounts.get_mut(account) {
                    *account.luck_mut(key.lane) = luck;
                }
            }
            Subject::Worker(..) => {}
        }
    }

    /// The present round of a lane as the file has it.
    pub(crate) fn load_round(&mut self, lane: Algorithm, round: Round) {
        self.lanes[lane.index()].round = round;
    }

    /// Everything is loaded. Of too many workers those stay that were seen last; accounts without workers go, and so does what was counted of
    /// shares that a restored share log does not have.
    pub(crate) fn loaded(&mut self, log_end: ShareSequence) {
        let mut by_age: Vec<(Timestamp, usize)> =
            self.by_key.values().map(|index| (self.workers[*index].seen(), *index)).collect();
        by_age.sort_unstable();
        for (_, index) in by_age {
            self.link(index);
            self.make_room_loaded(index);
        }
        let empty: Vec<KeyHash> =
            self.accounts.iter().filter(|(_, account)| account.names.is_empty()).map(|(key, _)| *key).collect();
        empty.into_iter().for_each(|account| self.forget_account(account));
        let of_accounts = self.accounts.values_mut().flat_map(|account| account.series_mut());
        let of_workers = self.workers.iter_mut().map(|worker| &mut worker.series);
        for series in of_accounts.chain(of_workers) {
            series.log_ends_before(log_end);
        }
        for lane in &mut self.lanes {
            lane.series.log_ends_before(log_end);
            lane.round.log_ends_before(log_end);
        }
    }

    /// A share of the log that the file may not have counted yet: counts wherever it is not counted.
    pub(crate) fn recount(&mut self, sequence: ShareSequence, share: &Share) {
        self.count(Timestamp(share.time_ms / 1000), sequence, share);
    }

    /// What became known of a block.
    pub(crate) fn note_block(&mut self, note: BlockNote) {
        self.changes.note_block(note);
    }

    /// What was noted of blocks and is not written yet.
    pub(crate) fn unwritten_blocks(&self) -> impl Iterator<Item = &BlockNote> {
        self.changes.blocks.iter()
    }

    pub(super) fn drop_series(&mut self, key: SeriesKey) {
        if self.changes.dropped.len() < DROPPED_MAX {
            self.changes.dropped.push(key);
        }
    }

    pub(super) fn mark_worker(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if !std::mem::replace(&mut worker.is_changed, true) {
            self.changes.workers.push(index);
        }
    }

    /// Takes out up to `max` series that changed, and what else did; nothing when nothing did. Whoever takes it says afterwards what became
    /// of it.
    pub(crate) fn take_changes(&mut self, max: usize) -> Option<Batch> {
        let mut batch = Batch {
            dropped: std::mem::take(&mut self.changes.dropped),
            blocks: std::mem::take(&mut self.changes.blocks),
            ..Batch::default()
        };
        for (lane, kept) in Algorithm::ALL.into_iter().zip(&mut self.lanes) {
            if std::mem::take(&mut kept.is_changed) {
                batch.rounds.push((lane, kept.round));
                batch.series.push(row(SeriesKey { subject: Subject::Pool, lane }, &kept.series, Some(kept.luck)));
            }
        }
        while batch.series.len() < max {
            if let Some((key, lane)) = self.changes.accounts.pop() {
                let account = self.accounts.get_mut(&key);
                if let Some((series, luck)) = account.and_then(|account| account.take_changed(lane)) {
                    batch.series.push(row(SeriesKey { subject: Subject::Account(key), lane }, series, Some(luck)));
                }
            } else if let Some(index) = self.changes.workers.pop() {
                let worker = &mut self.workers[index];
                if std::mem::take(&mut worker.is_changed) {
                    let (account, lane, name) = worker.key.clone();
                    let key = SeriesKey { subject: Subject::Worker(account, name), lane };
                    batch.series.push(row(key, &worker.series, None));
                }
            } else {
                break;
            }
        }
        let is_empty = batch.series.is_empty() && batch.dropped.is_empty() && batch.blocks.is_empty();
        (!is_empty).then_some(batch)
    }

    /// What was taken of these is on disk.
    pub(crate) fn written(&mut self, series: &[SeriesRow]) {
        for SeriesRow { key, due, .. } in series {
            if let Some(due) = due {
                self.series_mut(key).into_iter().for_each(|series| series.stored(due));
            }
        }
    }

    /// What was taken could not be written: it is taken again next time.
    pub(crate) fn not_written(&mut self, batch: Batch) {
        batch.series.into_iter().for_each(|row| self.mark(&row.key));
        let dropped = std::mem::replace(&mut self.changes.dropped, batch.dropped);
        dropped.into_iter().for_each(|key| self.drop_series(key));
        let blocks = std::mem::replace(&mut self.changes.blocks, batch.blocks);
        self.changes.blocks.extend(blocks);
    }

    /// Everything is taken next time: the file begins anew.
    pub(crate) fn mark_all(&mut self) {
        self.changes.dropped.clear();
        self.lanes.iter_mut().for_each(|lane| lane.is_changed = true);
        let live: Vec<usize> = self.by_key.values().copied().collect();
        live.into_iter().for_each(|index| self.mark_worker(index));
        let accounts: Vec<_> =
            self.accounts.iter().flat_map(|(key, account)| account.lanes().map(|(lane, _)| (*key, lane))).collect();
        accounts.into_iter().for_each(|(key, lane)| self.mark(&SeriesKey { subject: Subject::Account(key), lane }));
    }

    fn mark(&mut self, key: &SeriesKey) {
        match &key.subject {
            Subject::Pool => self.lanes[key.lane.index()].is_changed = true,
            Subject::Account(account) => {
                if let Some(known) = self.accounts.get_mut(account)
                    && known.mark(key.lane)
                {
                    self.changes.accounts.push((*account, key.lane));
                }
            }
            Subject::Worker(account, name) => {
                if let Some(index) = self.by_key.get(&(*account, key.lane, name.clone())).copied() {
                    self.mark_worker(index);
                }
            }
        }
    }

    fn series_mut(&mut self, key: &SeriesKey) -> Option<&mut Series> {
        match &key.subject {
            Subject::Pool => Some(&mut self.lanes[key.lane.index()].series),
            Subject::Account(account) => self.accounts.get_mut(account)?.known_lane(key.lane),
            Subject::Worker(account, name) => {
                let index = self.by_key.get(&(*account, key.lane, name.clone()))?;
                self.workers.get_mut(*index).map(|worker| &mut worker.series)
            }
        }
    }
}

fn row(key: SeriesKey, series: &Series, luck: Option<LuckHistory>) -> SeriesRow {
    SeriesRow { key, value: series.to_bytes(), due: series.due(false).map(Box::new), luck }
}
