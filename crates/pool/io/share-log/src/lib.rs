//! The share log: every accepted share, appended to segment files in the order of its sequence number. It is the one
//! source of truth for money; everything else about shares can be computed again from it.
//!
//! - [`ShareLog::append`] returns once the share is written to the file, so a killed process loses nothing it
//!   acknowledged. A thread syncs the file every 50 ms, so power loss costs at most that much.
//! - Opening cuts a torn tail off at the last whole record and says how much; a damaged record before the tail or a file
//!   of another chain is refused with the file named.
//! - When the disk is full an append fails without a trace, and later appends succeed once there is room.
//!
//! What this crate is not: it knows no accounts but their numbers, and no rule about who is paid. Read [`ShareLog`] and
//! [`ShareRecord`] first.

mod error;
mod log;
mod options;
mod record;
mod scan;
mod segment;

mod disk;
mod read;
mod syncer;

#[cfg(test)]
mod tests;

pub use disk::{Disk, RealDisk, SegmentFile};
pub use error::{AppendError, OpenError, ReadError};
pub use log::{LogStatus, ShareLog};
pub use options::LogOptions;
pub use read::Backwards;
pub use record::{NewShare, ShareRecord};
pub use scan::TornTail;
