//! The four dialects of Ethash pools. They differ in how a job, a nonce and an answer are written; what is worked on is the
//! same.

mod eth_proxy;
mod stratum;
mod version1;
mod version2;

use bq_pow::{EthashWorkHash, ethash_epoch_of_seed};
use bq_primitives::{Target, U256};
use serde_json::Value;

use crate::{
    Login,
    dialect::{Dialect, bytes},
    difficulty::workable,
    job::{FoundShare, Proof, Work},
};

/// The dialects of Ethash pools. Those of SHA-256d and RandomX pools have one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EthashDialect {
    /// `stratum+tcp` of ethminer.
    Stratum,
    /// `stratum1+tcp`.
    EthProxy,
    /// `stratum2+tcp`: EthereumStratum/1.0.0.
    Version1,
    /// `stratum3+tcp`: EthereumStratum/2.0.0.
    Version2,
}

/// Bytes of a nonce that a pool may keep for itself.
const EXTRANONCE_BYTES_MAX: usize = 4;

pub(super) fn dialect_of(dialect: EthashDialect, login: Login) -> Box<dyn Dialect> {
    match dialect {
        EthashDialect::Stratum => Box::new(stratum::Stratum::new(login)),
        EthashDialect::EthProxy => Box::new(eth_proxy::EthProxy::new(login)),
        EthashDialect::Version1 => Box::new(version1::Version1::new(login)),
        EthashDialect::Version2 => Box::new(version2::Version2::new(login)),
    }
}

/// The last seed and its epoch: finding an epoch takes up to 32,640 hashes.
#[derive(Default)]
struct Epochs {
    seed: [u8; 32],
    epoch: u32,
}

impl Epochs {
    /// The epoch of a seed; nothing if it is none.
    fn of(&mut self, seed: Option<&Value>) -> Option<u32> {
        let seed = bytes(seed)?;
        if seed != self.seed {
            let epoch = ethash_epoch_of_seed(&seed)?;
            *self = Self { seed, epoch };
        }
        Some(self.epoch)
    }
}

/// The part of each nonce that the pool gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ExtraNonce(Vec<u8>);

impl ExtraNonce {
    /// Hex of at most four bytes, without `0x`.
    fn read(text: Option<&Value>) -> Option<Self> {
        let text = text?.as_str().filter(|text| text.len() <= 2 * EXTRANONCE_BYTES_MAX)?;
        hex::decode(text).ok().map(Self)
    }

    /// Work that leaves these bits alone and begins at `first_nonce` in the others.
    fn work(&self, work_hash: EthashWorkHash, epoch: u32, first_nonce: u64) -> Work {
        let mut nonce = first_nonce.to_be_bytes();
        for (byte, given) in nonce.iter_mut().zip(&self.0) {
            *byte = *given;
        }
        let given_bits = u32::try_from(self.0.len() * 8).unwrap_or(0);
        Work::Ethash { work_hash, epoch, first_nonce: u64::from_be_bytes(nonce), nonce_bits: 64 - given_bits }
    }

    /// The digits of a nonce that are ours.
    fn rest_of(&self, nonce: u64) -> String {
        hex::encode(nonce.to_be_bytes().get(self.0.len()..).unwrap_or_default())
    }
}

/// A boundary that can be met: 64 hex digits with `0x` or without.
fn boundary(text: Option<&Value>) -> Option<Target> {
    bytes(text).and_then(|bytes| workable(Target(U256::from_be_bytes::<32>(bytes))))
}

/// What a share is made of: header hash, nonce, mix.
fn parts(share: &FoundShare<'_>) -> ([u8; 32], u64, [u8; 32]) {
    let (nonce, mix) = match share.found.proof {
        Proof::Ethash { nonce, mix } => (nonce, mix),
        Proof::Sha256d { .. } | Proof::RandomX { .. } => (0, [0; 32]),
    };
    let header = match share.work {
        Work::Ethash { work_hash, .. } => work_hash.0,
        Work::Sha256d(_) | Work::RandomX { .. } => [0; 32],
    };
    (header, nonce, mix)
}

/// The login's name and its worker, which some dialects send apart.
fn name_and_worker(login: &Login) -> (&str, Option<&str>) {
    match login.user.split_once('.') {
        Some((name, worker)) => (name, Some(worker)),
        None => (&login.user, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_pools_part_of_a_nonce_stays() {
        let extranonce = ExtraNonce::read(Some(&json!("af4c"))).unwrap();
        let Work::Ethash { first_nonce, nonce_bits, .. } = extranonce.work(EthashWorkHash([1; 32]), 3, u64::MAX) else {
            panic!("not Ethash")
        };
        assert_eq!((first_nonce >> 48, nonce_bits), (0xaf4c, 48));
        assert_eq!(extranonce.rest_of(0xaf4c_0000_0000_00ff), "0000000000ff");
        assert_eq!(ExtraNonce::default().rest_of(0xff), "00000000000000ff");
        for text in ["a", "zz", "0011223344"] {
            assert_eq!(ExtraNonce::read(Some(&json!(text))), None);
        }
    }
}
