use bq_primitives::{ExtraNonce, Header, Height, Seal, SealHash, Timestamp, double_sha256, tagged_hash};

/// What an Ethash miner calls the header hash: `T("BQIP0002/work-ethash", S || X)` (SPEC 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EthashWorkHash(pub [u8; 32]);

/// The work coinbase without its extranonce, as a Stratum v1 job carries it: `coinb1 || extranonce 16 || coinb2` (SPEC 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseParts {
    /// `coinb1`: 47 bytes, 48 from height 2^24 on.
    pub prefix: Vec<u8>,
    /// `coinb2`: 52 bytes, holding the seal hash.
    pub suffix: [u8; 52],
}

/// First height whose push in the work coinbase takes four bytes.
const FOUR_BYTE_HEIGHT: u32 = 1 << 24;

/// Splits the work coinbase of a block around its extranonce (SPEC 5.3).
#[must_use]
pub fn coinbase_parts(seal_hash: &SealHash, height: Height) -> CoinbaseParts {
    let [h0, h1, h2, h3] = height.0.to_le_bytes();
    let script: &[u8] =
        if height.0 < FOUR_BYTE_HEIGHT { &[0x15, 0x03, h0, h1, h2, 0x10] } else { &[0x16, 0x04, h0, h1, h2, h3, 0x10] };
    let mut prefix = Vec::with_capacity(48);
    prefix.extend([1, 0, 0, 0, 1]);
    prefix.extend([0; 32]);
    prefix.extend([0xff; 4]);
    prefix.extend(script);
    let pieces: [&[u8]; 6] =
        [&[0xff; 4], &[1, 0, 0, 0, 0, 0, 0, 0, 0], &[0x22], &[0x6a, 0x20], seal_hash.as_bytes(), &[0; 4]];
    CoinbaseParts { prefix, suffix: joined(&pieces) }
}

impl CoinbaseParts {
    /// The whole work coinbase: 115 bytes, 116 from height 2^24 on.
    #[must_use]
    pub fn with_extranonce(&self, extranonce: &ExtraNonce) -> Vec<u8> {
        [self.prefix.as_slice(), &extranonce.0, &self.suffix].concat()
    }
}

/// The Bitcoin-shaped coinbase whose double SHA-256 is the root in the 80-byte work header (SPEC 5.3).
#[must_use]
pub fn work_coinbase(seal_hash: &SealHash, height: Height, extranonce: &ExtraNonce) -> Vec<u8> {
    coinbase_parts(seal_hash, height).with_extranonce(extranonce)
}

/// The 80 bytes that a SHA-256d miner hashed for `seal`; nothing if the seal is for another algorithm (SPEC 5.3).
#[must_use]
pub fn work_header(header: &Header, seal: &Seal) -> Option<[u8; 80]> {
    match seal {
        Seal::Sha256d { extranonce, version, ntime, nonce } => {
            Some(sha256d_work_header(header, &header.seal_hash(), extranonce, *version, *ntime, *nonce))
        }
        Seal::RandomX { .. } | Seal::Ethash { .. } => None,
    }
}

/// The 80-byte Bitcoin-shaped work header from its parts; `seal_hash` must be `header.seal_hash()` and is an argument
/// because servers keep it per job (SPEC 5.3).
#[must_use]
pub fn sha256d_work_header(
    header: &Header,
    seal_hash: &SealHash,
    extranonce: &ExtraNonce,
    version: u32,
    ntime: u32,
    nonce: u32,
) -> [u8; 80] {
    let root = sha256d_work_root(seal_hash, header.height, extranonce);
    joined(&[
        &version.to_le_bytes(),
        header.parent_id.as_bytes(),
        &root,
        &ntime.to_le_bytes(),
        &header.bits.0.to_le_bytes(),
        &nonce.to_le_bytes(),
    ])
}

/// The root in a work header: of the work coinbase alone (SPEC 5.3).
#[must_use]
pub fn sha256d_work_root(seal_hash: &SealHash, height: Height, extranonce: &ExtraNonce) -> [u8; 32] {
    double_sha256(&work_coinbase(seal_hash, height, extranonce))
}

