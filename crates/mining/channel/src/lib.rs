//! What every Stratum session is made of, whatever its protocol and transport: a [`Channel`] is what one account mines on (jobs,
//! difficulty, shares), a [`Presence`] is what keeps the connection around it open. A session of V1 has one channel, one of V2
//! has many; the rules of both are here once.
//!
//! Nothing here knows a wire, a socket, a clock or the books. Read [`Channel`] first, then [`Output`] and [`VardiffPolicy`].
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

mod agent;
mod channel;
mod difficulty;
mod login;
mod output;
mod policy;
mod presence;
mod rate;
mod vardiff;

pub use agent::AgentFloor;
pub use channel::{Channel, ChannelSeed, ChannelState, Stake};
pub use difficulty::{
    NICEHASH_HASHES_MAX, NICEHASH_HASHES_MIN, RANDOMX_HASHES_MAX, from_units, of_target, parse_hashes, parse_units,
    units_of,
};
pub use login::{Login, LoginError, LoginTicket, ReadDifficulty, password_token, password_worker, split_options};
pub use output::{CloseReason, Frame, FrameKind, LoginOutcome, Output};
pub use policy::SessionPolicy;
pub use presence::Presence;
pub use vardiff::VardiffPolicy;
