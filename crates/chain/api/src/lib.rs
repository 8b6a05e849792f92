//! What the parts of the node and pool say to each other and to the outside: the [`NodeApi`] and [`PoolApi`] traits,
//! the records they exchange, and the JSON shapes of the HTTP API.
//!
//! No rule lives here and nothing here does IO. Implementations are `bq-node` and `bq-pool`; the Stratum server, RPC,
//! HTTP and the wallet only ever see these traits.

mod events;
mod json;
mod mining;
mod node;
mod peers;
mod pool;
mod sync;

pub use events::Event;
pub use json::{
    AlgorithmDifficultyView, AlgorithmView, AtomsView, BlockStateView, BlockView, BlocksView, DifficultyForecastView,
    DifficultyView, MinerView, PayoutView, PoolView, ShareCountsView, WorkerView,
};
pub use mining::{
    AlgorithmMining, MiningChange, MiningControl, MiningControlError, MiningMode, MiningModeError, MiningStatus,
};
pub use node::{
    BlockSummary, Coin, MiningInfo, NodeApi, NodeError, SubmitBlockError, SubmitTransactionError, Template,
    TemplateRequest, TemplateWork, TipSummary, TransactionStatus,
};
pub use peers::{AddNodeError, PeerInfo, PeerKind, PeerNetwork};
pub use pool::{AcceptedShare, AuthorizeError, PoolApi, PoolViews, RecordShareError, ShareReject, ViewError};
pub use sync::{AddHeadersError, Announcement, HeaderSource, HeaderTip, HeadersAdded, SyncApi};
