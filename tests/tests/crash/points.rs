//! C1 to C12 of "What a crash leaves" (docs/pool.md), each in every mode that has it: the pool dies at the point, the next life recovers, and
//! dies at the next one. All rows of all modes with `BQ_CRASH=all` (`make crash`).

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use bq_tests::{BqOptions, BqProcess, SignerProcess, said, wait_for};

use crate::scene::{LIMIT, Scene, options, wait_for_payouts};

const LEDGER: &str = "payout_mode = \"ledger\"";
/// A coin in atoms.
const COIN: u64 = 100_000_000;

/// A point, what the next life says when it has found what is left, and whether every run tries it.
struct Row(&'static str, Option<&'static str>, bool);

static SHARES: [Row; 2] = [
    Row("share_not_written:9", None, true),
    Row("share_not_synced:3", Some("cut a torn tail off the share log"), true),
];
/// The node has a block that the books do not know: adopted, or told with its own share.
static BLOCKS: [Row; 5] = [
    Row("block_not_written", Some("adopted a block of the pool that was not in the log"), true),
    Row("block_not_told:2", Some("adopted a block of the pool that was not in the log"), false),
    Row("block_not_submitted", Some("block found"), true),
    Row("chain_not_committed:4", None, true),
    Row("block_immature:2", None, false),
];
static PAYOUTS: [Row; 5] = [
    Row("payout_not_signed", None, true),
    Row("signature_not_stored", None, true),
    Row("payout_not_sent", None, true),
    Row("payout_not_heard", None, true),
    Row("payout_not_final", None, true),
];

fn all_rows() -> bool {
    std::env::var("BQ_CRASH").is_ok_and(|value| value == "all")
}

/// Dies at each of the rows, one life after the other.
fn die_at_each<'a>(scene: &mut Scene, rows: impl IntoIterator<Item = &'a Row>) -> Result<()> {
    for Row(point, recovered, is_in_every_run) in rows {
        if !*is_in_every_run && !all_rows() {
            continue;
        }
        scene.die_at(point)?;
        if point.starts_with("share_not_synced") {
            scene.tear()?;
        }
        let Some(line) = recovered else { continue };
        let count = || Ok::<_, anyhow::Error>(said(&scene.home())?.matches(line).count());
        let before = count()?;
        let bq = BqProcess::start(&scene.home(), &scene.options)?;
        wait_for(&format!("{point}: {line:?}"), LIMIT, || Ok((count()? > before).then_some(())))?;
        bq.kill_hard()?;
    }
    Ok(())
}

#[test]
fn whatever_dies_where_windows_are_paid_out_goes_on() -> Result<()> {
    let mut scene = Scene::new(options(LEDGER))?;
    die_at_each(&mut scene, SHARES.iter().chain(&BLOCKS).chain(&PAYOUTS))?;
    let bq = scene.start()?;
    scene.blocks(&bq, 6)?;
    wait_for_payouts(&scene, &bq)?;
    let paid = scene.close(bq)?;
    ensure!(paid > COIN, "{paid} atoms");
    Ok(())
}

#[test]
fn whatever_dies_where_coinbases_pay_goes_on() -> Result<()> {
    let mut scene = Scene::new(options("payout_mode = \"direct\""))?;
    die_at_each(&mut scene, SHARES.iter().chain(&BLOCKS))?;
    let bq = scene.start()?;
    scene.blocks(&bq, 8)?;
    let paid = scene.close(bq)?;
    ensure!(paid > COIN, "{paid} atoms");
    Ok(())
}

#[test]
fn whatever_dies_where_a_block_is_its_finders_goes_on() -> Result<()> {
    let mut scene = Scene::new(options(&format!("{LEDGER}\nscheme = \"solo\"")))?;
    let payouts: &[Row] = if all_rows() { &PAYOUTS } else { &[] };
    die_at_each(&mut scene, BLOCKS.iter().chain(payouts))?;
    let bq = scene.start()?;
    scene.blocks(&bq, 8)?;
    release_suspense(&bq)?;
    scene.close(bq).map(drop)
}

/// Whose block it was that was adopted without its share, nobody can say where windows do not pay: it is held until somebody decides.
fn release_suspense(bq: &BqProcess) -> Result<()> {
    let held = bq.balance("suspense")?;
    ensure!(held >= 50 * COIN && bq.holds("suspense")?, "{held} atoms in suspense");
    bq.decide(&["release-suspense", &held.to_string()])?;
    Ok(())
}

/// Half of every reward is the pool's, so that it soon has a reserve.
fn per_share(scheme: &str) -> BqOptions {
    options(&format!("{LEDGER}\nfee_bp = 5000\npps_fee_bp = 9000\nscheme = \"{scheme}\""))
}

#[test]
fn whatever_dies_where_shares_are_paid_for_themselves_goes_on() -> Result<()> {
    let mut scene = Scene::new(per_share("pplns"))?;
    let bq = scene.start()?;
    let reserve = (100 * COIN).to_string();
    wait_for("coins that the pool earned", LIMIT, || {
        Ok((bq.decision(&["reserve", "add", &reserve])?.code == Some(0)).then_some(()))
    })?;
    ensure!(bq.stop()?.success());
    scene.ended()?;
    scene.options = per_share("pps");
    let earnings = [Row("earnings_not_committed:9", None, true), Row("earnings_not_committed:2", None, false)];
    let others: Vec<&Row> =
        if all_rows() { SHARES.iter().chain(&BLOCKS).chain(&PAYOUTS).collect() } else { Vec::new() };
    die_at_each(&mut scene, earnings.iter().chain(others))?;
    let bq = scene.start()?;
    scene.blocks(&bq, 8)?;
    wait_for_payouts(&scene, &bq)?;
    if all_rows() {
        release_suspense(&bq)?;
    }
    scene.close(bq).map(drop)
}

/// C7 and C8, from both sides of the socket: nothing is signed twice over other bytes.
#[test]
fn whatever_dies_between_pool_and_signer_goes_on() -> Result<()> {
    let mut scene = Scene::new(options(LEDGER))?;
    let folder = scene.folder().join("signer");
    let text = format!(
        "signer_socket = {:?}\nsigner_patience_ms = 500\nsigner_follow_secs = 1",
        SignerProcess::socket(&folder)
    );
    scene.options = options(&format!("{LEDGER}\n{text}"));
    let config = scene.folder().join("signer.toml");
    fs::write(&config, &scene.options.config)?;
    let signer = SignerProcess::start(&folder, &config, &[])?;
    scene.die_at("signature_not_stored")?;
    scene.die_at("payout_not_signed")?;
    drop(signer);
    let dying = SignerProcess::start_with(&folder, &config, &[("BQ_FAULT_POINT", "signature_not_answered")])?;
    let bq = scene.start()?;
    wait_for("the signer's death", LIMIT, || {
        Ok(dying.log()?.contains("died at signature_not_answered").then_some(()))
    })?;
    drop(dying);
    let signer = SignerProcess::start(&folder, &config, &[])?;
    wait_for_payouts(&scene, &bq)?;
    wait_for("a pool that its signer answers", Duration::from_secs(60), || {
        Ok((!bq.holds("payouts_not_signed")?).then_some(()))
    })?;
    scene.close(bq)?;
    drop(signer);
    Ok(())
}
