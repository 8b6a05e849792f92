//! Power fails at any write of the real program: `make crash CUTS=100`. Everything that it writes, syncs, cuts, renames and removes in its data
//! directory, the books' SQLite files, share segments and the chain's store alike, is written down by a library in front of it; then the files are made as power loss would have
//! left them, and it goes on from those. Of what was not synced any sectors are there, in no order.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Miner, booked_shares, reckon, run_audit, sha256d};

use crate::{
    luck::Luck,
    scene::{LIMIT, Scene, options, wait_for_payouts},
    write_log::{Act, Platter, Step, compile, read},
};

/// In every run.
const CUTS: usize = 3;
/// Blocks that a pool must find after its power was cut.
const BLOCKS_AFTER: u64 = 3;
const SEGMENT_HEADER_BYTES: usize = 98;

fn cuts() -> Result<usize> {
    std::env::var("BQ_CUTS").map_or(Ok(CUTS), |text| text.parse().context("BQ_CUTS"))
}

#[test]
fn whatever_power_loss_leaves_is_gone_on_from() -> Result<()> {
    let mut scene = Scene::new(options("payout_mode = \"ledger\""))?;
    let (log, data) = (scene.folder().join("writes"), scene.home().join("data"));
    let library = compile(scene.folder())?;
    let plain = scene.options.clone();
    let environment = [("LD_PRELOAD", &library), ("WRITE_LOG_FILE", &log), ("WRITE_LOG_FOLDER", &data)];
    scene.options.environment = environment.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec();
    let bq = scene.start()?;
    let first = read(&log)?.len();
    wait_for_payouts(&scene, &bq)?;
    scene.blocks(&bq, 4)?;
    bq.kill_hard()?;
    scene.ended()?;

    let (steps, mut luck) = (read(&log)?, Luck(0x2545_f491_4f6c_dd1d));
    ensure!(first > 0 && steps.len() > first, "{first} of {} steps before it was ready", steps.len());
    let mut at: Vec<usize> = (0..cuts()?).map(|_| first + luck.below(steps.len() - first)).collect();
    at.sort_unstable();
    let (mut platter, mut done) = (Platter::default(), 0);
    for (number, cut) in at.into_iter().enumerate() {
        for step in &steps[done..cut] {
            platter.step(step)?;
        }
        done = cut;
        let home = scene.folder().join(format!("cut-{number}"));
        platter.lose_power(&mut luck, &data, &home.join("data"))?;
        let synced = synced_shares(&platter, &data, &scene.folder().join(format!("synced-{number}")))?;
        goes_on(&scene, &plain, &home, synced)
            .with_context(|| format!("cut {number}, at step {cut} of {}", steps.len()))?;
    }
    tell_window(&steps);
    Ok(())
}

/// How many shares were on the platter for certain.
fn synced_shares(platter: &Platter, data: &Path, home: &Path) -> Result<u64> {
    fs::create_dir_all(home.join("data/share-log"))?;
    for (path, content) in platter.synced_files() {
        if path.starts_with(data.join("share-log")) {
            fs::write(home.join("data").join(path.strip_prefix(data)?), content)?;
        }
    }
    booked_shares(home)
}

/// The pool starts with all that was synced, mines and pays, and books, chain and log are one.
fn goes_on(scene: &Scene, options: &BqOptions, home: &Path, synced: u64) -> Result<()> {
    let bq = BqProcess::start(home, options)?;
    let booked = booked_shares(home)?;
    ensure!(booked >= synced, "{booked} shares in the log, {synced} were synced");
    let (height, port) = (bq.tip()?.height, bq.stratum("sha256d")?);
    let miners: Vec<Miner> = scene
        .addresses()
        .iter()
        .map(|address| {
            let login = format!("{address}.rig");
            Miner::start(port, move || sha256d::miner(&login, "x"))
        })
        .collect();
    bq.wait_for_height(height + BLOCKS_AFTER, LIMIT)?;
    for miner in miners {
        let report = miner.stop();
        ensure!(report.breaches.is_empty(), "{report:?}");
    }
    reckon(&bq, scene.addresses())?;
    ensure!(bq.stop()?.success());
    run_audit(home)
}

/// How long shares were acknowledged and not yet synced, for whoever reads it: a loaded machine takes what it takes.
#[expect(clippy::print_stdout, reason = "what was measured, shown by --nocapture")]
fn tell_window(steps: &[Step]) {
    let is_share = |step: &Step| step.path.extension().is_some_and(|end| end == "seg");
    let mut windows_ms = Vec::new();
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| is_share(step)) {
        let Act::Write { offset, .. } = step.act else { continue };
        if offset < SEGMENT_HEADER_BYTES {
            continue;
        }
        if let Some(end) = sync_after(&steps[at..], &step.path) {
            windows_ms.push(end.saturating_sub(step.time_ns) / 1_000_000);
        }
    }
    windows_ms.sort_unstable();
    let part = |of: usize| windows_ms.get((windows_ms.len() * of / 100).min(windows_ms.len().saturating_sub(1)));
    println!(
        "{} writes of shares: synced after {:?} ms (half), {:?} ms (99 of 100), {:?} ms (all)",
        windows_ms.len(),
        part(50),
        part(99),
        windows_ms.last()
    );
}

/// When the first sync of a file that begins among these steps has ended.
fn sync_after(steps: &[Step], path: &PathBuf) -> Option<u64> {
    let begun = steps.iter().find_map(|step| match step.act {
        Act::SyncBegins(number) if step.path == *path => Some(number),
        _ => None,
    })?;
    steps.iter().find(|step| matches!(step.act, Act::SyncEnds(number) if number == begun)).map(|step| step.time_ns)
}
