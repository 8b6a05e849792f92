//! Rates, charts and rounds, as people see them.

use std::collections::{BTreeMap, BTreeSet};

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

    /// What the file has of some rings, in their order; nothing if it cannot be read, for then people see what is in memory.
    pub(crate) fn stored(&self, keys: &[SeriesKey], span: Span) -> impl Iterator<Item = Option<Ring>> {
        let read = self.history.store().map(|store| store.rings(keys, span)).transpose();
        let read = read.inspect_err(|error| tracing::warn!(%error, "older statistics are not shown"));
        read.ok().flatten().unwrap_or_default().into_iter().chain(std::iter::repeat(None)).take(keys.len())
    }

    /// Rates over all windows; `short` are those over ten minutes and over one, `stored` what the file has of five minutes.
    pub(crate) fn rates(&self, series: &Series, stored: Option<Ring>, short: (f64, f64)) -> RatesView {
        let now = self.moment().unix;
        let fives = series.slots(Span::FiveMinutes, stored, now);
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
            let stored = self.stored(&[key], span).next().flatten();
            let slots = series.slots(span, stored, now);
            let steps = slots.iter().map(|(number, slot)| step_view(span, number, slot, now));
            algorithms.insert(lane.name().to_owned(), steps.collect());
        }
        let (step, step_secs) = (span.name().to_owned(), span.secs());
        Some(HistoryView { step, step_secs, steps_max: span.slots(), algorithms })
    }

    /// What blocks took, as far as that is known: one look at the statistics, for which shares wait, and one at their file, however many blocks.
    pub(crate) fn round_views(&self, blocks: &[BlockId]) -> BTreeMap<BlockId, RoundView> {
        let wanted: BTreeSet<_> = blocks.iter().collect();
        let mut rounds = BTreeMap::new();
        for note in self.stats.lock().unwritten_blocks() {
            if let BlockChange::Round(round) = note.change
                && wanted.contains(&note.id)
            {
                rounds.entry(note.id).or_insert(round);
            }
        }
        let others: Vec<_> = wanted.into_iter().filter(|block| !rounds.contains_key(*block)).copied().collect();
        let written = self.history.store().filter(|_| !others.is_empty()).map(|store| store.ended_rounds(&others));
        let written = written.and_then(Result::ok).unwrap_or_default();
        rounds.extend(others.into_iter().zip(written).filter_map(|(block, round)| Some((block, round?))));
        rounds.into_iter().map(|(block, round)| (block, round_view(round))).collect()
    }
}

fn round_view(EndedRound { parts, shares, .. }: EndedRound) -> RoundView {
    let effort = effort(parts);
    let luck = if effort > 0.0 { effort.recip() } else { 0.0 };
    RoundView { effort, effort_parts: parts.to_string(), luck, shares }
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
