//! The wrapper against an independent implementation of FIPS 204, on valid, mutated and badly encoded signatures.
//! The two must agree on every input: a signature that one node takes and another refuses splits the chain.

use std::sync::LazyLock;

use bq_primitives::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigHash};
use bq_signature::{KeyPair, verify};
use fips204::{
    ml_dsa_65,
    traits::{KeyGen as _, SerDes as _, Signer as _, Verifier as _},
};
use proptest::prelude::*;

/// FIPS 204 table 1 and 2, ML-DSA-65: challenge bytes, response bytes, and the hint's indices and polynomials.
const CHALLENGE_BYTES: usize = 48;
const RESPONSE_BYTES: usize = 5 * 640;
const HINT_AT: usize = CHALLENGE_BYTES + RESPONSE_BYTES;
const HINT_INDICES: usize = 55;
const HINT_POLYNOMIALS: usize = 6;
const _: () = assert!(HINT_AT + HINT_INDICES + HINT_POLYNOMIALS == SIGNATURE_BYTES);

type Signature = [u8; SIGNATURE_BYTES];
type Edit<'a> = &'a dyn Fn(&mut Signature);

/// What the other implementation says; a key it cannot read is "not valid".
fn oracle(public_key: &[u8; PUBLIC_KEY_BYTES], message: &SigHash, signature: &Signature) -> bool {
    ml_dsa_65::PublicKey::try_from_bytes(*public_key).is_ok_and(|key| key.verify(message.as_bytes(), signature, &[]))
}

fn refused_by_both(public_key: &[u8; PUBLIC_KEY_BYTES], message: &SigHash, signature: &Signature) {
    assert!(!verify(public_key, message, signature), "accepted by the wrapper");
    assert!(!oracle(public_key, message, signature), "accepted by the oracle");
}

fn message(byte: u8) -> SigHash {
    SigHash([byte; 32])
}

struct Signed {
    keys: KeyPair,
    message: SigHash,
    signature: Box<Signature>,
}

/// One signature with at least two hints in one polynomial and a spare index byte, so that every way to write a hint
/// wrongly can be tried on it.
static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let keys = KeyPair::from_seed(&[7; 32]).expect("every seed gives keys");
    let (message, signature) = (0..=255)
        .map(|byte| (message(byte), keys.sign(&message(byte)).expect("signs")))
        .find(|(_, signature)| {
            let ends = &signature[HINT_AT + HINT_INDICES..];
            ends[0] >= 2 && usize::from(ends[HINT_POLYNOMIALS - 1]) < HINT_INDICES
        })
        .expect("almost every signature is like that");
    Signed { keys, message, signature }
});

#[test]
fn one_seed_gives_the_same_public_key_in_both() {
    for byte in 0..8 {
        let seed = [byte; 32];
        let (public_key, _) = ml_dsa_65::KG::keygen_from_seed(&seed);
        assert_eq!(KeyPair::from_seed(&seed).unwrap().public_key(), &public_key.into_bytes());
    }
}

#[test]
fn each_takes_the_others_signatures() {
    for byte in 0..8 {
        let seed = [byte; 32];
        let keys = KeyPair::from_seed(&seed).unwrap();
        let (_, oracle_secret) = ml_dsa_65::KG::keygen_from_seed(&seed);

        let ours = keys.sign(&message(byte)).unwrap();
        assert!(oracle(keys.public_key(), &message(byte), &ours));
        assert!(verify(keys.public_key(), &message(byte), &ours));

        let theirs = oracle_secret.try_sign_with_seed(&[byte; 32], &[byte; 32], &[]).unwrap();
        assert!(verify(keys.public_key(), &message(byte), &theirs));
    }
}

#[test]
fn a_witness_carries_the_key_and_a_valid_signature() {
    let Signed { keys, message, .. } = &*SIGNED;
    let witness = keys.witness(message).unwrap();
    assert_eq!(witness.public_key.as_ref(), keys.public_key());
    assert_eq!(bq_primitives::key_hash(witness.public_key.as_slice()), keys.key_hash());
    assert!(verify(&witness.public_key, message, &witness.signature));
}

#[test]
fn another_key_or_message_is_refused() {
    let Signed { keys, message: signed, signature } = &*SIGNED;
    let other = KeyPair::from_seed(&[8; 32]).unwrap();
    refused_by_both(other.public_key(), signed, signature);
    let mut changed = *signed;
    changed.0[31] ^= 1;
    refused_by_both(keys.public_key(), &changed, signature);
}

