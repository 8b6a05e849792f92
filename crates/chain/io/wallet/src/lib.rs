//! The wallet: one key in one encrypted file, and the transactions it signs.
//!
//! A key file holds the 32-byte seed of an ML-DSA-65 key pair, encrypted under a password. The pool signs payouts with
//! it, and `bq wallet` makes one, tells its address and balance, and sends coins.
//!
//! What this crate is not: it keeps no history and no coins (it asks a [`bq_chain_api::NodeApi`]), and prints nothing:
//! every function returns values. Read [`Wallet`] and [`SpendPlan`] first.

mod commands;
mod error;
mod key_file;
mod password;
mod spend_plan;
mod wallet;

pub use commands::{AddressView, BalanceView, SendError, SentView, address_in_file, balance, new_wallet, send};
pub use error::{SignError, WalletError};
pub use password::Password;
pub use spend_plan::{
    DEFAULT_FEE_RATE, FeeRate, SpendError, SpendPlan, SpendRequest, TRANSACTION_WEIGHT_MAX, is_mature,
};
pub use wallet::Wallet;
