//! What is wrong is named; what is malformed is an error; nothing panics.

use bq_conformance::{ConformanceError, Mismatch, run_bytes, run_reader};
use serde_json::{Value, json};

const MODEL: &str = include_str!("../../../../vectors/bqip0002_model.json");
const CHAIN: &str = include_str!("../../../../vectors/bqip0002_chain_2.json");
const SEALS: &str = include_str!("../../../../vectors/bqip0002_seals.json");
const COMPACT: &str = include_str!("../../../../vectors/compact_bits.json");
const HEADERS: &str = include_str!("../../../../vectors/bitcoin_headers.json");
const RANDOMX: &str = include_str!("../../../../vectors/randomx.json");
const ETHASH: &str = include_str!("../../../../vectors/ethash.json");
const BLOCKS: &str = include_str!("../../../../vectors/asert_bch/mainnet_blocks.json");
const DECRED: &str = include_str!("../../../../vectors/asert_bch/decred_dcp0011.json");
const RUN: &str = include_str!("../../../../vectors/asert_bch/run06");

fn run(value: &Value) -> Result<bq_conformance::Report, ConformanceError> {
    run_bytes("changed", value.to_string().as_bytes())
}

/// One section of a file with one value in it changed.
fn changed(text: &str, section: &str, pointer: &str, new: Value) -> Value {
    let mut file: Value = serde_json::from_str(text).expect("shared files are JSON");
    let fields = file.as_object_mut().expect("shared files are objects");
    // Only the section and what it needs: the others would only take time.
    let context = ["eras", "genesis_time", "target_block_time", "half_life", "anchor", "params", "chain_work"];
    fields.retain(|name, _| name == section || context.contains(&name.as_str()));
    *file.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = new;
    file
}

