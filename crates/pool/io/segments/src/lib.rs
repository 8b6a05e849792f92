//! The share log of one front end: every accepted share in segment files, in the order of its sequence number. It is the
//! content behind the frames that the books take; whatever else is known about shares can be computed again from it.
//!
//! - [`ShareLog::append`] returns once the share is written, so a killed process loses nothing it acknowledged. Power loss
//!   costs what is not synced yet: a thread syncs every 50 ms, or the caller does.
//! - A sealed segment is named by its SHA-256 in the header of the next one, so nothing in it can change unseen. Of the newest
//!   segment only a torn tail is cut, and only behind the place that the caller knows the log to have reached.
//! - What is damaged, missing or replaced is refused with the file named. [`forfeit`] is the way out: it leaves a hole that
//!   readers skip. [`ShareLog::prune_before`] drops what is old and keeps its hashes.
//! - When the disk is full an append fails without a trace, and later appends succeed once there is room.
//!
//! The format of a segment, integers little-endian:
//!
//! | part | fields |
//! | --- | --- |
//! | header, 98 bytes | `BQSHARES`, version 2 as u32, genesis id 32, front end u16, first sequence u64, base time in ms u64, SHA-256 of the file before 32, CRC |
//! | miner, 102 bytes | 1, payee 32, length of the worker's name u8, the name padded with zeros to 64, CRC |
//! | job, 22 bytes | 2, algorithm u8, height u32, network difficulty 12, CRC |
//! | share, 21 bytes | 3, miner u16, job u16, difficulty u64, time as i32 ms from the base time, CRC |
//! | block share, 53 bytes | 4, as a share, block id 32 before the CRC |
//!
//! Miners and jobs count from 0 in each segment, shares from the header's first sequence. A CRC is CRC-32C; a record's starts
//! from the header's CRC xor the low half of the record's offset, so that a record is good in its own place only.
//!
//! What this crate is not: it knows no accounts and no rule about who is paid. Read [`ShareLog`] and [`Disk`] first.

mod disk;
mod error;
mod options;
mod trial;

mod header;
mod record;
mod scan;

mod definitions;
mod leaves;
mod log;
mod state;
mod syncer;
mod writer;

mod forfeit;
mod manifest;
mod open;
mod prune;

mod audit;
mod backwards;
mod cursor;
mod frames;

pub mod v1;

#[cfg(test)]
mod tests;

pub use audit::{FrameFault, UnprovenFrame};
pub use backwards::{Backwards, Piece};
pub use cursor::Forwards;
pub use disk::{Disk, FolderLock, RealDisk, SegmentFile};
pub use error::{AppendError, ForfeitError, OpenError, PruneError, ReadError};
pub use forfeit::{Forfeited, forfeit};
pub use frames::Frames;
pub use header::{LogIdentity, segment_name};
pub use log::{LogStatus, ShareLog};
pub use open::TornTail;
pub use options::LogOptions;
pub use trial::TrialDisk;
