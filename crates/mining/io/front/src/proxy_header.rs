use std::{io, net::IpAddr};

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest header: version 1 has at most 107 bytes, version 2 is cut at 536 by the proxies that are in use.
const HEADER_BYTES_MAX: usize = 536;
const V1_BYTES_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Start, version, family and length of version 2.
const V2_FIXED_BYTES: usize = 16;

/// Why the bytes before a proxied connection are of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("no PROXY header")]
    NotAHeader,
    #[error("PROXY header of more than {HEADER_BYTES_MAX} bytes")]
    TooLong,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whether these first bytes of a connection announce a PROXY header.
pub(crate) fn is_announced_by(bytes: &[u8]) -> bool {
    bytes.starts_with(V1_START) || bytes.starts_with(&V2_START[..5])
}

/// Reads the PROXY header (versions 1 and 2, HAProxy's `proxy-protocol.txt`) that a listed proxy sends before anything else, and
/// not a byte more. Returns who connected to the proxy; nobody if the proxy connects for itself.
pub(crate) async fn read_source(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, HeaderError> {
    let mut header = [0; HEADER_BYTES_MAX];
    let mut filled = 0;
    loop {
        let missing = missing(&header[..filled])?;
        if missing == 0 {
            break;
        }
        let room = header.get_mut(filled..filled + missing).ok_or(HeaderError::TooLong)?;
        stream.read_exact(room).await?;
        filled += missing;
    }
    let config = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    let (header, _) = ProxyHeader::parse(&header[..filled], config).map_err(|_| HeaderError::NotAHeader)?;
    Ok(header.proxied_address().map(|proxied| proxied.source.ip()))
}

/// How many more bytes belong to the header for certain; none once it is complete.
fn missing(header: &[u8]) -> Result<usize, HeaderError> {
    if header.len() < V2_START.len() {
        return Ok(V2_START.len() - header.len());
    }
    if header.starts_with(V1_START) {
        return match header.last() {
            Some(b'\n') => Ok(0),
            _ if header.len() >= V1_BYTES_MAX => Err(HeaderError::TooLong),
            _ => Ok(1),
        };
    }
    if !header.starts_with(V2_START) {
        return Err(HeaderError::NotAHeader);
    }
    let length = match header.get(14..V2_FIXED_BYTES) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => return Ok(V2_FIXED_BYTES - header.len()),
    };
    Ok(V2_FIXED_BYTES + length - header.len())
}

#[cfg(test)]
mod tests {
    use proxy_header::ProxiedAddress;

    use super::*;

    async fn read(bytes: &[u8]) -> (Result<Option<IpAddr>, HeaderError>, usize) {
        let mut rest = bytes;
        let result = read_source(&mut rest).await;
        (result, rest.len())
    }

    fn v2(header: &ProxyHeader<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.encode_v2(&mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn both_versions_are_read_and_not_a_byte_more() {
        let (mut v1, login) = (b"PROXY TCP4 198.51.100.7 192.0.2.1 50123 3333\r\n".to_vec(), b"{\"id\":1}\n");
        let source: IpAddr = "198.51.100.7".parse().unwrap();
        v1.extend_from_slice(login);
        assert!(matches!(read(&v1).await, (Ok(Some(ip)), 9) if ip == source));
        let address =
            ProxiedAddress::stream("[2001:db8::7]:50123".parse().unwrap(), "[2001:db8::1]:3333".parse().unwrap());
        let mut proxied = v2(&ProxyHeader::with_address(address));
        proxied.extend_from_slice(login);
        assert!(matches!(read(&proxied).await, (Ok(Some(ip)), 9) if ip == "2001:db8::7".parse::<IpAddr>().unwrap()));
    }

    #[tokio::test]
    async fn a_proxys_own_connection_has_no_source() {
        assert!(matches!(read(b"PROXY UNKNOWN\r\n").await, (Ok(None), 0)));
        assert!(matches!(read(&v2(&ProxyHeader::with_local())).await, (Ok(None), 0)));
    }

    #[tokio::test]
    async fn anything_else_is_refused_within_its_bound() {
        let long_line = format!("PROXY {}", "x".repeat(1000));
        let mut long_v2 = [V2_START, &[0x21, 0x11, 0xff, 0xff]].concat();
        long_v2.resize(70_000, 0);
        for bytes in [
            b"{\"id\":1,\"method\":\"mining.subscribe\"}\n".as_slice(),
            b"PROXY TCP4 198.51.100.7\r\n",
            b"PROXY TCP9 1 2 3 4\r\n",
            b"PROXY",
            b"\r\n\r\n\0\r\nQUIT\n",
            long_line.as_bytes(),
            &long_v2,
        ] {
            let (result, left) = read(bytes).await;
            assert!(result.is_err(), "{result:?}");
            assert!(bytes.len() - left <= HEADER_BYTES_MAX);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(start in 0..3_usize, rest in proptest::collection::vec(proptest::num::u8::ANY, 0..700)) {
            let bytes = [[b"".as_slice(), V1_START, V2_START][start], &rest].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (_, left) = runtime.block_on(read(&bytes));
            assert!(bytes.len() - left <= HEADER_BYTES_MAX);
        }
    }
}
