//! Models whose every state is looked at: what may happen in any order, with death at every step.
//!
//! [`relay`] and [`generations`] run the real [`bq_pool_machine::State`]; [`payouts`] is a small machine of its own, which says of each step what
//! it stands for. Each has wrong parts that it must find: a model that finds none of them would prove nothing.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "tests, which say how many states there were")]

mod generations;
mod payouts;
mod relay;

use stateright::{Checker, CheckerBuilder, Model};

/// Every state, breadth first; returns how many there are.
fn exhaust<M>(name: &str, builder: CheckerBuilder<M>) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: std::fmt::Debug + std::hash::Hash + Clone + PartialEq + Send + Sync,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    let checker = builder.spawn_bfs().join();
    checker.assert_properties();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    eprintln!("{name}: {states} states, {depth} steps deep");
    states
}

/// The named property of a model with a wrong part is broken somewhere.
fn finds<M>(builder: CheckerBuilder<M>, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: std::fmt::Debug + std::hash::Hash + Clone + PartialEq + Send + Sync,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    let wanted = stateright::HasDiscoveries::AnyOf(std::collections::BTreeSet::from([property]));
    let checker = builder.finish_when(wanted).spawn_bfs().join();
    let found = checker.discovery(property);
    let steps = found.map(stateright::Path::into_actions);
    assert!(steps.is_some(), "nobody noticed, in {} states", checker.unique_state_count());
    eprintln!("{property}: found after {:?}", steps.unwrap_or_default());
}
