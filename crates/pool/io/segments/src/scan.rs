use bq_mining_message::{Share, ShareSequence};
use bq_primitives::BlockId;

use crate::{
    header::{HEADER_BYTES, SegmentHeader},
    record::{Job, Miner, Record, RecordFault, Row, Salt},
};

/// What stands in a segment, in columns.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) miners: Vec<Miner>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) rows: Vec<Row>,
    /// Positions among the rows, rising, of those that are blocks.
    pub(crate) blocks: Vec<(usize, BlockId)>,
    base_ms: u64,
}

/// How far a segment could be read.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Where the last whole record ends in the file.
    pub(crate) length: usize,
    pub(crate) end: ScanEnd,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ScanEnd {
    /// The last record ends where the file ends.
    Whole,
    /// What follows the last whole record is no record, and none comes after it.
    Torn(RecordFault),
    /// A record is bad although a good one follows, or it says what no writer writes. The first may come from power loss, where it was not
    /// synced.
    Corrupt(RecordFault),
}

impl Content {
    /// Replaces the content by that of `file`, whose header is known, until a record is bad. Memory is used again.
    pub(crate) fn scan(&mut self, file: &[u8], header: SegmentHeader) -> Scan {
        self.clear();
        self.base_ms = header.base_ms;
        let salt = Salt::of(header);
        let mut length = HEADER_BYTES;
        loop {
            if length >= file.len() {
                return Scan { length, end: ScanEnd::Whole };
            }
            let taken = Record::read(file, length, salt)
                .and_then(|(record, used)| if self.take(record) { Ok(used) } else { Err(UNDEFINED) });
            match taken {
                Ok(used) => length += used,
                Err(fault) => {
                    let is_torn = !matches!(fault, RecordFault::Content(_)) && !has_record_after(file, length, salt);
                    let end = if is_torn { ScanEnd::Torn(fault) } else { ScanEnd::Corrupt(fault) };
                    return Scan { length, end };
                }
            }
        }
    }

    fn clear(&mut self) {
        self.miners.clear();
        self.jobs.clear();
        self.rows.clear();
        self.blocks.clear();
    }

    /// Whether the record fits to those before it.
    fn take(&mut self, record: Record) -> bool {
        match record {
            Record::Share(row) => self.take_row(row),
            Record::Block(row, id) => {
                self.blocks.push((self.rows.len(), id));
                self.take_row(row)
            }
            Record::Miner(miner) => {
                self.miners.push(miner);
                self.miners.len() <= usize::from(u16::MAX)
            }
            Record::Job(job) => {
                self.jobs.push(job);
                self.jobs.len() <= usize::from(u16::MAX)
            }
        }
    }

    fn take_row(&mut self, row: Row) -> bool {
        let is_defined = usize::from(row.miner) < self.miners.len() && usize::from(row.job) < self.jobs.len();
        let has_time = self.base_ms.checked_add_signed(row.delta_ms.into()).is_some();
        self.rows.push(row);
        is_defined && has_time
    }

    /// How many shares there are.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }

    /// The share at a position among the rows.
    pub(crate) fn share(&self, position: usize) -> Option<Share> {
        let row = self.rows.get(position)?;
        let miner = self.miners.get(usize::from(row.miner))?;
        let job = self.jobs.get(usize::from(row.job))?;
        Some(Share {
            algorithm: job.algorithm,
            payee: miner.payee,
            worker: miner.worker.clone(),
            difficulty: row.difficulty,
            network_difficulty: job.network_difficulty,
            height: job.height,
            time_ms: self.base_ms.checked_add_signed(row.delta_ms.into())?,
            block_id: self.block_at(position),
            pay: job.pay,
        })
    }

    /// Which block the share at a position is.
    pub(crate) fn block_at(&self, position: usize) -> Option<BlockId> {
        let at = self.blocks.binary_search_by_key(&position, |(at, _)| *at).ok()?;
        self.blocks.get(at).map(|(_, id)| *id)
    }

    /// Where the newest share that is this block stands.
    pub(crate) fn position_of(&self, block: &BlockId) -> Option<usize> {
        self.blocks.iter().rev().find(|(_, id)| id == block).map(|(position, _)| *position)
    }
}

const UNDEFINED: RecordFault = RecordFault::Content("share's miner, job or time, or the number of definitions,");

/// The position among the rows of a segment that begins with `first`.
pub(crate) fn position_in(first: ShareSequence, sequence: ShareSequence) -> usize {
    usize::try_from(sequence.0.saturating_sub(first.0)).unwrap_or(usize::MAX)
}

/// Writes go one after the other, so the death of a process leaves nothing whole behind an unfinished record. A whole record further on
/// means that this one was whole once, or that a disk without power kept the later one only.
fn has_record_after(file: &[u8], bad: usize, salt: Salt) -> bool {
    (bad + 1..file.len()).any(
        |offset| !matches!(Record::read(file, offset, salt), Err(fault) if !matches!(fault, RecordFault::Content(_))),
    )
}