#[track_caller]
fn mismatch(file: &Value, section: &str, index: usize) -> Mismatch {
    match run(file) {
        Err(ConformanceError::Mismatch(mismatch)) => {
            let place = &mismatch.place;
            assert_eq!((place.file.as_str(), place.section.as_str(), place.index), ("changed", section, index));
            *mismatch
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_changed_value_is_named() {
    let found = mismatch(&changed(MODEL, "step", "/step/7/expect_bits", json!("0x1b63ec2b")), "step", 7);
    assert_eq!((found.what.as_str(), found.expected.as_str()), ("bits", "1b63ec2b"));
    assert_ne!(found.got, found.expected);
    let text = ConformanceError::Mismatch(Box::new(found)).to_string();
    assert!(text.starts_with("changed: step[7]: bits: got ") && text.ends_with(", expected 1b63ec2b"), "{text}");
    mismatch(&changed(MODEL, "constants", "/constants/half_life", json!(14_401)), "constants", 0);
    mismatch(
        &changed(MODEL, "exp2_constants", "/exp2_constants/31", json!("0x8000000058b90bfd")),
        "exp2_constants",
        31,
    );
    mismatch(&changed(MODEL, "exp2_frac", "/exp2_frac/200/1", json!("0x1")), "exp2_frac", 200);
    mismatch(&changed(MODEL, "exponent", "/exponent/2/1", json!(-298_261)), "exponent", 2);
    mismatch(&changed(MODEL, "block_work", "/block_work/99/work", json!("0x1")), "block_work", 99);
    mismatch(&changed(COMPACT, "decode", "/decode/0/negative", json!(true)), "decode", 0);
    mismatch(&changed(COMPACT, "encode", "/encode/5/bits", json!("01020304")), "encode", 5);
    mismatch(&changed(COMPACT, "work", "/work/0/work", json!("100010002")), "work", 0);
    mismatch(&changed(HEADERS, "headers", "/headers/1/nonce", json!(1)), "headers", 1);
    mismatch(&changed(HEADERS, "headers", "/headers/10/linked_to_previous_entry", json!(true)), "headers", 10);
    mismatch(
        &changed(HEADERS, "retarget_example", "/retarget_example/new_bits", json!("1d00d86b")),
        "retarget_example",
        0,
    );
    mismatch(&changed(BLOCKS, "blocks", "/blocks/3/bits", json!("180440ea")), "blocks", 3);
    mismatch(&changed(DECRED, "scenarios", "/scenarios/1/tests/0/expectedDiffBits", json!(1)), "scenarios", 10);
    mismatch(&changed(RANDOMX, "seed_height", "/seed_height/cases/8/1", json!(0)), "seed_height", 8);
}

#[test]
fn a_changed_chain_is_named_at_its_height() {
    let found = mismatch(&changed(CHAIN, "blocks", "/blocks/950/base_bits/0", json!("0x1c007fff")), "blocks", 950);
    assert_eq!(found.what, "base bits of algorithm 0");
    mismatch(&changed(CHAIN, "blocks", "/blocks/300/weight", json!("0x1")), "blocks", 300);
    mismatch(&changed(CHAIN, "blocks", "/chain_work", json!("0x1")), "blocks", 1199);
    // A block an hour later: the next block that sees the later clock asks for something else.
    let mut file = changed(CHAIN, "blocks", "/chain_work", json!("0x1"));
    let time = file["blocks"][600]["time"].as_u64().expect("a time") + 3600;
    file["blocks"][600]["time"] = json!(time);
    mismatch(&file, "blocks", 601);
}

#[test]
fn changed_seals_are_named() {
    let only_first = |pointer: &str, new: Value| {
        let mut file = changed(SEALS, "cases", "/cases/0/valid", json!(false));
        let keep = file["cases"].as_array().expect("cases")[..5].to_vec();
        file["cases"] = json!(keep);
        file["cases"][0].as_object_mut().expect("a case").retain(|name, _| name != "nothing");
        *file.pointer_mut(pointer).expect("a field") = new;
        file
    };
    let zero = json!("00".repeat(32));
    for (field, what) in [("seal_hash", "seal_hash"), ("block_id", "block_id"), ("pow_value", "pow_value")] {
        let found = mismatch(&only_first(&format!("/cases/0/{field}"), zero.clone()), "cases", 0);
        assert_eq!(found.what, what);
    }
    mismatch(&only_first("/cases/0/valid", json!(true)), "cases", 0);
    mismatch(&only_first("/cases/0/header/time", json!(1)), "cases", 0);
    mismatch(&only_first("/cases/0/work_header", json!("00")), "cases", 0);
}

#[test]
fn a_changed_run_line_is_named() {
    let changed = RUN.replacen("\n9 10 ", "\n9 11 ", 1);
    assert_ne!(changed, RUN);
    match run_bytes("run", changed.as_bytes()) {
        Err(ConformanceError::Mismatch(mismatch)) => {
            assert_eq!((mismatch.place.section.as_str(), mismatch.place.index), ("run", 8));
        }
        other => panic!("{other:?}"),
    }
    for broken in ["9 ten 6000 0x1802aee8", "9 10 6000", "9 10 6000 0x1802aee8 more", "9 10 6000 xyz"] {
        let text = format!("{RUN}\n{broken}\n");
        let error = run_bytes("run", text.as_bytes()).expect_err("malformed");
        assert!(matches!(&error, ConformanceError::Malformed { place, .. } if place.index == 1000), "{error}");
    }
    let error = run_bytes("run", b"## description: nothing else\n1 2 3 0x1d00ffff\n").expect_err("no anchor");
    assert!(error.to_string().contains("anchor nBits"), "{error}");
}

#[test]
fn any_subset_of_sections_runs() {
    let file: Value = serde_json::from_str(MODEL).expect("JSON");
    for (name, section) in file.as_object().expect("an object") {
        let alone = json!({ name: section, "about": "one section", "later_invention": [1, 2] });
        let report = run(&alone).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.sections.len(), 1);
        assert_eq!(report.unknown, ["later_invention"]);
        assert!(report.to_string().contains("later_invention: unknown section"));
    }
    let ethash: Value = serde_json::from_str(ETHASH).expect("JSON");
    let few = json!({ "epoch_seeds": ethash["epoch_seeds"][0], "keccak_empty": ethash["keccak_empty"] });
    assert!(matches!(run(&few), Err(ConformanceError::Malformed { .. })), "a section that is no list");
}

#[test]
fn nothing_known_is_an_error() {
    let error = run(&json!({ "about": "?", "recipes": [1] })).expect_err("nothing known");
    assert!(matches!(&error, ConformanceError::NothingKnown { found, .. } if found == &["recipes"]), "{error}");
    assert!(matches!(run(&json!({ "step": [] })), Err(ConformanceError::NothingKnown { .. })));
    assert!(matches!(run(&json!({})), Err(ConformanceError::NothingKnown { .. })));
    // Blocks without what they belong to are no known section.
    assert!(matches!(run(&json!({ "blocks": [{}] })), Err(ConformanceError::NothingKnown { .. })));
}

#[test]
fn files_that_are_no_vector_files() {
    for bytes in
        [b"".as_slice(), b"   ", b"[1]", b"{", b"\xff\xfe", b"# \xff", b"null", b"{\"step\": 1}", b"{\"step\": [[]]}"]
    {
        let result = run_bytes("x", bytes);
        let error = result.expect_err("not a vector file");
        assert!(!matches!(error, ConformanceError::Mismatch(_)), "{error}");
    }
    assert!(matches!(run_reader("x", Unreadable), Err(ConformanceError::Read { .. })));
    assert_eq!(run_reader("x", COMPACT.as_bytes()).expect("passes").cases(), 59 + 82 + 9);
}

/// A file on a disk that fails.
struct Unreadable;

impl std::io::Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the disk fails"))
    }
}

