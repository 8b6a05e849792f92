//! The reserve of huge pages. A miner that runs as root may enlarge it and leave it so, which would take memory from everybody
//! and help the programs after it.

use std::{fs, path::Path};

use crate::host::Host;

const RESERVE: &str = "/proc/sys/vm/nr_hugepages";

/// How many were reserved at some moment.
pub(super) struct HugePages(Option<String>);

impl HugePages {
    pub(super) fn now() -> Self {
        Self(fs::read_to_string(RESERVE).ok())
    }

    /// Sets the reserve back if it changed since.
    pub(super) fn restore(&self, host: &dyn Host) {
        let Some(before) = &self.0 else { return };
        if Self::now().0.is_some_and(|now| now != *before)
            && let Err(error) = fs::write(Path::new(RESERVE), before)
        {
            host.say(&format!(
                "The reserve of huge pages was {}, was changed, and could not be set back: {error}",
                before.trim()
            ));
        }
    }
}

/// Reserved huge pages of 2 MiB that nobody uses.
pub(super) fn free_huge_pages() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value =
        |name: &str| meminfo.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    if value("Hugepagesize:") == Some(2048) { value("HugePages_Free:").unwrap_or(0) } else { 0 }
}
