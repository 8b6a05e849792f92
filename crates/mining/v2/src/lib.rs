//! Stratum V2 for SHA-256d miners, the pool's end: plain frames in, plain frames and share candidates out. What encrypts them is
//! the transport's; what a share must prove is decided by [`bq_share::Judge`], and how jobs and difficulty move by
//! [`bq_channel::Channel`], as for V1.
//!
//! Everything here is a value that is driven from outside: no socket, no clock, no randomness, no account database, no chain. A
//! [`Session`] is one connection with its channels; what it wants done comes out of [`Session::poll_output`].
//!
//! Message types are those of the public crates `mining_sv2` and `common_messages_sv2`. Jobs are ours: the coinbase of the work is
//! fixed by consensus (SPEC 5.3), which the public job factory cannot make.
//!
//! Read [`Session`] first, then [`FrameBuffer`].
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

mod frame;
mod open_channel;
mod reply;
mod request;
mod session;

pub use frame::{FRAME_BYTES_MAX, FrameBuffer, FrameTooLong, HEADER_BYTES, payload_bytes};
pub use open_channel::ChannelId;
pub use session::{ChannelOutcome, Output, Session, SessionPolicyV2, SessionSeed};
