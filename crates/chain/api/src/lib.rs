//! What the parts around a node may ask of it: the [`NodeApi`] and [`SyncApi`] traits, the records they exchange, and errors
//! that keep their consequence.
//!
//! No rule lives here and nothing here does IO. `bq-node` implements the traits; pool, Stratum server, RPC, HTTP and wallet
//! only ever see these.

mod atoms;
mod difficulty;
mod node;
mod peers;
mod refusal;
mod sync;
mod template;
mod text;

pub use atoms::AtomsView;
pub use bq_condition::Condition;
pub use bq_tree::{ChainSteps, Route};
pub use difficulty::{AlgorithmDifficultyView, DifficultyForecastView, DifficultyView};
pub use futures_core::stream::BoxStream;
pub use node::{
    BlockSummary, Coin, MiningInfo, NodeApi, NodeError, SubmitBlockError, SubmitTransactionError, TipSummary,
    TransactionStatus,
};
pub use peers::{AddNodeError, PeerInfo, PeerKind, PeerNetwork};
pub use refusal::{BlockRefusal, TransactionRefusal};
pub use sync::{AddHeadersError, Announcement, HeaderSource, HeaderTip, HeadersAdded, SyncApi};
pub use template::{CoinbaseError, Template, TemplateRequest, TemplateWork};
