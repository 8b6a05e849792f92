use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Asks `probe` until it answers, with growing pauses: for states that nothing announces, such as a file that appears
/// or a balance that becomes payable.
///
/// # Errors
/// `probe` has not answered within `limit`, or it failed.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    let mut pause = PAUSE_FIRST;
    loop {
        if let Some(answer) = probe().with_context(|| format!("while waiting for {what}"))? {
            return Ok(answer);
        }
        anyhow::ensure!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
