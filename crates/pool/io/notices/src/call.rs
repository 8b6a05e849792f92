use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

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
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::TlsConnector;

use crate::{
    NoticePolicy,
    public::is_public,
    queue::{Class, part},
};

/// What is read of an answer at most: its status and headers, of which the status counts.
const HEADERS_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// What a connection is read for at most, with all that TLS says and with answers that say that another one follows.
const CONNECTION_BYTES_MAX: u64 = 128 * 1024;

/// Why a call failed, in words that say nothing of what lies behind an address that may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// One text whether there is no address or one that may not be called: nobody learns which names are known here.
    #[error("no public address is known of it")]
    Address,
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
            Self::Address => "address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Answer => "answer",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
        }
    }

    /// Every label.
    pub(crate) const NAMES: [&'static str; 7] =
        ["address", "connect", "tls", "timeout", "answer", "redirect", "status"];

    /// Whether another try may do better.
    pub(crate) const fn is_passing(self) -> bool {
        match self {
            Self::Address | Self::Connect | Self::Timeout | Self::Answer => true,
            Self::Tls | Self::Redirect => false,
            Self::Status(status) => status >= 500 || status == 429,
        }
    }
}

/// Makes calls.
pub(crate) struct Caller {
    policy: NoticePolicy,
    tls: TlsConnector,
    /// Who may resolve a name. A resolver goes on after the call has given it up: names without an answer must not hold those of others.
    proven_lookups: Arc<Semaphore>,
    unproven_lookups: Arc<Semaphore>,
}

impl Caller {
    pub(crate) fn new(policy: NoticePolicy, roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let lookups = |class| Arc::new(Semaphore::new(part(class, policy.at_once_max)));
        let (proven_lookups, unproven_lookups) = (lookups(Class::Proven), lookups(Class::Unproven));
        Ok(Self { policy, tls: TlsConnector::from(Arc::new(config)), proven_lookups, unproven_lookups })
    }

    /// The certificate authorities that browsers trust.
    pub(crate) fn web_roots() -> RootCertStore {
        RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
    }

    /// One try. Done is what was answered with 2xx.
    pub(crate) async fn call(&self, class: Class, webhook: &Webhook, body: Bytes) -> Result<(), CallError> {
        let place = webhook.place().ok_or(CallError::Address)?;
        let call = self.exchange(class, &place, body);
        tokio::time::timeout(self.policy.timeout, call).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn exchange(&self, class: Class, place: &WebhookPlace, body: Bytes) -> Result<(), CallError> {
        let address = self.address_of(class, place).await?;
        let stream = TcpStream::connect(address).await.map_err(|_| CallError::Connect)?;
        let (read, write) = stream.into_split();
        let stream = tokio::io::join(read.take(CONNECTION_BYTES_MAX), write);
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
    async fn address_of(&self, class: Class, place: &WebhookPlace) -> Result<SocketAddr, CallError> {
        let lookups = if class == Class::Proven { &self.proven_lookups } else { &self.unproven_lookups };
        let turn = Arc::clone(lookups).acquire_owned().await.map_err(|_| CallError::Address)?;
        let (host, port) = (place.host.clone(), place.port);
        let lookup = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>)
        });
        let addresses = lookup.await.map_err(|_| CallError::Address)?.map_err(|_| CallError::Address)?;
        let may_call = |address: &SocketAddr| self.policy.may_call_private || is_public(address.ip());
        let all_may = addresses.iter().all(may_call);
        addresses.first().copied().filter(|_| all_may).ok_or(CallError::Address)
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
