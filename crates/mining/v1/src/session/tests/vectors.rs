use bq_pow::{EthashWorkHash, PowVerifier, ethash_seed, randomx_blob, sha256d_work_header};
use bq_primitives::{PowHash, PowValue, Seal, SealHash, double_sha256};
use bq_share::WorkTemplate;

use super::*;
use bq_channel::parse_units;

fn counted(first: u8) -> [u8; 32] {
    std::array::from_fn(|i| first + u8::try_from(i).unwrap())
}

/// The published SHA-256d example, from the job line to the hash of the submit.
#[test]
fn sha256d_bytes_from_notify_to_hash() {
    let mut header = template(Algorithm::Sha256d, 0, 0).work.header;
    header.parent_id = BlockId(counted(0x40));
    let seal_hash = SealHash(counted(0xa0));
    let target = header.bits.decode().unwrap();
    let example = WorkTemplate::with_seal_hash(
        header,
        seal_hash,
        target,
        PowKey::Sha256d,
        bq_primitives::UnsealedBody::default(),
    );
    let example = JobTemplate::of(example).unwrap();

    let seed = SessionSeed { first_job_id: 0x1_0000, ..SEED };
    let mut rig = Rig::with_seed(Algorithm::Sha256d, policy(16), seed);
    rig.template(&example);
    rig.line(r#"{"id":2,"method":"mining.subscribe","params":["cpuminer/2.5.1","abcd0007"]}"#);
    rig.line(r#"{"id":3,"method":"mining.authorize","params":["wallet.rig1","x"]}"#);
    assert_eq!(
        rig.take(),
        [
            r#"{"id":2,"result":[[["mining.set_difficulty","1"],["mining.notify","0000000000007e57a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"]],"00000007",8],"error":null}"#,
            r#"{"id":3,"result":true,"error":null}"#,
            r#"{"id":null,"method":"mining.set_difficulty","params":[0.000000003725290298461914]}"#,
            concat!(
                r#"{"id":null,"method":"mining.notify","params":["00010000","#,
                r#""43424140474645444b4a49484f4e4d4c53525150575655545b5a59585f5e5d5c","#,
                r#""01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff15037011011000010000","#,
                r#""ffffffff010000000000000000226a20a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf00000000","#,
                r#"[],"20000000","1d00ffff","6a000000",true]}"#,
            ),
        ]
    );
    rig.line(r#"{"id":4,"method":"mining.submit","params":["wallet.rig1","00010000","0000000000000000","6a000000","12345678"]}"#);
    let share = &rig.shares[0];
    let Seal::Sha256d { extranonce, version, ntime, nonce } = share.seal else { panic!("{:?}", share.seal) };
    let work = sha256d_work_header(&example.work.header, &example.work.seal_hash, &extranonce, version, ntime, nonce);
    let hash = double_sha256(&work);
    let printed: Vec<u8> = hash.iter().rev().copied().collect();
    assert_eq!(hex::encode(printed), "0fb0ceca545ec3c20a37234513806deffeb8ab83a6b5486fb07e5ed1fbd34ecf");
    assert!(PowValue::of(Algorithm::Sha256d, &PowHash(hash)).meets(&share.share_target));
    assert!(
        !PowValue::of(Algorithm::Sha256d, &PowHash(hash)).meets(&ShareDifficulty::from_hashes(17).target()),
        "0x0fb0.. * 17 > 2^256"
    );
}

/// Every sealed RandomX case: the blob of the job is the one that was hashed, except for the nonce.
#[test]
fn randomx_job_blobs_are_those_of_the_seals() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../../../vectors/bqip0002_seals.json")).unwrap();
    let cases: Vec<_> = vectors["cases"].as_array().unwrap().iter().filter(|case| case["algo"] == 1).collect();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let header_bytes = hex::decode(text("header_bytes")).unwrap();
        let header = Header::decode(&mut bq_primitives::Decoder::new(&header_bytes)).unwrap();
        let key = PowKey::RandomX(text("randomx_key").parse().unwrap());
        let job = JobTemplate::new(header, Target::MAX, key, bq_primitives::UnsealedBody::default()).unwrap();
        let extranonce: [u8; 16] = hex::decode(text("extranonce")).unwrap().try_into().unwrap();
        let extranonce = bq_primitives::ExtraNonce(extranonce);
        let mut blob = hex::decode(text("blob")).unwrap();
        blob[39..43].fill(0);
        assert_eq!(randomx_blob(&job.work.header, &job.work.seal_hash, &extranonce, 0).to_vec(), blob);
        assert_eq!(job.work.seal_hash.to_string(), text("seal_hash"));
    }
}

/// NiceHash's published example: this nonce is a share of difficulty 1.863 and of no more.
#[test]
fn the_nicehash_example_has_its_difficulty() {
    let seed = ethash_seed(50);
    assert_eq!(hex::encode(seed), "abad8f99f3918bf903c6a909d9bbc0fdfa5a2f4b9cb1196175ec825c6610126c");
    let work_hash: [u8; 32] =
        hex::decode("fc12eb20c58158071c956316cdcd12a22dd8bf126ac4aee559f0ffe4df11f279").unwrap().try_into().unwrap();
    let nonce = u64::from_str_radix("a2eea0cfae7df760", 16).unwrap();
    let proof = PowVerifier::default().ethash_hash(50, &EthashWorkHash(work_hash), nonce).unwrap();
    let is_share =
        |units: &str| PowValue::of(Algorithm::Ethash, &proof.value).meets(&parse_units(units).unwrap().target());
    assert!(is_share("1.863"));
    assert!(!is_share("1.864"));
}
