use std::net::SocketAddr;

use bq_primitives::{Algorithm, Network};
use serde::Serialize;

/// A Stratum listener that miners can connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StratumPort {
    /// What is mined there.
    pub algorithm: Algorithm,
    /// Where it listens, with the port it really got.
    pub address: SocketAddr,
}

/// The Stratum V2 listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StratumV2Port {
    /// Where it listens, with the port it really got.
    pub address: SocketAddr,
    /// What devices know the pool by, as it stands in their URL.
    pub key: String,
}

/// `GET /api/v1/connect`: how to point a miner here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectView {
    /// Name of the network.
    pub network: &'static str,
    /// Form of the login; the password does not matter.
    pub login: &'static str,
    /// One per Stratum listener.
    pub ports: Vec<PortView>,
}

/// One Stratum listener and a stock miner's command line for it, or the URL that a device is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortView {
    /// Algorithm name.
    pub algorithm: &'static str,
    /// Where it listens. A loopback or unspecified address is reached from elsewhere by the host's own name.
    pub address: SocketAddr,
    /// Name of the miner.
    pub miner: &'static str,
    /// Its command line, with `HOST` and `ADDRESS` to be filled in.
    pub command: String,
}

pub(crate) fn connect_view(network: Network, ports: &[StratumPort], v2: Option<&StratumV2Port>) -> ConnectView {
    let ports = ports.iter().map(|port| port_view(*port)).chain(v2.map(v2_view)).collect();
    ConnectView { network: network.name(), login: "ADDRESS.worker", ports }
}

fn port_view(StratumPort { algorithm, address }: StratumPort) -> PortView {
    let port = address.port();
    let (miner, command) = match algorithm {
        Algorithm::Sha256d => {
            ("cpuminer", format!("minerd -a sha256d -o stratum+tcp://HOST:{port} -u ADDRESS.worker -p x"))
        }
        Algorithm::RandomX => ("xmrig", format!("xmrig -a rx/0 -o HOST:{port} -u ADDRESS.worker -p x")),
        Algorithm::Ethash => (
            "ethminer",
            format!("ethminer --farm-retries 99 --retry-delay 2 -P stratum1+tcp://ADDRESS.worker@HOST:{port}"),
        ),
    };
    PortView { algorithm: algorithm.name(), address, miner, command }
}

fn v2_view(StratumV2Port { address, key }: &StratumV2Port) -> PortView {
    PortView {
        algorithm: Algorithm::Sha256d.name(),
        address: *address,
        miner: "Stratum V2",
        command: format!("stratum2+tcp://HOST:{}/{key}", address.port()),
    }
}
