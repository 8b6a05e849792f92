use std::net::IpAddr;

use bq_primitives::{DecodeError, Decoder, Timestamp, double_sha256, put_compact_size};

use super::{AddressBook, BANS_MAX, Bans, Endpoint, Scope};

/// Peers that are dialled first after a restart.
pub const ANCHORS_MAX: usize = 3;

const MAGIC: &[u8; 8] = b"bqpeers1";
const CHECKSUM_BYTES: usize = 4;
/// An address, the end of its ban.
const BAN_BYTES: usize = 16 + 8;

/// What a node remembers of its peers over a restart, as one file.
#[derive(Clone, Debug)]
pub struct PeerMemory {
    /// Everybody it heard of.
    pub book: AddressBook,
    /// The peers that it was connected to longest, by its own choice. Dialled first: whoever controls the addresses that
    /// are heard next cannot take all places at once.
    pub anchors: Vec<Endpoint>,
    /// Who is shut out.
    pub bans: Bans,
}

/// Why bytes are no memory of peers. It is a hint only: start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Another kind of file, or of a later version.
    #[error("not a file of peers that this version knows")]
    Magic,
    /// Damaged.
    #[error("checksum does not match")]
    Checksum,
    /// A field cannot be read.
    #[error(transparent)]
    Field(#[from] DecodeError),
}

impl PeerMemory {
    /// Nothing remembered. `key` is the secret of the book.
    #[must_use]
    pub fn new(key: [u8; 32], scope: Scope) -> Self {
        Self { book: AddressBook::new(key, scope), anchors: Vec::new(), bans: Bans::default() }
    }

    /// Magic, book, anchors, bans, and the first four bytes of the double SHA-256 of all that.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.book.put(&mut out);
        let anchors = self.anchors.get(..ANCHORS_MAX).unwrap_or(&self.anchors);
        put_compact_size(&mut out, anchors.len());
        anchors.iter().for_each(|anchor| anchor.put(&mut out));
        put_compact_size(&mut out, self.bans.len());
        for (ip, until) in self.bans.iter() {
            let ip = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            out.extend(ip.octets());
            out.extend(until.0.to_le_bytes());
        }
        let sum = double_sha256(&out);
        out.extend(sum.iter().take(CHECKSUM_BYTES));
        out
    }

    /// Reads what [`PeerMemory::to_bytes`] wrote.
    ///
    /// # Errors
    /// See [`MemoryError`].
    pub fn from_bytes(bytes: &[u8], scope: Scope) -> Result<Self, MemoryError> {
        let (content, sum) = bytes
            .len()
            .checked_sub(CHECKSUM_BYTES)
            .and_then(|length| bytes.split_at_checked(length))
            .ok_or(MemoryError::Magic)?;
        let fields = content.strip_prefix(MAGIC).ok_or(MemoryError::Magic)?;
        if !double_sha256(content).starts_with(sum) {
            return Err(MemoryError::Checksum);
        }
        let mut decoder = Decoder::new(fields);
        let book = AddressBook::decode(&mut decoder, scope)?;
        let anchors = decode_anchors(&mut decoder)?;
        let bans = decode_bans(&mut decoder)?;
        decoder.finish()?;
        Ok(Self { book, anchors, bans })
    }
}

fn decode_anchors(decoder: &mut Decoder<'_>) -> Result<Vec<Endpoint>, DecodeError> {
    let count = count(decoder, Endpoint::BYTES, ANCHORS_MAX)?;
    let anchors = (0..count).map(|_| Endpoint::decode(decoder)).collect::<Result<Vec<_>, _>>()?;
    Ok(anchors.into_iter().flatten().collect())
}

fn decode_bans(decoder: &mut Decoder<'_>) -> Result<Bans, DecodeError> {
    let mut bans = Bans::default();
    for _ in 0..count(decoder, BAN_BYTES, BANS_MAX)? {
        let ip = IpAddr::from(decoder.array::<16>()?);
        bans.ban(ip, Timestamp(decoder.u64()?));
    }
    Ok(bans)
}

fn count(decoder: &mut Decoder<'_>, item_bytes: usize, max: usize) -> Result<usize, DecodeError> {
    match decoder.count(item_bytes)? {
        count if count <= max => Ok(count),
        count => Err(DecodeError::CountTooLarge { got: u64::try_from(count).unwrap_or(u64::MAX), max }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Endpoint {
        let socket: std::net::SocketAddr = text.parse().unwrap();
        Endpoint::new(socket.ip(), socket.port()).unwrap()
    }

    #[test]
    fn peers_are_remembered_and_damage_is_noticed() {
        let mut memory = PeerMemory::new([3; 32], Scope::Routable);
        memory.book.good(Timestamp(5), at("8.8.8.8:8333"));
        memory.book.learn(at("9.9.9.9:1").group(), at("[2a01:4f8::1]:8333"));
        memory.anchors = vec![at("8.8.8.8:8333")];
        memory.bans.ban("2a01::1".parse().unwrap(), Timestamp(77));
        let bytes = memory.to_bytes();
        let again = PeerMemory::from_bytes(&bytes, Scope::Routable).unwrap();
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!((again.book.counts(), &again.anchors, &again.bans), ((1, 1), &memory.anchors, &memory.bans));

        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(PeerMemory::from_bytes(&damaged, Scope::Routable).is_err(), "byte {at}");
            assert!(PeerMemory::from_bytes(&bytes[..at], Scope::Routable).is_err(), "cut at {at}");
        }
    }

    proptest::proptest! {
        /// Whatever lies behind a right checksum: it is read or refused, and what was read is written the same again.
        #[test]
        fn any_content_is_read_or_refused(content: Vec<u8>, is_book: bool) {
            let mut bytes = MAGIC.to_vec();
            if is_book {
                // An empty book, so that the rest is reached.
                bytes.extend([0; 33]);
            }
            bytes.extend(content);
            let sum = double_sha256(&bytes);
            bytes.extend(&sum[..CHECKSUM_BYTES]);
            if let Ok(memory) = PeerMemory::from_bytes(&bytes, Scope::Any) {
                let again = PeerMemory::from_bytes(&memory.to_bytes(), Scope::Any).unwrap();
                proptest::prop_assert_eq!(again.to_bytes(), memory.to_bytes());
            }
        }
    }
}
