//! `bq swarm` on the real server, small: what must be true of every run, whatever the machine. How fast it was is for people to judge.

use anyhow::{Context, Result};
use bq_tests::run_bq;
use serde_json::Value;

/// The figures of a run that must succeed.
fn swarm(arguments: &[&str]) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("figures.json");
    let file = file.to_str().context("a path in UTF-8")?;
    let finished = run_bq([&["swarm", "--json", file], arguments].concat())?;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let text = std::fs::read_to_string(file)?;
    Ok(serde_json::from_str(&text)?)
}

fn figure(figures: &[Value], what: &str) -> Result<f64> {
    let row = figures.iter().find(|row| row["what"] == what);
    row.and_then(|row| row["value"].as_f64()).with_context(|| format!("no {what} in {figures:?}"))
}

#[test]
fn two_hundred_miners_of_all_dialects_hear_of_tips_are_paid_and_come_back() -> Result<()> {
    let figures = swarm(&[
        "--miners",
        "sha256d=140",
        "--miners",
        "randomx=30",
        "--miners",
        "ethash=30",
        "--proxy-headers",
        "--tips",
        "2",
        "--shares",
        "sha256d=1600",
        "--shares",
        "randomx=16",
        "--shares",
        "ethash=48",
        "--storms",
        "1",
    ])?;
    assert_eq!(figure(&figures, "crowd: miners with work")?, 200.0);
    assert!(figure(&figures, "tip: from the submit to a miner, max")? > 0.0, "both tips reached everybody");
    for (algorithm, shares) in [("sha256d", 1600.0), ("randomx", 16.0), ("ethash", 48.0)] {
        let accepted = figure(&figures, &format!("{algorithm} shares: accepted"))?;
        let refused = figure(&figures, &format!("{algorithm} shares: refused"))?;
        // By chance one of them is a block, after which the others' job is of no more use.
        assert_eq!(accepted + refused, shares, "{algorithm}: every share has its answer");
        assert!(accepted > 0.0, "{algorithm}");
    }
    assert_eq!(figure(&figures, "storm 1: miners with work")?, 200.0);
    assert_eq!(figure(&figures, "storm 1: lost")?, 0.0);
    assert_eq!(figure(&figures, "end: miners still connected")?, 200.0);
    Ok(())
}

#[test]
fn floods_take_no_share_and_no_connection_from_others() -> Result<()> {
    let figures = swarm(&[
        "--miners",
        "sha256d=20",
        "--tls",
        "--tips",
        "0",
        "--storms",
        "0",
        "--flood-secs",
        "1",
        "--flood",
        "newlines=2",
        "--flood",
        "garbage=1",
        "--flood",
        "halves=2",
        "--flood",
        "deaf=1",
        "--flood",
        "foreign=1",
    ])?;
    let honest = "honest beside 2 newlines, 1 garbage, 2 halves, 1 deaf, 1 foreign";
    assert!(figure(&figures, &format!("{honest}: accepted"))? > 0.0);
    assert_eq!(figure(&figures, &format!("{honest}: refused"))?, 0.0);
    assert_eq!(figure(&figures, "end: miners still connected")?, 20.0);
    Ok(())
}

/// Forgers from addresses of their own are found out by three hashes each, and who mines already mines on.
#[test]
fn forged_results_cost_three_hashes_each_and_no_share_of_others() -> Result<()> {
    for algorithm in ["randomx", "ethash"] {
        let flood = format!("forged-{algorithm}=8");
        let quietly = ["--miners", "sha256d=1", "--proxy-headers", "--tips", "0", "--storms", "0"];
        let figures = swarm(&[quietly.as_slice(), &["--flood-secs", "4", "--flood", &flood]].concat())?;
        let honest = format!("honest beside 8 forged-{algorithm}");
        assert!(figure(&figures, &format!("{honest}: accepted"))? >= 20.0, "{figures:?}");
        assert_eq!(figure(&figures, &format!("{honest}: refused"))?, 0.0, "{figures:?}");
        let hashed = figure(&figures, &format!("forged {algorithm}: hashed, by the server's count"))?;
        assert!((1.0..=24.0).contains(&hashed), "{algorithm}: {hashed} of 8 addresses: {figures:?}");
        assert!(figure(&figures, &format!("forged {algorithm}: most hashed of one address"))? <= 3.0, "{figures:?}");
        assert!(
            figure(&figures, &format!("honest {algorithm}: hashed, by the server's count"))? >= 20.0,
            "{figures:?}"
        );
        assert!(figure(&figures, &format!("forged {algorithm}: answered accepted")).is_err(), "{figures:?}");
    }
    Ok(())
}

/// Twenty miners send a thousand shares a second; `bq audit` replays the log each time, and finds the balances that are in the books.
#[test]
fn a_server_killed_under_load_loses_no_share_that_it_acknowledged() -> Result<()> {
    let figures = swarm(&["--miners", "sha256d=5", "--tips", "0", "--storms", "0", "--kills", "2"])?;
    let acknowledged = figure(&figures, "kills: shares acknowledged")?;
    assert!(acknowledged > 0.0 && figure(&figures, "kills: shares in the log")? >= acknowledged, "{figures:?}");
    for none in [
        "kills: shares acknowledged and not in the log, most",
        "kills: shares in the log that were never sent, most",
        "kills: audits that found a difference",
        "after the kills: lost",
    ] {
        assert_eq!(figure(&figures, none)?, 0.0, "{none}: {figures:?}");
    }
    Ok(())
}

#[test]
fn names_and_addresses_that_come_and_go_leave_little_behind() -> Result<()> {
    let figures = swarm(&["--miners", "sha256d=5", "--proxy-headers", "--tips", "0", "--storms", "0", "--soak", "4"])?;
    assert!(figure(&figures, "soak: names that came and had a share accepted")? >= 32.0, "{figures:?}");
    assert_eq!(figure(&figures, "soak: names that did not")?, 0.0, "{figures:?}");
    // How little is for `make chaos`: seconds are too few to tell memory that is used from memory that was fetched.
    figure(&figures, "soak: the same, for each name that came")?;
    Ok(())
}

#[test]
fn a_load_is_not_sent_elsewhere() -> Result<()> {
    let finished = run_bq(["swarm", "--url", "sha256d=192.0.2.1:3333", "--user", "anybody"])?;
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("192.0.2.1:3333 is not this machine"), "{finished:?}");
    Ok(())
}
