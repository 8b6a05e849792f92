//! A share as it is written down, with what pays it, and the frame that binds a run of shares (SPEC 8.6.5): what judge, books and strangers mean the
//! same by.
//!
//! No rule lives here and nothing here does IO. It knows nothing of pools and miners, so that who only checks proofs, a page for instance,
//! needs neither. Read [`Share`] and [`FrameHeader`] first.
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

mod frame;
mod scheme;
mod share;
mod share_pay;

#[cfg(test)]
mod tests;

pub use frame::{FRAME_SHARES_MAX, FrameDigest, FrameHeader};
pub use scheme::{AccountScheme, ParseSchemeError, SchemePays};
pub use share::{BootEpoch, FrontEndId, MessageError, Share, SharePosition, ShareSequence};
pub use share_pay::{SharePay, SharePrice};
