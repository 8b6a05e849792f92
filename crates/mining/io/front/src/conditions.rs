use std::{collections::BTreeMap, sync::Arc};

use bq_condition::Condition;
use bq_share::UnixMs;
use parking_lot::Mutex;

use crate::{Certificates, TlsConfig, clock, metrics::StratumMetrics};

/// What is not as it should be now.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// How long a restarted thread is worth looking at.
    panic_shown_ms: u64,
    /// As long as the server runs.
    few_files: Option<Condition>,
    /// Whose dates are looked at, and how many days before their end.
    certificate: Option<(Arc<Certificates>, u32)>,
    active: Mutex<BTreeMap<&'static str, Active>>,
}

#[derive(Debug)]
struct Active {
    reason: String,
    since: UnixMs,
    /// When it is over unless it happens again.
    until: UnixMs,
}

/// A share that could not be booked is told for so long. The pool's own conditions last as long as their cause; this one must not
/// outlast it for want of a miner whose share shows that it is gone.
const NOT_BOOKED_SHOWN_MS: u64 = 10_000;
const SHARES_NOT_BOOKED: &str = "shares_not_booked";
const VERIFY_THREAD_PANICKED: &str = "verify_thread_panicked";
const CERTIFICATE_UNREADABLE: &str = "certificate_unreadable";
const SERVER_FULL: &str = "server_full";
const FEW_FILES: &str = "few_open_files";

impl Conditions {
    pub(crate) fn new(now: UnixMs, panic_shown_ms: u64, few_files: Option<String>, tls: Option<&TlsConfig>) -> Self {
        let few_files = few_files.map(|reason| {
            tracing::warn!(reason, "few open files");
            Condition { name: FEW_FILES, reason, since_ms: now.0, blocks_readiness: false }
        });
        let certificate = tls.map(|tls| (Arc::clone(&tls.certificates), tls.warning_days));
        let new = Self { panic_shown_ms, few_files, certificate, active: Mutex::default() };
        new.tell_certificate();
        new
    }

    /// A share could not be booked.
    pub(crate) fn not_booked(&self, now: UnixMs, reason: String) {
        self.set(now, SHARES_NOT_BOOKED, reason, now.after_ms(NOT_BOOKED_SHOWN_MS));
    }

    /// A share was booked.
    pub(crate) fn booked(&self) {
        self.active.lock().remove(SHARES_NOT_BOOKED);
    }

    /// A thread panicked and goes on.
    pub(crate) fn panicked(&self, now: UnixMs, thread: &str, what: &str) {
        let reason = format!("{thread} panicked and was restarted: {what}");
        self.set(now, VERIFY_THREAD_PANICKED, reason, now.after_ms(self.panic_shown_ms));
    }

    /// Somebody was turned away because all of so many places are taken.
    pub(crate) fn server_full(&self, now: UnixMs, places: usize, shown_ms: u64) {
        let reason = format!(
            "all {places} places are taken by miners with an accepted share, and newcomers are turned away: raise stratum.connections_max, \
             or lower stratum.proof_lapses_secs"
        );
        self.set(now, SERVER_FULL, reason, now.after_ms(shown_ms));
    }

    /// The files of the certificate changed, and cannot be used as they are.
    pub(crate) fn certificate_unreadable(&self, now: UnixMs, reason: String) {
        self.set(now, CERTIFICATE_UNREADABLE, reason, UnixMs(u64::MAX));
    }

    /// They can.
    pub(crate) fn certificate_read(&self) {
        self.active.lock().remove(CERTIFICATE_UNREADABLE);
        self.tell_certificate();
    }

    fn tell_certificate(&self) {
        if let Some(Condition { name, reason, .. }) = self.certificate() {
            tracing::warn!(name, reason, "TLS certificate");
        }
    }

    /// What its dates say of the certificate that is shown now. They are other people's, so the system's clock counts, which may
    /// have been set right since the start.
    fn certificate(&self) -> Option<Condition> {
        let (certificates, warning_days) = self.certificate.as_ref()?;
        let now = clock::wall();
        StratumMetrics::certificate_expires_in(certificates.seconds_left(now));
        certificates.condition(now, *warning_days)
    }

    /// What is so at `now`, and the gauge that follows from it.
    pub(crate) fn active(&self, now: UnixMs) -> Vec<Condition> {
        let mut active = self.active.lock();
        active.retain(|_, condition| now < condition.until);
        let told = active.iter().map(|(&name, active)| Condition {
            name,
            reason: active.reason.clone(),
            since_ms: active.since.0,
            // A restarted thread goes on; shares that cannot be booked earn nobody anything.
            blocks_readiness: name == SHARES_NOT_BOOKED,
        });
        self.few_files.iter().cloned().chain(self.certificate()).chain(told).collect()
    }

    fn set(&self, now: UnixMs, name: &'static str, reason: String, until: UnixMs) {
        let mut active = self.active.lock();
        let since = active.get(name).map_or(now, |active| active.since);
        active.insert(name, Active { reason, since, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_beginning_and_ends() {
        let conditions = Conditions::new(UnixMs(0), 600_000, None, None);
        conditions.not_booked(UnixMs(5), "disk full".to_owned());
        conditions.not_booked(UnixMs(9), "still full".to_owned());
        conditions.panicked(UnixMs(9), "verify-randomx", "index out of range");
        let named = |now| conditions.active(UnixMs(now)).into_iter().map(|c| (c.name, c.since_ms)).collect::<Vec<_>>();
        assert_eq!(named(10), [(SHARES_NOT_BOOKED, 5), (VERIFY_THREAD_PANICKED, 9)]);
        conditions.booked();
        assert_eq!(named(10), [(VERIFY_THREAD_PANICKED, 9)]);
        conditions.not_booked(UnixMs(20), "full again".to_owned());
        assert_eq!(named(10_019), [(SHARES_NOT_BOOKED, 20), (VERIFY_THREAD_PANICKED, 9)]);
        assert_eq!(named(10_020), [(VERIFY_THREAD_PANICKED, 9)], "also without another share");
        assert!(named(600_009).is_empty());
    }
}
