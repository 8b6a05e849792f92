//! Every vector file of the repository passes, with the number of cases it is known to have.

use std::{fs::File, path::PathBuf};

use bq_conformance::{Report, run_reader};

#[expect(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn run(name: &str) -> Report {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../vectors").join(name);
    let file = File::open(path).expect("a vector file");
    run_reader(name, file).unwrap_or_else(|error| panic!("{error}"))
}

/// Cases run per section; nothing may be unknown.
#[track_caller]
fn check(name: &str, expected: &[(&str, usize)]) -> Report {
    let report = run(name);
    let mut sections: Vec<(&str, usize)> =
        report.sections.iter().map(|section| (section.name.as_str(), section.cases)).collect();
    let mut expected = expected.to_vec();
    sections.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sections, expected);
    assert_eq!(report.unknown, Vec::<String>::new());
    report
}

#[test]
fn model() {
    let sections = [
        ("constants", 1),
        ("exp2_constants", 32),
        ("exp2_frac", 240),
        ("exponent", 113),
        ("step", 600),
        ("block_work", 100),
    ];
    check("bqip0002_model.json", &sections);
}

#[test]
fn chains() {
    for name in ["bqip0002_chain_1.json", "bqip0002_chain_2.json", "bqip0002_chain_3.json"] {
        check(name, &[("blocks", 1200)]);
    }
}

#[test]
fn seals() {
    check("bqip0002_seals.json", &[("cases", 36)]);
}

#[test]
fn stratum_shares() {
    check("stratum_shares.json", &[("share_targets", 30), ("share_conversations", 24)]);
}

#[test]
fn logs_of_a_pool() {
    check("pool_log.json", &[("pool_frames", 8), ("pool_logs", 6)]);
}

#[test]
fn proofs_of_a_pool() {
    check("pool_proofs.json", &[("share_proofs", 26), ("sum_trees", 6), ("account_exports", 14)]);
}

#[test]
fn compact_bits() {
    check("compact_bits.json", &[("decode", 59), ("encode", 82), ("work", 9)]);
}

#[test]
fn bitcoin_headers() {
    check("bitcoin_headers.json", &[("headers", 33), ("retarget_example", 1)]);
}

#[test]
fn randomx() {
    let skipped = ["commitment", "cache_u64", "dataset_item_word0", "superscalar_program_blake2b", "reciprocal"];
    let sections: Vec<_> =
        [("hash", 5), ("seed_height", 18)].into_iter().chain(skipped.map(|name| (name, 0))).collect();
    let report = check("randomx.json", &sections);
    assert_eq!(report.skipped(), 5 + 2 + 3 + 4 + 10 + 7);
    let hash = report.sections.iter().find(|section| section.name == "hash").and_then(|section| section.skip_reason);
    assert!(hash.is_some_and(|reason| reason.contains("RandomX v2")));
    assert!(report.to_string().contains("skipped"));
}

#[test]
fn ethash() {
    let sections = [
        ("hashimoto", 7),
        ("poc9_testnet_blocks", 3),
        ("dataset_sizes", 54),
        ("epoch_seeds", 8),
        ("light_cache_digest", 3),
        ("dataset_items_epoch13", 14),
        ("difficulty_to_boundary", 31),
        ("small_test", 1),
        ("epoch_of_block", 7),
        ("keccak_empty", 1),
    ];
    check("ethash.json", &sections);
}

#[test]
fn bitcoin_cash_runs() {
    let cases = [10, 10, 10, 225, 225, 1000, 1000, 500, 10, 10, 1000, 10_000];
    let total: usize = cases.iter().sum();
    assert_eq!(total, 14_000);
    for (run, cases) in (1..).zip(cases) {
        check(&format!("asert_bch/run{run:02}"), &[("run", cases)]);
    }
}

#[test]
fn bitcoin_cash_blocks_and_decred() {
    check("asert_bch/mainnet_blocks.json", &[("blocks", 6)]);
    check("asert_bch/decred_dcp0011.json", &[("scenarios", 1424)]);
}
