//! Moments at which a debug build dies when it is told to, so that tests can see what the next start makes of what is left
//! (`docs/pool.md`, "What a crash leaves").
//!
//! What this is not: a part of anything that is released. Without debug assertions [`reach`] and [`hold`] are empty, and no
//! environment is read. Read [`FaultPoint`] first.

mod point;

#[cfg(debug_assertions)]
mod armed;

pub use point::FaultPoint;

/// The variable that arms a debug build: the name of a point, or `name:n` for its n-th passing, from 1.
pub const VARIABLE: &str = "BQ_FAULT_POINT";

/// This moment is passed. The process ends here, without another word to anybody, if it is armed for it.
#[inline]
pub fn reach(point: FaultPoint) {
    #[cfg(debug_assertions)]
    armed::reach(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

/// Whoever calls does not get past here if the process is to die at the next passing of the point: what comes behind must not have happened then.
#[inline]
pub fn hold(point: FaultPoint) {
    #[cfg(debug_assertions)]
    armed::hold(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}
