//! What stands in for proofs and signatures, so that a week of blocks costs seconds. No release path of a node reaches this.

use bq_consensus::ProofOfWork;
use bq_pow::PowError;
use bq_primitives::{
    Algorithm, ExtraNonce, Header, KeyHash, PUBLIC_KEY_BYTES, PowHash, PowKey, SIGNATURE_BYTES, Seal, SigHash, Target,
    Witness, key_hash,
};

/// A proof is good if its nonce is the ticket of its header. The lottery of mining is the only honest source of tickets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tickets;

impl ProofOfWork for Tickets {
    fn verify(&self, header: &Header, seal: &Seal, _: &PowKey, target: &Target) -> Result<PowHash, PowError> {
        if *seal == winning_seal(header) {
            return Ok(PowHash::ZERO);
        }
        Err(PowError::AboveTarget { got: PowHash([0xff; 32]), target: *target })
    }
}

/// The proof that [`Tickets`] takes.
pub(super) fn winning_seal(header: &Header) -> Seal {
    let [a, b, c, d, ..] = header.seal_hash().0;
    with_nonce(header.algorithm, u32::from_le_bytes([a, b, c, d]))
}

/// A proof that it does not take.
pub(super) fn losing_seal(header: &Header) -> Seal {
    let [a, b, c, d, ..] = header.seal_hash().0;
    with_nonce(header.algorithm, !u32::from_le_bytes([a, b, c, d]))
}

fn with_nonce(algorithm: Algorithm, nonce: u32) -> Seal {
    let extranonce = ExtraNonce::default();
    match algorithm {
        Algorithm::Sha256d => Seal::Sha256d { extranonce, version: 0, ntime: 0, nonce },
        Algorithm::RandomX => Seal::RandomX { extranonce, nonce },
        Algorithm::Ethash => Seal::Ethash { extranonce, nonce: u64::from(nonce), mix: Default::default() },
    }
}

/// A miner's public key.
pub(super) fn public_key(miner: usize) -> Box<[u8; PUBLIC_KEY_BYTES]> {
    let mut key = Box::new([0x51; PUBLIC_KEY_BYTES]);
    for (byte, number) in key.iter_mut().zip(miner.to_le_bytes()) {
        *byte = number;
    }
    key
}

/// What names a miner's coins.
pub(super) fn owner(miner: usize) -> KeyHash {
    key_hash(public_key(miner).as_slice())
}

/// A signature is its message, then zeros.
pub(super) fn sign(miner: usize, message: &SigHash) -> Witness {
    let mut signature = Box::new([0; SIGNATURE_BYTES]);
    for (byte, of_message) in signature.iter_mut().zip(message.0) {
        *byte = of_message;
    }
    Witness { public_key: public_key(miner), signature }
}

/// The judge of such signatures.
pub(super) fn signed(_: &[u8; PUBLIC_KEY_BYTES], message: &SigHash, signature: &[u8; SIGNATURE_BYTES]) -> bool {
    signature.starts_with(&message.0)
}
