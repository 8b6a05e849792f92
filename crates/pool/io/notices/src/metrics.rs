use metrics::{counter, describe_counter};

use crate::call::CallError;

const SENT: &str = "bq_pool_notices_sent_total";
const FAILED: &str = "bq_pool_notices_failed_total";
const LEFT_OUT: &str = "bq_pool_notices_left_out_total";

/// What became of notices, all accounts together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoticeMetrics;

impl NoticeMetrics {
    pub(crate) fn register() -> Self {
        describe_counter!(SENT, "Notices that a webhook took");
        describe_counter!(FAILED, "Notices that were given up, by the reason of the last try");
        describe_counter!(
            LEFT_OUT,
            "Notices that were given up for others: too many in an hour, too many waiting, or a newer one of the same kind"
        );
        counter!(SENT).absolute(0);
        counter!(LEFT_OUT).absolute(0);
        for reason in CallError::NAMES {
            counter!(FAILED, "reason" => reason).absolute(0);
        }
        Self
    }

    pub(crate) fn sent(self) {
        counter!(SENT).increment(1);
    }

    pub(crate) fn failed(self, error: CallError) {
        counter!(FAILED, "reason" => error.name()).increment(1);
    }

    pub(crate) fn left_out(self) {
        counter!(LEFT_OUT).increment(1);
    }
}
