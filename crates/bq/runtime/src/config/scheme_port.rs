use std::net::SocketAddr;

use bq_mining_message::AccountScheme;
use bq_primitives::Algorithm;

/// A Stratum port whose miners are paid by one scheme, whatever their accounts chose (SPEC 8.9.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemePort {
    /// How they are paid.
    pub scheme: AccountScheme,
    /// What they mine.
    pub algorithm: Algorithm,
    /// Where it listens.
    pub address: SocketAddr,
}

/// As many as there are pairs of scheme and algorithm.
const PORTS_MAX: usize = AccountScheme::ALL.len() * Algorithm::COUNT;

impl SchemePort {
    /// Reads `SCHEME ALGORITHM IP:PORT`.
    fn parse(text: &str) -> Option<Self> {
        let [scheme, algorithm, address] = text.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        Some(Self { scheme: scheme.parse().ok()?, algorithm: algorithm.parse().ok()?, address: address.parse().ok()? })
    }

    /// Reads several, of which no two are for the same scheme and algorithm.
    pub(super) fn parse_all(texts: &[&str]) -> Option<Vec<Self>> {
        let ports = texts.iter().map(|text| Self::parse(text)).collect::<Option<Vec<_>>>()?;
        let kind = |port: &Self| (port.scheme, port.algorithm);
        let is_first = |(index, port): (usize, &Self)| !ports.iter().take(index).any(|other| kind(other) == kind(port));
        let are_fine = ports.len() <= PORTS_MAX && ports.iter().enumerate().all(is_first);
        are_fine.then_some(ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_words_each_pair_once() {
        let read = SchemePort::parse_all(&["solo  randomx 127.0.0.1:0", "pps randomx [::]:3343"]).unwrap();
        let expected = [(AccountScheme::Solo, Algorithm::RandomX, 0), (AccountScheme::Pps, Algorithm::RandomX, 3343)];
        assert_eq!(
            read.iter().map(|port| (port.scheme, port.algorithm, port.address.port())).collect::<Vec<_>>(),
            expected
        );
        for texts in [
            &["solo"][..],
            &["prop sha256d 127.0.0.1:1"],
            &["solo scrypt 127.0.0.1:1"],
            &["solo sha256d localhost:1"],
            &["solo sha256d 127.0.0.1:1 x"],
            &["solo sha256d 127.0.0.1:1", "solo sha256d 127.0.0.1:2"],
        ] {
            assert_eq!(SchemePort::parse_all(texts), None, "{texts:?}");
        }
    }
}
