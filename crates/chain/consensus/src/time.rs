use bq_primitives::{Height, Timestamp};

use crate::{Branch, Params};

/// The first time that no block may state: 2^40 seconds (SPEC 2.3).
pub const TIME_END: Timestamp = Timestamp(1 << 40);

/// The earliest time that a child of the branch's tip may state: one second past the median (SPEC 2.3).
#[must_use]
pub fn min_time(params: &Params, branch: &dyn Branch) -> Timestamp {
    Timestamp(median_time_past(params, branch).0.saturating_add(1))
}

/// The median of the times of the tip and the blocks below it, `mtp_window` in all; near genesis fewer, and of an even
/// number the later middle one (SPEC 2.2).
#[must_use]
pub fn median_time_past(params: &Params, branch: &dyn Branch) -> Timestamp {
    let tip = branch.tip().height;
    let mut times: Vec<Timestamp> = (0..params.asert.mtp_window)
        .map_while(|depth| tip.0.checked_sub(depth))
        .filter_map(|height| branch.entry(Height(height)))
        .map(|entry| entry.time)
        .collect();
    times.sort_unstable();
    times.get(times.len() >> 1).copied().unwrap_or(branch.tip().time)
}
