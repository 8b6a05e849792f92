//! The Stratum ports: sockets and threads around the sessions of `bq-stratum-v1`.
//!
//! One listener per algorithm, one small task per connection, and proof-of-work verification on threads of its own behind
//! bounded queues: nothing is hashed on an async worker. What a session wants (a login checked, a share verified) goes to
//! the pool through [`bq_mining_message::PoolApi`]; this crate knows neither accounts nor chain.
//!
//! Everything that a stranger can make grow has a limit in [`StratumConfig`]. A full queue answers "busy" to what says itself
//! that it is no block; anything else waits in its sender's socket, so no block is ever lost to a limit (SPEC 11.5). Read [`StratumServer::start`] and [`StratumConfig`] first.

mod accept_rate;
mod arrival;
mod certificates;
mod clock;
mod conditions;
mod config;
mod connection;
mod jobs;
mod listener;
mod mailbox;
mod metrics;
mod outbox;
mod places;
mod proxy_header;
mod remembered;
mod server;
mod shared;
mod tls;
mod verify;
mod wire;
mod workers_file;

pub use bq_share::{AllowancePolicy, BanPolicy, CpuTime, JudgePolicy};
pub use bq_stratum_v1::{SessionPolicy, VardiffPolicy};
pub use certificates::{CertificateError, CertificateFiles, Certificates};
pub use config::{SocketBuffers, StratumConfig, TlsConfig, VerifyConfig};
pub use places::PlaceLimits;
pub use server::{StartError, StratumHandle, StratumServer};
pub use workers_file::WorkersFile;
