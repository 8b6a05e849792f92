//! Runs vector files through the real rules: what `bq conformance FILE...` does.
//!
//! A vector file holds sections of cases. [`run_reader`] finds the sections it knows by their names, runs every case
//! through the same functions that validate blocks, and stops at the first case that gives something else: there is no
//! second implementation here, except one public-standard ASERT (16.16 fixed point, cubic) that shares the 256-bit
//! arithmetic and the compact encoding with the real rule and proves those against other chains' data.
//!
//! Files are input like any other: a malformed one is an error that names the place, never a panic. Read [`Report`] and
//! [`ConformanceError`] first.
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

mod case;
mod cubic_asert;
mod error;
mod report;
mod run;
mod sections;
mod tables;
mod values;

pub use cubic_asert::{CubicAsert, HeightCount};
pub use error::{ConformanceError, Mismatch, Place};
pub use report::{Report, SectionReport};
pub use run::{run_bytes, run_reader};