#[test]
fn a_context_is_refused() {
    let (public_key, secret) = ml_dsa_65::KG::keygen_from_seed(&[9; 32]);
    let signature = secret.try_sign_with_seed(&[0; 32], message(1).as_bytes(), b"context").unwrap();
    assert!(public_key.verify(message(1).as_bytes(), &signature, b"context"));
    refused_by_both(&public_key.into_bytes(), &message(1), &signature);
}

#[test]
fn bytes_that_encode_nothing_are_refused() {
    let Signed { keys, message, signature } = &*SIGNED;
    for byte in [0, 0xff] {
        refused_by_both(keys.public_key(), message, &[byte; SIGNATURE_BYTES]);
        refused_by_both(&[byte; PUBLIC_KEY_BYTES], message, signature);
    }
}

/// FIPS 204 algorithm 21 (HintBitUnpack): every list of indices has one encoding, and all others are refused.
#[test]
fn hints_in_another_encoding_are_refused() {
    let Signed { keys, message, signature } = &*SIGNED;
    let ends_at = HINT_AT + HINT_INDICES;
    let last_end = usize::from(signature[SIGNATURE_BYTES - 1]);
    let first_end = signature[ends_at];
    let edits: [(&str, Edit<'_>); 7] = [
        ("swapped", &|s| s.swap(HINT_AT, HINT_AT + 1)),
        ("repeated", &|s| s[HINT_AT + 1] = s[HINT_AT]),
        ("padding right after the last index", &|s| s[HINT_AT + last_end] = 1),
        ("padding at the end", &|s| s[ends_at - 1] = 255),
        ("one more zero index", &|s| s[SIGNATURE_BYTES - 1] += 1),
        ("list ends go down", &|s| s[ends_at + 1] = first_end - 1),
        ("more indices than there are", &|s| s[SIGNATURE_BYTES - 1] = 56),
    ];
    for (name, edit) in edits {
        let mut edited = **signature;
        edit(&mut edited);
        assert_ne!(edited, **signature, "{name}");
        refused_by_both(keys.public_key(), message, &edited);
    }
}

/// The bound on the response (FIPS 204 algorithm 8, step 13): a coefficient at the edge of its encoding is refused.
#[test]
fn responses_out_of_bound_are_refused() {
    let Signed { keys, message, signature } = &*SIGNED;
    for edge in [[0; 5], [0xff; 5]] {
        let mut edited = **signature;
        edited[CHALLENGE_BYTES..CHALLENGE_BYTES + 5].copy_from_slice(&edge);
        refused_by_both(keys.public_key(), message, &edited);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_signature_is_refused_by_both(
        edits in prop::collection::vec((0..SIGNATURE_BYTES, 1_u8..), 1..4),
    ) {
        let Signed { keys, message, signature } = &*SIGNED;
        let mut edited = **signature;
        for (at, flip) in edits {
            edited[at] ^= flip;
        }
        prop_assume!(edited != **signature);
        refused_by_both(keys.public_key(), message, &edited);
    }

    #[test]
    fn a_changed_hint_is_judged_alike(at in HINT_AT..SIGNATURE_BYTES, byte: u8) {
        let Signed { keys, message, signature } = &*SIGNED;
        let mut edited = **signature;
        edited[at] = byte;
        let (ours, theirs) =
            (verify(keys.public_key(), message, &edited), oracle(keys.public_key(), message, &edited));
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(ours, edited == **signature);
    }

    #[test]
    fn a_changed_key_is_refused_by_both(at in 0..PUBLIC_KEY_BYTES, flip in 1_u8..) {
        let Signed { keys, message, signature } = &*SIGNED;
        let mut edited = *keys.public_key();
        edited[at] ^= flip;
        refused_by_both(&edited, message, signature);
    }

    #[test]
    fn any_seed_and_message_round_trip(seed: [u8; 32], text: [u8; 32]) {
        let keys = KeyPair::from_seed(&seed).unwrap();
        let signature = keys.sign(&SigHash(text)).unwrap();
        prop_assert!(verify(keys.public_key(), &SigHash(text), &signature));
        prop_assert!(oracle(keys.public_key(), &SigHash(text), &signature));
    }
}
