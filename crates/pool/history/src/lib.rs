//! What a pool remembers of the shares that it was sent, for people: how much came in, in which five minutes, hour and day, who found the
//! best share, what a block has cost, what a day has earned, who found fewer blocks than luck explains.
//!
//! Nothing here decides about money, and nothing that does reads it. No clock, no file: time is an argument, in seconds since 1970, and
//! [`Series::to_bytes`] and its like are what `bq-history` keeps. Read [`Series`] and [`Ring`] first.
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

mod codec;
mod slot;

mod ring;

mod rate;

mod series;
mod series_key;

mod earnings;
mod round;
mod withholding;

#[cfg(test)]
mod tests;

pub use codec::HistoryError;
pub use earnings::{BlockEarnings, EarningLine};
pub use rate::{Rate, Window};
pub use ring::Ring;
pub use round::{EndedRound, Round};
pub use series::{BestShare, Series};
pub use series_key::{SeriesKey, Subject};
pub use slot::{Refused, Slot, SlotNumber, Span};
pub use withholding::{BlockLuck, LuckHistory, LuckPeriod, SUSPICION};
