//! Encrypted connections to pools: whose certificate is taken.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Which certificates of pools are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsTrust {
    /// Those that a public authority vouches for, in the name that was connected to.
    #[default]
    Public,
    /// Those whose SHA-256 is among these, whatever name they bear and whenever they expire.
    Fingerprints(Vec<[u8; 32]>),
    /// All: whoever is on the way can be the pool.
    Anyone,
}

impl TlsTrust {
    /// A client that takes such certificates.
    ///
    /// # Errors
    /// The cryptography in use knows no protocol version.
    pub fn client_config(self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let pinned = |fingerprints| Arc::new(Pinned { fingerprints, provider });
        let config = match self {
            Self::Public => {
                config.with_root_certificates(RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()))
            }
            Self::Fingerprints(fingerprints) => {
                config.dangerous().with_custom_certificate_verifier(pinned(Some(fingerprints)))
            }
            Self::Anyone => config.dangerous().with_custom_certificate_verifier(pinned(None)),
        };
        Ok(config.with_no_client_auth())
    }
}

/// Encrypts connections.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Takes certificates by `trust`.
    ///
    /// # Errors
    /// The cryptography in use knows no protocol version.
    pub(crate) fn new(trust: TlsTrust) -> Result<Self, rustls::Error> {
        Ok(Self(TlsConnector::from(Arc::new(trust.client_config()?))))
    }

    /// Shakes hands with `host` over `stream`.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
        self.0.connect(name, stream).await
    }
}

/// Takes certificates by fingerprint, all where there are none to compare with. That the other end holds the key is checked
/// in either case.
#[derive(Debug)]
struct Pinned {
    fingerprints: Option<Vec<[u8; 32]>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let got: [u8; 32] = Sha256::digest(end_entity).into();
        if self.fingerprints.as_ref().is_none_or(|known| known.contains(&got)) {
            return Ok(ServerCertVerified::assertion());
        }
        tracing::warn!(sha256 = hex::encode(got), "the pool's certificate has another fingerprint");
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
