//! HTTP, metrics, RPC, ready file and shutdown of a node that does nothing yet.

use std::time::Duration;

use anyhow::Result;
use bq_tests::{BqOptions, BqProcess, Eras, wait_for};
use serde_json::{Value, json};

#[test]
fn the_outside_interfaces_answer() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bq = BqProcess::start(folder.path(), &BqOptions::default())?;
    for port in ["http", "rpc", "p2p", "stratum_sha256d", "stratum_randomx", "stratum_ethash", "stratum_v2"] {
        assert_ne!(bq.address(port)?.port(), 0, "{port}");
    }
    health(&bq)?;
    pool_view(&bq)?;
    metrics(&bq)?;
    rpc(&bq)?;
    let status = bq.stop()?;
    assert_eq!(status.code(), Some(0), "an orderly shutdown is success");
    Ok(())
}

fn health(bq: &BqProcess) -> Result<()> {
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(bq.get(path)?.status, 200, "{path}");
    }
    let page = bq.get("/")?;
    assert_eq!(page.status, 200);
    assert!(page.headers.to_ascii_lowercase().contains("text/html"), "{}", page.headers);
    assert_eq!(bq.get("/api/v1/no-such-thing")?.status, 404);
    assert_eq!(bq.get("/api/v1/miners/not-an-address")?.status / 100, 4);
    Ok(())
}

fn pool_view(bq: &BqProcess) -> Result<()> {
    let pool = bq.get_json("/api/v1/pool")?;
    assert_eq!(pool["network"], "regtest");
    assert_eq!(pool["height"], 0);
    assert_eq!(pool["ledger_imbalance"], "0");
    for amount in ["immature", "payable", "in_flight", "paid"] {
        assert_eq!(pool[amount], "0", "{amount}: {pool}");
    }
    assert!(pool["algorithms"].is_object(), "{pool}");
    assert_eq!(bq.get_json("/api/v1/blocks")?["blocks"], json!([]));
    Ok(())
}

fn metrics(bq: &BqProcess) -> Result<()> {
    let metrics = bq.get("/metrics")?;
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.metric("bq_ledger_imbalance_atoms"), Some(0.0), "{}", metrics.body);
    let samples = metrics.body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for sample in samples {
        assert!(sample.starts_with("bq_"), "{sample}");
    }
    Ok(())
}

fn rpc(bq: &BqProcess) -> Result<()> {
    let rpc = bq.rpc()?;
    let answer = rpc.call_raw("no_such_method", &json!([]))?;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    assert_eq!(answer["result"], Value::Null);
    let info = rpc.call("getblockchaininfo", &json!([]))?;
    assert_eq!((&info["chain"], &info["blocks"]), (&json!("regtest"), &json!(0)), "{info}");
    let genesis = rpc.call("getblockhash", &json!([0]))?;
    assert_eq!(genesis, info["genesishash"]);
    assert_eq!(genesis, rpc.call("getbestblockhash", &json!([]))?);
    assert_eq!(genesis, bq.get_json("/api/v1/pool")?["tip_id"]);
    assert_eq!(rpc.call("getblock", &json!([genesis]))?["height"], 0);
    assert_eq!(rpc.call("getrawmempool", &json!([]))?, json!([]));
    for (method, params) in [
        ("getblockhash", json!([1])),
        ("getblock", json!(["zz"])),
        ("submitblock", json!(["00"])),
        ("sendrawtransaction", json!(["00ff"])),
        ("getcoins", json!(["rbq1nonsense"])),
    ] {
        let answer = rpc.call_raw(method, &params)?;
        assert!(answer["error"]["message"].is_string(), "{method}: {answer}");
    }
    Ok(())
}

#[test]
fn the_built_in_miner_makes_something_happen() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = Eras::quick().then(1, &["sha256d", "ethash"]).config(4, "[miner]\nenabled = true\nthreads = 1\n");
    let bq = BqProcess::start(folder.path(), &BqOptions { config, ..BqOptions::default() })?;
    bq.wait_for_height(3, Duration::from_secs(90))?;
    // The books are told of a block a moment after the chain has it.
    wait_for("a block of the pool", Duration::from_secs(30), || {
        let blocks = bq.get_json("/api/v1/blocks")?;
        Ok(blocks["blocks"].as_array().is_some_and(|blocks| !blocks.is_empty()).then_some(()))
    })?;
    let mining = bq.rpc()?.call("getminingconfig", &json!([]))?;
    assert_eq!((&mining["enabled"], &mining["threads"]), (&json!(true), &json!(1)), "{mining}");
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    Ok(())
}
