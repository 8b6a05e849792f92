//! What a pool gives out, checked by who does not trust it, on the real program: a direct pool's log replayed by another machine that has
//! only the export and the chain, and a miner's receipts verified offline.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bq_tests::{BqOptions, BqProcess, Eras, Finished, Miner, http_get, new_address, run_bq, sha256d, wait_for};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(240);

fn options() -> BqOptions {
    let pool = "[pool]\npayout_mode = \"direct\"\nshare_interval_secs = 1\nstatement_interval_secs = 1\n\
                [pool.sha256d]\nshare_difficulty_floor = 16384\nshare_difficulty_start = 16384\n";
    BqOptions { config: Eras::unhurried().then(1, &["sha256d"]).config(4, pool), ..BqOptions::default() }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn audit(arguments: &[&str]) -> Result<Finished> {
    run_bq([&["audit"], arguments].concat())
}

#[track_caller]
fn proves(arguments: &[&str], said: &str) -> Result<()> {
    let done = audit(arguments)?;
    ensure!(done.code == Some(0) && done.stdout.contains(said), "{arguments:?}: {done:?}");
    Ok(())
}

#[track_caller]
fn fails(arguments: &[&str], code: i32, said: &str) -> Result<()> {
    let done = audit(arguments)?;
    ensure!(done.code == Some(code) && done.stderr.contains(said), "{arguments:?}: {done:?}");
    Ok(())
}

#[test]
fn a_stranger_replays_a_pool_and_a_miner_verifies_his_receipts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (one, two) = (new_address(folder, "one")?, new_address(folder, "two")?);
    let pool_folder = folder.join("pool");
    fs::create_dir(&pool_folder)?;
    let bq = BqProcess::start(&pool_folder, &options())?;
    let stranger_folder = folder.join("stranger");
    fs::create_dir(&stranger_folder)?;
    let mut beside = options();
    beside.arguments.extend(["--connect".to_owned(), bq.address("p2p")?.to_string()]);
    let stranger = BqProcess::start(&stranger_folder, &beside)?;
    let miners = [one.clone(), two.clone()].map(|address| {
        let login = format!("{address}.rig");
        bq.stratum("sha256d").map(|port| Miner::start(port, move || sha256d::miner(&login, "x")))
    });
    let miners = miners.into_iter().collect::<Result<Vec<_>>>()?;
    let receipts = receipts(&bq, folder, &one)?;
    let height = bq.tip()?.height;
    bq.wait_for_height(height + 6, LIMIT)?;
    for miner in miners {
        let report = miner.stop();
        assert_eq!(report.breaches, Vec::<String>::new(), "{report:?}");
    }
    let rpc = stranger.address("rpc")?.to_string();
    wait_for(
        "the stranger's node to have the chain",
        LIMIT,
        || Ok((stranger.tip()?.id == bq.tip()?.id).then_some(())),
    )?;
    for receipt in &receipts {
        proves(&["verify", &text(receipt), "--account", &one], "are not looked up")?;
        proves(&["verify", &text(receipt), "--account", &one, "--rpc", &rpc], "its blocks are on the chain")?;
        fails(&["verify", &text(receipt), "--account", &two], 1, "it is of ")?;
        damaged_file_is_refused(receipt, &rpc)?;
    }
    ensure!(bq.stop()?.success());
    replayed_elsewhere(folder, &pool_folder, &one, &rpc)?;
    ensure!(stranger.stop()?.success());
    // The same from the files of the stranger's node.
    let (data, config) = (text(&stranger_folder.join("data")), text(&stranger_folder.join("bq.toml")));
    let chain = ["--chain", data.as_str(), "--config", config.as_str(), "--network", "regtest"];
    proves(&[&["replay", &text(&folder.join("export"))], chain.as_slice()].concat(), "nothing differs")
}

/// Shares, the newest share, a credit and what is owed, as the running pool gives them out.
fn receipts(bq: &BqProcess, folder: &Path, address: &str) -> Result<Vec<PathBuf>> {
    let credited = || -> Result<Option<String>> {
        let blocks = bq.get_json("/api/v1/blocks?limit=50")?;
        let blocks = blocks["blocks"].as_array().context("blocks")?;
        for block in blocks.iter().rev() {
            let id = block["id"].as_str().context("an id")?;
            let path = format!("/api/v1/miners/{address}/proof/credit?block={id}");
            if bq.get(&path)?.status == 200 {
                return Ok(Some(path));
            }
        }
        Ok(None)
    };
    let credit = wait_for("a credit that is on the chain", LIMIT, credited)?;
    let of = |what: &str| format!("/api/v1/miners/{address}/proof/{what}");
    let wanted = [of("shares"), of("share"), credit, of("owed")];
    let mut files = Vec::new();
    for (number, path) in wanted.iter().enumerate() {
        let got = wait_for(path, LIMIT, || {
            let got = http_get(bq.address("http")?, path)?;
            Ok((got.status == 200).then_some(got))
        })?;
        let file = folder.join(format!("receipt-{number}"));
        fs::write(&file, &got.raw)?;
        files.push(file);
    }
    let bad = bq.get(&of("nonsense"))?;
    ensure!(bad.status == 400, "{bad:?}");
    let said: Value = bq.get_json("/api/v1/liabilities")?;
    ensure!(said["statements"][0]["signature"].as_str().is_some_and(|hex| hex.len() == 2 * 3309), "{said}");
    Ok(files)
}

