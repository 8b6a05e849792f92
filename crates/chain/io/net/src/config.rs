use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bq_sync::{InboundLimits, OutboundLimits, Scope};

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
    /// File that remembers peers over a restart: addresses, anchors, bans. Nothing: they are forgotten.
    pub peers_file: Option<PathBuf>,
    /// How many connections others may open, in all and per address and network group.
    pub inbound: InboundLimits,
    /// The most connections to the addresses in [`NetConfig::connect`].
    pub outbound_max: u32,
    /// The connections to addresses that peers told of.
    pub outbound: OutboundLimits,
    /// Which addresses are taken from peers.
    pub scope: Scope,
    /// How long an address that misbehaved is refused. Loopback addresses are never refused while
    /// [`InboundLimits::exempt_loopback`] is set.
    pub ban: Duration,
}

impl Default for NetConfig {
    /// 64 connections in, 16 out as told and 8 of our own choice among public addresses, bans of an hour, no listener.
    fn default() -> Self {
        Self {
            listen: None,
            connect: Vec::new(),
            key_file: None,
            peers_file: None,
            agent: concat!("bq/", env!("CARGO_PKG_VERSION")).to_owned(),
            inbound: InboundLimits::new(64),
            outbound_max: 16,
            outbound: OutboundLimits::default(),
            scope: Scope::Routable,
            ban: Duration::from_secs(3600),
        }
    }
}
