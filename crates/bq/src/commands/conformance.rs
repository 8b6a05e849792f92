//! `bq conformance FILE...`.

use std::{fs::File, path::Path};

use anyhow::{Context as _, bail};
use bq_conformance::Report;

use crate::{cli::ConformanceArgs, exit::say};

/// Runs every file, so that one run tells of all that fail, and fails if any did.
pub(crate) fn conformance(args: &ConformanceArgs) -> anyhow::Result<()> {
    let mut failures = 0_usize;
    for path in &args.files {
        match run(path) {
            Ok(report) => say(report.to_string().trim_end()),
            Err(error) => {
                failures += 1;
                say(&format!("{}: FAILED: {error:#}", path.display()));
            }
        }
    }
    if failures > 0 {
        bail!("{failures} of {} files do not conform", args.files.len());
    }
    Ok(())
}

fn run(path: &Path) -> anyhow::Result<Report> {
    let file = File::open(path).context("cannot be opened")?;
    Ok(bq_conformance::run_reader(&path.display().to_string(), file)?)
}
