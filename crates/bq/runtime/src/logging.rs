use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt as _};

use crate::{LogConfig, LogFormat};

/// Logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not a filter.
    #[error(
        "log.level {0:?}: expected a level (error, warn, info, debug, trace) or a filter such as info,bq_net=debug"
    )]
    Filter(String),
    /// The process has a logger already.
    #[error("logging is set up already")]
    Twice,
}

/// Sends everything the parts trace to standard error, as text or as one JSON object per line. Standard output stays
/// free for the answers of commands. Once per process.
///
/// # Errors
/// See [`LogError`].
pub fn init_logging(config: &LogConfig) -> Result<(), LogError> {
    let filter = parse_filter(&config.level).ok_or_else(|| LogError::Filter(config.level.clone()))?;
    // Colours are for people: a file full of escape codes helps nobody.
    let colours = std::io::stderr().is_terminal();
    // A line that cannot be written is lost. Saying so on the same full disk would panic, on whichever thread it is.
    let subscriber = fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let subscriber = subscriber.log_internal_errors(false);
    match config.format {
        LogFormat::Text => subscriber.finish().try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).finish().try_init(),
    }
    .map_err(|_| LogError::Twice)
}

/// A filter in the syntax of `tracing_subscriber::EnvFilter`. A lone word must be a level: as a filter it would name a
/// module and silence everything else.
pub(crate) fn parse_filter(text: &str) -> Option<EnvFilter> {
    let is_level =
        |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word.trim().to_lowercase().as_str());
    let plain_words_are_levels = text.split(',').all(|directive| directive.contains('=') || is_level(directive));
    if plain_words_are_levels { EnvFilter::try_new(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_taken_and_typos_are_not() {
        for good in ["info", "WARN", "off", "info,bq_net=debug", "bq_pool=trace"] {
            assert!(parse_filter(good).is_some(), "{good}");
        }
        for bad in ["", "infoo", "info,", "bq_net=loud", "info;debug"] {
            assert!(parse_filter(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_logger_is_set_once() {
        let config = LogConfig { format: LogFormat::Json, level: "off".to_owned() };
        init_logging(&config).unwrap();
        assert!(matches!(init_logging(&config), Err(LogError::Twice)));
        let bad = LogConfig { format: LogFormat::Text, level: "infoo".to_owned() };
        assert!(matches!(init_logging(&bad), Err(LogError::Filter(_))));
    }
}
