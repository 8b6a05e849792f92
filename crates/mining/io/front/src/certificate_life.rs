use bq_condition::Condition;
use bq_share::UnixMs;
use rustls::pki_types::CertificateDer;
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// From when to when all certificates of a chain are good, in seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateLife {
    begins: Moment,
    ends: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Moment {
    unix_secs: i64,
    /// For people.
    date: String,
}

const EXPIRED: &str = "certificate_expired";
const EXPIRES_SOON: &str = "certificate_expires_soon";
const NOT_YET_VALID: &str = "certificate_not_yet_valid";
const WAY_OUT: &str = "renew the file and send SIGHUP; of the one that bq signed: remove stratum-certificate.pem in the data directory and start again";
const DAY_SECS: i64 = 86_400;

impl CertificateLife {
    /// The time that all of them have in common: a chain is as good as its worst link.
    ///
    /// # Errors
    /// In words: the first that is no X.509 certificate.
    pub(crate) fn of_chain(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let lives = chain.iter().enumerate().map(|(index, certificate)| {
            let (_, certificate) = parse_x509_certificate(certificate)
                .map_err(|error| format!("certificate {} of the chain: {error}", index.saturating_add(1)))?;
            let validity = certificate.validity();
            Ok(Self { begins: validity.not_before.into(), ends: validity.not_after.into() })
        });
        lives.reduce(|all, one| Ok(all?.within(one?))).unwrap_or_else(|| Err("holds no certificate".to_owned()))
    }

    fn within(self, other: Self) -> Self {
        let begins = if other.begins.unix_secs > self.begins.unix_secs { other.begins } else { self.begins };
        let ends = if other.ends.unix_secs < self.ends.unix_secs { other.ends } else { self.ends };
        Self { begins, ends }
    }

    /// Seconds until it ends; below 0: since.
    pub(crate) fn seconds_left(&self, now: UnixMs) -> i64 {
        self.ends.unix_secs.saturating_sub(unix_secs(now))
    }

    /// What is wrong with it at `now`, if it was first shown at `shown` and people want to know so many days before it ends.
    pub(crate) fn condition(&self, now: UnixMs, shown: UnixMs, warning_days: u32) -> Option<Condition> {
        let (now_secs, left) = (unix_secs(now), self.seconds_left(now));
        let warning_secs = i64::from(warning_days).saturating_mul(DAY_SECS);
        let (name, since_secs, reason) = if now_secs < self.begins.unix_secs {
            let reason = format!(
                "the TLS certificate that miners are shown is good from {} only, or this machine's clock is wrong",
                self.begins.date
            );
            (NOT_YET_VALID, unix_secs(shown), reason)
        } else if left < 0 {
            let reason = format!("the TLS certificate that miners are shown ended on {}: {WAY_OUT}", self.ends.date);
            (EXPIRED, self.ends.unix_secs, reason)
        } else if left < warning_secs {
            let days = left.div_euclid(DAY_SECS);
            let reason = format!(
                "the TLS certificate that miners are shown ends on {}, in {days} days: {WAY_OUT}",
                self.ends.date
            );
            (EXPIRES_SOON, self.ends.unix_secs.saturating_sub(warning_secs), reason)
        } else {
            return None;
        };
        // Plain miners are served on, and so are those that compare fingerprints.
        let since_ms = u64::try_from(since_secs).unwrap_or_default().saturating_mul(1_000);
        Some(Condition { name, reason, since_ms, blocks_readiness: false })
    }
}

impl From<ASN1Time> for Moment {
    fn from(time: ASN1Time) -> Self {
        Self { unix_secs: time.timestamp(), date: time.to_rfc2822().unwrap_or_else(|_| time.to_string()) }
    }
}

fn unix_secs(time: UnixMs) -> i64 {
    i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// One that is good from the first of January of one year to that of another.
    fn made(from: i32, to: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn at(year: i32, days: i64) -> UnixMs {
        let secs = date_time_ymd(year, 1, 1).unix_timestamp() + days * DAY_SECS;
        UnixMs(u64::try_from(secs).unwrap() * 1_000)
    }

    #[test]
    fn a_certificate_is_early_good_about_to_end_and_over() {
        let life = CertificateLife::of_chain(&[made(2030, 2040)]).unwrap();
        let told = |now, days| life.condition(now, at(2029, 1), days).map(|told| (told.name, told.since_ms));
        assert_eq!(told(at(2030, -1), 14), Some((NOT_YET_VALID, at(2029, 1).0)));
        assert_eq!(told(at(2030, 0), 14), None);
        assert_eq!(told(at(2040, -14), 14), None);
        assert_eq!(told(UnixMs(at(2040, -14).0 + 1_000), 14), Some((EXPIRES_SOON, at(2040, -14).0)));
        assert_eq!(told(at(2040, -13), 0), None, "who does not want to know before is told after");
        assert_eq!(told(at(2040, 0), 14), Some((EXPIRES_SOON, at(2040, -14).0)), "its last second");
        assert_eq!(told(UnixMs(at(2040, 0).0 + 1_000), 14), Some((EXPIRED, at(2040, 0).0)));
        assert_eq!(told(UnixMs(at(2040, 0).0 + 1_000), 0), Some((EXPIRED, at(2040, 0).0)));
    }

    #[test]
    fn the_reason_says_when_and_what_to_do() {
        let life = CertificateLife::of_chain(&[made(2030, 2040)]).unwrap();
        let reason = |now| life.condition(now, at(2029, 0), 14).unwrap().reason;
        let soon = reason(at(2040, -3));
        assert!(soon.contains("Sun, 01 Jan 2040 00:00:00 +0000, in 3 days") && soon.contains("SIGHUP"), "{soon}");
        let over = reason(at(2040, 3));
        assert!(over.contains("ended on Sun, 01 Jan 2040") && over.contains("SIGHUP"), "{over}");
        let early = reason(at(2029, 0));
        assert!(early.contains("Tue, 01 Jan 2030") && early.contains("clock"), "{early}");
        assert_eq!([life.seconds_left(at(2040, -1)), life.seconds_left(at(2040, 1))], [DAY_SECS, -DAY_SECS]);
    }

    #[test]
    fn a_chain_is_as_good_as_its_worst_link() {
        let whole = |chain: &[_]| CertificateLife::of_chain(chain).unwrap();
        let both = whole(&[made(2031, 2040), made(2030, 2035)]);
        assert_eq!((both.begins.unix_secs, both.ends.unix_secs), {
            let one = whole(&[made(2031, 2035)]);
            (one.begins.unix_secs, one.ends.unix_secs)
        });
        let bad = CertificateLife::of_chain(&[made(2031, 2040), CertificateDer::from(vec![0x30, 0])]).unwrap_err();
        assert!(bad.starts_with("certificate 2 of the chain: "), "{bad}");
        assert!(CertificateLife::of_chain(&[]).is_err());
    }
}
