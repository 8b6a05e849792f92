//! RandomX virtual machines: the reference library's, and our own, which compiles programs itself.

mod library;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "RandomX is defined on wrapping words; indices are register numbers and lengths known when compiling"
)]
#[expect(dead_code, reason = "light lock step and fast mode come to use it")]
mod machine;

pub(super) use library::{Table, Vm};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) use machine::{Machine, PROGRAM_ITERATIONS, PROGRAMS};
