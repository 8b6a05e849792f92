use std::{sync::OnceLock, time::Duration};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Seconds, from a tenth of a millisecond (an Ethash share) to ten seconds (a full block).
const SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Everything else that is counted in a histogram: depths, lengths, batch sizes.
const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1_024.0, 4_096.0];

/// Metrics are not available.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics recorder: {0}")]
pub struct MetricsError(String);

/// Makes every `metrics` macro of this process count into one recorder, and returns the handle that renders it. The
/// first call installs it, later calls return the same handle. Call it before the parts start: what they count earlier
/// is lost.
///
/// # Errors
/// Something else installed another recorder first.
pub fn install_metrics() -> Result<PrometheusHandle, MetricsError> {
    static INSTALLED: OnceLock<Result<PrometheusHandle, MetricsError>> = OnceLock::new();
    INSTALLED.get_or_init(|| install().map_err(|error| MetricsError(error.to_string()))).clone()
}

fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()
}

/// What the HTTP server counts. Labels are routes and status codes of ours, never text of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpMetrics;

const REQUESTS: &str = "bq_http_requests_total";
const REQUEST_TIME: &str = "bq_http_request_seconds";
const CONNECTIONS: &str = "bq_http_connections";
const EVENT_STREAMS: &str = "bq_http_event_streams";
const CONDITION: &str = "bq_condition";
const IMBALANCE: &str = "bq_ledger_imbalance_atoms";

impl HttpMetrics {
    pub(crate) fn register() -> Self {
        describe_counter!(REQUESTS, "Answered HTTP requests, by route and status");
        describe_histogram!(REQUEST_TIME, "Seconds from a request to the head of its answer, by route");
        describe_gauge!(CONNECTIONS, "Open HTTP connections");
        describe_gauge!(EVENT_STREAMS, "Clients of the live event feed");
        describe_gauge!(
            CONDITION,
            "1 while a condition holds that a person should know, by component and name; 0 after it"
        );
        describe_gauge!(IMBALANCE, "Debits less credits over the whole ledger: 0 or the books are wrong");
        gauge!(CONNECTIONS).set(0.0);
        gauge!(EVENT_STREAMS).set(0.0);
        Self
    }

    pub(crate) fn request(self, route: &'static str, status: u16, took: Duration) {
        counter!(REQUESTS, "route" => route, "status" => status.to_string()).increment(1);
        histogram!(REQUEST_TIME, "route" => route).record(took.as_secs_f64());
    }

    pub(crate) fn connections(self, open: usize) {
        gauge!(CONNECTIONS).set(display(open));
    }

    pub(crate) fn event_streams(self, open: usize) {
        gauge!(EVENT_STREAMS).set(display(open));
    }

    /// Components and names are closed sets of ours.
    pub(crate) fn condition(self, (component, name): (&'static str, &'static str), holds: bool) {
        gauge!(CONDITION, "component" => component, "name" => name).set(if holds { 1.0 } else { 0.0 });
    }

    pub(crate) fn ledger_imbalance(self, atoms: i128) {
        // Any value but 0 raises the alarm; how far beyond 2^31 it lies does not matter.
        let shown = atoms.clamp(i128::from(i32::MIN), i128::from(i32::MAX));
        gauge!(IMBALANCE).set(f64::from(i32::try_from(shown).unwrap_or(i32::MAX)));
    }
}

fn display(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
