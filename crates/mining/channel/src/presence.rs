use std::sync::Arc;

use bq_share::UnixMs;

use crate::{CloseReason, SessionPolicy, rate::LineRate};

/// How alive a connection is and how fast it is read (SPEC 11.5, 11.7). What is a line of V1 is a message of V2.
#[derive(Debug)]
pub struct Presence {
    policy: Arc<SessionPolicy>,
    opened: UnixMs,
    last_line: Option<UnixMs>,
    /// When a request came that the protocol has.
    last_progress: UnixMs,
    /// When a share was accepted, or before the first one somebody was let in.
    last_share: Option<UnixMs>,
    rate: LineRate,
    unreadable: u32,
}

/// Lines that may be unreadable before the connection ends.
const UNREADABLE_LINES_MAX: u32 = 5;

impl Presence {
    /// Of a connection that was opened at `now`.
    #[must_use]
    pub fn new(now: UnixMs, policy: Arc<SessionPolicy>) -> Self {
        let rate = LineRate::new(now, policy.lines_per_second, policy.line_burst);
        Self { policy, opened: now, last_line: None, last_progress: now, last_share: None, rate, unreadable: 0 }
    }

    /// Of one that another process hands over at `now`: it has spoken before.
    #[must_use]
    pub fn resumed(now: UnixMs, policy: Arc<SessionPolicy>) -> Self {
        Self { last_line: Some(now), ..Self::new(now, policy) }
    }

    /// Counts a line against the rate, also one that says nothing.
    pub fn spend_line(&mut self, now: UnixMs) {
        self.rate.spend(now);
    }

    /// Gives a line back: a fast miner is slowed by what it has in verification, not by its lines (SPEC 11.5).
    pub fn refund_line(&mut self) {
        self.rate.refund();
    }

    /// When the rate lets another line be read.
    #[must_use]
    pub fn reads_at(&self) -> UnixMs {
        self.rate.ready_at()
    }

    /// A line that says something came; true for the first one.
    pub fn note_line(&mut self, now: UnixMs) -> bool {
        self.last_line.replace(now).is_none()
    }

    /// No line came yet that says something.
    #[must_use]
    pub const fn has_said_nothing(&self) -> bool {
        self.last_line.is_none()
    }

    /// A request came that the protocol has: the connection is alive.
    pub const fn note_progress(&mut self, now: UnixMs) {
        self.last_progress = now;
    }

    /// Somebody was let in; the first one counts.
    pub fn note_login(&mut self, now: UnixMs) {
        self.last_share.get_or_insert(now);
    }

    /// A share was accepted.
    pub const fn note_share(&mut self, now: UnixMs) {
        self.last_share = Some(now);
    }

    /// A line came that cannot be read; true once there were too many.
    pub fn note_unreadable(&mut self) -> bool {
        self.unreadable = self.unreadable.saturating_add(1);
        self.unreadable > UNREADABLE_LINES_MAX
    }

    /// When the connection ends by itself, and why.
    #[must_use]
    pub fn deadlines(&self, has_logged_in: bool) -> [Option<(UnixMs, CloseReason)>; 4] {
        let policy = &self.policy;
        let first = self.last_line.is_none();
        [
            first.then(|| (self.opened.after_ms(policy.first_line_ms), CloseReason::FirstLineTimeout)),
            (!has_logged_in).then(|| (self.opened.after_ms(policy.authorize_ms), CloseReason::AuthorizeTimeout)),
            Some((self.last_progress.after_ms(policy.idle_ms), CloseReason::IdleTimeout)),
            self.last_share.map(|at| (at.after_ms(policy.shareless_ms), CloseReason::Shareless)),
        ]
    }

    /// The first of [`Presence::deadlines`].
    #[must_use]
    pub fn next_deadline(&self, has_logged_in: bool) -> UnixMs {
        self.deadlines(has_logged_in).into_iter().flatten().map(|(at, _)| at).min().unwrap_or(self.opened)
    }
}
