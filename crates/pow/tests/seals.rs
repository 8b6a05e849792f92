//! Every published sealed header, from header and seal to verdict, through the public interface alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bq_pow::{
    EthashTask, PowConfig, PowError, PowVerifier, ethash_final, ethash_work_hash, randomx_blob, work_coinbase,
    work_header,
};
use bq_primitives::{Algorithm, BlockId, Decoder, Header, PowKey, PowValue, Seal, Target};
use serde_json::Value;

struct Case {
    json: Value,
    header: Header,
    seal: Seal,
    key: PowKey,
    target: Target,
}

impl Case {
    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.json[name].as_str().unwrap()).unwrap()
    }

    fn is_valid(&self) -> bool {
        self.json["valid"].as_bool().unwrap()
    }
}

fn cases() -> Vec<Case> {
    let file: Value = serde_json::from_str(include_str!("../../../vectors/bqip0002_seals.json")).unwrap();
    let cases: Vec<Case> = file["cases"].as_array().unwrap().iter().map(case).collect();
    assert_eq!(cases.len(), 36);
    cases
}

fn case(json: &Value) -> Case {
    let bytes = |name: &str| hex::decode(json[name].as_str().unwrap()).unwrap();
    let header = Header::decode(&mut Decoder::new(&bytes("header_bytes"))).unwrap();
    let seal = Seal::decode(header.algorithm, &mut Decoder::new(&bytes("seal"))).unwrap();
    let key = match header.algorithm {
        Algorithm::Sha256d => PowKey::Sha256d,
        Algorithm::RandomX => PowKey::RandomX(BlockId(bytes("randomx_key").try_into().unwrap())),
        Algorithm::Ethash => PowKey::Ethash(u32::try_from(json["ethash_epoch"].as_u64().unwrap()).unwrap()),
    };
    Case { json: json.clone(), header, seal, key, target: header.bits.decode().unwrap() }
}

/// The cases of one key after the other, so that no table is built twice.
fn by_key(cases: &mut [Case]) {
    cases.sort_by_key(|case| format!("{:?}", case.key));
}

#[test]
fn every_published_seal_gets_its_verdict() {
    let verifier = PowVerifier::new(PowConfig::default());
    let mut cases = cases();
    by_key(&mut cases);
    for case in &cases {
        let Case { header, seal, key, target, .. } = case;
        let seal_hash = header.seal_hash();
        assert_eq!(seal_hash.as_bytes().as_slice(), case.bytes("seal_hash"));
        assert_eq!(header.block_id(seal).as_bytes().as_slice(), case.bytes("block_id"));
        match seal {
            Seal::Sha256d { extranonce, .. } => {
                assert_eq!(work_coinbase(&seal_hash, header.height, extranonce), case.bytes("work_coinbase"));
                assert_eq!(work_header(header, seal).unwrap().as_slice(), case.bytes("work_header"));
            }
            Seal::RandomX { extranonce, nonce } => {
                assert_eq!(randomx_blob(header, &seal_hash, extranonce, *nonce).as_slice(), case.bytes("blob"));
            }
            Seal::Ethash { extranonce, .. } => {
                assert_eq!(ethash_work_hash(&seal_hash, extranonce).0.as_slice(), case.bytes("work_hash"));
            }
        }
        let value = verifier.pow_value(header, seal, key).unwrap();
        assert_eq!(value.as_bytes().as_slice(), case.bytes("pow_value"));
        let verdict = verifier.verify(header, seal, key, target);
        if case.is_valid() {
            assert_eq!(verdict, Ok(value));
        } else {
            assert_eq!(verdict, Err(PowError::AboveTarget { got: value, target: *target }));
        }
    }
    assert!(cases.iter().filter(|case| case.is_valid()).count() >= 11);
    tampering_is_refused(&verifier, &cases);
}

/// Part of the test above: it uses the tables that are in memory by then.
fn tampering_is_refused(verifier: &PowVerifier, cases: &[Case]) {
    for case in cases.iter().filter(|case| case.is_valid() && matches!(case.seal, Seal::Ethash { .. })).take(2) {
        let Seal::Ethash { extranonce, nonce, mix } = case.seal else { unreachable!() };
        let PowKey::Ethash(epoch) = case.key else { unreachable!() };
        // A mix that fails the cheap test already; against the easiest target it must fail the full one.
        let work_hash = ethash_work_hash(&case.header.seal_hash(), &extranonce);
        let wrong = (0..=u8::MAX)
            .map(|byte| [byte; 32])
            .find(|wrong| !PowValue::of(Algorithm::Ethash, &ethash_final(&work_hash, nonce, wrong)).meets(&case.target))
            .unwrap();
        let forged = Seal::Ethash { extranonce, nonce, mix: wrong };
        let builds = verifier.counters();
        let cheap = verifier.verify(&case.header, &forged, &PowKey::Ethash(9_999_999), &case.target);
        assert!(matches!(cheap, Err(PowError::AboveTarget { .. })), "refused before any table is asked for");
        assert_eq!(verifier.counters(), builds);
        let full = verifier.verify(&case.header, &forged, &case.key, &Target::MAX);
        assert_eq!(full, Err(PowError::WrongMix { got: wrong, expected: mix }));
        let task = EthashTask { work_hash, nonce };
        for proof in verifier.ethash_hash_batch(epoch, &[task; 9]).unwrap() {
            assert_eq!(proof.mix, mix);
        }
    }
}

#[test]
fn header_seal_and_key_must_agree() {
    let verifier = PowVerifier::default();
    let cases = cases();
    for case in &cases {
        for other in &cases {
            if case.header.algorithm == other.header.algorithm {
                continue;
            }
            let wrong_seal = verifier.pow_value(&case.header, &other.seal, &other.key);
            assert!(matches!(wrong_seal, Err(PowError::AlgorithmMismatch { .. })));
            let wrong_key = verifier.pow_value(&case.header, &case.seal, &other.key);
            assert!(matches!(wrong_key, Err(PowError::AlgorithmMismatch { .. })));
        }
    }
    assert_eq!(verifier.counters(), PowVerifier::default().counters());
}

#[test]
fn an_epoch_above_the_last_is_refused() {
    let refused = PowVerifier::default().prepare(&PowKey::Ethash(32_640));
    let error = refused.unwrap_err();
    assert_eq!(error, PowError::EpochTooHigh { got: 32_640, max: 32_639 });
    assert!(!error.is_invalid_proof());
}
