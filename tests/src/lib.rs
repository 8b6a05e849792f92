//! The whole-system suite: the real `bq` binary, driven from outside.
//!
//! Nothing of the product is linked here. The miners are written from the published protocol descriptions
//! with other hashing libraries (the `sha2` crate, the reference RandomX library, a slow Ethash of our own) and, for Stratum V2, with the
//! public crates of that protocol, so that a
//! mistake in the product's hashing or dialects cannot hide in its own tests. Read [`BqProcess`] and [`Miner`] first.

mod chain;
mod device;
mod fixture;
mod http;
mod miner;
mod operator;
mod process;
mod reckoning;
mod rpc;
mod share_log;
mod signer;
mod wait;

pub use chain::{Tip, wait_for_agreement};
pub use device::{Device, DeviceChannel, DeviceJob, DeviceShare, REQUIRES_STANDARD_JOBS, Said, setup_connection};
pub use fixture::{Eras, atoms, new_address};
pub use http::{HttpResponse, http_get, http_post};
pub use miner::{
    Dialect, EthashMode, LightEthash, LineClient, Miner, MinerReport, Submission, ethash, randomx, sha256d,
};
pub use process::{BqOptions, BqProcess, EndedEarly, Finished, bq_path, run_bq, said};
pub use reckoning::{reckon, run_audit};
pub use rpc::RpcClient;
pub use share_log::{booked_shares, tear_newest_share};
pub use signer::SignerProcess;
pub use wait::wait_for;
