//! Exit codes: 0 done, 1 failed, 2 usage or configuration error.

use std::{io::Write, process::ExitCode};

/// A wrong flag, configuration value or file: nothing was started. The text names the field.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Prints an error with its causes and picks the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // A closed stderr leaves only the exit code to tell.
    let _ = writeln!(std::io::stderr(), "bq: {error:#}");
    let usage = error.downcast_ref::<UsageError>().is_some();
    ExitCode::from(if usage { 2 } else { 1 })
}

/// Prints one line to standard output. A closed pipe is not an error: `bq ... | head` must end quietly.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
