//! A named state in which a part cannot do all of its work, with the reason: what health, metrics, status line and pages
//! tell people about a stop. Every domain uses this one type, so that no stop is told in two ways.

mod list;

pub use list::{Component, ConditionList, ConditionReader, HealthState};

/// Something that a part cannot do at present. A part that works has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is called, in `snake_case`; never changes from release to release.
    pub name: &'static str,
    /// Why, and what ends it, in words for a person.
    pub reason: String,
    /// Since when, in milliseconds since 1970-01-01 UTC.
    pub since_ms: u64,
    /// Whoever waits for the process to be ready has to wait for this to end.
    pub blocks_readiness: bool,
}
