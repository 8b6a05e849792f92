use std::sync::Arc;

use bq_primitives::{BlockId, PowHash};

use super::{
    cache::Cache,
    tables::KeyTables,
    vm::{Table, Vm},
};

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../vectors/randomx.json")).unwrap()
}

#[test]
fn hashes_of_the_vectors_whole_and_pipelined() {
    let vectors = vectors();
    let cases = vectors["hash"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    let mut cache: Option<Arc<Cache>> = None;
    let mut last_key = String::new();
    for case in cases {
        let key = case["key_hex"].as_str().unwrap();
        if key != last_key {
            // Also proves that memory is re-used correctly.
            let recycled = cache.take().and_then(Arc::into_inner);
            cache = Some(Arc::new(Cache::build(&hex::decode(key).unwrap(), recycled).unwrap()));
            key.clone_into(&mut last_key);
        }
        let mut vm = Vm::new(Table::Light(Arc::clone(cache.as_ref().unwrap()))).unwrap();
        let input = hex::decode(case["input_hex"].as_str().unwrap()).unwrap();
        let expected = PowHash(hex::decode(case["hash_v1"].as_str().unwrap()).unwrap().try_into().unwrap());
        assert_eq!(vm.hash(&input), expected);
        assert_eq!(vm.feed(&[&input]), []);
        assert_eq!(vm.feed(&[b"another input"]), [expected]);
        let another = vm.drain();
        assert_eq!([vm.hash(b"another input")], *another);
    }
}

#[test]
fn cache_words_of_the_vectors_lie_where_we_look() {
    let vectors = vectors();
    let cases = &vectors["cache_u64"];
    let cache = Cache::build(cases["key_ascii"].as_str().unwrap().as_bytes(), None).unwrap();
    let words = cases["words"].as_array().unwrap();
    assert_eq!(words.len(), 3);
    for case in words {
        let index = usize::try_from(case["index"].as_u64().unwrap()).unwrap();
        assert_eq!(format!("{:#018x}", cache.lines()[index / 8][index % 8]), case["value"].as_str().unwrap());
    }
}

#[test]
fn hashing_leaves_the_rounding_mode_alone() {
    let tables = Arc::new(KeyTables::build(BlockId([3; 32]), None, 1).unwrap());
    let mut hasher = tables.hasher().unwrap();
    let expected = rounding_probe();
    for i in 0..4_u8 {
        hasher.feed(&[&[i]]);
        assert_eq!(rounding_probe(), expected);
    }
    hasher.drain();
    assert_eq!(rounding_probe(), expected);
    hasher.hash(&[1]);
    assert_eq!(rounding_probe(), expected);
}

/// A third rounds differently in each mode, and a subnormal product is zero where a VM's mode is left behind.
pub(super) fn rounding_probe() -> [u64; 3] {
    let [one, three, tiny] = [1.0_f64, 3.0, f64::MIN_POSITIVE].map(std::hint::black_box);
    [(one / three).to_bits(), (-one / three).to_bits(), (tiny / three).to_bits()]
}

#[test]
fn feeding_equals_hashing_and_vms_are_kept() {
    let tables = Arc::new(KeyTables::build(BlockId([4; 32]), None, 1).unwrap());
    let blobs: Vec<[u8; 76]> = (0..4).map(|i| [i; 76]).collect();
    let mut hasher = tables.hasher().unwrap();
    let expected: Vec<PowHash> = blobs.iter().map(|blob| hasher.hash(blob)).collect();
    let mut fed: Vec<PowHash> = blobs.iter().flat_map(|blob| hasher.feed(&[blob])).collect();
    fed.extend(hasher.drain());
    assert_eq!(fed, expected);
    assert_eq!(hasher.drain(), []);
    // `hash` in the middle of a pipeline abandons it.
    hasher.feed(&[&blobs[0]]);
    assert_eq!(hasher.hash(&blobs[1]), expected[1]);
    assert_eq!(hasher.drain(), []);
    let second = tables.hasher().unwrap();
    drop((hasher, second));
    assert_eq!(tables.idle_count(), 1);
    assert!(!tables.hasher().unwrap().is_fast());
    assert_eq!(tables.idle_count(), 1);
}

#[test]
fn an_evicted_key_gives_its_memory_to_the_next() {
    let first = KeyTables::build(BlockId([5; 32]), None, 4).unwrap();
    let first = Arc::new(first);
    drop(first.hasher().unwrap());
    let memory = first.cache_address();
    let next = KeyTables::build(BlockId([6; 32]), Arc::into_inner(first), 4).unwrap();
    assert_eq!(next.cache_address(), memory);
    let fresh = Arc::new(KeyTables::build(BlockId([6; 32]), None, 4).unwrap());
    let (mut reused, mut fresh) = (Arc::new(next).hasher().unwrap(), fresh.hasher().unwrap());
    assert_eq!(reused.hash(b"input"), fresh.hash(b"input"));
}
