//! One file per subcommand other than `run`.

pub(crate) mod access;
pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod conformance;
mod http;
pub(crate) mod miner;
pub(crate) mod pool;
pub(crate) mod proof;
mod request;
mod settings;
pub(crate) mod signer;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod swarm;
pub(crate) mod wallet;
