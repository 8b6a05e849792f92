//! The block tree: every known header, which of them have bodies, which chain is best, and what a change of the best
//! chain disconnects and connects.
//!
//! It decides nothing about validity (`bq-consensus` does) and writes nothing (`bq-store` does): a [`ChainChange`] is a
//! plan, carried out elsewhere and then told to the tree. Read [`BlockTree`] and [`CoinOverlay`] first: where blocks
//! stand, and what a chain of blocks does to the set of unspent coins.
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

mod branch;
mod coins;
mod fork_choice;
mod locator;
mod rivals;
mod route;
mod tree;
mod undo;

#[cfg(test)]
mod tests;

pub use branch::{BranchView, HeaderRun};
pub use coins::{CoinOverlay, OverlayError};
pub use fork_choice::{ChainChange, ChangeError};
pub use route::{ChainSteps, Route};
pub use tree::{BlockState, BlockTree, InsertError};
pub use undo::{BlockUndo, decode_coin, put_coin};
