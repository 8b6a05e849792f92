//! Exit codes: 0 done, 1 failed, 2 usage or configuration error.

use std::{io::Write, process::ExitCode};

/// A wrong flag, configuration value or file: nothing was started. The text names the field.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Prints an error with its causes and picks the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // A closed stderr leaves only the exit code to tell.
    let _ = writeln!(std::io::stderr(), "bq: {}", in_words(error));
    let usage = error.downcast_ref::<UsageError>().is_some();
    ExitCode::from(if usage { 2 } else { 1 })
}

/// The error and its causes, each once: many an error says in its own words what caused it.
fn in_words(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

/// Prints one line to standard output. A closed pipe is not an error: `bq ... | head` must end quietly.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("file x: {0}")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_cause_is_told_once() {
        let twice = anyhow::Error::new(Outer(std::io::Error::other("no such thing"))).context("starting");
        assert_eq!(in_words(&twice), "starting: file x: no such thing");
    }
}
