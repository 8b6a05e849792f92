//! Money all the way round: mined, credited, paid out, spent with the wallet, confirmed, seen by the receiver.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, Miner, new_address, run_bq, sha256d, wait_for};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
const SENT: u64 = 123_456_789;

fn start(folder: &Path) -> Result<BqProcess> {
    let pool = "[pool]\npayout_mode = \"ledger\"\npayout_min = 1000000\npayout_final_depth = 2\nshare_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 65536\nshare_difficulty_start = 131072\n";
    let config = Eras::unhurried().then(1, &["sha256d"]).config(3, pool);
    BqProcess::start(folder, &BqOptions { config, ..BqOptions::default() })
}

/// Atoms that an address can spend or will.
fn send(bq: &BqProcess, folder: &Path, from: &str, to: &str, atoms: u64) -> Result<bq_tests::Finished> {
    let rpc = bq.address("rpc")?.to_string();
    let file = |name: String| folder.join(name).display().to_string();
    run_bq([
        "wallet",
        "send",
        "--json",
        "--wallet",
        &file(format!("{from}.wallet.json")),
        "--password-file",
        &file(format!("{from}.password")),
        "--to",
        to,
        "--atoms",
        &atoms.to_string(),
        "--rpc",
        &rpc,
    ])
}

#[test]
fn mined_money_can_be_spent() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (miner_address, friend) = (new_address(folder, "miner")?, new_address(folder, "friend")?);
    let bq = start(folder)?;
    let login = format!("{miner_address}.rig");
    let miner = Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&login, "x"));
    wait_for("a payout that can be spent", LIMIT, || Ok((bq.coins(&miner_address)? > 2 * SENT).then_some(())))?;

    let too_much = send(&bq, folder, "miner", &friend, 9_000_000_000_000_000)?;
    assert_eq!(too_much.code, Some(1), "{too_much:?}");
    let sent = send(&bq, folder, "miner", &friend, SENT)?;
    ensure!(sent.code == Some(0), "{sent:?}");
    let answer: Value = serde_json::from_str(&sent.stdout)?;
    let txid = answer["txid"].as_str().with_context(|| format!("no txid in {answer}"))?.to_owned();

    let rpc = bq.rpc()?;
    let status = wait_for("the payment in a block", LIMIT, || {
        let status = rpc.call("gettransactionstatus", &json!([txid]))?;
        ensure!(status["status"] != "unknown", "{status}");
        Ok((status["status"] == "confirmed").then_some(status))
    })?;
    let block = rpc.call("getblock", &json!([status["blockhash"], 1]))?;
    assert!(block["tx"].as_array().is_some_and(|ids| ids.contains(&json!(txid))), "{block}");
    assert_eq!(bq.coins(&friend)?, SENT);
    let report = miner.stop();
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    Ok(())
}
