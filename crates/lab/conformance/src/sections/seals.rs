//! Headers and seals: encodings, ids, work shapes and proof-of-work values (SPEC 5).

use bq_pow::{PowError, ethash_work_hash, randomx_blob, work_coinbase, work_header};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Decoder, Header, Height, MerkleRoot, PowKey, Seal, SealHash, Timestamp,
    tagged_hash,
};
use serde::Deserialize;

use crate::{
    case::{Case, Fault, Outcome, malformed, same, same_bytes},
    tables::Tables,
    values::{Array, Bits, Bytes, Unsigned},
};

#[derive(Deserialize)]
pub(super) struct SealCase {
    header: HeaderFields,
    seal: Bytes,
    header_bytes: Option<Bytes>,
    seal_hash: Option<Array<32>>,
    block_id: Option<Array<32>>,
    extranonce: Option<Array<16>>,
    work_coinbase: Option<Bytes>,
    work_header: Option<Bytes>,
    work_hash: Option<Array<32>>,
    blob: Option<Bytes>,
    mix: Option<Array<32>>,
    randomx_key: Option<Array<32>>,
    ethash_epoch: Option<u32>,
    pow_value: Option<Array<32>>,
    valid: Option<bool>,
}

#[derive(Deserialize)]
struct HeaderFields {
    version: u32,
    parent_id: Array<32>,
    tx_root: Array<32>,
    witness_root: Array<32>,
    time: Unsigned,
    height: u32,
    bits: Bits,
    algo: u8,
}

impl HeaderFields {
    fn header(&self) -> Result<Header, Fault> {
        Ok(Header {
            version: self.version,
            parent_id: BlockId(self.parent_id.0),
            tx_root: MerkleRoot(self.tx_root.0),
            witness_root: MerkleRoot(self.witness_root.0),
            time: Timestamp(self.time.0),
            height: Height(self.height),
            bits: self.bits.0,
            algorithm: Algorithm::try_from(self.algo).map_err(malformed)?,
        })
    }
}

impl Case for SealCase {
    fn check(&self, tables: &mut Tables) -> Result<Outcome, Fault> {
        let header = self.header.header()?;
        let seal = self.decode_seal(&header)?;
        let seal_hash = self.check_encoding(&header, &seal)?;
        self.check_work_shape(&header, &seal, &seal_hash)?;
        self.check_proof(&header, &seal, tables)
    }
}

impl SealCase {
    fn decode_seal(&self, header: &Header) -> Result<Seal, Fault> {
        let mut decoder = Decoder::new(&self.seal.0);
        let seal = Seal::decode(header.algorithm, &mut decoder).map_err(malformed)?;
        decoder.finish().map_err(malformed)?;
        Ok(seal)
    }

    /// SPEC 5.2: bytes, seal hash and id; and that the bytes decode to the same header.
    fn check_encoding(&self, header: &Header, seal: &Seal) -> Result<SealHash, Fault> {
        let bytes = header.to_bytes();
        if let Some(Bytes(expected)) = &self.header_bytes {
            same_bytes("header_bytes", &bytes, expected)?;
        }
        same("header decodes to itself", Header::decode(&mut Decoder::new(&bytes)).as_ref() == Ok(header), true)?;
        same_bytes("seal encodes to itself", &seal.to_bytes(), &self.seal.0)?;
        let (seal_hash, id) = (header.seal_hash(), header.block_id(seal));
        compare("seal_hash", &seal_hash.0, self.seal_hash.as_ref())?;
        compare("block_id", &id.0, self.block_id.as_ref())?;
        compare("extranonce", &seal.extranonce().0, self.extranonce.as_ref())?;
        Ok(seal_hash)
    }

    /// SPEC 5.3: what the miner hashed.
    fn check_work_shape(&self, header: &Header, seal: &Seal, seal_hash: &SealHash) -> Result<(), Fault> {
        match seal {
            Seal::Sha256d { extranonce, .. } => {
                if let Some(Bytes(expected)) = &self.work_coinbase {
                    same_bytes("work_coinbase", &work_coinbase(seal_hash, header.height, extranonce), expected)?;
                }
                if let (Some(Bytes(expected)), Some(bytes)) = (&self.work_header, work_header(header, seal)) {
                    same_bytes("work_header", &bytes, expected)?;
                }
            }
            Seal::RandomX { extranonce, nonce } => {
                if let Some(Bytes(expected)) = &self.blob {
                    same_bytes("blob", &randomx_blob(header, seal_hash, extranonce, *nonce), expected)?;
                }
                let work_hash = tagged_hash("BQIP0002/work-randomx", &[&seal_hash.0, &extranonce.0]);
                compare("work_hash", &work_hash, self.work_hash.as_ref())?;
            }
            Seal::Ethash { extranonce, mix, .. } => {
                compare("work_hash", &ethash_work_hash(seal_hash, extranonce).0, self.work_hash.as_ref())?;
                compare("mix", mix, self.mix.as_ref())?;
            }
        }
        Ok(())
    }

    /// SPEC 5.3, SPEC 7.6: the value, and whether it is good enough.
    fn check_proof(&self, header: &Header, seal: &Seal, tables: &mut Tables) -> Result<Outcome, Fault> {
        if self.pow_value.is_none() && self.valid.is_none() {
            return Ok(Outcome::Ran);
        }
        let Some(key) = self.key(header.algorithm) else {
            return Ok(Outcome::RanInPart("the case names no RandomX key or Ethash epoch"));
        };
        let verifier = tables.verifier();
        let value = verifier.pow_value(header, seal, &key)?;
        compare("pow_value", &value.0, self.pow_value.as_ref())?;
        if let Some(expected) = self.valid {
            same("valid", is_valid(header.bits, |target| verifier.verify(header, seal, &key, &target))?, expected)?;
        }
        Ok(Outcome::Ran)
    }

    fn key(&self, algorithm: Algorithm) -> Option<PowKey> {
        match algorithm {
            Algorithm::Sha256d => Some(PowKey::Sha256d),
            Algorithm::RandomX => self.randomx_key.map(|key| PowKey::RandomX(BlockId(key.0))),
            Algorithm::Ethash => self.ethash_epoch.map(PowKey::Ethash),
        }
    }
}

/// Bits that are no target make every proof bad.
fn is_valid<T>(
    bits: CompactTarget,
    verify: impl FnOnce(bq_primitives::Target) -> Result<T, PowError>,
) -> Result<bool, Fault> {
    match bits.decode().map(verify) {
        Err(_) => Ok(false),
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) if error.is_invalid_proof() => Ok(false),
        Ok(Err(error)) => Err(error.into()),
    }
}

fn compare<const N: usize>(what: &str, got: &[u8; N], expected: Option<&Array<N>>) -> Result<(), Fault> {
    expected.map_or(Ok(()), |expected| same_bytes(what, got, &expected.0))
}
