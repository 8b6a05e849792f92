//! The Stratum ports: sockets and threads around the sessions of `bq-stratum-v1` and `bq-stratum-v2`.
//!
//! One listener per algorithm and one for Stratum V2, one small task per connection, and proof-of-work verification on threads of its own behind
//! bounded queues: nothing is hashed on an async worker. What a session wants (a login checked, a share verified) goes to
//! the pool through [`bq_mining_message::PoolApi`]; this crate knows neither accounts nor chain.
//!
//! Everything that a stranger can make grow has a limit in [`StratumConfig`]. A full queue answers "busy" to what says itself
//! that it is no block; anything else waits in its sender's socket, so no block is ever lost to a limit (SPEC 11.5). Read [`StratumServer::start`] and [`StratumConfig`] first.

mod accept_rate;
mod access;
mod arrival;
mod authority;
mod certificate_life;
mod certificates;
mod clock;
mod conditions;
mod config;
mod connection;
mod getwork;
mod handover;
mod jobs;
mod kept_files;
mod listener;
mod mailbox;
mod metrics;
mod noise;
mod outbox;
mod places;
mod port;
mod proxy_header;
mod remembered;
mod server;
mod shared;
mod strangers;
mod talk;
mod tls;
mod tls_session;
mod turned_away;
mod turns;
mod verify;
mod wire;

pub use access::AccessConfig;
pub use authority::{Authority, AuthorityError};
pub use bq_access::{
    AuthMode, DepartedPolicy, Networks, RefusalsPolicy, Registry, RegistryPolicy, TicketKey, TokenKey,
};
pub use bq_share::{AllowancePolicy, BanPolicy, CpuTime, JudgePolicy};
pub use bq_stratum_v1::{AgentFloor, SessionPolicy, VardiffPolicy};
pub use certificates::{CertificateError, CertificateFiles, Certificates};
pub use config::{
    GetworkConfig, SchemePort, SocketBuffers, StratumConfig, TicketConfig, TlsConfig, V2Config, VerifyConfig,
};
pub use handover::{HANDOVER_VERSION, HandedConnection, Handover, HandoverError};
pub use kept_files::KeptFiles;
pub use places::PlaceLimits;
pub use port::Port;
pub use server::{StartError, StratumHandle, StratumServer, is_wanted};
