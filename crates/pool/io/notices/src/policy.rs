use std::time::Duration;

/// What notices may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticePolicy {
    /// Anything is sent at all.
    pub is_on: bool,
    /// Addresses that are not public may be called: loopback, private networks, link-local ones.
    pub may_call_private: bool,
    /// From the name's resolution to the answer's headers, for one try.
    pub timeout: Duration,
    /// Tries for one notice at most, at least 1.
    pub tries_max: u32,
    /// Pause after the first try that failed; each next one is twice as long.
    pub retry_pause: Duration,
    /// Calls at a time: three quarters for webhooks that answered their last call, at least one for each class.
    pub at_once_max: usize,
    /// Notices that wait at most, in the same parts; for more the oldest of the account or host that has most is left out.
    pub queue_max: usize,
    /// Notices of one account in an hour at most; more are left out.
    pub per_hour_max: u32,
}

impl Default for NoticePolicy {
    fn default() -> Self {
        Self {
            is_on: true,
            may_call_private: false,
            timeout: Duration::from_secs(10),
            tries_max: 3,
            retry_pause: Duration::from_secs(30),
            at_once_max: 8,
            queue_max: 1000,
            per_hour_max: 60,
        }
    }
}
