use std::{io, time::Duration};

use bq_stratum_client::{DialectError, Disappointment, LineTooLong};

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("the name has no address")]
    NoAddress,
    #[error("TLS: {0}")]
    Tls(String),
    #[error(transparent)]
    Line(#[from] LineTooLong),
    #[error(transparent)]
    Dialect(#[from] DialectError),
    #[error(transparent)]
    Disappointed(#[from] Disappointment),
}
