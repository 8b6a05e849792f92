//! Peer-to-peer transport: libp2p connections (TCP, Noise, Yamux) that drive the state machine of `bq-sync`.
//!
//! What is decided lives in `bq-sync`; what is valid lives behind [`bq_chain_api::SyncApi`]. This crate moves messages,
//! keeps connections and the clock, and runs the node's slow calls on threads of their own, so that verifying proofs of
//! work never holds up the event loop. Every queue between them is bounded; a full one means that the peer is told
//! "busy" or that its message is dropped. Read [`Net::start`] and `driver.rs` first.

mod address;
mod behaviour;
mod clock;
mod codec;
mod config;
mod dialer;
mod driver;
mod error;
mod gate;
mod handle;
mod jobs;
mod metrics;
mod node_key;
mod peers;
mod peers_file;

pub use crate::{
    address::{ParseAddressError, PeerAddress},
    config::NetConfig,
    error::NetError,
    handle::{Net, NetHandle},
    node_key::check_key,
};
