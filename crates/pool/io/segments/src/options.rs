use std::time::Duration;

/// Sizes and times of a share log. Every limit may change from one start to the next; segments that exist stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Shares in a segment at most, at least 1. Default 262,144. What is pruned or forfeited, is so by the segment; small segments
    /// repeat the definitions of miners more often.
    pub segment_shares_max: u32,
    /// Bytes in a segment at most, its header included. Default 32 MiB. Bounds what a reader holds in memory.
    pub segment_bytes_max: u64,
    /// Miners (payee and worker) that a segment can name, at least 1. Default 65,535, the most the format holds. Bounds the memory
    /// of the writer.
    pub segment_miners_max: u16,
    /// Jobs (algorithm, height, network difficulty) that a segment can name, at least 1. Default 65,535, the most the format holds.
    pub segment_jobs_max: u16,
    /// Leaves of shares that are not cut into frames yet, kept in memory at most: 32 bytes each. Default 65,536. Frames of older
    /// shares are cut from the files.
    pub leaves_max: usize,
    /// How long a written share waits for its sync at most; without one there is no thread and the caller syncs. Default 50 ms.
    pub sync_interval: Option<Duration>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_shares_max: 262_144,
            segment_bytes_max: 32 << 20,
            segment_miners_max: u16::MAX,
            segment_jobs_max: u16::MAX,
            leaves_max: 65_536,
            sync_interval: Some(Duration::from_millis(50)),
        }
    }
}
