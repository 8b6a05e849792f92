//! Coinbases pay a key that no machine of the pool has, and a person fills the float by hand, on the real program: payouts wait until then,
//! go out of what was sent, and a coin that went elsewhere stops them.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, Finished, Miner, new_address, run_bq, sha256d, wait_for};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
/// What goes elsewhere: less than the fee of a block.
const SOME: u64 = 1_000_000;

fn options(cold: &str) -> BqOptions {
    let pool = format!(
        "[pool]\npayout_mode = \"ledger\"\nfee_bp = 1000\npayout_min = 1000000\npayout_final_depth = 2\npayout_interval_secs = 1\n\
         share_interval_secs = 1\ncold_address = {cold:?}\n[pool.sha256d]\nshare_difficulty_floor = 65536\nshare_difficulty_start = 131072\n"
    );
    BqOptions { config: Eras::unhurried().then(1, &["sha256d"]).config(3, &pool), ..BqOptions::default() }
}

fn mining(bq: &BqProcess, address: &str) -> Result<Miner> {
    let login = format!("{address}.rig");
    Ok(Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&login, "x")))
}

fn file(path: &Path) -> String {
    path.display().to_string()
}

/// A person who has the cold key sends some of its coins; the id of the transaction.
fn send(bq: &BqProcess, folder: &Path, to: &str, atoms: u64) -> Result<String> {
    let rpc = bq.address("rpc")?.to_string();
    let [wallet, password] = ["cold.wallet.json", "cold.password"].map(|name| file(&folder.join(name)));
    let (place, atoms) = (["--wallet", &wallet, "--password-file", &password, "--rpc", &rpc], atoms.to_string());
    let sent = run_bq([&["wallet", "send", "--json", "--to", to, "--atoms", &atoms], place.as_slice()].concat())?;
    ensure!(sent.code == Some(0), "{sent:?}");
    let answer: Value = serde_json::from_str(&sent.stdout)?;
    Ok(answer["txid"].as_str().with_context(|| format!("no txid in {answer}"))?.to_owned())
}

/// Why the pool tells a condition; nothing while it does not.
fn told(bq: &BqProcess, name: &str) -> Result<Option<String>> {
    let health = bq.get("/health")?.json()?;
    let conditions = health["components"]["pool"]["conditions"].as_array().with_context(|| health.to_string())?;
    let held = conditions.iter().find(|condition| condition["name"] == name);
    Ok(held.map(|condition| condition["reason"].as_str().unwrap_or_default().to_owned()))
}

/// How much has to be sent where, as the pool says; nothing while it says nothing.
fn asked_for(bq: &BqProcess) -> Result<Option<(u64, String)>> {
    let Some(reason) = told(bq, "float_low")? else { return Ok(None) };
    let Some((_, rest)) = reason.split_once(" coins (") else { return Ok(None) };
    let (atoms, rest) = rest.split_once(" atoms) to ").with_context(|| reason.clone())?;
    let (address, _) = rest.split_once(' ').with_context(|| reason.clone())?;
    Ok(Some((atoms.parse()?, address.to_owned())))
}

fn own_address(bq: &BqProcess) -> Result<String> {
    let status = bq.rpc()?.call("getpoolstatus", &json!([]))?;
    Ok(status["address"].as_str().with_context(|| status.to_string())?.to_owned())
}

fn is_well(done: &Finished, said: &str) -> Result<()> {
    ensure!(done.code == Some(0) && done.stdout.contains(said), "{done:?}");
    Ok(())
}

/// Books and shares by themselves, and the whole computed anew against the chain.
fn audited(folder: &Path, pool: &Path) -> Result<()> {
    let [data, config, export] =
        [pool.join("data"), pool.join("bq.toml"), folder.join("export")].map(|path| file(&path));
    let own = ["--network", "regtest", "--config", &config, "--data-dir", &data];
    is_well(&run_bq([&["audit"], own.as_slice()].concat())?, "")?;
    is_well(&run_bq([&["audit", "export", "--all", "--out", &export], own.as_slice()].concat())?, "")?;
    let replay = ["audit", "replay", &export, "--chain", &data, "--network", "regtest", "--config", &config];
    is_well(&run_bq(replay)?, "nothing differs")
}

#[test]
fn a_cold_key_is_paid_and_a_float_that_a_person_fills_pays_the_miners() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (address, cold, elsewhere) =
        (new_address(folder, "miner")?, new_address(folder, "cold")?, new_address(folder, "elsewhere")?);
    let (home, options) = (folder.join("pool"), options(&cold));
    let bq = BqProcess::start(&home, &options)?;
    let miner = mining(&bq, &address)?;
    wait_for("payouts that wait for the float", LIMIT, || asked_for(&bq))?;
    drop(miner.stop());
    ensure!(bq.coins(&address)? == 0 && bq.coins(&own_address(&bq)?)? == 0, "nothing could be signed for");
    ensure!(bq.coins(&cold)? > 0, "all of it lies there");
    bq.ensure_balanced()?;
    ensure!(bq.stop()?.success());

    // It is asked for again after a start, and paid once it is there.
    let bq = BqProcess::start(&home, &options)?;
    let (atoms, to) = wait_for("the float to be asked for again", LIMIT, || asked_for(&bq))?;
    ensure!(to == own_address(&bq)?, "to the key that pays");
    send(&bq, folder, &to, atoms)?;
    let miner = mining(&bq, &address)?;
    wait_for("a payout out of the float", LIMIT, || Ok((bq.coins(&address)? > 0).then_some(())))?;
    ensure!(told(&bq, "coins_differ")?.is_none() && told(&bq, "coins_missing")?.is_none());
    bq.ensure_balanced()?;

    // Something else than a fill: nobody is paid until a person says what it was.
    let txid = send(&bq, folder, &elsewhere, SOME)?;
    let reason = wait_for("the alarm", LIMIT, || told(&bq, "cold_coins_spent"))?;
    ensure!(reason.contains(&txid), "{reason}");
    wait_for("the transaction to be explained", LIMIT, || {
        let tried = bq.pool(&["adopt", &txid, "--as", "withdrawal", "--reason", "it was me"])?;
        Ok((tried.code == Some(0)).then_some(()))
    })?;
    wait_for("the end of the alarm", LIMIT, || Ok(told(&bq, "cold_coins_spent")?.is_none().then_some(())))?;
    let report = miner.stop();
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    bq.ensure_balanced()?;
    ensure!(bq.stop()?.success());
    audited(folder, &home)
}
