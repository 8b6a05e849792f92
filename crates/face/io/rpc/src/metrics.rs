use std::time::Duration;

use metrics::{counter, histogram};

/// What the RPC server counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics;

impl Metrics {
    /// `bq_rpc_requests_total{method,result}` and `bq_rpc_duration_seconds{method}`: calls by method and by `ok` or the
    /// error's code. Unknown methods are answered before this and not counted: their names are the caller's.
    pub(crate) fn called(method: &'static str, result: &'static str, took: Duration) {
        counter!("bq_rpc_requests_total", "method" => method, "result" => result).increment(1);
        histogram!("bq_rpc_duration_seconds", "method" => method).record(took);
    }
}
