use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bq_condition::Condition;
use bq_share::UnixMs;
use parking_lot::RwLock;
use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};

use crate::{certificate_life::CertificateLife, clock};

/// The certificate that the ports show to miners that speak TLS. It can be read again while the server runs.
#[derive(Debug)]
pub struct Certificates {
    files: CertificateFiles,
    current: RwLock<Shown>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    life: CertificateLife,
    since: UnixMs,
}

/// Where a certificate and its key lie, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The files hold no certificate that could be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no certificate or no private key in PEM.
    #[error("{path}: {reason}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Each is readable, but they do not belong together, or the key is of a kind that TLS does not know.
    #[error("{files}: {reason}")]
    Unfit {
        /// Which two.
        files: CertificateFiles,
        /// What is wrong with them.
        reason: String,
    },
}

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn read(files: CertificateFiles) -> Result<Self, CertificateError> {
        let current = RwLock::new(files.shown()?);
        Ok(Self { files, current })
    }

    /// Reads both files again; connections that are open keep what they were shown.
    ///
    /// # Errors
    /// See [`CertificateError`]: the old certificate is shown on.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let shown = self.files.shown()?;
        *self.current.write() = shown;
        Ok(())
    }

    /// SHA-256 of the certificate that is shown: what a miner may be told to insist on.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.current.read().key.cert.first().map_or([0; 32], |certificate| Sha256::digest(certificate).into())
    }

    /// Seconds until the first certificate of the chain ends; below 0: since.
    pub(crate) fn seconds_left(&self, now: UnixMs) -> i64 {
        self.current.read().life.seconds_left(now)
    }

    /// What is wrong with its dates at `now`, `warning_days` before its end already.
    pub(crate) fn condition(&self, now: UnixMs, warning_days: u32) -> Option<Condition> {
        let shown = self.current.read();
        shown.life.condition(now, shown.since, warning_days)
    }

    /// Which files these are.
    #[must_use]
    pub const fn files(&self) -> &CertificateFiles {
        &self.files
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().key))
    }
}

impl CertificateFiles {
    fn shown(&self) -> Result<Shown, CertificateError> {
        let pem = |path: &Path, error: &pem::Error| match error {
            pem::Error::Io(source) => CertificateError::Read {
                path: path.to_owned(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            other => CertificateError::Pem { path: path.to_owned(), reason: other.to_string() },
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| pem(&self.certificate, &error))?;
        let life = CertificateLife::of_chain(&chain)
            .map_err(|reason| CertificateError::Pem { path: self.certificate.clone(), reason })?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| pem(&self.key, &error))?;
        let key = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|error| CertificateError::Unfit { files: self.clone(), reason: error.to_string() })?;
        Ok(Shown { key: Arc::new(key), life, since: clock::wall() })
    }
}

impl fmt::Display for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", self.certificate.display(), self.key.display())
    }
}

/// The cryptography that peers use too.
pub(crate) fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str) -> CertificateFiles {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let files =
            CertificateFiles { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (write(dir.path(), "one"), write(dir.path(), "two"));
        assert!(Certificates::read(one.clone()).is_ok());
        let mixed = CertificateFiles { key: two.key.clone(), ..one.clone() };
        assert!(matches!(Certificates::read(mixed), Err(CertificateError::Unfit { .. })));
        let missing = CertificateFiles { key: dir.path().join("none"), ..one.clone() };
        let error = Certificates::read(missing).unwrap_err();
        assert!(matches!(error, CertificateError::Read { .. }), "{error}");
        let swapped = CertificateFiles { certificate: one.key.clone(), key: one.certificate.clone() };
        let error = Certificates::read(swapped).unwrap_err();
        assert!(matches!(&error, CertificateError::Pem { path, .. } if *path == one.key), "{error}");
    }

    #[test]
    fn a_bad_reload_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (write(dir.path(), "one"), write(dir.path(), "two"));
        let certificates = Certificates::read(one.clone()).unwrap();
        let shown = || certificates.fingerprint();
        let before = shown();
        std::fs::copy(&two.certificate, &one.certificate).unwrap();
        assert!(certificates.reload().is_err(), "the key is still the old one");
        assert_eq!(shown(), before);
        std::fs::copy(&two.key, &one.key).unwrap();
        certificates.reload().unwrap();
        assert_ne!(shown(), before);
    }
}
