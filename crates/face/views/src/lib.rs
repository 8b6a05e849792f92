//! What people and programs see of a pool: the JSON shapes of the HTTP API, and [`PoolViews`], from which they are read.
//!
//! No rule lives here and nothing here does IO.

mod events;
mod hashrate;
mod json;
mod pool;

pub use events::Event;
pub use hashrate::hashrate_text;
pub use json::{
    AlgorithmView, BlockStateView, BlockView, BlocksView, MinerView, PayoutView, PoolView, ShareCountsView, WorkerView,
};
pub use pool::{PoolViews, ViewError};
