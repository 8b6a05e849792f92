//! Who may mine to an address, and why somebody could not (SPEC 11.11): worker tokens, locks, what owners sign, and the
//! refusals of the last hour. Networks that are denied or allowed. And who comes back to a
//! connection that ended (SPEC 11.14): tickets, and what they stand for.
//!
//! Nothing here knows a clock, a file or a socket: the Stratum server hands in the time and randomness, and writes down what
//! [`Registry::to_text`] says before it answers. Read [`Registry`] first, then [`Refusals`].
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

mod crowds;
mod departed;
mod networks;
mod record;
mod refusals;
mod registry;
mod request;
mod ticket_key;
mod token;

pub use departed::{Departed, DepartedPolicy, Departure, ParseDepartureError};
pub use networks::{Admittance, Networks};
pub use record::{MadeBy, ParseRecordError, Record, Username};
pub use refusals::{Refusals, RefusalsPolicy, What, Who};
pub use registry::{AuthMode, Done, Entry, LoginRefusal, Registry, RegistryPolicy};
pub use request::{AccessRequest, Action, UnverifiedRequest};
pub use ticket_key::TicketKey;
pub use token::{Token, TokenDigest, TokenId, TokenKey};
