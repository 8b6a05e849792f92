use bq_share::JudgePolicy;

use crate::{AgentFloor, VardiffPolicy};

/// What the operator decides about every session of one algorithm. Shared by all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Share difficulty: where it starts and how it moves.
    pub vardiff: VardiffPolicy,
    /// Kinds of clients that get no easy job.
    pub agent_floors: Vec<AgentFloor>,
    /// A fresh job goes out at least this often, in milliseconds. Miners give up at 120 to 180 s.
    pub job_refresh_ms: u64,
    /// Between two jobs on the same parent lie at least this many milliseconds. ethminer takes only the first of two jobs
    /// that arrive in one read, and every job costs a write per connection.
    pub job_gap_ms: u64,
    /// The first line must arrive within this many milliseconds.
    pub first_line_ms: u64,
    /// The login must be accepted within this many milliseconds.
    pub authorize_ms: u64,
    /// A connection that sends no request of its dialect for this many milliseconds is closed.
    pub idle_ms: u64,
    /// A connection without an accepted share for this many milliseconds, counted from its login on, is closed.
    pub shareless_ms: u64,
    /// Lines per second, sustained, empty ones too. Above it the connection is read more slowly: nothing is lost.
    pub lines_per_second: u64,
    /// Lines that may come at once.
    pub line_burst: u64,
    /// Machines that may log in on one connection, as a proxy's do: as many may wait for their answer.
    pub logins_per_connection_max: usize,
    /// What a connection's judge allows it.
    pub judge: JudgePolicy,
    /// Version bits that SHA-256d miners may roll (BIP-0320 by default).
    pub version_mask: u32,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            vardiff: VardiffPolicy::default(),
            agent_floors: Vec::new(),
            job_refresh_ms: 30_000,
            job_gap_ms: 2_000,
            first_line_ms: 10_000,
            authorize_ms: 30_000,
            idle_ms: 600_000,
            shareless_ms: 3_600_000,
            lines_per_second: 100,
            line_burst: 400,
            logins_per_connection_max: 500,
            judge: JudgePolicy::default(),
            version_mask: 0x1fff_e000,
        }
    }
}