/// The 76 bytes that a RandomX miner hashed, nonce at offset 39; `seal_hash` must be `header.seal_hash()` (SPEC 5.3).
#[must_use]
pub fn randomx_blob(header: &Header, seal_hash: &SealHash, extranonce: &ExtraNonce, nonce: u32) -> [u8; 76] {
    let work_hash = tagged_hash("BQIP0002/work-randomx", &[seal_hash.as_bytes(), &extranonce.0]);
    joined(&[
        &[0x10, 0x10],
        &padded_varint(header.time),
        header.parent_id.as_bytes(),
        &nonce.to_le_bytes(),
        &work_hash,
        &[0x01],
    ])
}

/// The 32 bytes that an Ethash miner works on (SPEC 5.3).
#[must_use]
pub fn ethash_work_hash(seal_hash: &SealHash, extranonce: &ExtraNonce) -> EthashWorkHash {
    EthashWorkHash(tagged_hash("BQIP0002/work-ethash", &[seal_hash.as_bytes(), &extranonce.0]))
}

/// The low 35 bits of a time as a varint that always takes five bytes, so that the nonce stays at offset 39. The seal
/// hash commits to the whole time, so the bits that do not fit lose nothing.
fn padded_varint(time: Timestamp) -> [u8; 5] {
    let group = |shift: u32| u8::try_from((time.0 >> shift) & 0x7f).unwrap_or(0);
    [group(0) | 0x80, group(7) | 0x80, group(14) | 0x80, group(21) | 0x80, group(28)]
}

/// Concatenates `pieces`, whose lengths must sum to `N`.
fn joined<const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    debug_assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), N);
    let mut bytes = [0; N];
    for (byte, value) in bytes.iter_mut().zip(pieces.iter().copied().flatten()) {
        *byte = *value;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use bq_primitives::{BlockId, CompactTarget};

    #[test]
    fn the_published_stratum_example() {
        let seal_hash = SealHash(std::array::from_fn(|i| 0xa0 + u8::try_from(i).unwrap()));
        let parts = coinbase_parts(&seal_hash, Height(70_000));
        assert_eq!(
            hex::encode(&parts.prefix),
            "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff150370110110"
        );
        assert_eq!(
            hex::encode(parts.suffix),
            "ffffffff010000000000000000226a20a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf00000000"
        );
        let mut extranonce = ExtraNonce::default();
        extranonce.0[..8].copy_from_slice(&hex::decode("0001000000000007").unwrap());
        let root = double_sha256(&parts.with_extranonce(&extranonce));
        assert_eq!(hex::encode(root), "f8decfa9d59b90a96f48977c9ded7826a0938e2efc08d5edc3120423a8c965ce");
        let header = Header {
            version: 1,
            parent_id: BlockId(std::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap())),
            tx_root: Default::default(),
            witness_root: Default::default(),
            time: Timestamp(0),
            height: Height(70_000),
            bits: CompactTarget(0x1d00_ffff),
            algorithm: bq_primitives::Algorithm::Sha256d,
        };
        let work = sha256d_work_header(&header, &seal_hash, &extranonce, 0x2000_0000, 0x6a00_0000, 0x1234_5678);
        let mut pow = double_sha256(&work);
        pow.reverse();
        assert_eq!(hex::encode(pow), "0fb0ceca545ec3c20a37234513806deffeb8ab83a6b5486fb07e5ed1fbd34ecf");
    }

    #[test]
    fn a_four_byte_height_lengthens_the_script_by_one() {
        let below = coinbase_parts(&SealHash::ZERO, Height((1 << 24) - 1));
        let above = coinbase_parts(&SealHash::ZERO, Height(1 << 24));
        assert_eq!((below.prefix.len(), above.prefix.len()), (47, 48));
        assert_eq!(below.prefix[41..], [0x15, 3, 0xff, 0xff, 0xff, 0x10]);
        assert_eq!(above.prefix[41..], [0x16, 4, 0, 0, 0, 1, 0x10]);
        assert_eq!(below.with_extranonce(&ExtraNonce::default()).len(), 115);
        assert_eq!(above.with_extranonce(&ExtraNonce::default()).len(), 116);
    }

    #[test]
    fn the_time_varint_always_takes_five_bytes() {
        assert_eq!(padded_varint(Timestamp(0)), [0x80, 0x80, 0x80, 0x80, 0]);
        assert_eq!(padded_varint(Timestamp(u64::MAX)), [0xff, 0xff, 0xff, 0xff, 0x7f]);
    }
}
