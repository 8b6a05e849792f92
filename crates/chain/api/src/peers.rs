use bq_primitives::Height;

/// The peer-to-peer layer as JSON-RPC sees it (`getpeerinfo`, `addnode`). Both calls are cheap.
pub trait PeerNetwork: Send + Sync + 'static {
    /// Every connected peer, longest connected first.
    fn peers(&self) -> Vec<PeerInfo>;

    /// Keeps a connection to this address from now on: `HOST:PORT` or a multiaddress. Returns before it is connected.
    ///
    /// # Errors
    /// Not an address, or there are too many already.
    fn add_node(&self, address: &str) -> Result<(), AddNodeError>;
}

/// One connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its public key's name.
    pub id: String,
    /// Where it is connected from or to, as a multiaddress.
    pub address: String,
    /// It connected to us.
    pub is_inbound: bool,
    /// Who wanted the connection.
    pub kind: PeerKind,
    /// The program it says it runs; empty until it said so.
    pub agent: String,
    /// Seconds since it connected.
    pub connected_secs: u64,
    /// Height of the tip it claims; nothing before the first exchange.
    pub height: Option<Height>,
    /// Points of misbehaviour, 0 to 99.
    pub misbehavior: u32,
}

/// Who wanted a connection, and what for (SPEC 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// The peer did.
    Inbound,
    /// The configuration, or `addnode`.
    Manual,
    /// We chose it among the addresses that we know.
    Automatic,
    /// We are finding out whether a node is there.
    Probe,
}

impl PeerKind {
    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Manual => "manual",
            Self::Automatic => "automatic",
            Self::Probe => "probe",
        }
    }
}

/// An address was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddNodeError {
    /// Neither `HOST:PORT` nor a multiaddress with a TCP port.
    #[error("{0:?} is neither HOST:PORT nor a multiaddress like /ip4/192.0.2.1/tcp/8333")]
    Address(String),
    /// The list is full.
    #[error("already {0} addresses to keep connected")]
    TooMany(usize),
    /// The network layer is shutting down.
    #[error("the peer-to-peer layer is shutting down")]
    Closed,
}
