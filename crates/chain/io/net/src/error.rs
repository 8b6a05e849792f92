use std::{io, net::SocketAddr, path::PathBuf};

/// The peer-to-peer layer could not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The listening address is taken or not ours.
    #[error("cannot listen for peers on {address}: {reason}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The node key cannot be read or written.
    #[error("node key {path}: {source}")]
    NodeKey {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A part of the transport refused its configuration.
    #[error("peer-to-peer transport: {0}")]
    Transport(String),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}
