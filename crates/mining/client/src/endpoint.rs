use std::{fmt, str::FromStr};

use crate::EthashDialect;

/// A Stratum server: host name or address, port, and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    ethash: Option<EthashDialect>,
    tls: bool,
}

/// A text that is not `[SCHEME://]HOST:PORT` of a known scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not stratum+tcp://HOST:PORT or stratum+ssl://HOST:PORT")]
pub struct EndpointError(String);

impl Endpoint {
    /// What the resolver is asked for; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port; not zero.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The Ethash dialect that its scheme names; nothing where they are to be tried one after the other.
    #[must_use]
    pub const fn ethash_dialect(&self) -> Option<EthashDialect> {
        self.ethash
    }

    /// The connection is encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The same host under another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }
}

impl From<std::net::SocketAddr> for Endpoint {
    fn from(address: std::net::SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), ethash: None, tls: false }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        read(text).ok_or_else(|| EndpointError(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Endpoint> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("stratum+tcp", text));
    let (dialect, transport) = scheme.split_once('+').unwrap_or((scheme, "tcp"));
    let ethash = match dialect {
        "stratum" => None,
        "stratum0" => Some(EthashDialect::Stratum),
        "stratum1" => Some(EthashDialect::EthProxy),
        "stratum2" => Some(EthashDialect::Version1),
        "stratum3" => Some(EthashDialect::Version2),
        _ => return None,
    };
    // Miners write the version too; which one it is the two ends agree on.
    let tls = match transport {
        "tcp" => false,
        "ssl" | "tls" | "tls12" | "tls13" => true,
        _ => return None,
    };
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']')?,
        None => Some(host).filter(|host| !host.contains(':'))?,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let is_name = !host.is_empty() && !host.contains(['/', '@']);
    is_name.then(|| Endpoint { host: host.to_owned(), port, ethash, tls })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_parse_and_print() {
        for (text, printed) in [
            ("stratum+tcp://pool.example:3333", "pool.example:3333"),
            ("127.0.0.1:3333", "127.0.0.1:3333"),
            ("stratum+tcp://[::1]:3335/", "[::1]:3335"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), printed);
        }
        assert_eq!(Endpoint::from(std::net::SocketAddr::from(([127, 0, 0, 1], 80))).to_string(), "127.0.0.1:80");
        for text in ["", "pool", "pool:", ":1", "pool:0", "pool:65536", "http://pool:1", "::1:5", "[::1:5", "u@pool:1"]
        {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError(text.to_owned())));
        }
    }

    #[test]
    fn schemes_name_dialect_and_encryption() {
        for (scheme, dialect, tls) in [
            ("stratum", None, false),
            ("stratum+tcp", None, false),
            ("stratum0+tcp", Some(EthashDialect::Stratum), false),
            ("stratum1+tcp", Some(EthashDialect::EthProxy), false),
            ("stratum2+tcp", Some(EthashDialect::Version1), false),
            ("stratum3+tcp", Some(EthashDialect::Version2), false),
            ("stratum+ssl", None, true),
            ("stratum1+tls", Some(EthashDialect::EthProxy), true),
            ("stratum2+tls12", Some(EthashDialect::Version1), true),
        ] {
            let endpoint: Endpoint = format!("{scheme}://pool:1").parse().unwrap();
            assert_eq!((endpoint.ethash_dialect(), endpoint.is_tls()), (dialect, tls), "{scheme}");
        }
        for scheme in ["stratum4+tcp", "stratum+udp", "stratum+", "+tcp"] {
            assert!(format!("{scheme}://pool:1").parse::<Endpoint>().is_err(), "{scheme}");
        }
    }
}
