//! The published vectors of the difficulty and weight rules, bit for bit.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use bq_consensus::{
    BurstWindow, DifficultyState, Era, EraAlgorithm, Eras, LinearBranch, Params, StartBits, TargetBounds, U512,
    UnitFraction, block_work, exp2_fraction, extend, mul_exp2, required_bits, schedule_exponent,
};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, MerkleRoot, Network, Target, Timestamp, U256, Work,
};
use serde_json::Value;

const MODEL: &str = include_str!("../../../../vectors/bqip0002_model.json");

fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn hex(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn hex_u256(value: &Value) -> U256 {
    U256::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn bits(value: &Value) -> CompactTarget {
    CompactTarget(u32::try_from(hex(value)).unwrap())
}

fn int(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn target(value: &Value) -> Target {
    bits(value).decode().unwrap()
}

#[test]
fn model_exp2() {
    let model = file(MODEL);
    let cases = model["exp2_frac"].as_array().unwrap();
    assert_eq!(cases.len(), 240);
    for case in cases {
        let fraction = u32::try_from(hex(&case[0])).unwrap();
        assert_eq!(exp2_fraction(fraction), hex(&case[1]), "fraction {fraction:#x}");
        // At exponent 0.fraction the product with 2^32 is the fraction's value itself.
        assert_eq!(mul_exp2(U256::from(1_u64 << 32), i128::from(fraction)), U256::from(hex(&case[1])));
    }
}

#[test]
fn model_exponent() {
    let model = file(MODEL);
    let cases = model["exponent"].as_array().unwrap();
    assert_eq!(cases.len(), 113);
    for case in cases {
        let lag = case[0].as_i64().unwrap();
        let expected: i128 = case[1].to_string().parse().unwrap();
        assert_eq!(schedule_exponent(lag, 14_400), expected, "lag {lag}");
    }
}

#[test]
fn model_step() {
    let model = file(MODEL);
    let cases = model["step"].as_array().unwrap();
    assert_eq!(cases.len(), 600);
    for (index, case) in cases.iter().enumerate() {
        let burst = (!case["window_work"].is_null()).then(|| BurstWindow {
            work: U512::from(hex_u256(&case["window_work"])),
            secs: case["window_secs"].as_u64().unwrap(),
        });
        let state = DifficultyState {
            algorithm: Algorithm::Sha256d,
            base: target(&case["prev_base_bits"]),
            previous: target(&case["prev_bits"]),
            blocks_since: int(&case["m"]),
            clock_since_secs: case["delta_clock"].as_i64().unwrap(),
            spacing_secs: case["spacing"].as_i64().unwrap(),
            half_life: 14_400,
            max_drift: UnitFraction::QUARTER,
            bounds: TargetBounds { hardest: Target(U256::ONE), limit: target(&case["limit_bits"]) },
            burst,
        };
        let required = state.required();
        assert_eq!(required.base_bits, bits(&case["expect_base"]), "base of case {index}");
        assert_eq!(required.bits, bits(&case["expect_bits"]), "bits of case {index}");
    }
}

#[test]
fn model_block_work() {
    let model = file(MODEL);
    let cases = model["block_work"].as_array().unwrap();
    assert_eq!(cases.len(), 100);
    for (index, case) in cases.iter().enumerate() {
        let pairs = case["bits"].as_array().unwrap().iter().zip(case["ref_bits"].as_array().unwrap());
        let work = block_work(pairs.map(|(bits, unit)| (target(bits), target(unit))));
        assert_eq!(work, Work(hex_u256(&case["work"])), "case {index}");
    }
}

#[test]
fn chain_1() {
    check_chain(include_str!("../../../../vectors/bqip0002_chain_1.json"));
}

#[test]
fn chain_2() {
    check_chain(include_str!("../../../../vectors/bqip0002_chain_2.json"));
}

#[test]
fn chain_3() {
    check_chain(include_str!("../../../../vectors/bqip0002_chain_3.json"));
}

fn check_chain(text: &str) {
    let chain = file(text);
    let params = chain_params(&chain);
    let mut branch = LinearBranch::new(params.genesis_entry());
    let mut total = Work::ZERO;
    let blocks = chain["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 1200);
    for block in blocks {
        let height = Height(int(&block["height"]));
        let required = required_bits(&params, &branch);
        let by_algorithm = |name: &str| block[name].as_object().unwrap().len();
        assert_eq!((by_algorithm("bits"), by_algorithm("base_bits")), (required.len(), required.len()), "{height}");
        for required in &required {
            let id = required.algorithm.id().to_string();
            assert_eq!(required.bits, bits(&block["bits"][&id]), "bits of {} at {height}", required.algorithm);
            assert_eq!(
                required.base_bits,
                bits(&block["base_bits"][&id]),
                "base of {} at {height}",
                required.algorithm
            );
        }
        let algorithm = Algorithm::try_from(u8::try_from(int(&block["algo"])).unwrap()).unwrap();
        let chosen = required.iter().find(|required| required.algorithm == algorithm).unwrap();
        let header = header(&branch, height, algorithm, chosen.bits, block["time"].as_u64().unwrap());
        let entry = extend(&params, &branch, &header, id(height)).unwrap();
        total = total.checked_add(Work(hex_u256(&block["weight"]))).unwrap();
        assert_eq!(entry.chain_work, total, "chain work at {height}");
        branch.push(entry);
    }
    assert_eq!(total, Work(hex_u256(&chain["chain_work"])));
}

fn chain_params(chain: &Value) -> Params {
    let base = Params::of(Network::Mainnet);
    let table = chain["eras"].as_array().unwrap().iter().map(era).collect();
    let asert = bq_consensus::AsertParams {
        target_block_time: int(&chain["target_block_time"]),
        half_life: int(&chain["half_life"]),
        ..base.asert.clone()
    };
    let genesis_time = Timestamp(chain["genesis_time"].as_u64().unwrap());
    let params = Params { asert, genesis_time, eras: Eras { table }, ..base };
    params.check().unwrap();
    params
}

fn era(era: &Value) -> Era {
    let algorithms = era["algos"].as_object().unwrap().iter().map(|(id, rule)| EraAlgorithm {
        algorithm: Algorithm::try_from(id.parse::<u8>().unwrap()).unwrap(),
        start_bits: match &rule["start_bits"] {
            Value::String(text) if text == "continue" => StartBits::Continue,
            text => StartBits::At(bits(text)),
        },
        limit_bits: bits(&rule["limit_bits"]),
        hardest_bits: bits(&rule["hardest_bits"]),
        ref_bits: bits(&rule["ref_bits"]),
    });
    Era { start: Height(int(&era["start"])), algorithms: algorithms.collect() }
}

fn header(branch: &LinearBranch, height: Height, algorithm: Algorithm, bits: CompactTarget, time: u64) -> Header {
    use bq_consensus::Branch as _;
    Header {
        version: 1,
        parent_id: branch.tip().id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(time),
        height,
        bits,
        algorithm,
    }
}

/// Any distinct name will do: these chains have no seals.
fn id(height: Height) -> BlockId {
    let mut id = [0xee; 32];
    id[..4].copy_from_slice(&height.0.to_le_bytes());
    BlockId(id)
}
