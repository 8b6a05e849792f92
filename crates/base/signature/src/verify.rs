use bq_primitives::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash};

/// Whether `signature` is an ML-DSA-65 signature of `message` by the holder of `public_key`, with an empty context
/// (SPEC 6.2, FIPS 204 algorithm 3). Any byte string of the right length is a fine argument; one that encodes no key or
/// no signature is simply not valid.
#[must_use]
pub fn verify(public_key: &[u8; PUBLIC_KEY_BYTES], message: &SigHash, signature: &[u8; SIGNATURE_BYTES]) -> bool {
    is_valid(public_key, message.as_bytes(), signature)
}

#[cfg(not(target_family = "wasm"))]
fn is_valid(public_key: &[u8; PUBLIC_KEY_BYTES], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    use aws_lc_rs::signature::{ML_DSA_65, UnparsedPublicKey};
    UnparsedPublicKey::new(&ML_DSA_65, public_key).verify(message, signature).is_ok()
}

#[cfg(target_family = "wasm")]
fn is_valid(public_key: &[u8; PUBLIC_KEY_BYTES], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    use fips204::{
        ml_dsa_65::PublicKey,
        traits::{SerDes as _, Verifier as _},
    };
    PublicKey::try_from_bytes(*public_key).is_ok_and(|key| key.verify(message, signature, &[]))
}
