//! Stratum sessions for stock miners of all three algorithms: bytes in, lines and share candidates out. Dialects alone live
//! here: what a share must prove is decided by [`bq_share::Judge`], and how jobs and difficulty move by [`bq_channel::Channel`].
//!
//! Everything here is a value that is driven from outside: no socket, no clock (milliseconds are an argument), no
//! account database, no chain. A [`Session`] speaks one connection's dialect; what it wants done comes out of
//! [`Session::poll_output`]: lines to send, a login to check, a share to verify, a reason to close. Proofs of work are
//! verified by the caller, which answers with a [`bq_share::Verdict`].
//!
//! Lines in, lines out:
//!
//! ```
//! use std::sync::Arc;
//!
//! use bq_primitives::Algorithm;
//! use bq_share::{ExtranoncePrefix, SessionTicket, SessionTicketId, UnixMs};
//! use bq_stratum_v1::{Output, Session, SessionPolicy, SessionSeed};
//!
//! let now = UnixMs(1_800_000_000_000);
//! let ticket = SessionTicket { id: SessionTicketId(1), tag: [0; 16] };
//! let prefix = ExtranoncePrefix { server_id: 1, connection: 7 };
//! let seed = SessionSeed { session_id: 1, first_job_id: 1, prefix, ticket };
//! let mut session = Session::new(now, Algorithm::Sha256d, Arc::new(SessionPolicy::default()), seed);
//!
//! session.handle_line(now, br#"{"id":1,"method":"mining.subscribe","params":["cpuminer"]}"#);
//! let Some(Output::Send(reply)) = session.poll_output() else { panic!("a request has its answer") };
//! assert!(String::from_utf8(reply.bytes)?.contains("00000007"), "the extranonce1 of this connection");
//! # Ok::<(), std::string::FromUtf8Error>(())
//! ```
//!
//! Read [`Session`] first, then [`JobTemplate`] and [`VardiffPolicy`].
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod job;
mod line;
mod replies;
mod request;
mod session;

pub use bq_channel::{
    AgentFloor, CloseReason, Frame, FrameKind, LoginOutcome, LoginTicket, Output, SessionPolicy, VardiffPolicy,
    split_options,
};
pub use job::JobTemplate;
pub use line::{LINE_BYTES_MAX, LineBuffer, LineTooLong};
pub use session::{Parting, Session, SessionSeed, SessionState};
