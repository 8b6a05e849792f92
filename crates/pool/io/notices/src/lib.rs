//! Tells accounts' webhooks what happened (SPEC 8.11.7): one `POST` per notice, to public addresses only, bounded in every way.
//!
//! A notice is a hint. Nothing waits for one, nothing is stored, and whatever a webhook does or answers, it learns and changes
//! nothing. What this crate is not: it decides neither what is told nor whom. Read [`Notices`] first.

mod call;
mod metrics;
mod notices;
mod policy;
mod public;
mod queue;
mod tally;

#[cfg(test)]
mod tests;

pub use notices::{Notice, Notices};
pub use policy::NoticePolicy;
pub use tally::NoticeCounts;
