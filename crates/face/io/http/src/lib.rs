//! The HTTP side of the pool: dashboard, `/api/v1`, live events, metrics and health on one address.
//!
//! What this crate is not: it holds no state of its own and knows no rule. It asks [`bq_chain_api::NodeApi`] and
//! [`bq_views::PoolViews`], never a database, and everything it answers is public: there is no login and nothing to
//! write. The dashboard uses the same API as everybody else. Read [`HttpServer`] and [`HttpParts`] first.

mod access;
mod api;
mod asker;
mod assets;
mod connect;
mod error;
mod events;
mod health;
mod metrics;
mod places;
mod proofs;
mod router;
mod server;

pub use connect::{ConnectView, PortView, StratumPort, StratumV2Port};
pub use health::ReadyView;
pub use metrics::{MetricsError, install_metrics};
pub use server::{HttpError, HttpHandle, HttpLimits, HttpParts, HttpServer};
