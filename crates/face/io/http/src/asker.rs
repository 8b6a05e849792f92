use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Where a request comes from: what every limit by address counts, but that of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker(pub(crate) IpAddr);

const FORWARDED_FOR: &str = "x-forwarded-for";
/// An address is no longer than this.
const ADDRESS_BYTES_MAX: usize = 45;
/// Proxies in a row: more are a mistake, or a client that makes the header long.
const HOPS_MAX: usize = 16;

impl Asker {
    /// Who asks on a connection from `connected`. Only where that is a proxy of ours does the header count, and only what proxies of ours wrote into it:
    /// read from its end, the first address that is none of theirs. Each hop appends the address that connected to it, so whatever stands before that one
    /// was written by the client. What is no address ends the reading: then the last proxy stands for all behind it.
    pub(crate) fn of(connected: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(&address));
        let mut asker = connected.to_canonical();
        for hop in hops(headers).take(HOPS_MAX) {
            if !is_proxy(asker) {
                break;
            }
            let Some(address) = hop else { break };
            asker = address;
        }
        Self(asker)
    }
}

/// What the header says, from its end; several lines of it are one, in their order.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines: Vec<&HeaderValue> = headers.get_all(FORWARDED_FOR).iter().collect();
    lines.into_iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(address)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let bytes = bytes.trim_ascii();
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= ADDRESS_BYTES_MAX)?;
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(connected: &str, lines: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "127.0.0.1/32", "2001:db8:1::/48"].map(|text| text.parse::<IpNet>().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        Asker::of(connected.parse().unwrap(), &headers, &proxies).0.to_string()
    }

    #[test]
    fn only_what_proxies_wrote_is_believed() {
        for (connected, lines, asker) in [
            // Nobody's proxy: whatever it says.
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("2001:db8:2::1", &["198.51.100.7"], "2001:db8:2::1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:127.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("2001:db8:1::1", &["2001:db8:5:6::7"], "2001:db8:5:6::7"),
            // The client wrote the first ones.
            ("127.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["10.0.0.9, 198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            // Two proxies of ours.
            ("127.0.0.1", &["203.0.113.9,198.51.100.7 ,\t10.1.2.3"], "198.51.100.7"),
            ("127.0.0.1", &["203.0.113.9, 198.51.100.7", "10.1.2.3"], "198.51.100.7"),
            // One of ours asks.
            ("127.0.0.1", &["10.1.2.3"], "10.1.2.3"),
        ] {
            assert_eq!(of(connected, lines), asker, "{connected} {lines:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_never_jumped_over() {
        for bad in [
            "",
            "unknown",
            "198.51.100.7:80",
            "[2001:db8::1]",
            "\"198.51.100.7\"",
            "198.51.100",
            "198.51.100.007",
            "198.51.100.7 203.0.113.9",
            "fe80::1%eth0",
            &"1".repeat(2_000),
        ] {
            assert_eq!(of("127.0.0.1", &[bad]), "127.0.0.1", "{bad}");
            assert_eq!(of("127.0.0.1", &[&format!("198.51.100.7, {bad}")]), "127.0.0.1", "{bad}");
            assert_eq!(of("127.0.0.1", &[&format!("{bad}, 198.51.100.7")]), "198.51.100.7", "{bad}");
            assert_eq!(of("127.0.0.1", &[&format!("198.51.100.7, {bad}, 10.0.0.1")]), "10.0.0.1", "{bad}");
        }
        let long = format!("198.51.100.7{}", ", 10.0.0.1".repeat(1_000));
        assert_eq!(of("127.0.0.1", &[&long]), "10.0.0.1", "read so far and no further");
    }
}
