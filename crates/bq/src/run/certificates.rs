//! What miners are shown that speak TLS: the operator's certificate, or one that is signed here at the first start.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use anyhow::Context as _;
use bq_front::{CertificateFiles, Certificates, TlsConfig};
use bq_primitives::Algorithm;
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
        None => self_signed(&config.data_dir, &names(config))?,
    };
    let certificates = Certificates::read(files)
        .map_err(|error| UsageError(format!("stratum.tls_certificate_file, stratum.tls_key_file: {error}")))?;
    tracing::info!(fingerprint = hex::encode(certificates.fingerprint()), files = %certificates.files(), "TLS certificate");
    Ok(Some(TlsConfig {
        certificates: Arc::new(certificates),
        warning_days: limits.tls_warning_days,
        handshake_ms: limits.tls_handshake_secs.saturating_mul(1000),
        handshakes_max: limits.tls_handshakes_max,
    }))
}

/// The pair in the data directory, made if there is none. It is never renewed unasked: miners insist on its fingerprint, which a new
/// certificate changes even with the old key, and a clock that is wrong would be enough.
fn self_signed(data_dir: &Path, names: &[String]) -> anyhow::Result<CertificateFiles> {
    let files = CertificateFiles {
        certificate: data_dir.join("stratum-certificate.pem"),
        key: data_dir.join("stratum-certificate-key.pem"),
    };
    // The certificate is written last: whoever wants another one removes it, and the key stays for who compares keys.
    if !files.certificate.exists() {
        let key = key_pair(&files.key)?;
        let certificate = params(names)?.self_signed(&key).context("a certificate for TLS")?;
        write(&files.certificate, &certificate.pem())?;
    }
    Ok(files)
}

fn key_pair(path: &Path) -> anyhow::Result<KeyPair> {
    if path.exists() {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        return Ok(KeyPair::from_pem(&text).map_err(|error| UsageError(format!("{}: {error}", path.display())))?);
    }
    let key = KeyPair::generate().context("a key for TLS")?;
    write(path, &key.serialize_pem())?;
    Ok(key)
}

/// How miners of this machine and of its network reach it: who is given the certificate as one to trust (`minerd --cert`) checks the name too.
fn names(config: &Config) -> Vec<String> {
    let listens = Algorithm::ALL.map(|algorithm| config.stratum(algorithm).ip());
    let own = listens.into_iter().filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    let names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter().chain(own).collect();
    names.into_iter().collect()
}

/// Nobody checks the dates of what its server signed itself; miners that care compare its fingerprint.
fn params(names: &[String]) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).context("names of a certificate")?;
    params.distinguished_name.push(DnType::CommonName, "bq stratum");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1));
    Ok(params)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    bq_private_file::write(path, text.as_bytes()).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(data_dir: &Path) -> anyhow::Result<CertificateFiles> {
        self_signed(data_dir, &["localhost", "192.0.2.1"].map(str::to_owned))
    }

    fn fingerprint(data_dir: &Path) -> [u8; 32] {
        Certificates::read(made(data_dir).unwrap()).unwrap().fingerprint()
    }

    #[test]
    fn the_same_pair_is_shown_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = fingerprint(dir.path());
        assert_eq!(fingerprint(dir.path()), first);
    }

    #[test]
    fn whoever_removes_the_certificate_gets_another_for_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let files = made(dir.path()).unwrap();
        let key = std::fs::read(&files.key).unwrap();
        let first = Certificates::read(files.clone()).unwrap().fingerprint();
        std::fs::remove_file(&files.certificate).unwrap();
        // It would not be read if it were not of this key.
        assert_ne!(fingerprint(dir.path()), first);
        assert_eq!(std::fs::read(&files.key).unwrap(), key);
        std::fs::remove_file(&files.certificate).unwrap();
        std::fs::write(&files.key, "no key").unwrap();
        let error = made(dir.path()).unwrap_err();
        assert!(error.is::<UsageError>() && error.to_string().contains("stratum-certificate-key.pem"), "{error}");
    }
}
