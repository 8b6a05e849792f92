//! PPS and SOLO on the real program: a reserve out of what the pool earned, shares paid for themselves, a block that is its finder's.

mod every;
mod recount;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, Miner, atoms, new_address, run_bq, sha256d, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(240);
const COIN: u64 = 100_000_000;

/// Half of every reward is the pool's, so that it soon has a reserve.
fn options(scheme: &str) -> BqOptions {
    let pool = format!(
        "[pool]\nshare_interval_secs = 1\npayout_mode = \"ledger\"\npayout_min = 10000\nfee_bp = 5000\n\
         scheme = \"{scheme}\"\npps_fee_bp = 9000\nsolo_fee_bp = 100\n\
         [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n"
    );
    BqOptions { config: Eras::unhurried().then(1, &["sha256d"]).config(4, &pool), ..BqOptions::default() }
}

#[test]
fn shares_are_paid_for_themselves_and_a_solo_block_is_its_finders() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [pps, solo] = [new_address(folder.path(), "pps")?, new_address(folder.path(), "solo")?];
    let mut bq = BqProcess::start(folder.path(), &options("pplns"))?;
    let of = pps.clone();
    let miner = Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&format!("{of}.rig"), "x"));
    let add = || {
        let atoms = (200 * COIN).to_string();
        Ok((bq.decision(&["reserve", "add", &atoms])?.code == Some(0)).then_some(()))
    };
    wait_for("200 coins that the pool earned", LIMIT, add)?;
    let reserve = &bq.get_json("/api/v1/pool")?["reserve"];
    ensure!(*reserve == Value::Null, "nothing is paid for itself yet: {reserve}");

    bq = again(bq, &miner, "pps")?;
    wait_for("pps to be paid", LIMIT, || Ok(is_paid(&bq, "pps")?.then_some(())))?;
    let held = atoms(&bq.get_json("/api/v1/pool")?["reserve"]["holds"])?;
    ensure!(held <= 200 * COIN, "{held}");
    wait_for("a credit for shares alone", LIMIT, || Ok((pps_credits(&bq)? > 0).then_some(())))?;
    // A crash loses nothing that was earned.
    bq.kill_hard()?;
    miner.set_address(None);
    bq = BqProcess::start(folder.path(), &options("pps"))?;
    miner.set_address(Some(bq.stratum("sha256d")?));
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 6, LIMIT)?;
    let view = bq.miner(&pps)?.context("it mines")?;
    ensure!(view["scheme"] == "pps", "{view}");
    wait_for("payouts", LIMIT, || Ok((bq.coins(&pps)? > 0).then_some(())))?;
    bq.ensure_balanced()?;

    let of = solo.clone();
    assert_eq!(miner.stop().breaches, Vec::<String>::new());
    assert!(bq.stop()?.success());
    bq = BqProcess::start(folder.path(), &options("solo"))?;
    let miner = Miner::start(bq.stratum("sha256d")?, move || sha256d::miner(&format!("{of}.rig"), "x"));
    // A window would give it no more than a part of a half.
    let alone =
        || Ok(bq.miner(&solo)?.filter(|view| atoms(&view["immature"]).is_ok_and(|sum| sum > 49 * COIN)).map(drop));
    wait_for("a block of its own", LIMIT, alone)?;
    let report = miner.stop();
    assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    bq.ensure_balanced()?;
    assert!(bq.stop()?.success());
    audited(folder.path())
}

fn again(bq: BqProcess, miner: &Miner, scheme: &str) -> Result<BqProcess> {
    let folder = bq.folder().to_owned();
    assert!(bq.stop()?.success());
    let bq = BqProcess::start(&folder, &options(scheme))?;
    miner.set_address(Some(bq.stratum("sha256d")?));
    Ok(bq)
}

fn is_paid(bq: &BqProcess, scheme: &str) -> Result<bool> {
    let pool = bq.get_json("/api/v1/pool")?;
    let schemes = pool["schemes"].as_array().context("schemes")?;
    let found = schemes.iter().find(|view| view["name"] == scheme).context("it is offered")?;
    Ok(found["is_paid"] == true)
}

/// Less is in the reserve than blocks brought.
fn pps_credits(bq: &BqProcess) -> Result<u64> {
    let reserve = atoms(&bq.get_json("/api/v1/pool")?["reserve"]["holds"])?;
    // Whole blocks come in, parts go out.
    Ok(reserve % (50 * COIN))
}

fn audited(folder: &Path) -> Result<()> {
    let place = |name: &str| folder.join(name).display().to_string();
    let (config, data) = (place("bq.toml"), place("data"));
    let audit = run_bq(["audit", "--network", "regtest", "--config", &config, "--data-dir", &data])?;
    ensure!(audit.code == Some(0), "{audit:?}");
    Ok(())
}
