//! The last ten minutes, share by share.

use bq_primitives::Algorithm;

use super::{MINUTE_SECS, RECENT_MAX, Stats, WINDOW_SECS, Worker};

/// A share in the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    pub(super) at_secs: u64,
    pub(super) difficulty: u64,
    pub(super) lane: Algorithm,
    /// Position in `workers`; nothing for a share that counts for its lane only.
    pub(super) worker: Option<u32>,
}

/// A worker's shares without a window's length between them: its rate is over the time since the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    pub(super) since_secs: u64,
    /// Of the share that it began with: what it took to find that one lies before.
    pub(super) first: u64,
}

impl Run {
    /// Work over the window, or over the time since the first share while that is shorter; at least 10 s, so that two shares in a row
    /// do not read as a giant. What was done for the first share was done before it.
    #[expect(clippy::cast_precision_loss, reason = "a displayed estimate")]
    pub(super) fn rate(self, now: u64, work: u128, window_secs: u64) -> f64 {
        let since = now.saturating_sub(self.since_secs);
        if since > window_secs {
            return work as f64 / window_secs as f64;
        }
        work.saturating_sub(self.first.into()) as f64 / since.max(10) as f64
    }
}

impl Stats {
    /// Takes out of the sums what left a window.
    pub(super) fn expire(&mut self, now: u64) {
        self.expire_minute(now);
        while let Some(oldest) = self.recent.front().copied() {
            if oldest.at_secs + WINDOW_SECS >= now && self.recent.len() < RECENT_MAX {
                return;
            }
            if self.older == 0 {
                self.leave_minute(oldest);
            }
            self.recent.pop_front();
            self.older = self.older.saturating_sub(1);
            let lane = &mut self.lanes[oldest.lane.index()];
            lane.work = lane.work.saturating_sub(oldest.difficulty.into());
            if let Some(worker) = self.worker_of(oldest) {
                worker.work = worker.work.saturating_sub(oldest.difficulty.into());
            }
        }
    }

    fn expire_minute(&mut self, now: u64) {
        while let Some(next) = self.recent.get(self.older).copied().filter(|next| next.at_secs + MINUTE_SECS < now) {
            self.leave_minute(next);
        }
    }

    fn leave_minute(&mut self, recent: Recent) {
        self.older += 1;
        let lane = &mut self.lanes[recent.lane.index()];
        lane.minute = lane.minute.saturating_sub(recent.difficulty.into());
        if let Some(worker) = self.worker_of(recent) {
            worker.minute = worker.minute.saturating_sub(recent.difficulty.into());
        }
    }

    fn worker_of(&mut self, recent: Recent) -> Option<&mut Worker> {
        let index = recent.worker.and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.workers.get_mut(index))
    }
}
