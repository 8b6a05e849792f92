use std::time::Duration;

/// What a miner puts up with from a pool, and how it looks for another. Every value is a setting of `[miner]` and a flag of
/// `bq miner`, which say what an unwise one costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// For one address of a pool to take a connection, TLS included.
    pub connect: Duration,
    /// From the connection to the answer to the login.
    pub login: Duration,
    /// From the login to the first job.
    pub job: Duration,
    /// Without a line of the pool.
    pub silence: Duration,
    /// From a share to its answer, and from the first share that nothing was accepted after to an accepted one.
    pub verdict: Duration,
    /// With work and without an accepted share, where there is another pool to try.
    pub share: Duration,
    /// Refusals in a row that end a connection; what is under way at once counts as one.
    pub refusals_max: u32,
    /// Lines that cannot be read, and messages that mean nothing, between two accepted shares.
    pub nonsense_max: u32,
    /// Keys of RandomX or epochs of Ethash between two accepted shares.
    pub keys_max: u32,
    /// Bytes of a line.
    pub line_bytes_max: usize,
    /// Attempts at a pool that accepts no share before the next one is tried.
    pub attempts_max: u32,
    /// Pause before the first attempt to reconnect; doubled after each failure.
    pub backoff_min: Duration,
    /// Longest such pause.
    pub backoff_max: Duration,
    /// While another pool is mined at, between two looks at the first; doubled each time that it disappoints, sixteenfold at
    /// most.
    pub probe: Duration,
    /// Longest that a pool may make us wait before we come again.
    pub reconnect_wait_max: Duration,
    /// Shares without an answer. Blocks are sent whatever waits.
    pub in_flight_max: usize,
    /// Shares that wait to be sent; threads do something else until there are fewer.
    pub waiting_max: usize,
    /// Pause after a pool said that it is busy; doubled each time, sixteenfold at most.
    pub busy: Duration,
    /// At the end, for answers to what was sent.
    pub drain: Duration,
    /// Without a line of ours until a keepalive goes out, where the dialect has one.
    pub keepalive: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            connect: secs(10),
            login: secs(20),
            job: secs(60),
            silence: secs(180),
            verdict: secs(120),
            share: secs(3_600),
            refusals_max: 20,
            nonsense_max: 100,
            keys_max: 16,
            line_bytes_max: 64 << 10,
            attempts_max: 2,
            backoff_min: Duration::from_millis(500),
            backoff_max: secs(30),
            probe: secs(60),
            reconnect_wait_max: secs(60),
            in_flight_max: 128,
            waiting_max: 64,
            busy: Duration::from_millis(100),
            drain: secs(5),
            keepalive: secs(60),
        }
    }
}

/// Doublings of a pause that a pool's disappointments may bring.
pub(crate) const DOUBLINGS_MAX: u32 = 4;

/// `pause` doubled `times` times, at most `max`.
pub(crate) fn doubled(pause: Duration, times: u32, max: Duration) -> Duration {
    pause.saturating_mul(2_u32.saturating_pow(times)).min(max)
}
