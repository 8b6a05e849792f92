use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::PeerAddress;

/// What the peer-to-peer layer needs to know.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// Where to listen; port 0 picks a free one. Nothing: only connect out.
    pub listen: Option<SocketAddr>,
    /// Peers to stay connected to.
    pub connect: Vec<PeerAddress>,
    /// File that holds the node's transport key, made when it is not there. Nothing: a new key for this run.
    pub key_file: Option<PathBuf>,
    /// What we say we run, such as `bq/0.1.0`.
    pub agent: String,
    /// The most connections that others may open.
    pub inbound_max: u32,
    /// The most connections that we open.
    pub outbound_max: u32,
    /// How long an address that misbehaved is refused. Loopback addresses are never refused.
    pub ban: Duration,
}

impl Default for NetConfig {
    /// 64 connections in, 16 out, bans of an hour, no listener.
    fn default() -> Self {
        Self {
            listen: None,
            connect: Vec::new(),
            key_file: None,
            agent: concat!("bq/", env!("CARGO_PKG_VERSION")).to_owned(),
            inbound_max: 64,
            outbound_max: 16,
            ban: Duration::from_secs(3600),
        }
    }
}
