use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Instant,
};

use bq_chain_api::{AddNodeError, PeerInfo, PeerNetwork, SyncApi};
use bq_sync::Bans;
use libp2p::{
    Multiaddr, SwarmBuilder,
    futures::StreamExt,
    multiaddr::Protocol,
    noise,
    swarm::{Swarm, SwarmEvent},
    tcp, yamux,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    NetConfig, NetError, PeerAddress,
    address::port_of,
    behaviour::{Behaviour, Names},
    dialer::TARGETS_MAX,
    driver::{Driver, Known, Published},
    jobs::{Jobs, look},
    node_key,
    peers::PeerSnapshot,
    peers_file::PeersFile,
};

/// Longer than any quiet spell of a chain: connections are closed for a reason, never for silence.
const IDLE_TIMEOUT_SECS: u64 = 365 * 24 * 3600;
const STREAMS_NEGOTIATING_MAX: usize = 32;

/// Starts the peer-to-peer layer.
#[derive(Clone, Copy, Debug)]
pub struct Net;

/// A running peer-to-peer layer.
#[derive(Debug)]
pub struct NetHandle {
    address: Option<SocketAddr>,
    peer_id: String,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What the handle and RPC share with the driver.
#[derive(Debug)]
struct Shared {
    peers: watch::Receiver<Vec<PeerSnapshot>>,
    count: watch::Receiver<usize>,
    add: mpsc::Sender<PeerAddress>,
}

impl Net {
    /// Listens, connects, and keeps `api`'s chain in step with the peers until [`NetHandle::shutdown`].
    ///
    /// # Errors
    /// See [`NetError`]. Peers that cannot be reached are no error: they are tried again.
    pub async fn start(config: NetConfig, api: Arc<dyn SyncApi>) -> Result<NetHandle, NetError> {
        let names = Names::new(&api.genesis_id());
        let file = PeersFile::new(config.peers_file.clone());
        let memory = file.load(config.scope)?;
        let mut swarm = build_swarm(&config, &names, memory.bans.clone())?;
        let address = match config.listen {
            Some(address) => Some(listen(&mut swarm, address).await?),
            None => None,
        };
        let peer_id = swarm.local_peer_id().to_string();
        // Before the first look, so that nothing falls between the two.
        let announcements = api.announcements();
        let view = {
            let api = Arc::clone(&api);
            let looked = tokio::task::spawn_blocking(move || look(api.as_ref())).await;
            looked.map_err(|error| NetError::Transport(error.to_string()))?
        };
        let jobs = Jobs::start(&api)?;
        let (peers_out, peers) = watch::channel(Vec::new());
        let (count_out, count) = watch::channel(0);
        let (add, add_in) = mpsc::channel(TARGETS_MAX);
        let (stop, stop_in) = watch::channel(false);
        let known = Known::new(memory, file, address.map_or(0, |address| address.port()), &config);
        let published = Published { peers: peers_out, count: count_out };
        let driver = Driver::new(swarm, names, view, api, jobs, &config, known, published);
        let task = tokio::spawn(driver.run(announcements, add_in, stop_in));
        tracing::info!(?address, peer_id, "peer-to-peer layer is up");
        Ok(NetHandle { address, peer_id, shared: Arc::new(Shared { peers, count, add }), stop, task })
    }
}

impl NetHandle {
    /// Where it listens, with the port that was picked; nothing when it only connects out.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The name of this node's transport key.
    #[must_use]
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// Every connected peer, longest connected first.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shared.peers()
    }

    /// For the RPC server.
    #[must_use]
    pub fn peer_network(&self) -> Arc<dyn PeerNetwork> {
        Arc::<Shared>::clone(&self.shared)
    }

    /// How many peers are connected; wakes on every change.
    #[must_use]
    pub fn peer_counts(&self) -> watch::Receiver<usize> {
        self.shared.count.clone()
    }

    /// Waits until at least `count` peers are connected.
    pub async fn wait_for_peers(&self, count: usize) {
        // An error means that the driver is gone: nobody will ever connect, and the caller sees no peers.
        let _ = self.peer_counts().wait_for(|peers| *peers >= count).await;
    }

    /// Closes every connection and waits for the node's calls that are under way.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

impl PeerNetwork for Shared {
    fn peers(&self) -> Vec<PeerInfo> {
        let now = Instant::now();
        let with_time = |peer: &PeerSnapshot| PeerInfo {
            connected_secs: now.saturating_duration_since(peer.since).as_secs(),
            ..peer.info.clone()
        };
        self.peers.borrow().iter().map(with_time).collect()
    }

    fn add_node(&self, address: &str) -> Result<(), AddNodeError> {
        let address = address.parse().map_err(|_| AddNodeError::Address(address.to_owned()))?;
        self.add.try_send(address).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AddNodeError::TooMany(TARGETS_MAX),
            mpsc::error::TrySendError::Closed(_) => AddNodeError::Closed,
        })
    }
}

fn build_swarm(config: &NetConfig, names: &Names, bans: Bans) -> Result<Swarm<Behaviour>, NetError> {
    let key = node_key::load_or_create(config.key_file.as_ref())?;
    let behaviour = Behaviour::new(&key, names, config, bans).map_err(NetError::Transport)?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| NetError::Transport(error.to_string()))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| NetError::Transport(error.to_string()))?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(std::time::Duration::from_secs(IDLE_TIMEOUT_SECS))
                .with_max_negotiating_inbound_streams(STREAMS_NEGOTIATING_MAX)
        })
        .build();
    Ok(swarm)
}

/// Returns once the socket is bound, with the port the system picked.
async fn listen(swarm: &mut Swarm<Behaviour>, address: SocketAddr) -> Result<SocketAddr, NetError> {
    let error = |reason: String| NetError::Listen { address, reason };
    // libp2p shares ports: two nodes would both get this one, and each every other connection. Ask without sharing first.
    drop(TcpListener::bind(address).map_err(|taken| error(taken.to_string()))?);
    let asked = Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()));
    swarm.listen_on(asked).map_err(|failed| error(failed.to_string()))?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address: bound, .. } => {
                let port = port_of(&bound).ok_or_else(|| error("not a TCP address".to_owned()))?;
                return Ok(SocketAddr::new(address.ip(), port));
            }
            SwarmEvent::ListenerClosed { reason, .. } => {
                return Err(error(reason.err().map_or_else(|| "closed".to_owned(), |failed| failed.to_string())));
            }
            _ => {}
        }
    }
}
