//! The whole pool as one state machine (SPEC 8.6): [`Event`]s are facts, [`State::apply`] is the only way to change the books,
//! [`next`] says what is to be done. The same events give the same state, byte for byte, wherever and whenever they are
//! applied.
//!
//! What this crate is not: it knows no database, no socket, no clock, no key and no node. A driver appends events, carries
//! out [`Command`]s and asks the chain; it decides nothing about money. Read [`Event`] and [`State`] first.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

// The types under the name by which front ends and drivers know them, without the rest of what that crate needs.
extern crate bq_share_record as bq_mining_message;

mod event;
mod log;

mod state;

mod accounts;
mod block;
mod coin;
mod cold;
mod direct;
mod offer;
mod payout;
mod per_share;
mod settings;
mod terms;

mod apply;
mod shares;

mod check;
mod condition;
mod next;
mod operator;
mod plan;
mod replace;

mod commitment;
mod retention;
mod stated;

mod fault;

#[cfg(test)]
mod tests;

pub use accounts::Accounts;
pub use apply::Applied;
pub use block::{BlockState, Candidate, Line, PoolBlock, Winning};
pub use coin::{Origin, PoolCoin, Spent};
pub use cold::{ColdEvent, Fill, Float};
pub use commitment::{COMMITMENT_BYTES, CoinbaseOf, Commitment, CommitmentCheck};
pub use condition::{Condition, ConditionName, conditions};
pub use direct::{CoinbaseBasis, CoinbasePlan, DirectBlock, DirectOutput, DirectTerms};
pub use event::{
    Act, ChainBase, ChainEvent, ChainWay, Event, EventError, Import, NewAccount, Opened, Operator, PayoutEvent,
    PerShareEvent, Received, Tip,
};
pub use fault::Fault;
pub use log::{LogHash, LogHead, LogNumber};
pub use next::{Command, Outside, Upkeep, next, pays_balances};
pub use offer::{Offer, TidesTerms};
pub use operator::{Decision, DecisionError, OpenPayout, PoolOperator, PoolStatus, Reason};
pub use payout::{Payout, PayoutId, PayoutInput, PayoutKind, PayoutState, PlannedPayout, VoidProof};
pub use plan::{plan_consolidation, plan_fence, plan_payout, plan_withdrawal, recognise, unknown_payees};
pub use replace::{Attempt, Attempts, plan_replacement};
pub use retention::Reach;
pub use settings::{
    AccountSettings, PendingWishes, SchemeWish, SettingBounds, SettingChange, SettingEvent, SettingRefusal,
    SettingWish, SignedSetting, Webhook, WebhookPlace, WishChanges, Wishes,
};
pub use shares::{EarnedShare, Shares, SharesError};
pub use state::{FrontEndHead, KeyGivenUp, Paused, PayoutRound, Recovery, State, StateDigest};
pub use stated::{Credit, CreditsDigest, Stated, credit_leaf};
pub use terms::{LaneTerms, PayoutTerms, Scheme, Terms, TermsFrom};
