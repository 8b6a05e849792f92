use std::{fmt, net::IpAddr, str::FromStr};

use bq_sync::Endpoint;
use libp2p::{Multiaddr, multiaddr::Protocol};

/// Where a peer can be reached: `HOST:PORT` or a multiaddress such as `/ip4/192.0.2.1/tcp/8333`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Multi(Multiaddr),
    /// Looked up each time it is dialled.
    Name(String),
}

/// Neither form of address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither HOST:PORT nor a multiaddress like /ip4/192.0.2.1/tcp/8333")]
pub struct ParseAddressError(pub String);

impl FromStr for PeerAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let error = || ParseAddressError(text.to_owned());
        if text.starts_with('/') {
            let multi: Multiaddr = text.parse().map_err(|_| error())?;
            let has_port = multi.iter().any(|part| matches!(part, Protocol::Tcp(port) if port != 0));
            return if has_port { Ok(Self(Form::Multi(multi))) } else { Err(error()) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port: u16 = port.parse().map_err(|_| error())?;
        let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
        if port == 0 || !is_host { Err(error()) } else { Ok(Self(Form::Name(text.to_owned()))) }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Multi(multi) => write!(f, "{multi}"),
            Form::Name(name) => f.write_str(name),
        }
    }
}

impl PeerAddress {
    /// The address to dial; looks names up. Nothing when the name is not known now.
    pub(crate) async fn resolve(&self) -> Option<Multiaddr> {
        match &self.0 {
            Form::Multi(multi) => Some(multi.clone()),
            Form::Name(name) => {
                let found = tokio::net::lookup_host(name.as_str()).await.ok()?.next()?;
                Some(Multiaddr::from(found.ip()).with(Protocol::Tcp(found.port())))
            }
        }
    }
}

/// The IP address in a multiaddress.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}

/// The endpoint that a multiaddress names, if that is one that can be dialled.
pub(crate) fn endpoint_of(address: &Multiaddr) -> Option<Endpoint> {
    Endpoint::new(ip_of(address)?, port_of(address)?)
}

/// An endpoint as libp2p wants it.
pub(crate) fn multiaddr_of(endpoint: &Endpoint) -> Multiaddr {
    let socket = endpoint.socket();
    Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()))
}

/// The TCP port in a multiaddress.
pub(crate) fn port_of(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_others_are_not() {
        for good in ["127.0.0.1:8333", "node.example.org:8333", "[::1]:1", "/ip4/192.0.2.1/tcp/8333"] {
            assert_eq!(good.parse::<PeerAddress>().unwrap().to_string(), good);
        }
        for bad in ["", "8333", ":8333", "host:", "host:0", "host:70000", "a b:1", "/ip4/1.2.3.4", "/ip4/1.2.3.4/tcp/0"]
        {
            assert_eq!(bad.parse::<PeerAddress>(), Err(ParseAddressError(bad.to_owned())), "{bad}");
        }
    }

    #[tokio::test]
    async fn numbers_resolve_without_a_name_server() {
        let resolved = "127.0.0.1:8333".parse::<PeerAddress>().unwrap().resolve().await.unwrap();
        assert_eq!(resolved.to_string(), "/ip4/127.0.0.1/tcp/8333");
        assert_eq!((ip_of(&resolved), port_of(&resolved)), (Some("127.0.0.1".parse().unwrap()), Some(8333)));
    }
}
