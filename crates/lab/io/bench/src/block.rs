//! What the heaviest block costs a node.

use std::time::Duration;

use bq_fixtures::FullBlock;

use super::table::Table;

const TURNS: usize = 5;

/// A block with as many signatures as fit, through every rule with its coins in memory.
pub(super) fn validation(full: &FullBlock, table: &Table<'_>) -> anyhow::Result<()> {
    let times = full.measure(TURNS)?;
    let median = |sorted: &[Duration]| sorted.get(sorted.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    let what = format!("full block, {} signatures", full.signatures());
    table.rate(&format!("{what}, 1 thread"), median(&times.one_thread), "ms");
    table.rate(&format!("{what}, all threads"), median(&times.all_threads), "ms");
    table.rate(&format!("{what}, all known"), median(&times.remembered), "ms");
    Ok(())
}
