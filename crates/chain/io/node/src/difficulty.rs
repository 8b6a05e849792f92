use bq_chain_api::{AlgorithmDifficultyView, DifficultyForecastView, DifficultyView};
use bq_consensus::{
    Branch, DifficultyReport, ForecastPoint, Guard, Hashrate, Params, difficulty_reports, forecast, hashrates,
};
use bq_primitives::{Algorithm, BlockId, U256, Work};
use bq_tree::BlockTree;
use parking_lot::Mutex;

use crate::hashrate::per_second;

const HOUR_SECS: u64 = 3_600;
const DAY_SECS: u64 = 86_400;
const FORECAST_HOURS: u32 = 6;

/// The latest difficulty view. It follows from the tip alone, so whoever asks again gets it for nothing.
#[derive(Debug, Default)]
pub(crate) struct KeptDifficulty(Mutex<Option<(BlockId, DifficultyView)>>);

impl KeptDifficulty {
    /// The view at the tree's tip. Only one caller works it out; the others wait for it.
    pub(crate) fn at_tip(&self, params: &Params, tree: &parking_lot::RwLock<BlockTree>) -> DifficultyView {
        let mut kept = self.0.lock();
        let tree = tree.read();
        let tip = tree.tip().id;
        if let Some((of, view)) = kept.as_ref()
            && *of == tip
        {
            return view.clone();
        }
        let view = difficulty_view(params, &tree.tip_branch());
        *kept = Some((tip, view.clone()));
        view
    }
}

fn difficulty_view(params: &Params, branch: &dyn Branch) -> DifficultyView {
    let tip = branch.tip();
    let points = forecast(params, branch, &rates(branch), HOUR_SECS, FORECAST_HOURS);
    let reports = difficulty_reports(params, branch);
    let algorithms = reports.iter().map(|report| (report.algorithm(), view(report, &points)));
    DifficultyView { height: tip.height, tip_id: tip.id, algorithms: algorithms.collect() }
}

/// The hash rates of the last hour; of the last day for algorithms that were silent for an hour.
fn rates(branch: &dyn Branch) -> [Hashrate; Algorithm::COUNT] {
    let mut rates = hashrates(branch, HOUR_SECS);
    for (rate, of_day) in rates.iter_mut().zip(hashrates(branch, DAY_SECS)) {
        if rate.work == U256::ZERO {
            *rate = of_day;
        }
    }
    rates
}

fn view(report: &DifficultyReport, points: &[ForecastPoint]) -> AlgorithmDifficultyView {
    let required = report.required;
    AlgorithmDifficultyView {
        last_difficulty: Work::of_target(report.state.previous),
        difficulty: Work::of_target(required.target),
        bits: required.bits,
        target: required.target,
        base_difficulty: required.base_bits.decode().ok().map(Work::of_target),
        easing_percent: f64::from(i32::try_from(report.easing_per_mille()).unwrap_or(i32::MAX)) / 10.0,
        lag_secs: report.lag_secs(),
        burst_active: matches!(report.guard, Guard::Capped { .. } | Guard::Releasing { .. }),
        state: report.to_string(),
        hashrate_1h: per_second(report.hour),
        hashrate_24h: per_second(report.day),
        forecast: points.iter().filter_map(|point| forecast_view(report.algorithm(), point)).collect(),
    }
}

fn forecast_view(algorithm: Algorithm, point: &ForecastPoint) -> Option<DifficultyForecastView> {
    let (_, target) = point.targets.iter().find(|(of, _)| *of == algorithm)?;
    Some(DifficultyForecastView {
        hours: u32::try_from(point.after_secs / HOUR_SECS).ok()?,
        difficulty: Work::of_target(*target),
        blocks: point.blocks.get(algorithm.index()).copied()?,
    })
}
