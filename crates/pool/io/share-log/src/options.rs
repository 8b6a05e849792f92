use std::time::Duration;

/// Sizes and times of a share log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Records in a segment at most. Default 65,536.
    pub segment_records_max: u32,
    /// Bytes in a segment at most, its header included. Default 8 MiB.
    pub segment_bytes_max: u64,
    /// How long a written share waits for its sync at most. Default 50 ms.
    pub sync_interval: Duration,
    /// How many of the newest segments are read in full when the log is opened; of older ones the header only, their
    /// records are checked when they are read. Default 64, some four million shares.
    pub scan_segments: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_records_max: 65_536,
            segment_bytes_max: 8 << 20,
            sync_interval: Duration::from_millis(50),
            scan_segments: 64,
        }
    }
}
