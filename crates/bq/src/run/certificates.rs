//! What miners are shown that speak TLS: the operator's certificate, or one that is signed here at the first start.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use bq_front::{CertificateFiles, Certificates, TlsConfig};
use bq_runtime::Config;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use crate::exit::UsageError;

/// How TLS is served; nothing if it is off.
///
/// # Errors
/// [`UsageError`] if the files cannot be used as they are.
pub(super) fn tls(config: &Config) -> anyhow::Result<Option<TlsConfig>> {
    let limits = &config.stratum_limits;
    if !limits.tls {
        return Ok(None);
    }
    let files = match &limits.tls_files {
        Some([certificate, key]) => CertificateFiles { certificate: certificate.clone(), key: key.clone() },
        None => self_signed(&config.data_dir)?,
    };
    let certificates = Certificates::read(files)
        .map_err(|error| UsageError(format!("stratum.tls_certificate_file, stratum.tls_key_file: {error}")))?;
    tracing::info!(fingerprint = hex::encode(certificates.fingerprint()), files = %certificates.files(), "TLS certificate");
    Ok(Some(TlsConfig {
        certificates: Arc::new(certificates),
        handshake_ms: limits.tls_handshake_secs.saturating_mul(1000),
        handshakes_max: limits.tls_handshakes_max,
    }))
}

/// The pair in the data directory, made if there is none.
fn self_signed(data_dir: &Path) -> anyhow::Result<CertificateFiles> {
    let files = CertificateFiles {
        certificate: data_dir.join("stratum-certificate.pem"),
        key: data_dir.join("stratum-certificate-key.pem"),
    };
    // The certificate is written last: a start that ended in between leaves a key without one, and makes both anew.
    if !files.certificate.exists() {
        let key = KeyPair::generate().context("a key for TLS")?;
        let certificate = params().self_signed(&key).context("a certificate for TLS")?;
        write(&files.key, &key.serialize_pem())?;
        write(&files.certificate, &certificate.pem())?;
    }
    Ok(files)
}

/// Nobody checks the names and dates of what its server signed itself; miners that care compare its fingerprint.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "bq stratum");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1));
    params
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    bq_private_file::write(path, text.as_bytes()).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_pair_is_shown_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let fingerprint = || Certificates::read(self_signed(dir.path()).unwrap()).unwrap().fingerprint();
        let first = fingerprint();
        assert_eq!(fingerprint(), first);
        std::fs::remove_file(dir.path().join("stratum-certificate.pem")).unwrap();
        assert_ne!(fingerprint(), first, "a half pair is made anew");
    }
}
