//! Golden files: compact targets, and the bytes and names of headers and seals.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Decoder, Header, Height, MerkleRoot, Seal, SealHash, Target, Timestamp, U256,
    Work,
};
use serde_json::Value;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bits(value: &Value) -> CompactTarget {
    CompactTarget(u32::from_str_radix(text(value), 16).unwrap())
}

fn wide(value: &Value) -> U256 {
    U256::from_str_radix(text(value), 16).unwrap()
}

fn int<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(value.as_u64().unwrap()).ok().unwrap()
}

#[test]
fn compact_bits() {
    let file: Value = serde_json::from_str(include_str!("../../../../vectors/compact_bits.json")).unwrap();
    let decode = file["decode"].as_array().unwrap();
    assert_eq!(decode.len(), 59);
    for case in decode {
        let bits = bits(&case["bits"]);
        let parts = bits.parts();
        assert_eq!(parts.negative, case["negative"].as_bool().unwrap(), "{bits}");
        assert_eq!(parts.overflow, case["overflow"].as_bool().unwrap(), "{bits}");
        assert_eq!(bits.decode().is_ok(), case["valid_for_pow"].as_bool().unwrap(), "{bits}");
        if !parts.overflow {
            assert_eq!(parts.target, Target(wide(&case["target"])), "{bits}");
        }
        if let Ok(target) = bits.decode() {
            assert_eq!(target.to_compact(), self::bits(&case["reencode"]), "{bits}");
        }
    }
    let encode = file["encode"].as_array().unwrap();
    assert_eq!(encode.len(), 82);
    for case in encode {
        let compact = Target(wide(&case["target"])).to_compact();
        assert_eq!(compact, bits(&case["bits"]));
        assert_eq!(compact.decode().unwrap(), Target(wide(&case["decoded"])));
    }
    let work = file["work"].as_array().unwrap();
    assert_eq!(work.len(), 9);
    for case in work {
        assert_eq!(Work::of_target(bits(&case["bits"]).decode().unwrap()), Work(wide(&case["work"])));
    }
}

#[test]
fn seals() {
    let file: Value = serde_json::from_str(include_str!("../../../../vectors/bqip0002_seals.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 36);
    for (index, case) in cases.iter().enumerate() {
        let fields = &case["header"];
        let header = Header {
            version: int(&fields["version"]),
            parent_id: text(&fields["parent_id"]).parse().unwrap(),
            tx_root: text(&fields["tx_root"]).parse::<MerkleRoot>().unwrap(),
            witness_root: text(&fields["witness_root"]).parse().unwrap(),
            time: Timestamp(int(&fields["time"])),
            height: Height(int(&fields["height"])),
            bits: CompactTarget(int(&fields["bits"])),
            algorithm: Algorithm::try_from(int::<u8>(&fields["algo"])).unwrap(),
        };
        assert_eq!(hex::encode(header.to_bytes()), text(&case["header_bytes"]), "case {index}");
        assert_eq!(header.seal_hash(), text(&case["seal_hash"]).parse::<SealHash>().unwrap(), "case {index}");
        let bytes = hex::decode(text(&case["seal"])).unwrap();
        let mut decoder = Decoder::new(&bytes);
        let seal = Seal::decode(header.algorithm, &mut decoder).unwrap();
        decoder.finish().unwrap();
        assert_eq!(seal.to_bytes(), bytes, "case {index}");
        assert_eq!(hex::encode(seal.extranonce().0), text(&case["extranonce"]), "case {index}");
        assert_eq!(header.block_id(&seal), text(&case["block_id"]).parse::<BlockId>().unwrap(), "case {index}");
    }
}
