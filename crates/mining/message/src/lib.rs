//! What passes between a pool and those who mine for it: shares and verdicts through [`PoolApi`], and the controls of the
//! built-in miner.
//!
//! No rule lives here and nothing here does IO.

mod control;
mod pool;

pub use control::{
    AlgorithmMining, MiningChange, MiningControl, MiningControlError, MiningMode, MiningModeError, MiningStatus,
};
pub use pool::{AcceptedShare, AuthorizeError, PoolApi, RecordShareError, ShareReject};
