use std::collections::BTreeMap;

use bq_chain_api::AtomsView;
use serde::{Deserialize, Serialize};

use crate::{PayoutView, WorkerView};

/// Hashes per second over four windows. A worker that began within a window is measured over its own time, from its first share on, and over
/// 10 seconds at least; an hour is measured over 55 to 60 minutes, a day over 5 minutes less than one at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RatesView {
    /// The last minute.
    #[serde(rename = "1m")]
    pub minute: f64,
    /// Ten minutes.
    #[serde(rename = "10m")]
    pub ten_minutes: f64,
    /// An hour.
    #[serde(rename = "1h")]
    pub hour: f64,
    /// A day.
    #[serde(rename = "24h")]
    pub day: f64,
}

/// The hardest share ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestShareView {
    /// Expected hashes for one as hard, as a decimal string.
    pub difficulty: String,
    /// When it came, seconds since 1970.
    pub time: u64,
}

/// `GET /api/v1/pool/history` and `GET /api/v1/miners/{address}/history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// `5m`, `1h` or `1d`.
    pub step: String,
    /// Its length in seconds.
    pub step_secs: u64,
    /// How many steps are kept, the present one among them.
    pub steps_max: u32,
    /// By algorithm name, the oldest first; steps in which nothing came in are left out.
    pub algorithms: BTreeMap<String, Vec<StepView>>,
}

/// What came in during one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// When it began, seconds since 1970; days begin at midnight UTC.
    pub time: u64,
    /// Hashes per second over the step; over what has passed of the present one.
    pub hashrate: f64,
    /// Sum of the difficulties of accepted shares, in expected hashes, as a decimal string.
    pub work: String,
    /// Accepted shares.
    pub accepted: u64,
    /// Refused ones, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// What one day earned, as far as blocks of that day are on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarningView {
    /// When the day began (UTC), seconds since 1970.
    pub day: u64,
    /// Credited by the blocks of that day.
    pub amount: AtomsView,
}

/// `GET /api/v1/miners/{address}/workers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkersView {
    /// By name and algorithm.
    pub workers: Vec<WorkerView>,
    /// `after` of the next page; nothing on the last one.
    pub next: Option<String>,
}

/// `GET /api/v1/miners/{address}/payouts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutsView {
    /// Newest first.
    pub payouts: Vec<PayoutView>,
    /// `after` of the next page; nothing on the last one.
    pub next: Option<String>,
}

/// `GET /api/v1/miners/{address}/earnings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarningsView {
    /// Newest first; days without any are left out.
    pub earnings: Vec<EarningView>,
    /// `after` of the next page; nothing on the last one.
    pub next: Option<String>,
}
