use bq_mining_message::AuthorizeError;
use bq_primitives::{KeyHash, ShareDifficulty, WorkerName};
use bq_share::{Reject, SessionTicket, ShareCandidate, Trust};

use crate::LoginTicket;

/// What a session wants done. Carry it out in order.
#[derive(Debug)]
pub enum Output {
    /// Write this to the socket.
    Send(Frame),
    /// Find out whether this address may mine and answer the session under this ticket.
    Authorize {
        /// For the answer.
        ticket: LoginTicket,
        /// The address as the miner wrote it.
        address: String,
        /// The machine.
        worker: WorkerName,
        /// The worker token in the password, as written.
        token: Option<String>,
        /// What the miner showed of a connection that it comes back to; whether it is good is not known. Nothing once somebody is logged in.
        comes_back: Option<SessionTicket>,
    },
    /// A login was refused, for whoever wants to know why. The miner has its answer.
    LoginRefused {
        /// As the miner wrote it, cut where no login is longer.
        login: String,
        /// The machine, if its name could be read.
        worker: Option<WorkerName>,
        /// In the words that the miner was told.
        reason: String,
    },
    /// Verify this and answer the session under its ticket.
    Share(Box<ShareCandidate>),
    /// A submit was refused; for the counters. The miner has its answer.
    Rejected {
        /// Nothing when the connection had not logged in.
        miner: Option<(KeyHash, WorkerName)>,
        /// Why.
        reason: Reject,
    },
    /// Write what is queued, then end the connection. Nothing follows.
    Close(CloseReason),
}

impl Output {
    /// A login was refused; what is longer than any login is cut.
    #[must_use]
    pub fn login_refused(mut login: String, worker: Option<WorkerName>, reason: String) -> Self {
        // No address and name together are longer.
        const BYTES_MAX: usize = 256;
        login.truncate(login.floor_char_boundary(BYTES_MAX));
        Self::LoginRefused { login, worker, reason }
    }
}

/// Bytes for the socket, whole lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One line with its newline.
    pub bytes: Vec<u8>,
    /// How it may be queued.
    pub kind: FrameKind,
}

/// What may happen to a frame that waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Answers a request: order matters, never dropped.
    Reply,
    /// Changes how later jobs are read (difficulty, epoch): never dropped.
    Control,
    /// A job. A newer one replaces it while it waits, and no two go out in one write: ethminer would drop the second.
    Job,
    /// A job that what follows builds on, as V2's do: never dropped.
    Work,
}

/// The caller's answer to [`Output::Authorize`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// It may mine.
    Granted {
        /// Who is credited.
        payee: KeyHash,
        /// Where this worker's difficulty stood when it was last here.
        remembered: Option<ShareDifficulty>,
        /// What it showed on the connection that it came back to.
        trust: Option<Trust>,
    },
    /// Not an address of this network; the text says why.
    Refused(String),
    /// The pool cannot tell now. The connection is closed unanswered, because some miners never return after a "no".
    Unavailable,
}

impl From<&AuthorizeError> for LoginOutcome {
    /// A pool that cannot tell now must not say no.
    fn from(error: &AuthorizeError) -> Self {
        match error {
            AuthorizeError::Address(_) | AuthorizeError::OwnAddress => Self::Refused(error.to_string()),
            AuthorizeError::Unavailable(_) => Self::Unavailable,
        }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The first bytes are of another protocol.
    UnknownProtocol,
    /// It speaks as a client of this protocol does, but does not begin so.
    NotStratum,
    /// Too many lines that cannot be read.
    Malformed,
    /// No first line in time.
    FirstLineTimeout,
    /// No accepted login in time.
    AuthorizeTimeout,
    /// The dialect cannot express a difficulty as low as this network's blocks need, or the miner was promised a higher one.
    Inexpressible,
    /// No request for a long time that makes progress.
    IdleTimeout,
    /// No accepted share for a long time, whatever else came.
    Shareless,
    /// The login was refused.
    Refused,
    /// The pool is not ready.
    Unavailable,
    /// Repeatedly claimed results that the work does not have.
    ForgedShares,
    /// The connection had as many jobs as differ from each other.
    WorkExhausted,
    /// The miner said goodbye.
    Goodbye,
}

impl CloseReason {
    /// The label used in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownProtocol => "unknown_protocol",
            Self::NotStratum => "not_stratum",
            Self::Malformed => "malformed",
            Self::FirstLineTimeout => "first_line_timeout",
            Self::AuthorizeTimeout => "authorize_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::Shareless => "shareless",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::ForgedShares => "forged_shares",
            Self::Inexpressible => "inexpressible",
            Self::WorkExhausted => "work_exhausted",
            Self::Goodbye => "goodbye",
        }
    }

    /// What to tell a miner that had logged in, if it has not been told by an answer: somebody has to find out why it came
    /// back, or did not.
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        match self {
            Self::Inexpressible => Some("closing: blocks are easier now than this miner can be told, or wants"),
            Self::WorkExhausted => Some("closing: this connection had all its jobs; come back for more"),
            Self::ForgedShares => Some("closing: shares did not compute to what they claimed"),
            Self::IdleTimeout => Some("closing: nothing came for too long"),
            Self::Shareless => Some("closing: no share was accepted for too long; come back with an easier difficulty"),
            Self::UnknownProtocol
            | Self::NotStratum
            | Self::Malformed
            | Self::FirstLineTimeout
            | Self::AuthorizeTimeout
            | Self::Refused
            | Self::Unavailable
            | Self::Goodbye => None,
        }
    }

    /// The peer did this on purpose or is badly broken: it counts against its address.
    #[must_use]
    pub const fn is_misbehavior(self) -> bool {
        matches!(self, Self::ForgedShares | Self::NotStratum | Self::Malformed)
    }
}
