use crate::VardiffPolicy;

/// What the operator decides about every session of one algorithm. Shared by all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Share difficulty: where it starts and how it moves.
    pub vardiff: VardiffPolicy,
    /// A fresh job goes out at least this often, in milliseconds. Miners give up at 120 to 180 s.
    pub job_refresh_ms: u64,
    /// Between two jobs on the same parent lie at least this many milliseconds. ethminer takes only the first of two jobs
    /// that arrive in one read, and every job costs a write per connection.
    pub job_gap_ms: u64,
    /// The first line must arrive within this many milliseconds.
    pub first_line_ms: u64,
    /// The login must be accepted within this many milliseconds.
    pub authorize_ms: u64,
    /// A connection that sends no line for this many milliseconds is closed.
    pub idle_ms: u64,
    /// Lines per second, sustained. Submits above it are answered "busy" unread; four bursts above it closes.
    pub lines_per_second: u64,
    /// Lines that may come at once.
    pub line_burst: u64,
    /// Shares of one connection in verification at a time; more are answered "busy".
    pub shares_in_flight_max: usize,
    /// Of these, how many a connection has that proved nothing yet; each accepted share adds one. What a stranger can make
    /// a costly verifier do for nothing.
    pub unproven_in_flight_max: usize,
    /// Shares whose claimed result was forged before the connection is closed.
    pub forged_shares_max: u32,
    /// Version bits that SHA-256d miners may roll (BIP-0320 by default).
    pub version_mask: u32,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            vardiff: VardiffPolicy::default(),
            job_refresh_ms: 30_000,
            job_gap_ms: 2_000,
            first_line_ms: 10_000,
            authorize_ms: 30_000,
            idle_ms: 600_000,
            lines_per_second: 100,
            line_burst: 400,
            shares_in_flight_max: 32,
            unproven_in_flight_max: 32,
            forged_shares_max: 3,
            version_mask: 0x1fff_e000,
        }
    }
}