/// Every string and number of a small file, replaced by things it should not be: an error or a pass, never a panic.
#[test]
fn hostile_values_are_errors() {
    let seals = changed(SEALS, "cases", "/cases/0/valid", json!(false));
    let files = [
        json!({ "step": [serde_json::from_str::<Value>(MODEL).expect("JSON")["step"][0]] }),
        json!({ "block_work": [{ "bits": ["1d00ffff"], "ref_bits": ["1d00ffff"], "work": "0x10000000000000000" }] }),
        json!({ "cases": [seals["cases"][0]] }),
        json!({ "headers": [serde_json::from_str::<Value>(HEADERS).expect("JSON")["headers"][0]] }),
        small_chain(),
        json!({ "dataset_sizes": [{ "epoch": 0, "light_cache_bytes": 16_776_896 }], "epoch_seeds": [{ "epoch": 1, "seed": "00" }] }),
        json!({ "params": { "p": { "powLimit": "ff", "targetSecsPerBlock": 1, "halfLifeSecs": 0 } },
            "scenarios": [{ "params": "p", "startDiffBits": 16_842_752, "startHeight": 0, "startTime": 0,
            "tests": [{ "height": 1, "timestamp": 1, "expectedDiffBits": 1 }] }] }),
    ];
    let hostile = [
        json!(null),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!(""),
        json!("zz"),
        json!("0x"),
        json!("f".repeat(65)),
        json!("00000000"),
        json!("ffffffff"),
        json!([]),
        json!({}),
    ];
    let mut runs = 0;
    for file in &files {
        for pointer in pointers(file) {
            for value in &hostile {
                let mut changed = file.clone();
                *changed.pointer_mut(&pointer).expect("listed") = value.clone();
                // Either verdict will do; returning is what is tested.
                let _ = run(&changed);
                runs += 1;
            }
        }
    }
    assert!(runs > 500, "{runs}");
}

fn small_chain() -> Value {
    let mut chain: Value = serde_json::from_str(CHAIN).expect("JSON");
    let first = chain["blocks"].as_array().expect("blocks")[..2].to_vec();
    chain["blocks"] = json!(first);
    chain["eras"] = json!([chain["eras"][0]]);
    chain
}

/// Every value in a document.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = |(name, value): (String, &Value)| {
        let inside = pointers(value).into_iter().map(move |inside| format!("/{name}{inside}"));
        inside.collect::<Vec<_>>()
    };
    std::iter::once(String::new()).chain(children.into_iter().flat_map(below)).collect()
}
