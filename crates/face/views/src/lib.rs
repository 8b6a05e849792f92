//! What people and programs see of a pool: the JSON shapes of the HTTP API, and [`PoolViews`], from which they are read.
//!
//! No rule lives here and nothing here does IO.

mod events;
mod evidence;
mod hashrate;
mod health;
mod history;
mod json;
mod page;
mod pool;
mod settings;

pub use events::Event;
pub use evidence::{EvidenceWanted, LiabilitiesView, StatementView};
pub use hashrate::hashrate_text;
pub use health::{ComponentView, ConditionView, HealthView};
pub use history::{
    BestShareView, EarningView, EarningsView, HistoryView, PayoutsView, RatesView, StepView, WorkersView,
};
pub use json::{
    AlgorithmView, BlockStateView, BlockView, BlocksView, CoinbaseOutputView, CoinbasePaymentView,
    CoinbasePaymentsView, CoinbaseView, LaneCoinbaseView, LuckView, MinerView, PartView, PayoutView, PoolView,
    ReserveView, RoundView, SchemeView, ShareCountsView, WorkerView,
};
pub use page::{BlockCursor, CursorError, Page, WorkerCursor};
pub use pool::{PoolViews, ViewError};
pub use settings::{NoticesView, PendingSettingsView, SettingsView, WishesView};
