//! Rates, charts and rounds, as people see them.

use std::collections::BTreeMap;

use bq_history::BlockChange;
use bq_ledger::ShareWeight;
use bq_pool_history::{EndedRound, Ring, Series, SeriesKey, Slot, SlotNumber, Span, Subject, Window};
use bq_primitives::{Algorithm, BlockId, Timestamp};
use bq_views::{BestShareView, HistoryView, RatesView, RoundView, StepView};

use crate::{keeper::Keeper, metrics::approximate, stats::counts_view};

/// What a rate is taken over at least, in seconds.
const RATE_SECS_MIN: u64 = 10;

impl Keeper {
    /// A copy of what is remembered: the statistics are not held while something is read from disk.
    pub(crate) fn series(&self, subject: &Subject, lane: Algorithm) -> Option<Series> {
        self.stats.lock().series(subject, lane).cloned()
    }

    /// What the file has of a ring; nothing if it cannot be read, for then people see what is in memory.
    fn stored(&self, key: &SeriesKey, span: Span) -> Option<Ring> {
        let read = self.history.store()?.ring(key, span);
        read.inspect_err(|error| tracing::warn!(%error, "older statistics are not shown")).ok().flatten()
    }

    /// Rates over all windows; `short` are those over ten minutes and over one.
    pub(crate) fn rates(&self, key: &SeriesKey, series: &Series, short: (f64, f64)) -> RatesView {
        let now = self.moment().unix;
        let fives = series.slots(Span::FiveMinutes, self.stored(key, Span::FiveMinutes), now);
        let [hour, day] = Window::ALL.map(|window| series.rate(&fives, now, window).per_second());
        RatesView { minute: short.1, ten_minutes: short.0, hour, day }
    }

    /// Everything that is kept of somebody's shares in steps of one length; nothing for a length that is none.
    pub(crate) fn history_view(&self, subject: &Subject, step: &str) -> Option<HistoryView> {
        let span = Span::ALL.into_iter().find(|span| span.name() == step)?;
        let now = self.moment().unix;
        let mut algorithms = BTreeMap::new();
        for lane in Algorithm::ALL {
            let Some(series) = self.series(subject, lane).filter(|series| !series.totals().is_empty()) else {
                continue;
            };
            let key = SeriesKey { subject: subject.clone(), lane };
            let slots = series.slots(span, self.stored(&key, span), now);
            let steps = slots.iter().map(|(number, slot)| step_view(span, number, slot, now));
            algorithms.insert(lane.name().to_owned(), steps.collect());
        }
        let (step, step_secs) = (span.name().to_owned(), span.secs());
        Some(HistoryView { step, step_secs, steps_max: span.slots(), algorithms })
    }

    /// What a block took, as far as that is known.
    pub(crate) fn round_view(&self, block: &BlockId) -> Option<RoundView> {
        let unwritten = self.stats.lock().unwritten_blocks().find_map(|note| match note.change {
            BlockChange::Round(round) if note.id == *block => Some(round),
            _ => None,
        });
        let written = || self.history.store().and_then(|store| store.ended_round(block).ok().flatten());
        let EndedRound { parts, shares, .. } = unwritten.or_else(written)?;
        let effort = effort(parts);
        let luck = if effort > 0.0 { effort.recip() } else { 0.0 };
        Some(RoundView { effort, effort_parts: parts.to_string(), luck, shares })
    }
}

/// Parts of 2^-60 as a fraction of a block.
pub(crate) fn effort(parts: u128) -> f64 {
    approximate(i128::try_from(parts).unwrap_or(i128::MAX)) / approximate(ShareWeight::ONE.parts().into())
}

pub(crate) fn best_view(series: &Series) -> Option<BestShareView> {
    let best = series.best()?;
    Some(BestShareView { difficulty: best.difficulty.hashes().to_string(), time: best.at.0 })
}

#[expect(clippy::cast_precision_loss, reason = "a displayed estimate")]
fn step_view(span: Span, number: SlotNumber, slot: &Slot, now: Timestamp) -> StepView {
    let start = span.start_of(number);
    let secs = now.0.saturating_sub(start.0).clamp(RATE_SECS_MIN, span.secs());
    let counts = counts_view(slot);
    StepView {
        time: start.0,
        hashrate: slot.work as f64 / secs as f64,
        work: slot.work.to_string(),
        accepted: counts.accepted,
        rejected: counts.rejected,
    }
}
