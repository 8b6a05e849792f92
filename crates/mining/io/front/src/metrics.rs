use std::time::Duration;

use bq_mining_message::ShareReject;
use bq_primitives::Algorithm;
use bq_share::ShareCandidate;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

const SHARES: &str = "bq_shares_total";
const SHARE_WORK: &str = "bq_share_work_hashes_total";
const CONNECTIONS: &str = "bq_connections";
const REFUSED: &str = "bq_connections_refused_total";
const CLOSED: &str = "bq_connections_closed_total";
const CHANNELS_CLOSED: &str = "bq_channels_closed_total";
const QUEUE_DEPTH: &str = "bq_verify_queue_depth";
const WAIT: &str = "bq_verify_queue_seconds";
const VERDICT: &str = "bq_stratum_verdict_seconds";
const NOTIFY: &str = "bq_notify_seconds";
const JOBS: &str = "bq_jobs_sent_total";
const BANS: &str = "bq_bans_total";
const PANICS: &str = "bq_verify_panics_total";
const CAME_BACK: &str = "bq_session_tickets_total";
const CERTIFICATE_LEFT: &str = "bq_tls_certificate_expiry_seconds";
const BLOCK_CANDIDATES: &str = "bq_block_candidates_total";

/// What becomes of a ticket: nothing, or what its connection left.
const TICKET_RESULTS: [&str; 2] = ["unknown", "resumed"];

/// What the Stratum server counts. Labels are algorithm, result, reason and trust only: never anything a miner chose.
pub(crate) struct StratumMetrics {
    by_algorithm: [AlgorithmMetrics; Algorithm::COUNT],
}

/// Handles of one algorithm, looked up once: these are touched for every share.
pub(crate) struct AlgorithmMetrics {
    accepted: Counter,
    rejected: [Counter; ShareReject::ALL.len()],
    work: Counter,
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Shares that wait for a verification thread.
    pub(crate) queue_depth: Gauge,
    wait: Histogram,
    /// Of strangers, of the trusted.
    verdict: [Histogram; 2],
    notify: Histogram,
    /// Jobs written.
    pub(crate) jobs: Counter,
    /// Shares that met the network target.
    pub(crate) block_candidates: Counter,
}

impl StratumMetrics {
    /// Describes every metric, and shows the counters at zero before anything happens.
    pub(crate) fn register() -> Self {
        describe_counter!(SHARES, "Shares by algorithm and result");
        describe_counter!(SHARE_WORK, "Expected hashes of accepted shares, by algorithm");
        describe_gauge!(CONNECTIONS, "Open Stratum connections, by algorithm");
        describe_counter!(REFUSED, "Connections refused at the door, by reason");
        describe_counter!(CLOSED, "Connections ended, by reason");
        describe_counter!(
            CHANNELS_CLOSED,
            "Channels of Stratum V2 that the server ended beside others of their connection, by reason"
        );
        describe_gauge!(QUEUE_DEPTH, "Shares waiting for verification, by algorithm");
        describe_histogram!(WAIT, "Seconds that a share waited for a verification thread, by algorithm");
        describe_histogram!(
            VERDICT,
            "Seconds from the reading of a share that was hashed to its verdict, by algorithm and trust of its connection"
        );
        describe_histogram!(NOTIFY, "Seconds from a new template to its job being written, by algorithm");
        describe_counter!(JOBS, "Jobs sent, by algorithm");
        describe_counter!(BANS, "Bans begun");
        describe_counter!(
            CAME_BACK,
            "Logins with the ticket of a connection that ended, by result: resumed, or unknown where it was open, used, too old, another's or none of ours"
        );
        describe_counter!(BLOCK_CANDIDATES, "Shares that met the network target, by algorithm");
        describe_counter!(PANICS, "Times that a verification thread panicked and was restarted");
        describe_gauge!(
            CERTIFICATE_LEFT,
            "Seconds until the TLS certificate that miners are shown expires; below 0: since. Not there while TLS is off"
        );
        counter!(BANS).absolute(0);
        counter!(PANICS).absolute(0);
        for result in TICKET_RESULTS {
            counter!(CAME_BACK, "result" => result).absolute(0);
        }
        Self { by_algorithm: Algorithm::ALL.map(AlgorithmMetrics::register) }
    }

    pub(crate) fn of(&self, algorithm: Algorithm) -> &AlgorithmMetrics {
        &self.by_algorithm[algorithm.index()]
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        counter!(REFUSED, "reason" => reason).increment(1);
    }

    pub(crate) fn closed(&self, reason: &'static str) {
        counter!(CLOSED, "reason" => reason).increment(1);
    }

    pub(crate) fn channel_closed(&self, reason: &'static str) {
        counter!(CHANNELS_CLOSED, "reason" => reason).increment(1);
    }

    pub(crate) fn panicked(&self) {
        counter!(PANICS).increment(1);
    }

    /// Somebody logged in with a ticket.
    pub(crate) fn came_back(&self, has_resumed: bool) {
        counter!(CAME_BACK, "result" => TICKET_RESULTS[usize::from(has_resumed)]).increment(1);
    }

    pub(crate) fn certificate_expires_in(seconds: i64) {
        // How far beyond 68 years it lies does not matter.
        let shown = seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        gauge!(CERTIFICATE_LEFT).set(f64::from(i32::try_from(shown).unwrap_or(i32::MAX)));
    }

    pub(crate) fn banned(&self) {
        counter!(BANS).increment(1);
    }
}

impl AlgorithmMetrics {
    fn register(algorithm: Algorithm) -> Self {
        let name = algorithm.name();
        let shares = |result: &'static str| {
            let shares = counter!(SHARES, "algorithm" => name, "result" => result);
            shares.absolute(0);
            shares
        };
        Self {
            accepted: shares("accepted"),
            rejected: ShareReject::ALL.map(|reason| shares(reason.name())),
            work: counter!(SHARE_WORK, "algorithm" => name),
            connections: gauge!(CONNECTIONS, "algorithm" => name),
            queue_depth: gauge!(QUEUE_DEPTH, "algorithm" => name),
            wait: histogram!(WAIT, "algorithm" => name),
            verdict: ["stranger", "trusted"].map(|trust| histogram!(VERDICT, "algorithm" => name, "trust" => trust)),
            notify: histogram!(NOTIFY, "algorithm" => name),
            jobs: counter!(JOBS, "algorithm" => name),
            block_candidates: counter!(BLOCK_CANDIDATES, "algorithm" => name),
        }
    }

    pub(crate) fn accepted(&self, hashes: u64) {
        self.accepted.increment(1);
        self.work.increment(hashes);
    }

    pub(crate) fn rejected(&self, reason: ShareReject) {
        if let Some(index) = ShareReject::ALL.iter().position(|known| *known == reason) {
            self.rejected[index].increment(1);
        }
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.wait.record(time.as_secs_f64());
    }

    /// A candidate that was hashed has its verdict, `took` after it was read.
    pub(crate) fn decided(&self, candidate: &ShareCandidate, took: Duration) {
        self.verdict[usize::from(candidate.is_trusted)].record(took.as_secs_f64());
    }

    pub(crate) fn notified(&self, took: Duration) {
        self.notify.record(took.as_secs_f64());
    }
}
