//! The sections that are known, by name. Names that several kinds of file share are told apart by their neighbours.

pub(crate) mod asert;
mod bitcoin;
mod chain;
mod compact;
mod ethash;
mod model;
mod pool;
mod proofs;
mod randomx;
mod seals;
mod stratum;

use serde_json::Value;

use crate::{
    ConformanceError,
    run::{Fields, Run},
};

/// Fields that say where a file comes from, or are read by the sections beside them.
const CONTEXT: [&str; 16] = [
    "about",
    "note",
    "kind",
    "source",
    "comments",
    "params",
    "anchor",
    "genesis_time",
    "target_block_time",
    "half_life",
    "eras",
    "chain_work",
    "parameters",
    "configuration",
    "version",
    "generated_by",
];

/// Runs every known section of a file, in the order of the file.
pub(crate) fn run_all(run: &mut Run, fields: &Fields) -> Result<(), ConformanceError> {
    for (name, value) in fields {
        run_one(run, fields, name, value)?;
    }
    Ok(())
}

fn run_one(run: &mut Run, fields: &Fields, name: &str, value: &Value) -> Result<(), ConformanceError> {
    match name {
        "constants" => run.single::<model::Constants>(name, value),
        "exp2_constants" => model::exp2_constants(run, name, value),
        "exp2_frac" => run.list::<model::Exp2>(name, value),
        "exponent" => run.list::<model::Exponent>(name, value),
        "step" => run.list::<model::Step>(name, value),
        "block_work" => run.list::<model::BlockWork>(name, value),
        "decode" => run.list::<compact::Decode>(name, value),
        "encode" => run.list::<compact::Encode>(name, value),
        "work" => run.list::<compact::WorkOfBits>(name, value),
        "headers" => bitcoin::headers(run, name, value),
        "retarget_example" => run.single::<bitcoin::Retarget>(name, value),
        "cases" => run.list::<seals::SealCase>(name, value),
        "share_targets" => run.list::<stratum::ShareTarget>(name, value),
        "share_conversations" => run.list::<stratum::Conversation>(name, value),
        "pool_frames" => run.list::<pool::Frame>(name, value),
        "pool_logs" => run.list::<pool::Log>(name, value),
        "share_proofs" => run.list::<proofs::OfShare>(name, value),
        "sum_trees" => run.list::<proofs::SumTree>(name, value),
        "account_exports" => run.list::<proofs::Export>(name, value),
        "hash" => run.list::<randomx::Hash>(name, value),
        "seed_height" => randomx::seed_heights(run, name, value),
        "commitment" => skip(run, name, value, "commitments belong to RandomX v2"),
        "cache_u64" | "dataset_item_word0" | "superscalar_program_blake2b" | "reciprocal" => {
            skip(run, name, value, "internals of the RandomX library")
        }
        "hashimoto" | "poc9_testnet_blocks" => run.list::<ethash::Hashimoto>(name, value),
        "dataset_sizes" => run.list::<ethash::Sizes>(name, value),
        "epoch_seeds" => run.list::<ethash::Seed>(name, value),
        "light_cache_digest" => run.list::<ethash::CacheDigest>(name, value),
        "difficulty_to_boundary" => run.list::<ethash::Boundary>(name, value),
        "small_test" => run.single::<ethash::Small>(name, value),
        "keccak_empty" => run.single::<ethash::KeccakEmpty>(name, value),
        "epoch_of_block" => run.list::<ethash::EpochOfBlock>(name, value),
        "scenarios" => asert::scenarios(run, fields, name, value),
        "blocks" if fields.contains_key("eras") => chain::blocks(run, fields, name, value),
        "blocks" if fields.contains_key("anchor") => asert::anchored_blocks(run, fields, name, value),
        _ => match name.strip_prefix("dataset_items_epoch").and_then(|epoch| epoch.parse().ok()) {
            Some(epoch) => ethash::dataset_items(run, name, value, epoch),
            None => {
                if !CONTEXT.contains(&name) {
                    run.unknown(name);
                }
                Ok(())
            }
        },
    }
}

fn skip(run: &mut Run, name: &str, value: &Value, reason: &'static str) -> Result<(), ConformanceError> {
    let longest_list = |fields: &Fields| fields.values().filter_map(Value::as_array).map(Vec::len).max();
    let cases = match value {
        Value::Array(cases) => cases.len(),
        Value::Object(fields) => longest_list(fields).unwrap_or(1),
        _ => return Err(run.malformed(name, 0, &"neither a list nor an object")),
    };
    run.skip(name, cases, reason);
    Ok(())
}
