//! Whole header chains: required bits, weight and chain work at every height (SPEC 3, SPEC 4).

use std::collections::BTreeMap;

use bq_consensus::{
    AsertParams, Branch, Era, EraAlgorithm, Eras, LinearBranch, Params, StartBits, extend, required_bits,
};
use bq_primitives::{
    Algorithm, BlockId, CompactTarget, Header, Height, MerkleRoot, Network, Timestamp, U256, Work, tagged_hash,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    ConformanceError,
    case::{Fault, Outcome, malformed, same},
    run::{Fields, Progress, Run},
    values::{Bits, Unsigned, Wide},
};

/// Everything beside the blocks.
#[derive(Deserialize)]
struct ChainRules {
    genesis_time: Unsigned,
    target_block_time: Option<u32>,
    half_life: Option<u32>,
    eras: Vec<EraRules>,
    chain_work: Option<Wide>,
}

#[derive(Deserialize)]
struct EraRules {
    start: u32,
    algos: BTreeMap<String, AlgorithmRules>,
}

#[derive(Deserialize)]
struct AlgorithmRules {
    start_bits: Start,
    limit_bits: Bits,
    hardest_bits: Bits,
    ref_bits: Bits,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Start {
    At(Bits),
    Word(String),
}

#[derive(Deserialize)]
struct Block {
    height: u32,
    algo: u8,
    time: Unsigned,
    bits: Option<BTreeMap<String, Bits>>,
    base_bits: Option<BTreeMap<String, Bits>>,
    weight: Option<Wide>,
    chain_work: Option<Wide>,
}

pub(super) fn blocks(run: &mut Run, fields: &Fields, section: &str, value: &Value) -> Result<(), ConformanceError> {
    let context = Value::Object(fields.iter().filter(|(name, _)| *name != section).map(cloned).collect());
    let rules: ChainRules = run.decode("eras", 0, &context)?;
    let params = run.agreed("eras", 0, params(&rules))?;
    let mut branch = LinearBranch::new(params.genesis_entry());
    let mut progress = Progress::new(section);
    let items = run.items(section, value)?;
    for (index, value) in items.iter().enumerate() {
        let block: Block = run.decode(section, index, value)?;
        run.agreed(section, index, check_block(&params, &mut branch, &block))?;
        progress.add(Outcome::Ran);
    }
    if let (Some(Wide(expected)), Some(last)) = (rules.chain_work, items.len().checked_sub(1)) {
        run.agreed(section, last, same("chain work", branch.tip().chain_work, Work(expected)))?;
    }
    run.add(progress);
    Ok(())
}

fn cloned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn params(rules: &ChainRules) -> Result<Params, Fault> {
    let base = Params::of(Network::Regtest);
    let asert = AsertParams {
        target_block_time: rules.target_block_time.unwrap_or(base.asert.target_block_time),
        half_life: rules.half_life.unwrap_or(base.asert.half_life),
        ..base.asert.clone()
    };
    let table = rules.eras.iter().map(era).collect::<Result<_, _>>()?;
    let genesis_time = Timestamp(rules.genesis_time.0);
    let params = Params { asert, genesis_time, eras: Eras { table }, retarget: true, ..base };
    params.check().map_err(malformed)?;
    Ok(params)
}

fn era(rules: &EraRules) -> Result<Era, Fault> {
    let rule = |(id, rules): (&String, &AlgorithmRules)| {
        Ok(EraAlgorithm {
            algorithm: algorithm(id.parse().map_err(malformed)?)?,
            start_bits: match &rules.start_bits {
                Start::At(Bits(bits)) => StartBits::At(*bits),
                Start::Word(word) if word.eq_ignore_ascii_case("continue") => StartBits::Continue,
                Start::Word(word) => return Err(malformed(format!("start_bits {word:?}"))),
            },
            limit_bits: rules.limit_bits.0,
            hardest_bits: rules.hardest_bits.0,
            ref_bits: rules.ref_bits.0,
        })
    };
    let mut algorithms = rules.algos.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    // Texts sort by their digits; ids are in increasing order.
    algorithms.sort_by_key(|rule| rule.algorithm);
    Ok(Era { start: Height(rules.start), algorithms })
}

fn algorithm(id: u8) -> Result<Algorithm, Fault> {
    Algorithm::try_from(id).map_err(malformed)
}

fn check_block(params: &Params, branch: &mut LinearBranch, block: &Block) -> Result<(), Fault> {
    let next = branch.tip().height.next().map(|height| height.0);
    if next != Some(block.height) {
        return Err(malformed(format!("height {}, expected {next:?}", block.height)));
    }
    let required = required_bits(params, branch);
    if let Some(expected) = &block.bits {
        same_table("bits", required.iter().map(|required| (required.algorithm, required.bits)), expected)?;
    }
    if let Some(expected) = &block.base_bits {
        same_table("base bits", required.iter().map(|required| (required.algorithm, required.base_bits)), expected)?;
    }
    let algorithm = algorithm(block.algo)?;
    let chosen = required.iter().find(|required| required.algorithm == algorithm);
    let bits = chosen.ok_or_else(|| malformed(format!("{algorithm} is not active")))?.bits;
    let header = header(branch, block, algorithm, bits);
    let before = branch.tip().chain_work;
    let entry = extend(params, branch, &header, id(&header)).map_err(malformed)?;
    if let Some(Wide(expected)) = block.weight {
        let weight = entry.chain_work.0.checked_sub(before.0).unwrap_or(U256::ZERO);
        same("weight", Work(weight), Work(expected))?;
    }
    if let Some(Wide(expected)) = block.chain_work {
        same("chain work", entry.chain_work, Work(expected))?;
    }
    branch.push(entry);
    Ok(())
}

/// Compares one value per active algorithm, the set of algorithms included.
fn same_table(
    what: &str,
    got: impl Iterator<Item = (Algorithm, CompactTarget)>,
    expected: &BTreeMap<String, Bits>,
) -> Result<(), Fault> {
    let got: BTreeMap<String, CompactTarget> =
        got.map(|(algorithm, bits)| (algorithm.id().to_string(), bits)).collect();
    for (id, Bits(expected)) in expected {
        match got.get(id) {
            Some(got) => same(format!("{what} of algorithm {id}"), *got, *expected)?,
            None => same(format!("{what} of algorithm {id}"), "not active".to_owned(), expected.to_string())?,
        }
    }
    same(format!("number of {what}"), got.len(), expected.len())
}

fn header(branch: &LinearBranch, block: &Block, algorithm: Algorithm, bits: CompactTarget) -> Header {
    Header {
        version: 1,
        parent_id: branch.tip().id,
        tx_root: MerkleRoot::ZERO,
        witness_root: MerkleRoot::ZERO,
        time: Timestamp(block.time.0),
        height: Height(block.height),
        bits,
        algorithm,
    }
}

/// These chains have no seals, so any name that differs from all others will do.
fn id(header: &Header) -> BlockId {
    BlockId(tagged_hash("BQIP0002/block", &[&header.to_bytes()]))
}
