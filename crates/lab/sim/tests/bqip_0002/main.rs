//! The fifteen tests of the difficulty rules, on the real rules, with eight fixed seeds each (SPEC 10).
//!
//! Each test has a control beside it: a rule, a weight or a constant that is wrong on purpose and must fail the same
//! criterion. Without it a criterion might be one that nothing can fail.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a few hundred blocks")]
#![expect(clippy::print_stdout, reason = "measured figures, shown when a test fails or on demand")]

mod controls;
mod eras;
mod forks;
mod rules;
mod seeds;
mod stamps;
mod steps;