/// One bit in each of a few places, and one byte less. A header that was changed is another block's, which only the chain can tell.
fn damaged_file_is_refused(file: &Path, rpc: &str) -> Result<()> {
    let good = fs::read(file)?;
    let path = file.with_extension("damaged");
    let flipped = (0..8).map(|part| {
        let mut bytes = good.clone();
        bytes[good.len() * part / 8] ^= 4;
        bytes
    });
    for bytes in flipped.chain([good[..good.len() - 1].to_vec()]) {
        fs::write(&path, bytes)?;
        let done = audit(&["verify", &text(&path), "--rpc", rpc])?;
        ensure!(done.code == Some(1) && !done.stderr.is_empty(), "{done:?}");
    }
    Ok(())
}

fn replayed_elsewhere(folder: &Path, pool: &Path, address: &str, rpc: &str) -> Result<()> {
    let (data, config) = (text(&pool.join("data")), text(&pool.join("bq.toml")));
    let own = ["--network", "regtest", "--config", config.as_str(), "--data-dir", data.as_str()];
    let done = audit(&own)?;
    ensure!(done.code == Some(0), "{done:?}");
    let export = text(&folder.join("export"));
    proves(&[&["export", "--all", "--out", &export], own.as_slice()].concat(), "and their shares are in")?;
    let shares = text(&folder.join("shares"));
    proves(&[&["export", "--account", address, "--out", &shares], own.as_slice()].concat(), "written to")?;
    proves(&["verify", &shares, "--account", address, "--rpc", rpc], "its blocks are on the chain")?;
    fails(&[&["export", "--account", address, "--out", &shares], own.as_slice()].concat(), 2, "is there already")?;
    let done = audit(&["replay", &export, "--rpc", rpc])?;
    ensure!(done.code == Some(0) && done.stdout.contains("nothing differs"), "{done:?}");
    let log = done.stdout.lines().find(|line| line.starts_with("log ")).context("the log")?.to_owned();
    let coinbases = done.stdout.lines().find(|line| line.starts_with("blocks ")).context("blocks")?.to_owned();
    ensure!(!coinbases.contains(" 0 pay miners"), "{coinbases}");
    // The hash of the newest event is that of the pool's own books.
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("export/export.json"))?)?;
    let hash = manifest["hash"].as_str().context("a hash")?;
    ensure!(log.ends_with(hash), "{log}, the pool's is {hash}");
    cut_reordered_and_mixed(&folder.join("export"), rpc)
}

/// Whoever changes an export leaves its hashes wrong, or makes them fit: either is named.
fn cut_reordered_and_mixed(export: &Path, rpc: &str) -> Result<()> {
    let events = export.join("events");
    let good = fs::read(&events)?;
    let mut cut = good.clone();
    cut.truncate(good.len() - 3);
    fs::write(&events, &cut)?;
    fails(&["replay", &text(export), "--rpc", rpc], 1, "events is not as it was")?;
    let (at, first, second) = neighbours(&good)?;
    let swapped = [&good[..at], second, first, &good[at + first.len() + second.len()..]].concat();
    fs::write(&events, &swapped)?;
    let path = export.join("export.json");
    let manifest = fs::read(&path)?;
    let mut fitting: Value = serde_json::from_slice(&manifest)?;
    fitting["files"]["events"] = json!({ "bytes": swapped.len(), "sha256": sha256(&swapped) });
    fs::write(&path, serde_json::to_vec(&fitting)?)?;
    // Events that may come in either order are noticed by the next thing that names a hash of the log or of the state.
    fails(&["replay", &text(export), "--rpc", rpc], 1, "the first difference: event ")?;
    fs::write(&events, &good)?;
    fs::write(&path, manifest)?;
    Ok(())
}

/// The second event and the one after it, as they lie in the file.
fn neighbours(events: &[u8]) -> Result<(usize, &[u8], &[u8])> {
    let end = |at: usize| -> Result<usize> {
        let length: [u8; 4] = events.get(at..at + 4).context("a length")?.try_into()?;
        Ok(at + 4 + usize::try_from(u32::from_le_bytes(length))?)
    };
    let second = end(8)?;
    let third = end(second)?;
    let fourth = end(third)?;
    Ok((second, &events[second..third], &events[third..fourth]))
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}
