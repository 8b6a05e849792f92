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

/// One Stratum listener and a stock miner's command line for it.
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

pub(crate) fn connect_view(network: Network, ports: &[StratumPort]) -> ConnectView {
    let ports = ports.iter().map(|port| port_view(*port)).collect();
    ConnectView { network: network.name(), login: "ADDRESS.worker", ports }
}

fn port_view(StratumPort { algorithm, address }: StratumPort) -> PortView {
    let port = address.port();
    let (miner, command) = match algorithm {
        Algorithm::Sha256d => {
            ("cpuminer", format!("minerd -a sha256d -o stratum+tcp://HOST:{port} -u ADDRESS.worker -p x"))
        }
        Algorithm::RandomX => ("xmrig", format!("xmrig -a rx/0 -o HOST:{port} -u ADDRESS.worker -p x")),
        Algorithm::Ethash => ("ethminer", format!("ethminer -P stratum1+tcp://ADDRESS.worker@HOST:{port}")),
    };
    PortView { algorithm: algorithm.name(), address, miner, command }
}
