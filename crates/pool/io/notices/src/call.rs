use std::{net::SocketAddr, sync::Arc};

use bq_pool_machine::{Webhook, WebhookPlace};
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{NoticePolicy, public::is_public};

/// What is read of an answer at most: its status and headers, of which the status counts.
const HEADERS_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// Why a call failed, in words that say nothing of what lies behind an address that may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("its name has no address")]
    Name,
    #[error("its address is not a public one")]
    NotPublic,
    #[error("nobody answers there")]
    Connect,
    #[error("its certificate is not accepted")]
    Tls,
    #[error("it took too long")]
    Timeout,
    #[error("its answer is no HTTP")]
    Answer,
    #[error("it answered with a redirect, which is not followed")]
    Redirect,
    #[error("it answered {0}")]
    Status(u16),
}

impl CallError {
    /// The label in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NotPublic => "not_public",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Answer => "answer",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
        }
    }

    /// Every label.
    pub(crate) const NAMES: [&'static str; 8] =
        ["name", "not_public", "connect", "tls", "timeout", "answer", "redirect", "status"];

    /// Whether another try may do better.
    pub(crate) const fn is_passing(self) -> bool {
        match self {
            Self::Name | Self::Connect | Self::Timeout | Self::Answer => true,
            Self::NotPublic | Self::Tls | Self::Redirect => false,
            Self::Status(status) => status >= 500 || status == 429,
        }
    }
}

/// Makes calls.
pub(crate) struct Caller {
    policy: NoticePolicy,
    tls: TlsConnector,
}

impl Caller {
    pub(crate) fn new(policy: NoticePolicy, roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { policy, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The certificate authorities that browsers trust.
    pub(crate) fn web_roots() -> RootCertStore {
        RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
    }

    /// One try. Done is what was answered with 2xx.
    pub(crate) async fn call(&self, webhook: &Webhook, body: Bytes) -> Result<(), CallError> {
        let place = webhook.place().ok_or(CallError::Name)?;
        let call = self.exchange(&place, body);
        tokio::time::timeout(self.policy.timeout, call).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn exchange(&self, place: &WebhookPlace, body: Bytes) -> Result<(), CallError> {
        let address = self.address_of(place).await?;
        let stream = TcpStream::connect(address).await.map_err(|_| CallError::Connect)?;
        let status = if place.is_secure {
            let name = ServerName::try_from(place.host.clone()).map_err(|_| CallError::Tls)?;
            let stream = self.tls.connect(name, stream).await.map_err(|_| CallError::Tls)?;
            post(stream, place, body).await?
        } else {
            post(stream, place, body).await?
        };
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(CallError::Redirect),
            status => Err(CallError::Status(status.as_u16())),
        }
    }

    /// The address that is connected to. A name is asked for once: one that says something else the next time changes nothing. With one
    /// address that may not be called, it is none that may.
    async fn address_of(&self, place: &WebhookPlace) -> Result<SocketAddr, CallError> {
        let found = tokio::net::lookup_host((place.host.as_str(), place.port)).await.map_err(|_| CallError::Name)?;
        let addresses: Vec<SocketAddr> = found.collect();
        let may_call = |address: &SocketAddr| self.policy.may_call_private || is_public(address.ip());
        if !addresses.iter().all(may_call) {
            return Err(CallError::NotPublic);
        }
        addresses.first().copied().ok_or(CallError::Name)
    }
}

async fn post<S>(stream: S, place: &WebhookPlace, body: Bytes) -> Result<StatusCode, CallError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEADERS_BYTES_MAX).max_headers(HEADERS_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| CallError::Connect)?;
    let request = Request::post(&place.path)
        .header(HOST, &place.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "bq")
        .body(Full::new(body))
        .map_err(|_| CallError::Answer)?;
    // The connection is driven here and ends with this call, whatever the other side would still send.
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // It may have ended with the answer.
        _ = connection => answer.await,
    };
    answer.map(|answer| answer.status()).map_err(|_| CallError::Answer)
}
