use bq_primitives::{Height, OutPoint, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash, TxOut};

/// An unspent output, and what the rules need to know about where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Amount and owner.
    pub output: TxOut,
    /// Height of the block that made it.
    pub height: Height,
    /// Made by a coinbase: spendable only after maturity (SPEC 6.6).
    pub is_coinbase: bool,
}

/// The set of unspent outputs after some block.
pub trait CoinView {
    /// The coin of this name, if it exists and is unspent.
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin>;
}

/// One signature of a block, for a judge of signatures.
#[derive(Clone, Copy, Debug)]
pub struct SignatureCheck<'a> {
    /// Whose signature it should be.
    pub public_key: &'a [u8; PUBLIC_KEY_BYTES],
    /// What should be signed.
    pub message: SigHash,
    /// The signature.
    pub signature: &'a [u8; SIGNATURE_BYTES],
}

/// Judges ML-DSA-65 signatures with an empty context (SPEC 6.2). A function of this signature is one.
pub trait SignatureVerifier {
    /// Whether the holder of `public_key` signed `message`.
    fn verify(&self, public_key: &[u8; PUBLIC_KEY_BYTES], message: &SigHash, signature: &[u8; SIGNATURE_BYTES])
    -> bool;

    /// Position of the first signature that does not hold; all signatures of a block at once. Judges with several cores
    /// answer the same as this one, which goes through them one by one.
    fn first_bad(&self, checks: &[SignatureCheck<'_>]) -> Option<usize> {
        checks.iter().position(|check| !self.verify(check.public_key, &check.message, check.signature))
    }
}

impl<F> SignatureVerifier for F
where
    F: Fn(&[u8; PUBLIC_KEY_BYTES], &SigHash, &[u8; SIGNATURE_BYTES]) -> bool,
{
    fn verify(
        &self,
        public_key: &[u8; PUBLIC_KEY_BYTES],
        message: &SigHash,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> bool {
        self(public_key, message, signature)
    }
}
