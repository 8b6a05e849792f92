//! Encrypted pools: whose certificate is taken.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bq_miner::{ClientSettings, Endpoint, Miner, MinerConfig, TlsTrust};
use fake::{Script, comes, config, serve, stop};
use rcgen::CertifiedKey;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, runtime::Handle, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

/// A pool that encrypts, with a certificate of its own making for `localhost`.
struct TlsPool {
    address: SocketAddr,
    fingerprint: [u8; 32],
    accepted: Arc<AtomicU64>,
    /// Handshakes that the miner broke off.
    refused: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl Drop for TlsPool {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TlsPool {
    async fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let fingerprint = Sha256::digest(cert.der()).into();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counts, refusals, acceptor) =
            (Arc::clone(&accepted), Arc::clone(&refused), TlsAcceptor::from(Arc::new(tls)));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match acceptor.accept(stream).await {
                    Ok(stream) => serve(stream, Script::good(), &counts).await,
                    Err(_) => drop(refusals.fetch_add(1, Ordering::SeqCst)),
                }
            }
        });
        Self { address, fingerprint, accepted, refused, server }
    }

    fn mine(&self, tls: TlsTrust) -> Miner {
        let endpoint: Endpoint = format!("stratum+ssl://localhost:{}", self.address.port()).parse().unwrap();
        let settings = ClientSettings { backoff_min: Duration::from_millis(5), ..ClientSettings::default() };
        let config = MinerConfig { tls, ..config(&[endpoint], settings) };
        Miner::start(config, Arc::default(), &Handle::current()).unwrap()
    }

    async fn mines(&self, tls: TlsTrust) {
        let miner = self.mine(tls);
        assert!(comes(|| self.accepted.load(Ordering::SeqCst) > 0).await);
        let stats = stop(miner).await.stats();
        assert_eq!((stats.algorithms[0].lost, stats.algorithms[0].last_error.as_deref()), (0, None));
    }

    async fn is_refused(&self, tls: TlsTrust, why: &str) {
        let miner = self.mine(tls);
        assert!(comes(|| self.refused.load(Ordering::SeqCst) > 1).await, "and tried again");
        let told = || miner.stats().algorithms[0].last_error.clone().unwrap_or_default();
        assert!(comes(|| told().starts_with("TLS: ")).await);
        assert!(told().contains(why), "{}", told());
        assert_eq!(self.accepted.load(Ordering::SeqCst), 0);
        stop(miner).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_fingerprint_is_taken() {
    let pool = TlsPool::start().await;
    pool.mines(TlsTrust::Fingerprints(vec![[7; 32], pool.fingerprint])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_fingerprint_is_refused() {
    let pool = TlsPool::start().await;
    pool.is_refused(TlsTrust::Fingerprints(vec![[7; 32]]), "invalid peer certificate").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_authority_is_refused() {
    let pool = TlsPool::start().await;
    pool.is_refused(TlsTrust::Public, "invalid peer certificate").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anyone_is_taken_where_that_is_asked_for() {
    let pool = TlsPool::start().await;
    pool.mines(TlsTrust::Anyone).await;
}

/// Nothing is said in the clear to a pool that was asked to encrypt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_does_not_encrypt_is_told_nothing() {
    let pool = fake::Pool::start(Script { greeting: b"hello\n".to_vec(), ..Script::good() }).await;
    let endpoint: Endpoint = format!("stratum+tls://localhost:{}", pool.address.port()).parse().unwrap();
    let config = MinerConfig { tls: TlsTrust::Anyone, ..config(&[endpoint], ClientSettings::default()) };
    let miner = Miner::start(config, Arc::default(), &Handle::current()).unwrap();
    let told = || miner.stats().algorithms[0].last_error.clone().unwrap_or_default();
    assert!(comes(|| told().starts_with("TLS: ")).await);
    assert_eq!(pool.accepted(), 0);
    stop(miner).await;
}
