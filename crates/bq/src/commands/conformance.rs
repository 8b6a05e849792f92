//! `bq conformance FILE...`.

use anyhow::bail;

use crate::{cli::ConformanceArgs, exit::say};

/// Runs every file, so that one run tells of all that fail, and fails if any did.
pub(crate) fn conformance(args: &ConformanceArgs) -> anyhow::Result<()> {
    let mut failures = 0_usize;
    for path in &args.files {
        match bq_conformance::run_file(path) {
            Ok(report) => say(report.to_string().trim_end()),
            Err(error) => {
                failures += 1;
                say(&format!("{}: FAILED: {error}", path.display()));
            }
        }
    }
    if failures > 0 {
        bail!("{failures} of {} files do not conform", args.files.len());
    }
    Ok(())
}
